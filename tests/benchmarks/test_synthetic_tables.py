import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.model_selection import cross_val_score

from benchmarks.make.synthetic_tables import make_table_tasks


def by_task(X, y, groups):
    n_tasks = groups.max() + 1
    return X.reshape(n_tasks, -1, X.shape[1]), y.reshape(n_tasks, -1)


@pytest.fixture(scope="module")
def classifications():
    return by_task(*make_table_tasks(200, 120, 12, random_state=0))


@pytest.fixture(scope="module")
def regressions():
    return by_task(*make_table_tasks(100, 120, 6, kind="regression", random_state=0))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_seed_gives_the_same_tasks_and_nothing_global_is_touched(kind):
    before = torch.random.get_rng_state()
    first, second, other = (
        make_table_tasks(5, 20, 4, kind=kind, random_state=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0], equal_nan=True)


def test_values_are_finite_or_missing_in_some_tasks(classifications, regressions):
    for X, y in (classifications, regressions):
        assert not np.isinf(X).any()
        assert np.isfinite(y).all()
        touched = np.isnan(X).any((1, 2)).mean()
        assert 0.05 < touched < 0.4


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_labels_can_be_learned_in_most_tasks_and_in_no_task_from_the_order_of_rows(
    kind, classifications, regressions
):
    X, y = classifications if kind == "classification" else regressions
    if kind == "classification":
        forest, scoring = RandomForestClassifier(8, random_state=0), "accuracy"
    else:
        forest, scoring = RandomForestRegressor(8, random_state=0), "r2"
    by_columns, by_order = [], []
    for x, target in zip(X[:25], y[:25], strict=True):
        base = 0.0
        if kind == "classification":
            count = np.bincount(target)
            rows = count[target] >= 3
            x, target, base = x[rows], target[rows], count.max() / rows.sum()
        for gains, z in ((by_columns, x), (by_order, np.arange(len(x))[:, None])):
            gains.append(cross_val_score(forest, z, target, cv=3, scoring=scoring).mean() - base)
    assert np.mean(np.array(by_columns) > 0.05) > 0.5
    assert np.mean(by_order) < 0.02
