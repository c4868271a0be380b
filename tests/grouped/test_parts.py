"""Parts of predictions of grouped tables, and quantiles where scikit-learn passes only predict."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmeta import GroupedClassifier, GroupedRegressor, MetaFewShotRegressor


def table(seed=0):
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(12), 8)
    X = pd.DataFrame({"school": [f"s{k}" for k in school], "x": rng.normal(size=96)})
    X.index += 5
    y = X["x"] + 0.3 * school + 0.1 * rng.normal(size=96)
    return X.assign(day=np.tile(np.arange(8.0), 12), town=rng.choice(list("abcdefghijk"), 96)), y


def test_parts_of_numbers_are_those_of_new_groups_and_what_knowing_each_adds():
    X, y = table()
    X = X[["school", "town", "x"]]
    model = GroupedRegressor(["town", "school"], model="mixed").fit(X, y)
    parts = model.parts(X)
    assert list(parts.columns) == ["shared", "town", "school"]
    assert parts.index.equals(X.index)
    np.testing.assert_allclose(parts.sum(axis=1), model.predict(X), rtol=0, atol=1e-12)
    unknown = X.assign(town="?", school="?")
    np.testing.assert_array_equal(parts["shared"], model.predict(unknown))
    assert (model.parts(unknown)[["town", "school"]] == 0).all(axis=None)
    # Effects of schools are 0 to 3.3.
    assert np.corrcoef(parts["school"], X["school"].str[1:].astype(int))[0, 1] > 0.95


def test_times_have_a_part_that_is_0_on_average():
    X, y = table()
    X = X[["school", "x", "day"]]
    model = GroupedRegressor("school", order="day").fit(X, y + 0.5 * X["day"])
    parts = model.parts(X)
    assert list(parts.columns) == ["shared", "day", "school"]
    np.testing.assert_allclose(parts.sum(axis=1), model.predict(X), rtol=0, atol=1e-12)
    assert parts.groupby(X["day"])["day"].mean().diff().dropna().between(0.3, 0.7).all()
    one = model.parts(pd.DataFrame({"school": "?", "x": 0.0, "day": np.arange(8.0)}))
    assert abs(one["day"].mean()) < 1e-9


@pytest.mark.parametrize("n_classes", [2, 3])
def test_parts_of_classes_are_those_of_probabilities(n_classes):
    X, y = table()
    X, labels = (
        X[["school", "x"]],
        pd.qcut(y, n_classes, labels=list("abc")[:n_classes]).astype(str),
    )
    model = GroupedClassifier("school", model="mixed").fit(X, labels)
    parts, proba = model.parts(X), model.predict_proba(X)
    if n_classes == 2:
        np.testing.assert_allclose(parts.sum(axis=1), proba[:, 1], rtol=0, atol=1e-12)
    else:
        sums = parts.T.groupby(level="class").sum().T[model.classes_]
        np.testing.assert_allclose(sums, proba, rtol=0, atol=1e-12)


def test_quantiles_pass_through_pipelines_and_transformed_targets():
    X, y = table()
    X = X[["school", "x"]]
    model = GroupedRegressor("school", model="mixed")
    pipeline = make_pipeline(FunctionTransformer(), model).fit(X, y)
    levels = [0.1, 0.5, 0.9]
    expected = pipeline[-1].predict_quantiles(X, levels)
    np.testing.assert_array_equal(pipeline.predict(X, quantiles=levels), expected)
    np.testing.assert_array_equal(pipeline.predict(X, quantiles=0.1), expected[:, 0])
    scaled = TransformedTargetRegressor(model, transformer=StandardScaler()).fit(X, y)
    np.testing.assert_allclose(scaled.predict(X, quantiles=levels), expected, atol=1e-4)
    with pytest.raises(ValueError, match="Leave one out"):
        pipeline.predict(X, quantiles=0.1, return_std=True)
    with pytest.raises(ValueError, match="between 0 and 1"):
        pipeline.predict(X, quantiles=5)
    few = MetaFewShotRegressor().fit(X[["x"]][:30], y[:30])
    np.testing.assert_array_equal(
        few.predict(X[["x"]], quantiles=levels), few.predict_quantiles(X[["x"]], levels)
    )


def test_bagging_takes_groups_by_position():
    X, y = table()
    X = X[["school", "x"]]
    bagged = BaggingRegressor(GroupedRegressor(0, model="mixed"), n_estimators=3)
    assert bagged.fit(X, y).score(X, y) > 0.9
    with pytest.raises(ValueError, match="or the position of the column"):
        bagged.set_params(estimator__groups="school").fit(X, y)
