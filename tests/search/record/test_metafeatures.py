import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import skew

from skmeta.search.record._metafeatures import metafeatures


def test_counts_and_classes():
    X = np.random.default_rng(0).normal(size=(200, 5))
    found = metafeatures(X, np.repeat(["a", "b"], [150, 50]))
    assert found["log_n_samples"] == pytest.approx(np.log10(200))
    assert found["log_n_features"] == pytest.approx(np.log10(5))
    assert found["n_classes"] == 2
    assert found["smallest_class"] == 0.25
    assert found["class_entropy"] == pytest.approx(0.8112781244591328)  # of 1/4 and 3/4, in bits
    assert found["share_categorical"] == found["share_missing"] == 0


def test_skewness_is_scipys():
    X = np.random.default_rng(0).exponential(size=(500, 3))
    assert metafeatures(X)["mean_abs_skewness"] == pytest.approx(np.abs(skew(X)).mean())
    y = np.random.default_rng(1).exponential(size=500)
    assert metafeatures(X, y)["target_skewness"] == pytest.approx(skew(y))


def test_frames_with_words_and_gaps():
    frame = pd.DataFrame({"a": [1.0, np.nan, 3, 4, 5], "b": list("xyxyx"), "c": [None, *"abcd"]})
    found = metafeatures(frame, [0, 1, 0, 1, 0])
    assert found["share_categorical"] == pytest.approx(2 / 3)
    assert found["share_missing"] == pytest.approx(2 / 15)


def test_sparse_agrees_with_dense():
    X = np.random.default_rng(0).poisson(0.3, size=(100, 6)).astype(float)
    dense, sparse = metafeatures(X), metafeatures(sp.csr_array(X))
    assert dense == pytest.approx(sparse)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((3, 0)),
        np.zeros((0, 3)),
        np.zeros((5, 2)),
        np.full((5, 2), np.nan),
        np.full((5, 2), np.inf),
        ["one text", "another"],
        [{"a": 1}, {"b": 2}],
        np.ones((6, 2, 2)),
        np.ones((1, 1)),
    ],
)
def test_everything_found_is_finite(X):
    assert all(np.isfinite(value) for value in metafeatures(X, None).values())


def test_large_data_are_sampled():
    X = np.random.default_rng(0).normal(size=(5000, 300))
    found = metafeatures(X, X[:, 0])
    assert found["log_n_samples"] == pytest.approx(np.log10(5000))
    assert found["mean_kurtosis"] == pytest.approx(3, abs=0.1)
