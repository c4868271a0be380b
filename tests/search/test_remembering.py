"""What a search reads from a history and writes to it."""

import warnings

import numpy as np
import pytest
from scipy.stats import loguniform
from searching import QUALITY, SPACE, past_search
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError, SearchWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory, SearchPrior


def test_other_data_do_not_resume_and_learn_a_prior(iris, path):
    pipeline = Pipeline([("a", StandardScaler()), ("b", SVC())])
    MetaLearnedSearchCV(
        pipeline,
        {"b__C": SPACE["C"], "b__gamma": SPACE["gamma"]},
        n_iter=12,
        history=path,
        random_state=0,
    ).fit(*load_wine(return_X_y=True))
    # Another name of the step, another range, another parameter more.
    search = MetaLearnedSearchCV(
        make_pipeline(StandardScaler(), SVC()),
        {
            "svc__C": loguniform(1e-2, 1e4),
            "svc__gamma": SPACE["gamma"],
            "svc__kernel": ["rbf", "poly"],
        },
        n_iter=6,
        history=path,
        prior="history",
        random_state=0,
    ).fit(*iris)
    assert search.n_resumed_ == 0
    assert len(search.prior_) == 1
    assert {"SVC.C", "SVC.gamma"} <= set(search.prior_.parameters)
    assert len(search.prior_report_["datasets"]) == 1
    other = MetaLearnedSearchCV(
        Ridge(), {"alpha": SPACE["C"]}, n_iter=3, history=path, prior="history"
    )
    assert other.fit(*iris).prior_ is None  # nothing is known of this estimator


def test_a_prior_of_the_users_own(iris, tmp_path):
    kind = {"metric": "accuracy", "estimator": "SVC"}
    past = [past_search(f"set {peak}", peak, **kind) for peak in (1.0, 1.2, 0.9)]
    prior = SearchPrior.from_searches(past)
    search = MetaLearnedSearchCV(SVC(), {"C": SPACE["C"]}, n_iter=1, prior=prior, random_state=0)
    search.fit(*iris)
    assert search.prior_ is prior
    assert 0.5 < np.log10(search.best_params_["C"]) < 1.5
    prior.save(tmp_path / "prior")
    [saved] = tmp_path.iterdir()
    loaded = clone(search).set_params(prior=SearchPrior.load(saved)).fit(*iris)
    assert loaded.best_params_ == search.best_params_
    plain = clone(search).set_params(prior=None).fit(*iris)
    assert plain.prior_ is None


def test_a_failing_history_never_costs_the_search(iris, counted, path):
    class Failing(SearchHistory):
        def _record(self, fingerprint, *candidates):
            raise OSError("No space left on device")

    search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.set_params(history=Failing(path)).fit(*iris)
    assert len(search.cv_results_["params"]) == 4
    told = [str(w.message) for w in caught if w.category is SearchWarning]
    assert len(told) == 1
    assert "No space left on device" in told[0]


def test_candidates_that_could_not_be_written_are_written_with_the_next(iris, counted, path):
    class Full(SearchHistory):
        n_calls = 0

        def _record(self, fingerprint, *candidates):
            Full.n_calls += 1
            if Full.n_calls in (2, 3, 5):
                raise HistoryError("No space left on device")
            super()._record(fingerprint, *candidates)

    search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=5, prior=None, random_state=0)
    with pytest.warns(SearchWarning, match="tries again after the next candidate"):
        search.set_params(history=Full(path)).fit(*iris)
    [recorded] = SearchHistory(path)
    tried = [candidate.configuration["Counted.quality"] for candidate in recorded.candidates]
    assert tried == [params["quality"] for params in search.cv_results_["params"]]
