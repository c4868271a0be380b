"""Folds that stop early, against fits by hand with the same rows, and the rows held out."""

import inspect
import math

import numpy as np
import pytest
import sklearn
from boosters import CLASSES, make_booster
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search.early_stopping import hold_out

SETTINGS = {"n_iter": 2, "random_state": 0, "prior": None, "error_score": "raise"}
CV = KFold(2, shuffle=True, random_state=0)
LIMIT = {"lightgbm": "n_estimators", "xgboost": "n_estimators", "catboost": "iterations"}
HIST = [HistGradientBoostingClassifier, HistGradientBoostingRegressor]
TAKES_ROWS = "X_val" in inspect.signature(HistGradientBoostingClassifier.fit).parameters
takes_rows = pytest.mark.skipif(not TAKES_ROWS, reason="scikit-learn 1.7 takes held rows")


def make(kind, limit=25):
    if kind in HIST:
        return kind(max_iter=limit, random_state=0)
    return make_booster(kind, **{LIMIT[CLASSES[kind]]: limit})


def load(estimator, n=160):
    X, y = (load_breast_cancer if is_classifier(estimator) else load_diabetes)(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(X))[:n]
    return X[rows], y[rows]


def fit_by_hand(model, X, y, X_held, y_held, weight=None, held_weight=None, patience=20):
    """Return the rounds of a model that is fitted beside held rows, as its library documents it."""
    package = type(model).__module__.partition(".")[0]
    weights = {} if weight is None else {"sample_weight": weight}
    if package == "lightgbm":
        import lightgbm

        if weight is not None:
            weights["eval_sample_weight"] = [held_weight]
        stop = lightgbm.early_stopping(patience, verbose=False)
        held = (
            {"eval_X": X_held, "eval_y": y_held}
            if "eval_X" in lightgbm.LGBMModel.fit.__code__.co_varnames
            else {"eval_set": [(X_held, y_held)]}
        )
        model.fit(X, y, callbacks=[stop], **held, **weights)
        return model.best_iteration_
    if package == "xgboost":
        if weight is not None:
            weights["sample_weight_eval_set"] = [held_weight]
        model.set_params(early_stopping_rounds=patience)
        model.fit(X, y, eval_set=[(X_held, y_held)], verbose=False, **weights)
        return model.best_iteration + 1
    if package == "catboost":
        import catboost

        held = catboost.Pool(X_held, y_held, weight=held_weight)
        model.fit(X, y, eval_set=held, early_stopping_rounds=patience, **weights)
        return model.best_iteration_ + 1
    if weight is not None:
        weights["sample_weight_val"] = held_weight
    model.set_params(early_stopping=True)  # its own patience is 10
    model.fit(X, y, X_val=X_held, y_val=y_held, **weights)
    return model.n_iter_


KINDS = [*CLASSES, *(pytest.param(kind, marks=takes_rows) for kind in HIST)]


@pytest.mark.filterwarnings("ignore:The scoring CatBoost.*does not support sample_weight")
@pytest.mark.parametrize("kind", KINDS)
def test_folds_are_those_of_fits_by_hand(kind):
    """Classifiers have weights, regressors are in a pipeline."""
    model = make(kind)
    X, y = load(model)
    is_weighted = is_classifier(model)
    in_pipeline = not is_weighted
    weight = np.random.default_rng(1).uniform(0.1, 3, len(y)) if is_weighted else None
    estimator = Pipeline([("scale", StandardScaler()), ("boost", model)]) if in_pipeline else model
    prefix = "boost__" if in_pipeline else ""
    space = {f"{prefix}learning_rate": [0.1, 0.4]}
    search = MetaLearnedSearchCV(estimator, space, cv=CV, early_stopping=0.2, **SETTINGS)
    search.fit(X, y, **({f"{prefix}sample_weight": weight} if is_weighted else {}))
    results = search.cv_results_

    def scored(rows):
        # Without metadata routing, scikit-learn hands what is named sample_weight to scores too.
        takes = is_weighted and "Cat" not in str(kind)
        return {"sample_weight": weight[rows]} if takes else {}

    for row, params in enumerate(results["params"]):
        rounds = []
        for fold, (train, test) in enumerate(CV.split(X)):
            kept, held = hold_out(0.2, X[train], y[train], None, is_classifier(model))
            kept, held = train[kept], train[held]
            # The scaler sees neither the held rows nor the fold's test rows.
            scale = StandardScaler().fit(X[kept]).transform if in_pipeline else np.asarray
            by_hand = clone(model).set_params(learning_rate=params[f"{prefix}learning_rate"])
            weights = (weight[kept], weight[held]) if is_weighted else ()
            rounds.append(
                fit_by_hand(by_hand, scale(X[kept]), y[kept], scale(X[held]), y[held], *weights)
            )
            assert results[f"split{fold}_n_rounds"][row] == rounds[-1]
            assert results[f"split{fold}_test_score"][row] == pytest.approx(
                by_hand.score(scale(X[test]), y[test], **scored(test))
            )
        assert results["n_rounds"][row] == math.ceil(np.median(rounds))


