"""Ordered classes in grouped tables, and weights of classes."""

import copy

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss
from tolerances import REFIT

from skmeta import GroupedClassifier

GRADES = ["none", "mild", "severe", "worst"]
THRESHOLDS = np.array([-1.0, 0.5, 2.0])


def draw(seed, groups, n_rows=10):
    """A cumulative logit model with normal effects of groups, and its probabilities."""
    rng = np.random.default_rng(seed)
    group = np.repeat(groups, n_rows)
    X = pd.DataFrame({"group": group, "x": rng.normal(size=len(group))})
    effect = dict(zip(groups, rng.normal(0, 1.5, len(groups)), strict=True))
    eta = 1.5 * X["x"].to_numpy() + np.array([effect[g] for g in group])
    below = expit(THRESHOLDS - eta[:, None])
    proba = np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1))), axis=1)
    y = (rng.random(len(X))[:, None] > below).sum(1)
    return X, y, proba


X, Y, PROBA = draw(0, np.arange(30), 12)
KNOWN = np.arange(len(X)) % 12 < 8
NEW_X, NEW_Y, NEW_PROBA = draw(1, np.arange(100, 130))


@pytest.fixture(scope="module")
def ordered():
    return GroupedClassifier("group", target_type=[0, 1, 2, 3]).fit(X[KNOWN], Y[KNOWN])


@pytest.fixture(scope="module")
def nominal():
    return GroupedClassifier("group").fit(X[KNOWN], Y[KNOWN])


def test_an_order_comes_nearer_to_the_true_probabilities(ordered, nominal):
    assert (ordered.target_type_, nominal.target_type_) == ("ordered", "nominal")
    for rows, y, truth in [(X[~KNOWN], Y[~KNOWN], PROBA[~KNOWN]), (NEW_X, NEW_Y, NEW_PROBA)]:
        with_order, without = (log_loss(y, m.predict_proba(rows)) for m in (ordered, nominal))
        assert with_order < without - 0.01
        far = [np.abs(m.predict_proba(rows) - truth).mean() for m in (ordered, nominal)]
        assert far[0] < far[1]


@pytest.mark.slow
def test_several_columns_of_groups_have_the_cumulative_model_too():
    X, y, _ = draw(2, np.arange(12), 6)
    X["item"] = np.arange(len(X)) % 10
    model = GroupedClassifier(["group", "item"], target_type=[0, 1, 2, 3], n_folds=2).fit(X, y)
    assert "cumulative model" in model.losses_
    one = X[:5].assign(group=99)
    before = model.predict_proba(one)[0, 0]
    model.partial_fit(one, np.zeros(5))
    assert model.predict_proba(one)[0, 0] > before


def test_ordered_categories_are_numbers_in_their_order(ordered):
    y = pd.Series(pd.Categorical(np.array(GRADES)[Y], GRADES, ordered=True))
    words = GroupedClassifier("group").fit(X[KNOWN], y[KNOWN])
    assert words.target_type_ == "ordered"
    assert words.ordered_classes_.tolist() == GRADES
    assert words.classes_.tolist() == sorted(GRADES)
    at = [GRADES.index(label) for label in words.classes_]
    proba = words.predict_proba(X[~KNOWN])
    np.testing.assert_allclose(proba, ordered.predict_proba(X[~KNOWN])[:, at], **REFIT)
    few = words.partial_fit(NEW_X[:5], np.array(GRADES)[NEW_Y[:5]]).predict_proba(NEW_X[5:10])
    other = copy.deepcopy(ordered).partial_fit(NEW_X[:5], NEW_Y[:5])
    np.testing.assert_allclose(few, other.predict_proba(NEW_X[5:10])[:, at], **REFIT)


def test_an_order_that_is_not_known_is_an_error():
    with pytest.raises(ValueError, match="order is known, but y has the labels"):
        GroupedClassifier("group", target_type="ordered").fit(X, np.array(GRADES)[Y])


@pytest.mark.slow
def test_class_weight_multiplies_probabilities(nominal):
    proba = nominal.predict_proba(X[~KNOWN])
    weights = {0: 3.0, 2: 0.5}
    model = GroupedClassifier("group", class_weight=weights).fit(X[KNOWN], Y[KNOWN])
    expected = proba * [3.0, 1.0, 0.5, 1.0]
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X[~KNOWN]), expected, **REFIT)
    np.testing.assert_array_equal(model.class_weight_, [3.0, 1.0, 0.5, 1.0])


def test_a_weight_of_an_unknown_class_is_an_error():
    with pytest.raises(ValueError, match="class_weight has a weight of 7"):
        GroupedClassifier("group", class_weight={7: 2.0}).fit(X, Y)
