"""Which coefficients differ between tasks, as HierarchicalLinear finds it."""

import numpy as np
import pytest

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.learners import HierarchicalLinear

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")


def tasks_with(deviations, kind, seed=0, n_tasks=60, n_rows=20):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(groups), len(deviations) - 1))
    effects = rng.normal(size=(n_tasks, len(deviations))) * deviations
    y = (np.column_stack([np.ones(len(X)), X]) * (1.0 + effects[groups])).sum(1)
    if kind == "classification":
        return X, (y + rng.logistic(size=len(y)) > 1).astype(int), groups
    return X, y + rng.normal(size=len(y)), groups


def slope_deviations(learner, X, y, groups):
    tensors = learner.fit(X, y, groups=groups).prior_.tensors
    factor = tensors["head.factor"][0]
    return np.sqrt(np.diag(factor @ factor.T))


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_intercepts_alone_differ_if_told(kind):
    X, y, groups = tasks_with(np.array([1.0, 0.8, 0.8]), kind)
    found = slope_deviations(HierarchicalLinear(effects="intercept"), X, y, groups)
    # What is left is the uncertainty of the mean, which is the same in all tasks.
    assert found[0] > 0.3
    assert (found[1:] < 0.15).all()
    auto = slope_deviations(HierarchicalLinear(), X, y, groups)
    assert (auto[1:] > 2 * found[1:]).all()


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_order_of_rows_names_of_groups_and_units_have_no_effect(kind):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), rng.integers(3, 12, 40))
    n = len(groups)
    X = np.column_stack([rng.normal(size=n), rng.integers(3, size=n), rng.normal(size=n)])
    eta = X[:, 0] * (1 + 0.7 * rng.normal(size=40))[groups] + rng.normal(size=40)[groups]
    y = eta + rng.normal(size=n)
    if kind == "classification":
        y = (y > 0).astype(int)

    def predict(X, y, groups, X_new, y_new, at):
        prior = HierarchicalLinear(target_type=kind).fit(X, y, groups=groups).prior_
        if kind == "classification":
            return MetaFewShotClassifier(prior).fit(X_new, y_new).predict_proba(at)[:, 1]
        return np.ravel(MetaFewShotRegressor(prior).fit(X_new, y_new).predict(at, return_std=True))

    rows, at = np.flatnonzero(groups == 7), rng.normal(size=(20, 3))
    expected = predict(X, y, groups, X[rows], y[rows], at)
    order, names = rng.permutation(n), rng.permutation(1000)[:40]
    moved = predict(X[order], y[order], names[groups][order], X[rows][::-1], y[rows][::-1], at)
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-8 * expected.std())
    factor, shift = np.array([1.8, 1000.0, 0.01]), np.array([32.0, 5.0, -100.0])
    scale, centre = (2.54, 100.0) if kind == "regression" else (1, 0)
    found = predict(
        *(X * factor + shift, y * scale + centre, groups),
        *(X[rows] * factor + shift, y[rows] * scale + centre, at * factor + shift),
    )
    if kind == "regression":
        found[:20] -= centre
        found /= scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * expected.std())