@pytest.mark.parametrize("kind", KINDS[1::2])
def test_the_refit_has_the_rounds_that_were_found_and_all_rows(kind):
    model = make(kind)
    X, y = load(model)
    # Patience of its own would stop, or ask for held rows.
    own_patience = {"n_iter_no_change": 3}
    if isinstance(kind, str):
        own_patience = {"early_stopping_rounds": 3}
    model.set_params(**own_patience, **({"random_state": 0} if "Cat" not in str(kind) else {}))
    search = MetaLearnedSearchCV(
        model, {"learning_rate": [0.3, 0.6]}, cv=CV, early_stopping=0.2, **SETTINGS
    ).fit(X, y)
    actual = search.cv_results_["n_rounds"][search.best_index_]
    best = search.best_estimator_
    name = "iterations" if "Cat" in str(kind) else "max_iter" if kind in HIST else "n_estimators"
    assert search.best_params_[name] == best.get_params()[name] == actual
    assert type(best.get_params()[name]) is int
    size = next(
        getattr(best, attribute)
        for attribute in ("tree_count_", "n_estimators_", "n_iter_", "n_estimators")
        if getattr(best, attribute, None) is not None
    )
    assert size == actual
    by_hand = clone(best).fit(X, y)
    np.testing.assert_array_equal(best.predict(X), by_hand.predict(X))
    assert "fit" not in vars(best)


@takes_rows
def test_groups_and_splitters():
    model = make(HistGradientBoostingClassifier)
    X, y = load(model)
    groups = np.random.default_rng(0).integers(20, size=len(y))
    splitter = GroupShuffleSplit(3, test_size=0.4, random_state=1)
    for early_stopping in (0.2, splitter):
        search = MetaLearnedSearchCV(
            model,
            {"learning_rate": [0.2, 0.3]},
            cv=GroupKFold(2),
            early_stopping=early_stopping,
            **SETTINGS,
        ).fit(X, y, groups=groups)
        train, _ = next(GroupKFold(2).split(X, y, groups))
        kept, held = hold_out(early_stopping, X[train], y[train], groups[train], True)
        kept, held = train[kept], train[held]
        by_hand = clone(model).set_params(**search.cv_results_["params"][0])
        rounds = fit_by_hand(by_hand, X[kept], y[kept], X[held], y[held])
        assert search.cv_results_["split0_n_rounds"][0] == rounds


@takes_rows
def test_a_search_is_resumed(tmp_path):
    model = make(HistGradientBoostingClassifier)
    X, y = load(model)
    settings = {**SETTINGS, "cv": CV, "history": tmp_path / "searches.db", "random_state": 3}
    space = {"learning_rate": [0.1, 0.2, 0.3, 0.4]}
    search = MetaLearnedSearchCV(model, space, early_stopping=0.2, **settings)
    first, again = (clone(search).fit(X, y) for _ in range(2))
    assert again.n_resumed_ == 2
    assert again.best_params_ == first.best_params_
    for column in ("n_rounds", "split0_n_rounds", "split1_n_rounds"):
        np.testing.assert_array_equal(again.cv_results_[column], first.cv_results_[column])
    for other in (None, 0.3):
        assert search.set_params(early_stopping=other).fit(X, y).n_resumed_ == 0
    with SearchHistory(tmp_path / "searches.db") as history:
        stopped = next(iter(history)).candidates[0]
        assert stopped.n_rounds == tuple(
            first.cv_results_[f"split{fold}_n_rounds"][0] for fold in (0, 1)
        )
        name = "HistGradientBoostingClassifier.max_iter"
        assert stopped.configuration[name] == "early stopping"


