"""Out-of-fold predictions of the best candidate."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.search import MetaLearnedSearchCV

X, y = load_iris(return_X_y=True)
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


def search(estimator, space, **settings):
    common = {"n_iter": 4, "cv": FOLDS, "prior": None, "random_state": 0, "history": False}
    return MetaLearnedSearchCV(estimator, space, **common | settings)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
def test_they_are_those_of_cross_val_predict(method):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    found = search(
        model, {"logisticregression__C": [0.01, 0.1, 1, 10, 100]}, return_predictions=method
    ).fit(X, y)
    expected = cross_val_predict(found.best_estimator_, X, y, cv=FOLDS, method=method)
    np.testing.assert_allclose(found.cv_predictions_, expected, rtol=1e-12)
    if method == "predict":
        folds = [np.mean(found.cv_predictions_[test] == y[test]) for _, test in FOLDS.split(X, y)]
        assert np.mean(folds) == pytest.approx(found.best_score_)


def test_labels_frames_and_processes():
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    settings = {"return_predictions": True}
    one = search(SVC(), {"C": [0.1, 1, 10, 100, 1000]}, **settings).fit(pd.DataFrame(X), names)
    two = search(SVC(), {"C": [0.1, 1, 10, 100, 1000]}, n_jobs=2, **settings).fit(X, names)
    assert set(one.cv_predictions_) == set(names)
    np.testing.assert_array_equal(one.cv_predictions_, two.cv_predictions_)


def test_a_kernel_between_rows_and_several_outputs():
    X, y = load_diabetes(return_X_y=True)
    X, Y = X[:90], np.column_stack([y, -y])[:90]
    K = rbf_kernel(X, gamma=5)
    folds = KFold(3)
    model = KernelRidge(kernel="precomputed")
    found = search(model, {"alpha": [0.1, 1, 10, 100]}, cv=folds, return_predictions=True)
    found.fit(K, Y)
    expected = cross_val_predict(found.best_estimator_, K, Y, cv=folds)
    np.testing.assert_allclose(found.cv_predictions_, expected)


def test_a_class_that_a_fold_lacks_has_no_probability():
    halves = [(np.arange(75), np.arange(75, 150)), (np.arange(75, 150), np.arange(75))]
    found = search(
        LogisticRegression(max_iter=1000),
        {"C": [0.1, 1.0]},
        cv=halves,
        n_iter=2,
        return_predictions="predict_proba",
    ).fit(X, y)
    assert (found.cv_predictions_[75:, 2] == 0).all()
    assert (found.cv_predictions_[:75, 0] == 0).all()
    np.testing.assert_allclose(found.cv_predictions_.sum(axis=1), 1)
    with pytest.raises(ValueError, match="fold 0 has 2 of 3 classes"):
        found.set_params(return_predictions="decision_function").fit(X, y)


def test_a_resumed_search_predicts_too(tmp_path):
    settings = {"return_predictions": True, "history": tmp_path / "h.db"}
    space = {"alpha": [0.1, 1, 10, 100, 1000]}
    first = search(Ridge(), space, cv=KFold(3), **settings).fit(X, y)
    again = search(Ridge(), space, cv=KFold(3), **settings).fit(X, y)
    assert again.n_resumed_ == 4
    np.testing.assert_array_equal(first.cv_predictions_, again.cv_predictions_)


def test_they_are_not_made_unless_asked_for():
    found = search(Ridge(), {"alpha": [0.1, 1.0]}, n_iter=2, cv=KFold(3)).fit(X, y)
    assert not hasattr(found, "cv_predictions_")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cv": ShuffleSplit(3, random_state=0)}, r"cv tests row \d+ [02-9] times"),
        ({"return_predictions": "predict_proba"}, "has no predict_proba"),
        ({"scoring": ["accuracy", "f1_macro"], "refit": False}, "needs a best candidate"),
    ],
)
def test_errors(settings, message):
    space = {"C": [0.1, 1, 10, 100, 1000]}
    model = search(SVC(), space, **{"return_predictions": True, **settings})
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
