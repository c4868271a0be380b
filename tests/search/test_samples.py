"""Searches that try candidates on samples of a large table first, and which rows those have."""

import numpy as np
import pytest
from searching import QUALITY, Counted, assert_same, raising, scores_of
from sklearn.model_selection import StratifiedKFold

from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search._samples import sample_folds

N_ROWS, N_SAMPLED, N_ITER, N_FOLDS = 15_000, 5, 4, 2
SAMPLED, WHOLE = [1500] * N_SAMPLED, [N_ROWS] * N_ITER


class Drifting(Counted):
    """Its best quality is 0.3 on all rows, and `drift` more for each power of ten fewer rows."""

    def __init__(self, quality=0.9, drift=0.0):
        super().__init__(quality)
        self.drift = drift

    def fit(self, X, y):
        super().fit(X, y)
        Drifting.fits[-1] = self.n_rows_ = len(X)
        return self

    def score(self, X, y):
        best = 0.3 + self.drift * np.log10(N_ROWS / N_FOLDS / self.n_rows_)
        return 1 - (self.quality - best) ** 2 + 1e-3 * X[:, 0].mean()


@pytest.fixture(autouse=True)
def fresh():
    Drifting.fits, Drifting.at = [], {}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    y = (rng.random(N_ROWS) < 0.3).astype(int)
    y[:6] = 2  # a rare class
    return rng.normal(size=(N_ROWS, 3)), y


def make(estimator=None, **settings):
    given = {"n_iter": N_ITER, "n_iter_on_sample": N_SAMPLED, "cv": N_FOLDS, "random_state": 3}
    given |= {"history": None} | settings
    return MetaLearnedSearchCV(estimator or Drifting(), QUALITY, **given)


def rows_of(search):
    return search.cv_results_["n_resources"].tolist()


def test_results_and_lines_tell_the_rows_of_each_candidate(table, capsys):
    search = make(verbose=1).fit(*table)
    printed = capsys.readouterr().out
    assert "A sample of 1,500 rows: it tells which candidates to try on all rows." in printed
    assert printed.count("score") == N_SAMPLED + N_ITER
    assert rows_of(search) == SAMPLED + WHOLE
    assert sorted(Drifting.fits) == [750] * 10 + [7500] * 8 + [N_ROWS]
    results = search.cv_results_
    assert search.best_index_ >= N_SAMPLED
    assert results["rank_test_score"][search.best_index_] == 1
    assert sorted(results["rank_test_score"][:N_SAMPLED]) == [5, 6, 7, 8, 9]
    assert search.best_score_ == results["mean_test_score"][N_SAMPLED:].max()
    assert search.best_params_ == results["params"][search.best_index_]
    assert "as given" in make(n_iter=5).fit(*table).cv_results_["source"][N_SAMPLED:]
    board = search.leaderboard()
    assert board.index[0] == search.best_index_
    assert (board["rank"][board.index < N_SAMPLED] > N_ITER).all()


def test_a_small_table_has_no_samples(table):
    X, y = (part[6:14_006] for part in table)
    assert_same(
        scores_of(make(n_iter_on_sample=5).fit(X, y)), scores_of(make(n_iter_on_sample=0).fit(X, y))
    )
    assert "n_resources" not in make().fit(X, y).cv_results_


@pytest.mark.slow
def test_the_first_candidate_on_all_rows_is_better(table):
    def first(**settings):
        results = make(**settings).fit(*table).cv_results_
        return results["params"][np.argmax(results.get("n_resources", [1]))]["quality"]

    with_samples = [abs(first(n_iter_on_sample=8, random_state=k) - 0.3) for k in range(5)]
    without = [abs(first(n_iter_on_sample=0, random_state=k) - 0.3) for k in range(5)]
    assert np.mean(with_samples) < 0.4 * np.mean(without)


@pytest.mark.parametrize(
    ("after", "settings"),
    [(3, {}), (11, {}), (3, {"n_iter_on_sample": 2}), (15, {"batch_size": 2})],
)
def test_it_goes_on_from_its_record(table, path, after, settings):
    expected = make(**settings).fit(*table)
    n_fits = len(Drifting.fits)
    Drifting.fits, Drifting.at = [], {after + 1: raising(RuntimeError("power cut"))}
    with pytest.raises(RuntimeError, match="power cut"):
        make(history=path, name="ours", error_score="raise", **settings).fit(*table)
    Drifting.fits, Drifting.at = [], {}
    found = make(history=path, name="ours", **settings).fit(*table)
    assert_same(scores_of(found), scores_of(expected))
    assert len(Drifting.fits) == n_fits - N_FOLDS * found.n_resumed_
    assert found.n_resumed_ >= after // N_FOLDS - 1
    again = make(history=path, name="ours", **settings).fit(*table)
    assert_same(scores_of(again), scores_of(expected))
    assert again.n_resumed_ == len(again.cv_results_["params"])


def test_samples_are_searches_of_the_history(table, path):
    make(history=path, name="ours").fit(*table)
    with SearchHistory(path) as history:
        past = history.searches(estimator="Drifting")
        assert [one.dataset for one in past] == ["ours", "ours (1500 rows)"]
        assert [len(one.scores) for one in past] == [N_ITER, N_SAMPLED]
        all_rows, few = (one.dataset_features for one in past)
        assert np.exp([few["log_rows"], all_rows["log_rows"]]) == pytest.approx([1500, N_ROWS])
        assert few["log_columns"] == all_rows["log_columns"]


def test_what_a_sample_found_is_no_past_of_its_own_search(table, path):
    search = make(history=path, prior="history").fit(*table)
    assert search.prior_ is None
    X, y = table
    other = make(history=path, prior="history").fit(X[::-1] + 1, y[::-1])
    assert len(other.prior_) == 2
    left = make(history=path, prior="history", cv=3).fit(*table)
    assert len(left.prior_) == 2  # those of the other table


def test_an_interrupt_on_a_sample_ends_the_fit(table):
    Drifting.at = {7: raising(KeyboardInterrupt())}
    with pytest.raises(KeyboardInterrupt):
        make().fit(*table)


@pytest.mark.parametrize("samples", ["auto", -3, 2.5, None])
def test_bad_samples(table, samples):
    with pytest.raises(ValueError, match="The 'n_iter_on_sample' parameter"):
        make(n_iter_on_sample=samples).fit(*table)


# -- which rows a sample has -----------------------------------------------------------------------


def labelled(n=6000):
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b", "c"], size=n, p=[0.7, 0.298, 0.002])
    return y, list(StratifiedKFold(3).split(y[:, None], y))


def drawn(splits, y, share, is_classification=True):
    return sample_folds(splits, y, share, is_classification=is_classification, seed=3)


def test_a_sample_is_of_the_folds_own_rows():
    y, splits = labelled()
    for (train, test), (some, scored) in zip(splits, drawn(splits, y, 0.1), strict=True):
        assert len(some) == 400
        assert set(some) <= set(train)
        assert set(scored) <= set(test)
        assert len(scored) == 1000  # at least, as scores are cheap
        assert (np.diff(some) > 0).all()
