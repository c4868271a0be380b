"""Effects of groups and of columns: what they are, their names and their errors."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from grouped_tables import QUICK
from sklearn.linear_model import Ridge

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta.learners import HierarchicalLinear

EXAM = Path(__file__).parents[2] / "examples/schools/exam.csv.gz"


def test_effects_are_those_of_the_groups(regressor, table):
    effects = regressor.effects_
    assert effects.index[0] == "shared"
    of_groups = effects.loc[[f"g{k}" for k in range(len(table.effects))], "intercept"]
    assert np.corrcoef(of_groups, table.effects)[0, 1] > 0.98
    assert abs(effects.loc["shared", "x"] - 1.0) < 0.1
    between = effects.loc["shared", "intercept between"]
    assert between == pytest.approx(table.effects.std(ddof=1), rel=0.1)
    # Ten rows with noise of 0.3, of an intercept.
    assert effects.loc["g3", "intercept std"] == pytest.approx(0.3 / np.sqrt(10), rel=0.05)
    assert effects.loc["g3", "rows"] == 10


def test_columns_that_are_constant_within_groups_have_one_slope_and_categories_a_reference():
    rng = np.random.default_rng(0)
    rat, day = (
        np.repeat(np.arange(18), 8),
        rng.permuted(np.tile(np.arange(8.0), (18, 1)), axis=1).ravel(),
    )
    diet = np.array(["a", "b", "c"])[rat % 3]
    y = 5.0 * (diet == "b") + 8.0 * (diet == "c") + rng.normal(size=18)[rat] + 0.1 * day
    X = pd.DataFrame({"rat": rat, "day": day, "diet": diet})
    y += 0.3 * rng.normal(size=144)
    model = GroupedRegressor("rat", model="mixed").fit(X, y)
    effects, mean = model.effects_, X["day"].mean()
    names = ["diet (b - a)", "diet (c - a)"]
    assert (effects[names] == effects[names].iloc[0]).all(axis=None)
    assert (effects[[f"{name} between" for name in names]] == 0).all(axis=None)
    # Of a balanced table, differences are those of the means of rats, and shrink by 2 %.
    means = pd.Series(y).groupby(rat).mean().to_numpy().reshape(6, 3)
    expected = means.mean(0)[1:] - means.mean(0)[0]
    np.testing.assert_allclose(effects.loc["shared", names].astype(float), expected, rtol=0.03)
    std = np.sqrt(2 / 6 * means.var(0, ddof=1).mean())
    assert effects.loc["shared", "diet (b - a) std"] == pytest.approx(std, rel=0.03)
    # An average row, and its diet, are the prediction for the rat.
    shares = [np.mean(diet == level) for level in "bc"]
    one = effects.loc[1]
    predicted = model.predict(pd.DataFrame({"rat": [1], "day": [mean], "diet": ["b"]}))
    of_diet = one[names[0]] - one[names] @ shares
    assert one["intercept"] + of_diet == pytest.approx(predicted.item(), abs=0.01)


def test_effects_of_two_classes_are_those_of_glmer():
    pupils = pd.read_csv(EXAM).query("school <= 30")
    model = GroupedClassifier("school", model=HierarchicalLinear(effects="intercept"))
    effects = model.fit(pupils[["school", "standLRT", "sex"]], pupils["normexam"] > 0).effects_
    # glmer(normexam > 0 ~ I(standLRT - mean(standLRT)) + I((sex == "M") - mean(sex == "M")) +
    # (1 | school), family = binomial): estimates, their standard errors, that of the first group.
    names = ["intercept", "standLRT", "sex (M - F)"]
    errors = effects.loc["shared", [f"{name} std" for name in names]]
    np.testing.assert_allclose(errors, [0.1539, 0.0714, 0.1359], rtol=0.04)
    estimates = effects.loc["shared", names] - [0.1852, 1.2949, -0.2764]
    assert (abs(estimates.to_numpy()) < 0.1 * errors.to_numpy()).all()
    assert effects.loc["shared", "intercept between"] == pytest.approx(0.781, rel=0.05)
    assert effects.loc[1, "intercept std"] == pytest.approx(0.268, rel=0.05)
    assert effects.loc[1, "intercept"] == pytest.approx(0.1852 + 0.6317, abs=0.05)
    assert (effects["standLRT between"] < 1e-3).all()


def test_effects_are_learned_from_the_rows_of_fit(table):
    is_new = table.X["school"] == "g3"
    model = GroupedRegressor("school", **QUICK).fit(table.X[~is_new], table.y[~is_new])
    later = copy.deepcopy(model).partial_fit(table.X[is_new], table.y[is_new])
    # They are first read after the new rows were added. The average row is another one then.
    shared, before = (each.effects_.loc["shared"] for each in (later, model))
    slopes = [name for name in before.index if not name.startswith(("rows", "intercept"))]
    assert "x" in slopes
    np.testing.assert_allclose(shared[slopes], before[slopes], rtol=1e-9)
    assert "g3" in later.effects_.index


def test_without_a_mixed_model_there_are_no_effects(table):
    model = GroupedRegressor("school", population=Ridge(), model="population", n_folds=2)
    model.fit(table.X, table.y)
    with pytest.raises(AttributeError, match="no effects_: it has no mixed model"):
        model.effects_  # noqa: B018
    assert "the population alone" in model.summary_


def test_names_of_effects_are_not_taken_twice(table):
    X = table.X.assign(
        rows=table.X["x"], intercept=0.5 * table.X["x"] + np.arange(len(table.y)) % 3
    )
    X["x std"] = np.arange(len(table.y)) % 5
    effects = GroupedRegressor("school", **QUICK).fit(X, table.y).effects_
    assert effects.columns.is_unique
    assert (effects["rows"].iloc[1:] == 10).all()
    assert {"rows (column)", "intercept (column)", "x std (column) std"} <= set(effects.columns)
