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


def test_folds_are_even_and_equal_rows_share_theirs():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, 5)), np.arange(24) % 3
    X[3] = X[9] = X[0]
    rows = WeightedRows(X, y, np.ones(24))
    fold = folds(rows)
    assert fold[0] == fold[3] == fold[9]
    for label in (1, 2):
        assert np.bincount(fold[y == label]).tolist() == [2, 2, 2, 2]
    order = rng.permutation(24)
    assert (folds(rows.take(order)) == fold[order]).all()
