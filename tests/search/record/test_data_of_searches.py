"""What is recorded of the data of a search: fingerprints and features."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_diabetes, load_iris, load_wine

from skmeta.search.record import are_siblings, dataset_features, fingerprint_data, share_rows


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(300, 4))


def test_digest_tells_data_sets_apart(X):
    y = np.arange(300) % 2
    same = fingerprint_data(X.copy(), y.copy())
    assert fingerprint_data(X, y) == same
    changed = X.copy()
    changed[17, 2] += 1e-12
    others = [
        fingerprint_data(changed, y),
        fingerprint_data(X[::-1], y),
        fingerprint_data(X[:, ::-1], y),
        fingerprint_data(X, 1 - y),
        fingerprint_data(X),
        fingerprint_data(X[:-1], y[:-1]),
    ]
    assert len({same.digest, *(other.digest for other in others)}) == 7


def test_containers_of_the_same_numbers_have_the_same_fingerprint(X):
    expected = fingerprint_data(X)
    assert fingerprint_data(X.tolist()) == expected
    assert fingerprint_data(np.asfortranarray(X)) == expected
    assert fingerprint_data(pd.DataFrame(X)) == expected
    assert fingerprint_data(pl.DataFrame(X)) == expected
    assert fingerprint_data(-0.0 * np.abs(X)) == fingerprint_data(0.0 * np.abs(X))
    assert fingerprint_data(np.array([b"ab", b"c"])) == fingerprint_data(["ab", "c"])


def share(one, other):
    return share_rows(*(fingerprint_data(part).sketch for part in (one, other)))


@pytest.mark.parametrize("n", [60, 300, 20_000])
def test_rows_in_common_are_seen(n):
    X = np.random.default_rng(0).normal(size=(n, 4))
    for part in (0.5, 0.1, 0.06):
        kept = round(n * part)
        rows = np.r_[:kept, n : 2 * n - kept]
        other = np.vstack([X, np.random.default_rng(1).normal(size=(n, 4))])[rows]
        assert share(X, other)
        assert share(X, other[::-1, ::-1].astype(np.float32))  # in another order, as other numbers
        assert share(X, pd.DataFrame(other).astype(object))
    assert not share(X, np.random.default_rng(1).normal(size=(n, 4)))
    assert not share(X[: n // 2], X[n // 2 :])
    assert not share(X, X + 1)


@pytest.mark.parametrize(("n", "n_values"), [(200, 3), (1000, 4), (1000, 12), (5000, 6)])
def test_equal_rows_of_categories_are_ordinary(n, n_values):
    p = 1 / np.arange(1, n_values + 1) / (1 / np.arange(1, n_values + 1)).sum()
    rngs = map(np.random.default_rng, range(12))
    tables = [rng.choice(n_values, p=p, size=(n, 4)).astype(float) for rng in rngs]
    taken = sum(share(tables[0], other) for other in tables[1:])
    assert taken <= 1
    if n_values == 12:  # most rows are of one kind of their own
        assert share(tables[0], tables[0][: 4 * n // 5])


def siblings(one, other, y, z):
    return are_siblings(fingerprint_data(one, y).columns, fingerprint_data(other, z).columns)


def test_halves_of_a_table_are_siblings(X):
    rng = np.random.default_rng(2)
    words = np.array(["a", "b", "c"])[rng.integers(3, size=300)]
    frame = pd.DataFrame({"x": np.exp(2 * X[:, 0]), "w": words, "gap": X[:, 1]})
    frame.loc[::7, "gap"] = np.nan
    n_seen = 0
    for seed in range(40):
        rows = np.random.default_rng(seed).permutation(300)
        first, second = rows[:150], rows[150:]
        for y in (np.arange(300) % 2, X[:, 2] + X[:, 0], words):
            n_seen += siblings(frame.iloc[first], frame.iloc[second], y[first], y[second])
    assert n_seen >= 118  # of 120


def test_other_tables_with_the_same_columns_are_no_siblings(X):
    y = X[:, 0]
    rng = np.random.default_rng(5)
    other = rng.normal(size=(300, 4))
    assert siblings(X, other, y, other[:, 0])
    assert not siblings(X, other, y, other[:, 1])  # another column matters
    assert not siblings(X, other + np.array([0, 0, 0.6, 0]), y, other[:, 0])  # another mean
    assert not siblings(X, other[:200], y, other[:200, 0])  # other rows
    assert not siblings(X, other[:, :3], y, other[:, 0])


def test_sparse_rows(X):
    dense = np.where(np.abs(X) > 1, X, 0)
    actual = fingerprint_data(sp.csr_matrix(dense))
    assert actual == fingerprint_data(sp.csc_matrix(dense)) == fingerprint_data(sp.coo_array(dense))
    moved = np.roll(dense, 1, axis=1)
    assert fingerprint_data(sp.csr_matrix(moved)).digest != actual.digest


@pytest.mark.parametrize(
    "odd", [["one text", "another"], np.zeros((0, 3)), [[1], [1, 2]], np.zeros((5, 2, 2))]
)
def test_odd_data_have_a_fingerprint_too(odd):
    assert fingerprint_data(odd).digest == fingerprint_data(odd).digest != ""


@pytest.mark.parametrize(
    "column",
    [
        pd.array([None, "x", "y"] * 10, dtype="string"),
        pd.array([1, None, 3] * 10, dtype="Int64"),
        pd.array([True, None, False] * 10, dtype="boolean"),
        pd.array([0.5, None, 1.5] * 10, dtype="Float64"),
        pd.Categorical(["a", None, "b"] * 10),
        np.array([pd.NA, "x", 1.0] * 10, dtype=object),
        np.array([pd.NaT, pd.Timestamp("2020-01-01"), None] * 10, dtype=object),
    ],
    ids=str,
)
def test_missing_values_of_pandas_are_hashed(column):
    frame = pd.DataFrame({"a": np.arange(30.0), "b": column})
    actual = fingerprint_data(frame)
    assert (len(actual.digest), actual.sketch[:2], len(actual.sketch)) == (24, (30, 0), 32)
    assert fingerprint_data(frame.copy()) == actual
    assert fingerprint_data(frame.iloc[::-1]).digest != actual.digest


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True)


def of(X, y, is_classification=True):
    return dataset_features(X, y, is_classification=is_classification)


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    np.testing.assert_allclose([*actual.values()], [*expected.values()], atol=1e-8)


def test_every_data_set_has_the_same_finite_features(wine):
    for is_classification, sets in (
        (True, [wine, load_iris(return_X_y=True), (np.ones((30, 3)), np.arange(30) % 2)]),
        (False, [load_diabetes(return_X_y=True), wine]),
    ):
        actual = [of(*one, is_classification) for one in sets]
        assert len({frozenset(one) for one in actual}) == 1
        assert all(np.isfinite([*one.values()]).all() for one in actual)


def test_units_of_columns_and_names_of_classes_do_not_matter(wine):
    X, y = wine
    expected = of(X, y)
    assert_same(of(1e6 * X - 3, np.array(["a", "b", "c"])[y]), expected)
    assert_same(of(X * 1e-200, y), expected)
    X, y = load_diabetes(return_X_y=True)
    assert_same(of(X, 1024 * y, False), of(X, y, False))


def test_every_kind_of_table_is_read(wine):
    X, y = wine
    expected = of(X, y)
    names = [f"c{i}" for i in range(13)]
    for table in (
        X.tolist(),
        sp.csr_array(X),
        X.astype(object),
        pd.DataFrame(X, columns=names),
        pd.DataFrame(X, columns=names).convert_dtypes(),
        pl.DataFrame(X, schema=names),
    ):
        assert_same(of(table, y), expected)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (["a text", "another"] * 10, np.arange(20) % 2),
        (np.zeros((20, 4, 4)), np.arange(20) % 2),
        ([[1.0], [1.0, 2.0]] * 10, np.arange(20) % 2),
        (np.eye(20), np.zeros(20)),
        (np.eye(20), np.eye(20)),
        (np.eye(20), np.arange(19) % 2),
        (np.eye(4), np.arange(4) % 2),
        (np.eye(20), None),
        (np.empty((20, 0)), np.arange(20) % 2),
        (np.eye(20) * 1j, np.arange(20) % 2),
        (np.eye(20), np.arange(20) * 1j),
    ],
    ids=[
        *("texts", "images", "ragged", "constant", "outputs", "lengths", "few rows", "no target"),
        *("no columns", "complex rows", "complex targets"),
    ],
)
def test_what_is_no_table_with_a_target_has_no_features(X, y):
    assert of(X, y) == {}
