"""Forms of the covariance, and their weights."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.learners import HierarchicalLinear
from skmeta.learners.hierarchical._covariance import CovarianceShape
from skmeta.learners.hierarchical._structure import (
    average_over_structures,
    blend,
    candidate_shapes,
    content_order,
    draw_episodes,
)


class Prior(NamedTuple):
    value: float


class Weights(NamedTuple):
    first: float
    second: float
    third: float


def priors(*values):
    return [Prior(value) for value in values]


def shape(varies=(True, True, True), rank=2):
    return CovarianceShape(torch.tensor(varies), 1, rank, 1.0)


def test_candidates_have_more_and_more_parameters():
    found = candidate_shapes(shape(), "auto")
    assert [(int(s.varies.sum()), s.rank) for s in found] == [(1, 0), (3, 0), (3, 2)]
    assert [s.rank for s in candidate_shapes(shape(rank=0), "auto")] == [0, 0]
    assert len(candidate_shapes(shape((True, False, False)), "auto")) == 1
    (single,) = candidate_shapes(shape(), "slopes")
    assert (int(single.varies.sum()), single.rank) == (3, 0)


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_form_that_predicts_held_out_tasks_has_the_weight(best):
    codes = np.repeat(np.arange(10), 3)
    seen = []

    def estimate(tasks):
        seen.append(tasks)
        return priors(0.0, 1.0, 2.0)

    def score(tried, tasks, rng):
        assert not np.isin(tasks, seen[-1]).any()
        return -100 * np.abs(np.array([prior.value for prior in tried]) - best)[:, None]

    # In this scale the estimates from all tasks are 10, 20 and 30.
    found = average_over_structures(priors(10.0, 20.0, 30.0), codes, estimate, score)
    np.testing.assert_allclose(found.value, 10.0 * (best + 1), rtol=1e-6)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(10))


def test_forms_that_predict_as_well_share_the_weight():
    codes = np.repeat(np.arange(10), 3)

    def score(tried, tasks, rng):
        return np.zeros((len(tried), 5))

    found = average_over_structures(
        [Weights(1.0, 0.0, 0.0), Weights(0.0, 1.0, 0.0), Weights(0.0, 0.0, 1.0)],
        codes,
        lambda tasks: priors(0.0, 0.0, 0.0),
        score,
    )
    assert min(found) > 0.1
    np.testing.assert_allclose(sum(found), 1.0)


def test_few_tasks_give_equal_weights():
    def fail(*arguments):
        raise AssertionError("Nothing is held out.")

    codes = np.repeat(np.arange(4), 3)
    found = average_over_structures(priors(1.0, 2.0, 6.0), codes, fail, fail)
    np.testing.assert_allclose(found.value, 3.0)
    assert blend(priors(1.0, 3.0), [0.25, 0.75]) == Prior(2.5)


def test_episodes_are_disjoint_rows_of_one_task():
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [3, 12, 50])
    z = np.column_stack([np.ones(65), np.arange(65.0)])
    found = draw_episodes(z, np.arange(65.0), codes, np.arange(3), rng)
    # Of 12 rows there are supports of 4 and 6, of 50 rows of 4, 8 and 16; 3 rows are too few.
    np.testing.assert_array_equal(found.w.sum(1), [4, 6, 4, 8, 16])
    np.testing.assert_array_equal(found.query_w.sum(1), [8, 6, 20, 20, 20])
    for k in range(5):
        support, query = found.y[k][found.w[k] > 0], found.query_y[k][found.query_w[k] > 0]
        both = torch.cat([support, query])
        assert len(both.unique()) == len(both)
        assert set(codes[both.long()]) == {1 if k < 2 else 2}
    assert draw_episodes(z, np.arange(65.0), codes, np.array([0]), rng) is None


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
def test_slopes_that_do_not_differ_are_almost_the_same_in_all_tasks(kind):
    X, y, groups = tasks_with(np.array([1.0, 0.0, 0.0, 0.0]), kind, seed=1)
    found = slope_deviations(HierarchicalLinear(), X, y, groups)
    assert (found[1:] < 0.2 * found[0]).all()


def test_collinear_columns_need_no_shrinkage():
    X, y, groups = tasks_with(np.array([1.0, 0.5, 0.5]), "regression")
    one_hot = (X[:, :1] > 0).astype(float)
    X = np.column_stack([X, one_hot, 1 - one_hot])
    learner = HierarchicalLinear(shrinkage=0.0, effects="correlated")
    prior = learner.fit(X, y, groups=groups).prior_
    assert all(np.isfinite(value).all() for value in prior.tensors.values())


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
        prior = HierarchicalLinear(task_type=kind).fit(X, y, groups=groups).prior_
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


def test_rows_and_tasks_are_sorted_by_content():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(60, 3)), rng.integers(2, size=60)
    codes = rng.permutation(np.repeat(np.arange(10), 6))
    order = content_order(z, y, codes)
    assert (np.diff(codes[order]) != 0).sum() == 9
    moved, names = rng.permutation(60), rng.permutation(10)
    again = content_order(2 * z[moved] + 1, y[moved], names[codes[moved]])
    np.testing.assert_array_equal(moved[again], order)
    # One other value changes the order.
    y[1] = 1 - y[1]
    assert (content_order(z, y, codes) != order).any()
