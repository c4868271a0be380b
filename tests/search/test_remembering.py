"""What a search reads from a history and writes to it."""

import warnings

import numpy as np
import pytest
from scipy.stats import loguniform
from searching import QUALITY, SPACE, assert_same, past_search
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError, HistoryWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory, SearchPrior


def test_a_finished_search_is_not_evaluated_again(iris, counted, path):
    settings = {"n_iter": 6, "cv": 3, "history": path}
    space = QUALITY
    first = MetaLearnedSearchCV(counted(), space, random_state=0, **settings).fit(*iris)
    counted.fits = []
    again = MetaLearnedSearchCV(counted(), space, random_state=5, **settings).fit(*iris)
    assert len(counted.fits) == 1  # the refit
    assert_same(again.cv_results_, first.cv_results_)  # times and predictions as well
    counted.fits = []
    longer = MetaLearnedSearchCV(counted(), space, random_state=5, **settings)
    longer.set_params(n_iter=8).fit(*iris)
    assert len(counted.fits) == 2 * 3 + 1
    assert longer.n_resumed_ == 6


@pytest.mark.parametrize(
    "change",
    [
        {"cv": 4},
        {"scoring": "f1_macro"},
        {"param_distributions": {**SPACE, "C": loguniform(1e-3, 1e2)}},
        {"estimator": SVC(kernel="poly")},
        {"cv": KFold(3, shuffle=True)},
    ],
)
def test_another_search_does_not_resume(iris, path, change):
    settings = {"n_iter": 4, "cv": 3, "history": path, "random_state": 0}
    MetaLearnedSearchCV(SVC(), SPACE, **settings).fit(*iris)
    other = MetaLearnedSearchCV(SVC(), SPACE, **settings).set_params(**change).fit(*iris)
    assert other.n_resumed_ == 0
    assert len(SearchHistory(path)) == 2


def _scoring(value):
    return lambda estimator, X, y: value


@pytest.mark.parametrize(
    "scorers",
    [
        [{"a": _scoring(0.1)}, {"a": _scoring(0.2)}],
        [make_scorer(lambda y, p: 0.1, greater_is_better=sign) for sign in (True, False)],
    ],
    ids=["dict", "make_scorer"],
)
def test_another_scorer_of_the_same_name_does_not_resume(iris, path, scorers):
    for scoring in scorers:
        search = MetaLearnedSearchCV(
            SVC(), {"C": SPACE["C"]}, n_iter=2, cv=2, history=path, refit=False, random_state=0
        ).set_params(scoring=scoring)
        assert search.fit(*iris).n_resumed_ == 0
        assert search.fit(*iris).n_resumed_ == 2


# joblib's cache warns on a slow disk.
@pytest.mark.filterwarnings("ignore:Persisting input arguments took:UserWarning")
def test_what_has_no_effect_on_scores_may_change(iris, path, tmp_path):
    def search(n_jobs, memory, depth=3):
        forest = RandomForestClassifier(3, n_jobs=n_jobs, max_depth=depth, random_state=0)
        return MetaLearnedSearchCV(
            make_pipeline(StandardScaler(), forest, memory=memory),
            {"randomforestclassifier__min_samples_leaf": [1, 2, 3]},
            n_iter=2,
            cv=2,
            history=path,
            random_state=0,
        )

    search(None, None).fit(*iris)
    assert search(1, str(tmp_path / "cache")).fit(*iris).n_resumed_ == 2
    assert search(1, str(tmp_path / "cache"), depth=4).fit(*iris).n_resumed_ == 0


def test_another_request_for_weights_does_not_resume(iris, path):
    weight = np.linspace(0.01, 1, 150)
    found = []
    with config_context(enable_metadata_routing=True):
        for is_weighted in (True, False):
            svc = SVC().set_fit_request(sample_weight=is_weighted)
            scoring = make_scorer(accuracy_score).set_score_request(sample_weight=True)
            search = MetaLearnedSearchCV(
                svc, {"C": SPACE["C"]}, n_iter=2, cv=2, history=path, scoring=scoring
            )
            found.append(search.fit(*iris, sample_weight=weight).n_resumed_)
    assert found == [0, 0]


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


def test_the_default_history(iris, path, monkeypatch):
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=3, random_state=0)
    monkeypatch.setenv("SKMETA_HISTORY", str(path))
    search.fit(*iris)
    clone(search).set_params(history=False).fit(iris[0][:100], iris[1][:100])
    monkeypatch.delenv("SKMETA_HISTORY")
    search.fit(iris[0][:90], iris[1][:90])
    assert len(SearchHistory(path)) == 1


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
        def record(self, fingerprint, *candidates):
            raise OSError("No space left on device")

    search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.set_params(history=Failing(path)).fit(*iris)
    assert len(search.cv_results_["params"]) == 4
    told = [str(w.message) for w in caught if w.category is HistoryWarning]
    assert len(told) == 1
    assert "No space left on device" in told[0]


def test_candidates_that_could_not_be_written_are_written_with_the_next(iris, counted, path):
    class Full(SearchHistory):
        n_calls = 0

        def record(self, fingerprint, *candidates):
            Full.n_calls += 1
            if Full.n_calls in (2, 3, 5):
                raise HistoryError("No space left on device")
            super().record(fingerprint, *candidates)

    search = MetaLearnedSearchCV(counted(), QUALITY, n_iter=5, prior=None, random_state=0)
    with pytest.warns(HistoryWarning, match="tries again after the next candidate"):
        search.set_params(history=Full(path)).fit(*iris)
    [recorded] = SearchHistory(path)
    tried = [candidate.configuration["Counted.quality"] for candidate in recorded.candidates]
    assert tried == [params["quality"] for params in search.cv_results_["params"]]
