"""Racing over folds: candidates that will not win are stopped before their last fold."""

import joblib
import numpy as np
import pytest
from scipy.stats import uniform
from searching import Counted, raising
from sklearn.model_selection import KFold

from skmeta.search import MetaLearnedSearchCV, SearchHistory, _trials

X, y = np.arange(50.0).reshape(-1, 1), np.arange(50) % 2
FOLDS = KFold(5)


class Bowl(Counted):
    """Its score depends on a parameter and on the fold."""

    def __init__(self, p=0.5, fails_from=2.0):
        super().__init__()
        self.p = p
        self.fails_from = fails_from

    def fit(self, X, y):
        if self.p > self.fails_from and 10.0 not in X:
            raise ValueError("fails on the second fold")
        return super().fit(X, y)

    def score(self, X, y):
        fold = int(X[0, 0] // 10)
        return float(1 - (self.p - 0.3) ** 2 + 0.05 * np.sin(7 * fold + 40 * self.p))


@pytest.fixture(autouse=True)
def fresh():
    Bowl.fits, Bowl.at = [], {}


def search(n_iter=20, **settings):
    settings = {"cv": FOLDS, "random_state": 0, "prior": None, "racing": True} | settings
    return MetaLearnedSearchCV(Bowl(), {"p": uniform(0, 1)}, n_iter=n_iter, **settings)


def folds_of(found, metric="score"):
    return np.array([found.cv_results_[f"split{f}_test_{metric}"] for f in range(5)]).T


def same_results(one, other):
    for name in one.cv_results_:
        if "time" not in name:
            np.testing.assert_array_equal(
                one.cv_results_[name], other.cv_results_[name], err_msg=name
            )


def folds_by_the_rule(params, batch_size=1, least=0.3, n_draws=20000):
    """Number of folds that each candidate gets: the probability to win, by simulation.

    A decision that the simulation leaves open is NaN.
    """
    rng = np.random.default_rng(0)
    splits = list(FOLDS.split(X))
    full = [np.array([Bowl(p["p"]).score(X[t], y[t]) for _, t in splits]) for p in params]
    counts, best, residuals, n_free = [], None, [], 2
    for start in range(0, len(full), batch_size):
        batch = full[start : start + batch_size]
        for scores in batch:
            count = 5
            for n in range(1, 5) if best is not None else ():
                known = (scores - best)[:n]
                pooled = np.concatenate([*residuals, known - known.mean()])
                variance = (pooled @ pooled + 2 * best.var(ddof=1)) / (n_free + n - 1)
                mean = known.mean() + rng.normal(size=n_draws) * np.sqrt(variance / n)
                rest = mean[:, None] + rng.normal(size=(n_draws, 5 - n)) * np.sqrt(variance)
                wins = ((known.sum() + rest.sum(1)) > 0).mean()
                if abs(wins - least) < 0.02:
                    count = np.nan
                    break
                if wins < least:
                    count = n
                    break
            counts.append(count)
        for scores, n in zip(batch, counts[start:], strict=True):
            if n == 5:
                if best is not None:
                    residuals.append(scores - best - (scores - best).mean())
                    n_free += 4
                if best is None or scores.mean() > best.mean():
                    best = scores
    return np.array(counts, dtype=float)


@pytest.mark.parametrize(("batch_size", "least"), [(1, 0.3), (4, 0.3), (1, 0.1)])
def test_candidates_that_will_probably_not_win_are_stopped(batch_size, least, monkeypatch):
    monkeypatch.setattr(_trials, "_MIN_PROBABILITY", least)
    found = search(batch_size=batch_size).fit(X, y)
    results = found.cv_results_
    expected = folds_by_the_rule(results["params"], batch_size, least)
    is_open = np.isnan(expected)
    assert is_open.sum() < 5
    np.testing.assert_array_equal(results["n_folds"][~is_open], expected[~is_open])
    assert 1 in expected
    assert 5 in expected[1:]
    # As many fits, and one more for the refit.
    assert len(Bowl.fits) == results["n_folds"].sum() + 1


def test_what_stopped_candidates_have_in_the_results():
    found = search().fit(X, y)
    results, folds = found.cv_results_, folds_of(found)
    n_folds = results["n_folds"]
    np.testing.assert_array_equal(np.isfinite(folds).sum(1), n_folds)
    for scores, n, params in zip(folds, n_folds, results["params"], strict=True):
        splits = list(FOLDS.split(X))[:n]
        expected = [Bowl(params["p"]).score(X[test], y[test]) for _, test in splits]
        np.testing.assert_array_equal(scores[:n], expected)
    is_stopped = n_folds < 5
    np.testing.assert_array_equal(np.isnan(results["mean_test_score"]), is_stopped)
    rank = results["rank_test_score"]
    assert set(rank[is_stopped]) == {(~is_stopped).sum() + 1}
    assert np.isfinite(results["mean_fit_time"]).all()
    assert found.best_score_ == np.nanmax(results["mean_test_score"])
    frame = found.leaderboard()
    np.testing.assert_array_equal(frame["n_folds"], n_folds[frame.index])


@pytest.mark.parametrize(("n_jobs", "batch_size"), [(8, 1), (3, 4)])
def test_the_number_of_processors_changes_nothing(n_jobs, batch_size):
    alone = search(batch_size=batch_size).fit(X, y)
    with joblib.parallel_config("threading"):
        together = search(batch_size=batch_size, n_jobs=n_jobs).fit(X, y)
    same_results(alone, together)


def test_a_resumed_search_knows_stopped_candidates(tmp_path):
    whole = search().fit(X, y)
    n_before = int(whole.cv_results_["n_folds"][:12].sum())
    Bowl.fits, Bowl.at = [], {n_before + 1: raising(KeyboardInterrupt())}
    with pytest.warns(UserWarning, match="interrupted after 12"):
        search(history=tmp_path / "h.db", name="ours").fit(X, y)
    Bowl.fits, Bowl.at = [], {}
    history = SearchHistory(tmp_path / "h.db")
    resumed = search(history=history, name="ours").fit(X, y)
    assert resumed.n_resumed_ == 12
    assert len(Bowl.fits) == whole.cv_results_["n_folds"][12:].sum() + 1
    same_results(whole, resumed)
    Bowl.fits = []
    same_results(whole, search(history=history, name="ours").fit(X, y))
    assert len(Bowl.fits) == 1  # the refit


def test_the_record_has_the_folds_that_were_run(tmp_path):
    found = search(history=tmp_path / "h.db", name="ours").fit(X, y)
    [raced] = SearchHistory(tmp_path / "h.db")
    n_folds = found.cv_results_["n_folds"]
    for evaluation, scores, n in zip(raced.candidates, folds_of(found), n_folds, strict=True):
        [recorded] = evaluation.scores.values()
        assert recorded == tuple(scores[:n])
        assert len(evaluation.fit_times) == n
    # What a later search learns from is the mean over these folds, less how much easier they were
    # than the others for the candidates that have all folds.
    past = SearchHistory(tmp_path / "h.db").searches()[0]
    whole = folds_of(found)[n_folds == 5]
    ease = whole.mean(axis=0) - whole.mean()
    means = [np.mean(s[:n] - ease[:n]) for s, n in zip(folds_of(found), n_folds, strict=True)]
    np.testing.assert_allclose(past.scores, means)
