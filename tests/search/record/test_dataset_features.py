import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_diabetes, load_iris, load_wine, make_moons

from skmeta.search.record import dataset_features

polars = pytest.importorskip("polars")


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


def test_sizes_and_classes(wine):
    actual = of(*wine)
    assert actual["log_rows"] == pytest.approx(np.log(178))
    assert actual["log_columns"] == pytest.approx(np.log(13))
    shares = np.array([59, 71, 48]) / 178
    assert actual["log_classes"] == pytest.approx(np.log(3))
    assert actual["class_entropy"] == pytest.approx(-(shares * np.log(shares)).sum() / np.log(3))
    assert actual["largest_class"] == pytest.approx(71 / 178)


def test_landmarks_tell_models_apart():
    X, y = make_moons(300, noise=0.1, random_state=0)
    actual = of(X, y)
    assert actual["score_kernel_1"] > actual["score_ridge_1"] + 0.1
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 10))
    actual = of(X, (X.sum(1) > 0).astype(int))
    assert actual["score_ridge_1"] > actual["score_tree"] + 0.1
    assert abs(of(X, rng.permutation(300) % 2)["mean_score"]) < 0.15, "chance is about 0"
    actual = of(X, X[:, 0] + 0.01 * X[:, 1], is_classification=False)
    assert actual["mean_score"] + actual["score_ridge_0"] > 0.99, "no error is 1"


def test_trees_tell_noise_from_detail_that_few_rows_do_not_show():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (2000, 3))
    y = rng.integers(0, 2, (5, 5, 5))[*X.T]
    few, many, noisy = of(X[:300], y[:300]), of(X, y), of(X, rng.permutation(y))
    assert few["skill_tree"] < 0.5 < many["skill_tree"] - 0.3
    assert many["skill_size"] > 0.3 > noisy["skill_size"]
    assert noisy["skill_tree"] < noisy["skill_small_tree"] < 0.05


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
        polars.DataFrame(X, schema=names),
    ):
        assert_same(of(table, y), expected)


def test_categories_and_missing_values(wine):
    X, y = wine
    frame = pd.DataFrame(X)
    frame[0] = pd.Categorical(np.array(["low", "high"])[(X[:, 0] > 13).astype(int)])
    frame.loc[::2, 1] = np.nan
    actual = of(frame, y)
    assert actual["categories"] == pytest.approx(1 / 13)
    assert actual["missing"] == pytest.approx(0.5 / 13)
    assert actual["binary"] == pytest.approx(1 / 13)
    assert actual["mean_score"] > 0.5
    assert of(frame.astype(object).to_numpy(), y)["categories"] == pytest.approx(1 / 13)


def test_a_large_table_is_sampled():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=5000)
    X = sp.random_array((5000, 400), density=0.01, rng=rng, format="csr")
    actual = of(X, y)
    assert actual["log_rows"] == pytest.approx(np.log(5000))
    assert actual["log_columns"] == pytest.approx(np.log(400))
    assert of(X, y) == actual


def test_very_large_and_very_small_numbers(wine):
    X, y = wine
    with np.errstate(all="raise"):
        assert all(np.isfinite([*of(1e308 * np.sign(X - X.mean(0)), y).values()]))
        assert_same(of(1e-150 * X, y), of(X, y))


def test_rare_classes():
    X = np.random.default_rng(0).standard_normal((2000, 3))
    assert of(X, np.arange(2000) == 7)["log_smallest_class"] == pytest.approx(np.log(1 / 2000))
    assert of(X, np.arange(2000) // 2)["log_classes"] == pytest.approx(np.log(1000))


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
