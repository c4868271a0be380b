"""The table prior in NumPy against its network in torch, which is meta-trained."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import softmax

from skmeta._backend import Rows
from skmeta._tabular import WeightedRows, arrange, location_and_scale
from skmeta._tabular.table_prior import ConditionedPrior, TablePrior
from skmeta.learners import LEARNERS
from skmeta.learners._core import read_prior
from skmeta.priors import MetaPrior

LEVELS = np.array([0.01, 0.2, 0.5, 0.8, 0.99])


def make_table(n, d, n_classes=0, weight=None, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n + 20, d)) * 10.0 ** rng.integers(-3, 4, d)
    X[:, 0] = rng.integers(0, 4, n + 20)
    y = (X / X.std(0)) @ rng.normal(size=d) + np.sin(X[:, 0]) + rng.normal(size=n + 20)
    X[rng.random(X.shape) < 0.1] = np.nan
    if n_classes:
        y = np.searchsorted(np.quantile(y, np.arange(1, n_classes) / n_classes), y)
    w = np.ones(n)
    if weight is not None:
        w = rng.integers(0, 3, n).astype(float) if weight == "whole" else rng.random(n) + 0.1
    return WeightedRows(X[:n], y[:n], w), X[n:]


def predict_by_torch(rows, query, n_classes, precision, n_views=None, max_rows=None):
    """Return probabilities, or means, deviations and quantiles, by the network in meta-training."""
    prior = MetaPrior.load_shipped("classification" if n_classes else "regression")
    given = {"n_views": n_views, "max_rows": max_rows}
    session, state = read_prior(
        prior,
        LEARNERS[prior.learner],
        classes=range(max(n_classes, 1)),
        device="cpu",
        precision="float64",
        input_shape=rows.X.shape[1:],
        learner_precision=precision,
        **{name: value for name, value in given.items() if value is not None},
    )
    with torch.no_grad():
        adapted = session.adapt(state, Rows(*map(torch.from_numpy, rows)))
        x = torch.from_numpy(query)
        if n_classes:
            return softmax(session.forward(adapted, x).numpy(), 1)
        return session.predict_distribution(adapted, x, LEVELS)


CASES = [
    {"n": 30, "d": 4},
    {"n": 1, "d": 2},
    {"n": 40, "d": 5, "weight": "whole"},
    {"n": 40, "d": 5, "weight": "any"},
    {"n": 25, "d": 3, "n_views": 3},
    {"n": 12, "d": 70},
    {"n": 30, "d": 3, "max_rows": 12, "n_views": 3},
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("n_classes", [0, 2, 3, 13])
def test_predictions_are_those_of_the_network_in_torch(case, n_classes):
    settings = {k: v for k, v in case.items() if k in ("n_views", "max_rows")}
    table = {k: v for k, v in case.items() if k not in settings}
    if n_classes and table["n"] < n_classes:
        pytest.skip("there are not enough rows")
    rows, query = make_table(n_classes=n_classes, **table)
    rows, columns = arrange(rows, n_classes)
    query = query[:, columns]
    prior = TablePrior(
        MetaPrior.load_shipped("classification" if n_classes else "regression"), **settings
    )
    found = ConditionedPrior(prior, rows, n_classes)
    expected = predict_by_torch(rows, query, n_classes, "float64", **settings)
    if n_classes:
        np.testing.assert_allclose(found.predict(query), expected, atol=1e-8)
    else:
        unit = location_and_scale(rows.y, rows.weight)[1]
        for ours, theirs in zip(found.distribution(query, LEVELS), expected, strict=True):
            np.testing.assert_allclose(ours / unit, theirs / unit, atol=1e-7)


@pytest.mark.parametrize("n_classes", [0, 3])
def test_large_tables_are_read_in_single_precision(n_classes):
    rows, query = make_table(150, 7, n_classes)
    rows, columns = arrange(rows, n_classes)
    prior = TablePrior.load("classification" if n_classes else "regression")
    found = ConditionedPrior(prior, rows, n_classes).predict(query[:, columns], LEVELS)
    expected = predict_by_torch(rows, query[:, columns], n_classes, "float64")
    if n_classes:
        np.testing.assert_allclose(found, expected, atol=1e-4)
    else:
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours / rows.y.std(), theirs / rows.y.std(), atol=3e-4)


def test_rows_left_out_are_predicted_as_if_they_were_not_there():
    rows, _ = make_table(30, 4)
    rows, _ = arrange(rows, 0)
    prior, sets = TablePrior.load("regression"), [np.arange(5), np.arange(5, 30, 7)]
    found = ConditionedPrior(prior, rows).predict_held_out(sets, LEVELS)
    for each, held in zip(found, sets, strict=True):
        kept = rows.take(~np.isin(np.arange(len(rows.y)), held))
        expected = ConditionedPrior(prior, kept).predict(rows.X[held], LEVELS)
        np.testing.assert_array_equal(each.quantiles, expected.quantiles)


@pytest.mark.slow
def test_predictions_do_without_torch():
    code = (
        "import sys, numpy as np; from skmeta._tabular.table_prior import TablePrior\n"
        "X, y = np.eye(6), np.arange(6)\n"
        "TablePrior.load('regression').condition(X, y).predict(X, [0.5])\n"
        "TablePrior.load('classification').condition(X, y % 2, n_classes=2).predict(X)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