@takes_rows
@pytest.mark.filterwarnings("ignore:The estimator as given is not tried")
def test_other_estimators_of_a_choice_use_all_rows():
    X, y = load(KNeighborsClassifier())
    listed = [
        HistGradientBoostingClassifier(random_state=0, learning_rate=0.5),
        KNeighborsClassifier(),
    ]
    search = MetaLearnedSearchCV(
        listed, cv=CV, early_stopping=0.3, **{**SETTINGS, "n_iter": 4}
    ).fit(X, y)
    results = search.cv_results_
    assert {type(params["model"]) for params in results["params"]} == {*map(type, listed)}
    for params, rounds, score in zip(
        results["params"], results["n_rounds"], results["mean_test_score"], strict=True
    ):
        assert np.isnan(rounds) == isinstance(params["model"], KNeighborsClassifier)
        if np.isnan(rounds):
            own = {k.removeprefix("model__"): v for k, v in params.items() if "__" in k}
            scores = [
                KNeighborsClassifier(**own).fit(X[train], y[train]).score(X[test], y[test])
                for train, test in CV.split(X)
            ]
            assert score == pytest.approx(np.mean(scores))


@takes_rows
def test_a_failed_fit_has_no_rounds():
    model = make(HistGradientBoostingClassifier)
    settings = {**SETTINGS, "error_score": np.nan}
    search = MetaLearnedSearchCV(
        model, {"learning_rate": [0.1, -1.0]}, cv=CV, early_stopping=0.2, **settings
    )
    with (
        pytest.warns(sklearn.exceptions.FitFailedWarning, match="2 fits failed"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search.fit(*load(model))
    failed = [params["learning_rate"] < 0 for params in search.cv_results_["params"]]
    np.testing.assert_array_equal(np.isnan(search.cv_results_["n_rounds"]), failed)


@pytest.mark.parametrize(
    ("estimator", "early_stopping", "match"),
    [
        (SVC(), 0.1, "needs an estimator that can stop early, got SVC. These can: estim"),
        (make_pipeline(SVC()), 0.1, "got SVC"),
        (GradientBoostingClassifier(), 0.1, "got GradientBoostingClassifier"),
        (SVC(), 1.5, "'early_stopping' parameter of MetaLearned"),
        (SVC(), "yes", "'early_stopping' parameter of MetaLearned"),
    ],
)
def test_errors(estimator, early_stopping, match):
    with pytest.raises(ValueError, match=match):
        MetaLearnedSearchCV(estimator, early_stopping=early_stopping).fit(*load(SVC()))


@pytest.mark.parametrize(
    ("kind", "settings", "match"),
    [
        ("LGBMClassifier", {"boosting_type": "dart"}, "LGBMClassifier cannot stop early: boosting"),
        ("XGBClassifier", {"booster": "gblinear"}, "XGBClassifier cannot stop early: booster='gb"),
    ],
)
def test_settings_that_cannot_stop(kind, settings, match):
    model = make_booster(kind, **settings)
    with pytest.raises(ValueError, match=match):
        MetaLearnedSearchCV(model, early_stopping=0.1).fit(*load(model))


def test_held_rows_are_not_given_twice():
    model = make_booster("LGBMClassifier")
    X, y = load(model)
    with pytest.raises(ValueError, match=r"fit got 'eval_set', and early_stopping=0.1 holds out"):
        MetaLearnedSearchCV(model, early_stopping=0.1).fit(X, y, eval_set=[(X, y)])


# -- the rows that are held out --------------------------------------------------------------------


def rows(n=100, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)), rng.integers(n_classes, size=n)


def test_a_class_keeps_its_only_row():
    X, _ = rows(20)
    y = np.array([0] * 10 + [1] * 9 + [2])
    for share in (0.05, 0.5, 0.9):
        kept, held = hold_out(share, X, y, None, True)
        assert set(y[kept]) == {0, 1, 2}
        assert len(held)
        assert sorted([*kept, *held]) == list(range(20))


def test_too_few_rows():
    class Nothing:
        def split(self, X, y, groups):
            return []

    with pytest.raises(ValueError, match="holds out 0 and leaves"):
        hold_out(Nothing(), [[0.0]] * 4, [0, 1, 0, 1], None, True)
    with pytest.raises(ValueError, match="holds out 0 and leaves 1 rows"):
        hold_out(0.1, [[0.0]], [0], None, True)
