import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array

from skmeta.tasks import Task

TASK = Task(
    support=np.array([4, 2, 4]),
    query=np.array([0, 1]),
    y_support=np.array([1, 0, 1]),
    y_query=np.array([0, 1]),
    w_support=np.array([1.0, 1.0, 0.0]),
    w_query=np.array([0.0, 1.0]),
    classes=np.array(["a", "b"]),
)
X = np.arange(10.0).reshape(5, 2)


@pytest.mark.parametrize(
    ("table", "to_numpy"),
    [
        (X, np.asarray),
        (pd.DataFrame(X, columns=["u", "v"], index=list("edcba")), np.asarray),
        (pl.DataFrame({"u": X[:, 0], "v": X[:, 1]}), lambda frame: frame.to_numpy()),
        (csr_array(X), lambda table: table.toarray()),
    ],
    ids=["numpy", "pandas", "polars", "sparse"],
)
def test_take_leaves_padding_out_and_keeps_the_container(table, to_numpy):
    X_support, y_support, X_query, y_query = TASK.take(table)
    assert type(X_support) is type(X_query) is type(table)
    np.testing.assert_array_equal(to_numpy(X_support), X[[4, 2]])
    np.testing.assert_array_equal(to_numpy(X_query), X[[1]])
    np.testing.assert_array_equal(y_support, [1, 0])
    np.testing.assert_array_equal(y_query, [1])
