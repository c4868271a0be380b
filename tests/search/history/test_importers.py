"""Searches of scikit-learn and studies of Optuna are added."""

import math
import warnings

import numpy as np
import optuna
import pytest
from halving import HalvingGridSearchCV
from scipy.stats import loguniform
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.exceptions import HistoryFormatError
from skmeta.search import SearchHistory


@pytest.fixture(autouse=True)
def quiet_optuna():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


# Searches of scikit-learn.


def fit(search, iris):
    return search.fit(*iris)


def test_a_grid_search_is_added_whole(iris):
    pipe = make_pipeline(StandardScaler(), SVC())
    search = GridSearchCV(pipe, {"svc__C": [0.1, 1.0], "svc__gamma": [0.1, "scale"]}, cv=3)
    fit(search, iris)
    history = SearchHistory().add_cv_results(search, dataset="iris", X=iris[0], y=iris[1])
    [recorded] = history
    [past] = history.searches(estimator="SVC")
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_score"])
    assert [c["SVC.gamma"] for c in past.configurations] == [0.1, "scale", 0.1, "scale"]
    for k, evaluation in enumerate(recorded.candidates):
        folds = [search.cv_results_[f"split{i}_test_score"][k] for i in range(3)]
        assert evaluation.scores["score"] == tuple(folds)
    assert recorded.record.refit_metric == "score"


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss"])
def test_the_metric_of_a_search_is_kept(scoring, iris):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0]}
    search = fit(GridSearchCV(model, grid, scoring=scoring, cv=3), iris)
    [past] = SearchHistory().add_cv_results(search, dataset="iris").searches()
    assert past.metric == scoring
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_score"])


def test_several_metrics(iris):
    search = RandomizedSearchCV(
        SVC(),
        {"C": loguniform(0.1, 10)},
        n_iter=4,
        cv=3,
        scoring=["accuracy", "f1_macro"],
        refit="f1_macro",
        random_state=0,
    )
    history = SearchHistory().add_cv_results(fit(search, iris), dataset="iris")
    for metric in ["accuracy", "f1_macro"]:
        [past] = history.searches(metric=metric)
        np.testing.assert_allclose(past.scores, search.cv_results_[f"mean_test_{metric}"])
    assert history.searches()[0].metric == "f1_macro"
    with pytest.raises(HistoryFormatError, match="scoring must name the metric to maximise"):
        SearchHistory().add_cv_results(search.set_params(refit=False), dataset="iris")


def test_of_a_halving_search_the_last_round_counts(iris):
    search = HalvingGridSearchCV(SVC(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=2, random_state=0)
    fit(search, iris)
    [past] = SearchHistory().add_cv_results(search, dataset="iris").searches()
    last = search.cv_results_["n_resources"] == max(search.cv_results_["n_resources"])
    assert 0 < last.sum() < len(last)
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_score"][last])


def test_failed_candidates_of_a_search_are_nan(iris):
    search = GridSearchCV(SVC(), {"C": [-1.0, 1.0]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says that fits failed
        fit(search, iris)
    [past] = SearchHistory().add_cv_results(search, dataset="iris").searches()
    assert np.isnan(past.scores).tolist() == [True, False]


@pytest.mark.parametrize("search", [3, GridSearchCV(SVC(), {}), {"params": []}])
def test_what_is_no_fitted_search(search):
    with pytest.raises(HistoryFormatError, match="needs a fitted search, such as GridSearchCV"):
        SearchHistory().add_cv_results(search)


# Studies of Optuna.


def make_study(direction="maximize"):
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial):
        C = trial.suggest_float("C", 0.1, 10.0, log=True)
        kernel = trial.suggest_categorical("kernel", ["rbf", "linear"])
        if trial.number == 1:
            raise ValueError("no")
        if trial.number == 2:
            trial.report(0.1, 0)
            raise optuna.TrialPruned
        return C + (kernel == "rbf")

    study.optimize(objective, n_trials=8, catch=ValueError)
    return study


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_a_study_is_added_without_what_was_pruned(direction, sign):
    study = make_study(direction)
    [past] = SearchHistory().add_optuna(study, SVC(), dataset="d").searches()
    trials = [t for t in study.trials if t.number != 2]
    assert [c["SVC.C"] for c in past.configurations] == [t.params["C"] for t in trials]
    assert [c["SVC.kernel"] for c in past.configurations] == [t.params["kernel"] for t in trials]
    expected = [math.nan if t.value is None else sign * t.value for t in trials]
    np.testing.assert_array_equal(past.scores, expected)
    assert np.isnan(past.scores).sum() == 1
    assert past.configurations[int(np.nanargmax(past.scores))]["SVC.C"] == study.best_params["C"]


def test_a_study_may_use_other_names():
    pipe = make_pipeline(StandardScaler(), SVC())
    names = {"C": "svc__C", "kernel": "svc__kernel"}
    history = SearchHistory().add_optuna(
        make_study(), pipe, dataset="d", names=names, scoring="accuracy"
    )
    [past] = history.searches()
    assert past.metric == "accuracy"
    assert "SVC.kernel" in past.configurations[0]
    with pytest.raises(HistoryFormatError, match="'C', which Pipeline does not have"):
        SearchHistory().add_optuna(make_study(), pipe, dataset="d")


def test_a_study_of_several_objectives():
    study = optuna.create_study(directions=["minimize", "maximize"])
    with pytest.raises(HistoryFormatError, match="has 2 objectives, and add_optuna takes one"):
        SearchHistory().add_optuna(study, SVC(), dataset="d")
