"""Priors and fitted estimators that version 0.1 wrote predict what they predicted there."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor, MetaPrior
from skmeta.learners import InContextLearner
from skmeta.learners.in_context._stored_names import from_stored_name, to_stored_name
from skmeta.priors import load_table_prior

DATA = Path(__file__).parent / "data"
# Predictions are in float64; they differ by the order of sums only.
CLOSE = {"rtol": 1e-6, "atol": 1e-8}


@pytest.fixture(scope="module")
def old():
    """Rows, and what version 0.1 predicted."""
    found = json.loads((DATA / "predictions-0.1.json").read_text())
    return {name: np.array(values) for name, values in found.items()}


def labels(old):
    return (old["t"] > 0).astype(int)


def test_priors(old):
    X, X_query = old["X"], old["X_query"]
    clf = MetaFewShotClassifier(MetaPrior.load(DATA / "classification-0.1.skmeta"))
    found = clf.fit(X, labels(old)).predict_proba(X_query)
    np.testing.assert_allclose(found, old["proba"], **CLOSE)
    reg = MetaFewShotRegressor(MetaPrior.load(DATA / "regression-0.1.skmeta")).fit(X, old["t"])
    np.testing.assert_allclose(reg.predict(X_query), old["mean"], **CLOSE)
    np.testing.assert_allclose(reg.predict_quantiles(X_query), old["quantiles"], **CLOSE)


def test_fitted_estimators(old):
    clf = pickle.loads((DATA / "fitted_classifier-0.1.pickle").read_bytes())
    np.testing.assert_allclose(clf.predict_proba(old["X_query"]), old["proba"], **CLOSE)
    reg = pickle.loads((DATA / "fitted_regressor-0.1.pickle").read_bytes())
    np.testing.assert_allclose(reg.predict(old["X_query"]), old["mean"], **CLOSE)
    # Fitting again goes on from the pickled parameters.
    again = reg.fit(old["X"], old["t"]).predict(old["X_query"])
    np.testing.assert_allclose(again, old["mean"], **CLOSE)


def without_line(kind):
    """Return the prior that ships, without what version 0.2 added to the weights of 0.1."""
    prior = load_table_prior(kind)
    kept = {n: v for n, v in prior.tensors.items() if not n.startswith("table.line.")}
    assert len(kept) == len(prior.tensors) - 2
    return prior.replace(tensors=kept)


def test_the_weights_of_the_priors_that_ship(old):
    """Those of classifications are of version 0.2, and so is what they predict."""
    new = json.loads((DATA / "predictions-0.2.json").read_text())
    clf = MetaFewShotClassifier(without_line("classification"), n_estimators=4)
    clf.fit(old["X"], labels(old))
    np.testing.assert_allclose(clf.predict_proba(old["X_query"]), new["shipped_proba"], **CLOSE)
    reg = MetaFewShotRegressor(without_line("regression"), n_estimators=4).fit(old["X"], old["t"])
    np.testing.assert_allclose(reg.predict(old["X_query"]), old["shipped_mean"], **CLOSE)


def test_each_parameter_has_a_stored_name_of_its_own():
    for kind in ("classification", "regression"):
        network = InContextLearner(width=8, n_layers=2, n_heads=2, cell_width=4).make_network(kind)
        names = [name for name, _ in network.named_parameters()]
        stored = [to_stored_name(name) for name in names]
        assert len(set(stored)) == len(names)
        assert [from_stored_name(name) for name in stored] == names
    assert to_stored_name("blocks.3.feed_forward_out.bias") == "blocks.3.shrink.bias"
