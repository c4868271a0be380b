"""A search that goes on from its record is the search that it would have been."""

import numpy as np
import pytest
from searching import QUALITY, SPACE, add_past_search, assert_same, raising, scores_of
from sklearn.svm import SVC

from skmeta.exceptions import SearchWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory

N_ITER, N_FOLDS = 8, 2


def make(estimator, path, **settings):
    settings = {"history": path, "name": "ours", "random_state": 3, **settings}
    return MetaLearnedSearchCV(estimator, QUALITY, n_iter=N_ITER, cv=N_FOLDS, **settings)


def interrupt(counted, iris, path, after, **settings):
    """Run a search whose fit number `after` + 1 fails for good."""
    counted.fits, counted.at = [], {after + 1: raising(RuntimeError("power cut"))}
    with pytest.raises(RuntimeError, match="power cut"):
        make(counted(), path, error_score="raise", **settings).fit(*iris)
    counted.fits, counted.at = [], {}


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "prior"), [(1, "history"), (3, None)])
def test_it_is_the_same_after_any_fit(iris, counted, tmp_path, batch_size, prior):
    settings = {"batch_size": batch_size, "prior": prior}
    whole = tmp_path / "whole.db"
    add_past_search(whole, 0.5)
    expected = make(counted(), whole, **settings).fit(*iris)
    assert len(counted.fits) == N_ITER * N_FOLDS + 1
    for after in range(N_ITER * N_FOLDS):
        path = tmp_path / f"{after}.db"
        add_past_search(path, 0.5)
        interrupt(counted, iris, path, after, **settings)
        add_past_search(path, 0.9)  # another search ends meanwhile
        found = make(counted(), path, **settings).fit(*iris)
        assert_same(scores_of(found), scores_of(expected))
        # No fold of a recorded candidate is evaluated twice.
        n_recorded = found.n_resumed_
        assert after // N_FOLDS - batch_size < n_recorded <= after // N_FOLDS
        assert len(counted.fits) == (N_ITER - n_recorded) * N_FOLDS + 1
        if prior is not None:
            assert found.prior_.datasets == expected.prior_.datasets == ("past 0.5",)


def test_it_keeps_the_seed_that_it_began_with(iris, counted, tmp_path):
    whole, path = tmp_path / "whole.db", tmp_path / "searches.db"
    expected = make(counted(), whole).fit(*iris)
    interrupt(counted, iris, path, 7)
    found = make(counted(), path, random_state=None).fit(*iris)
    assert_same(scores_of(found), scores_of(expected))
    # Without a random state, one is drawn and kept.
    drawn = tmp_path / "drawn.db"
    interrupt(counted, iris, drawn, 7, random_state=None)
    first = make(counted(), drawn, random_state=None).fit(*iris)
    again = make(counted(), drawn, random_state=np.random.default_rng(0)).fit(*iris)
    assert_same(scores_of(first), scores_of(again))
    assert (first.n_resumed_, again.n_resumed_) == (3, N_ITER)


def test_a_longer_search_begins_like_the_shorter_one(iris, path, tmp_path):
    settings = {"cv": 3, "random_state": 0, "name": "ours"}
    MetaLearnedSearchCV(SVC(), SPACE, n_iter=8, history=path, **settings).fit(*iris)
    longer = MetaLearnedSearchCV(SVC(), SPACE, n_iter=11, history=path, **settings).fit(*iris)
    assert longer.n_resumed_ == 8
    whole = MetaLearnedSearchCV(
        SVC(), SPACE, n_iter=11, history=tmp_path / "whole.db", **settings
    ).fit(*iris)
    assert_same(scores_of(longer), scores_of(whole))
    assert np.isfinite(longer.cv_results_["predicted_mean_score"][6:]).all()
    shorter = MetaLearnedSearchCV(SVC(), SPACE, n_iter=5, history=path, **settings).fit(*iris)
    assert shorter.n_resumed_ == 5
    for name, column in scores_of(shorter).items():
        if "rank" not in name:
            np.testing.assert_array_equal(column, whole.cv_results_[name][:5], err_msg=name)


def test_a_read_only_history_is_gone_on_from(iris, counted, tmp_path, path):
    expected = make(counted(), tmp_path / "whole.db").fit(*iris)
    interrupt(counted, iris, path, 9)
    found = make(counted(), SearchHistory(path, mode="read"), random_state=8).fit(*iris)
    assert_same(scores_of(found), scores_of(expected))
    assert found.n_resumed_ == 4


def test_candidates_that_would_not_be_proposed_are_kept(iris, counted, path):
    interrupt(counted, iris, path, 12, batch_size=1)
    [recorded] = SearchHistory(path)
    on_record = [candidate.key for candidate in recorded.candidates]
    assert len(on_record) == 6
    search = make(counted(), path, batch_size=4)
    with pytest.warns(SearchWarning, match="candidates of this search that it would not propose"):
        search.fit(*iris)
    assert search.n_resumed_ == 6
    assert len(search.cv_results_["params"]) == N_ITER
    assert len(counted.fits) == 2 * N_FOLDS + 1
    [recorded] = SearchHistory(path)
    evaluations = {candidate.key: candidate for candidate in recorded.candidates}
    assert list(evaluations)[:6] == on_record
    qualities = {e.configuration["Counted.quality"] for e in evaluations.values()}
    assert qualities == {params["quality"] for params in search.cv_results_["params"]}


def test_the_global_generators_are_left_alone(iris, path):
    torch = pytest.importorskip("torch")
    before, numbers = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    # An estimator without a random state would take numbers from NumPy's generator itself.
    search = MetaLearnedSearchCV(SVC(random_state=0), SPACE, n_iter=7, history=path, random_state=0)
    search.fit(*iris).predict(iris[0])
    MetaLearnedSearchCV(SVC(random_state=0), SPACE, n_iter=7, random_state=None).fit(*iris)
    assert torch.equal(before, torch.get_rng_state())
    after = np.random.get_state()  # noqa: NPY002
    assert numbers[2:] == after[2:]
    np.testing.assert_array_equal(numbers[1], after[1])
