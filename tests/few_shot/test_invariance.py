"""What has no effect on a few-shot estimator, on random tables; the docs promise no more."""

import numpy as np
import pytest
from drawn_tables import classes_of, tables
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor

pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.UnusedDataWarning")

# A smaller failing table is not searched for: each costs two fits.
EXAMPLES = settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)
# Two searches for the parameters of a process end this near, in deviations of y.
UNITS = 1e-3


def regress(X, y, new, weight=None):
    reg = MetaFewShotRegressor(device="cpu").fit(X, y, sample_weight=weight)
    return np.column_stack(reg.predict(new, return_std=True))


def classify(X, y, new, weight=None):
    return MetaFewShotClassifier(device="cpu").fit(X, y, sample_weight=weight).predict_proba(new)


@EXAMPLES
@given(tables())
def test_the_order_of_rows_and_columns_has_no_effect_on_a_regression(table):
    X, y, rng = table
    rows, columns = rng.permutation(len(y)), rng.permutation(X.shape[1])
    found = regress(X[rows][:, columns], y[rows], X[:, columns])
    np.testing.assert_allclose(found, regress(X, y, X), rtol=1e-8, atol=1e-8 * np.std(y))


@EXAMPLES
@given(tables(), st.integers(2, 4))
def test_the_order_of_rows_columns_and_classes_has_no_effect_on_a_classification(table, n_classes):
    X, _, rng = table
    y, renamed = classes_of(table, n_classes), rng.permutation(n_classes)
    rows, columns = rng.permutation(len(y)), rng.permutation(X.shape[1])
    found = classify(X[rows][:, columns], renamed[y[rows]], X[:, columns])[:, renamed]
    np.testing.assert_allclose(found, classify(X, y, X), atol=1e-5)


@EXAMPLES
@given(
    tables(10, has_gaps=False, kinds=("normal", "far", "tails", "ranks")),
    st.floats(1e-3, 1e3),
    st.floats(-1e3, 1e3),
)
def test_units_hardly_change_a_regression(table, scale, shift):
    # A column of one value, in all rows or in those of a fold, has no unit.
    X, y, rng = table
    units = np.exp(rng.normal(size=X.shape[1]))
    found = regress(units * X + shift, scale * y + shift, units * X + shift)
    found = (found - [shift, 0]) / scale
    np.testing.assert_allclose(found, regress(X, y, X), atol=UNITS * np.std(y))


@EXAMPLES
@given(tables(most_rows=30), st.integers(1, 32))
def test_a_row_of_weight_k_is_k_rows(table, most):
    X, y, rng = table
    weight = rng.integers(most == 1, most + 1, len(y))
    weight[:2] = most
    y[:2] = [y.min() - 1, y.max() + 1]
    rows = np.repeat(np.arange(len(y)), weight)
    np.testing.assert_array_equal(regress(X, y, X, weight), regress(X[rows], y[rows], X))
    labels = (y > np.median(y)).astype(int)
    np.testing.assert_array_equal(
        classify(X, labels, X, weight), classify(X[rows], labels[rows], X)
    )
