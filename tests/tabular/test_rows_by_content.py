"""Orders and folds follow from the content of a table."""

import numpy as np
import pytest

from skmeta._tabular import WeightedRows, hold_out, order_by_content


def make_rows(n_classes, n=40, d=5):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-3, 4, d)
    X[:, 1] = rng.integers(0, 3, n)
    X[:, 2] = 7.0
    X[rng.random(X.shape) < 0.1] = np.nan
    y = np.arange(n) % n_classes if n_classes else rng.normal(size=n)
    return WeightedRows(X, y, rng.integers(1, 4, n).astype(float))


@pytest.mark.parametrize("n_classes", [0, 3])
def test_orders_follow_rows_and_columns(n_classes):
    rows, rng = make_rows(n_classes), np.random.default_rng(1)
    columns, order = order_by_content(rows, n_classes)
    given, turned = rng.permutation(40), rng.permutation(5)
    shuffled = rows.take(given)._replace(X=rows.X[given][:, turned])
    columns_again, order_again = order_by_content(shuffled, n_classes)
    assert (turned[columns_again] == columns).all()
    assert (given[order_again] == order).all()


def folds(rows):
    fold = np.full(len(rows.y), -1)
    for k, (kept, held) in enumerate(hold_out(rows, 3, 4)):
        assert len(kept.y) + len(held) == len(rows.y)
        assert (fold[held] == -1).all()
        fold[held] = k
    return fold


def test_folds_are_even_and_copies_are_held_out_together():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(26, 5)), np.arange(26) % 3
    X[3] = X[9] = X[0]
    rows, mean = WeightedRows(X, y, np.full(26, 2.0)).distinct(is_class=True)
    assert mean == 2 * 26 / 24
    np.testing.assert_allclose(rows.weight, np.r_[3, np.ones(23)] / (26 / 24))
    fold = folds(rows)
    for label in range(3):
        assert np.ptp(np.bincount(fold[rows.y == label])) <= 1
    order = rng.permutation(24)
    assert (folds(rows.take(order)) == fold[order]).all()


def test_equal_rows_of_categories_stay_rows_in_even_folds():
    y = np.arange(24) % 3
    rows, _ = WeightedRows(np.zeros((24, 2)) + y[:, None], y, np.ones(24)).distinct(is_class=True)
    assert len(rows.y) == 24
    assert [np.bincount(folds(rows)[y == label]).tolist() for label in range(3)] == 3 * [4 * [2]]


@pytest.mark.parametrize("scale", [1.0, 0.037])
def test_copies_are_told_from_rows_that_agree_by_chance(scale):
    rng, n = np.random.default_rng(1), 60
    twice = np.repeat(np.arange(n), 2)
    measured = scale * rng.integers(0, 40, (n, 4)) - 3
    for X, is_copied in (
        (scale * rng.normal(size=(n, 1)), True),
        (measured, True),  # as flowers in millimetres are
        (measured[:, :1], False),
        (scale * rng.integers(0, 5, (n, 6)), False),
        (np.where(rng.random((n, 1)) < 0.5, np.nan, 1.0), False),
    ):
        rows = WeightedRows(X[twice], np.zeros(2 * n, int), np.ones(2 * n))
        found = rows.distinct(is_class=True)[0]
        n_distinct = len(np.unique(np.nan_to_num(X), axis=0))
        assert len(found.y) == (n_distinct if is_copied else 2 * n)
    codes = WeightedRows(measured[twice], np.zeros(2 * n, int), np.ones(2 * n))
    assert len(codes.distinct(is_class=True, nominal=range(4))[0].y) == 2 * n
