from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score

from benchmarks.make.synthetic_tables import columns as observed
from benchmarks.make.synthetic_tables import functions, make_table_tasks


def by_task(X, y, groups):
    n_tasks = groups.max() + 1
    return X.reshape(n_tasks, -1, X.shape[1]), y.reshape(n_tasks, -1)


@pytest.fixture(scope="module")
def classifications():
    return by_task(*make_table_tasks(200, 120, 12, random_state=0))


@pytest.fixture(scope="module")
def regressions():
    return by_task(*make_table_tasks(100, 120, 6, kind="regression", random_state=0))


def test_shapes_and_types():
    X, y, groups = make_table_tasks(70, 9, 1, random_state=1)
    assert X.shape == (630, 1)
    assert (X.dtype, y.dtype, groups.dtype) == (np.float32, np.int64, np.int64)
    np.testing.assert_array_equal(groups, np.repeat(np.arange(70), 9))
    y = make_table_tasks(2, 9, 1, kind="regression", random_state=1)[1]
    assert y.dtype == np.float64


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


def test_numbers_of_classes_and_their_shares_vary(classifications):
    _, y = classifications
    n_classes = np.array([len(np.unique(row)) for row in y])
    assert n_classes.max() == 10
    assert 0.2 < (n_classes == 2).mean() < 0.8
    assert y.max() == 9
    largest = np.array([np.bincount(row).max() for row in y]) / y.shape[1]
    # Shares of the largest class beside those of classes of one size.
    excess = largest * n_classes
    assert (excess < 1.25).sum() > 20
    assert (excess > 1.6).sum() > 20


def test_number_of_classes_can_be_set():
    y = by_task(*make_table_tasks(40, 80, 3, n_classes=4, random_state=0))[1]
    n_classes = [len(np.unique(row)) for row in y]
    assert max(n_classes) == 4
    assert np.mean(np.array(n_classes) == 4) > 0.8


def test_columns_are_of_many_kinds(classifications):
    X, _ = classifications
    columns = X.transpose(0, 2, 1).reshape(-1, X.shape[1])
    columns = columns[~np.isnan(columns).any(1)]
    n_levels = np.array([len(np.unique(column)) for column in columns])
    assert ((n_levels == 2).mean() > 0.05) & ((n_levels > 100).mean() > 0.3)
    assert ((n_levels > 2) & (n_levels <= 12)).mean() > 0.05
    numbers = columns[n_levels > 100]
    z = (numbers - numbers.mean(1, keepdims=True)) / numbers.std(1, keepdims=True)
    assert (np.abs((z**3).mean(1)) > 2).sum() > 20  # skewed
    assert (np.abs((z**3).mean(1)) < 0.3).sum() > 100


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


RELEVANT_ONLY = [f for _, f in functions.FUNCTIONS if f is not functions.weak_sums]


@pytest.mark.parametrize("function", RELEVANT_ONLY)
def test_functions_depend_on_relevant_columns_only(function):
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(6, 50, 4, generator=generator)
    relevance = torch.tensor([1.0, 0.0, 0.5, 0.0]).expand(6, -1)

    def values(u):
        # The same parameters each time.
        return function(torch.Generator().manual_seed(1), u, relevance, 3)

    expected = values(u)
    assert expected.shape == (6, 50, 3)
    irrelevant, relevant = u.clone(), u.clone()
    irrelevant[..., [1, 3]] += 5 * torch.rand(6, 50, 2, generator=generator)
    relevant[..., [0, 2]] = relevant[..., [0, 2]].flip(1)
    torch.testing.assert_close(values(irrelevant), expected)
    assert not torch.allclose(values(relevant), expected)


@pytest.mark.parametrize(
    ("function", "n_columns", "low", "high"),
    [
        (functions.weak_sums, 10, 0.98, 1.0),
        (functions.near_linear, 4, 0.9, 0.999),
        (functions.additive, 2, 0.0, 0.9),
        (functions.switched, 1, 0.0, 0.8),
        (functions.products, 3, 0.0, 0.5),
    ],
)
def test_share_of_linear_regressions(function, n_columns, low, high):
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(60, 300, n_columns, generator=generator)
    values = function(generator, u, torch.ones(60, n_columns), 1)[..., 0]
    parts = zip(u.double().numpy(), values.double().numpy(), strict=True)
    assert low < np.median([LinearRegression().fit(x, y).score(x, y) for x, y in parts]) < high


def test_values_are_missing_at_random_or_not():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(800, 200, 4, generator=generator)
    y = torch.randn(800, 200, generator=generator)
    missing = torch.isnan(observed.remove_values(generator, x, y))
    gone = missing.double()
    share = gone.mean(1)
    touched = (share > 0.1) & (share < 0.9)
    assert 0.02 < touched.double().mean() < 0.2

    def mean_of_missing(values):
        return ((gone * values).sum(1) / gone.sum(1).clamp_min(1))[touched].abs()

    by_value, by_label = mean_of_missing(x), mean_of_missing(y[:, :, None])
    for mean in (by_value, by_label):
        assert (mean < 0.2).double().mean() > 0.5
        assert (mean > 0.4).sum() >= 3
    # In some tasks the same rows lack values of several columns, more or fewer of them.
    both = [touched[:, i] & touched[:, j] for i, j in combinations(range(4), 2)]
    nested = [
        (missing[..., i] <= missing[..., j]).all(1) | (missing[..., j] <= missing[..., i]).all(1)
        for i, j in combinations(range(4), 2)
    ]
    share = (torch.stack(nested) & torch.stack(both)).sum() / torch.stack(both).sum()
    assert 0.02 < share < 0.5


def test_targets_are_of_many_kinds():
    y = by_task(*make_table_tasks(400, 200, 3, kind="regression", random_state=1))[1]
    z = (y - y.mean(1, keepdims=True)) / y.std(1, keepdims=True)
    heavy = (z**4).mean(1) > 15
    assert 0.03 < heavy.mean() < 0.4
    most = np.array([np.unique(row, return_counts=True)[1].max() for row in y]) / y.shape[1]
    assert 0.05 < (most > 0.2).mean() < 0.5
    assert (most < 0.02).mean() > 0.4
