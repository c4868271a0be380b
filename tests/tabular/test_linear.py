"""A linear classifier in closed form, for wide rows of one unit and for many rows."""

import numpy as np
import pytest
from marks import slow
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from skmeta._tabular import WeightedRows, _linear, fit_ridge
from skmeta.few_shot import MetaFewShotClassifier


def make_embeddings(n, d=100, seed=0):
    """Rows of three classes, whose columns carry the same few facts many times."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    facts = 1.5 * np.eye(3, 8)[y] + rng.normal(size=(n, 8))
    return facts @ np.random.default_rng(7).normal(size=(8, d)) + 0.3 * rng.normal(size=(n, d)), y


def support(X, y, weight=None):
    return WeightedRows(X, y, np.ones(len(y)) if weight is None else weight)


def test_it_is_the_ridge_regression_on_labels(monkeypatch):
    monkeypatch.setattr(_linear, "_PENALTIES", np.array([0.7]))
    monkeypatch.setattr(_linear, "_STEEPNESS", np.array([3.0]))
    X, y = make_embeddings(30)
    new = make_embeddings(10, seed=1)[0]
    model = fit_ridge(support(X, y), 3)
    rows, others = (
        np.c_[model.inputs.encode(v) / model.unit, np.full(len(v), 3**0.5)] for v in (X, new)
    )
    oracle = Ridge(alpha=0.7, fit_intercept=False).fit(rows, np.eye(3)[y] - 1 / 3)
    expected = softmax(3.0 * oracle.predict(others), 1)
    np.testing.assert_allclose(model.predict(new), expected, atol=1e-10)


def test_its_evidence_is_the_likelihood_of_rows_left_out(monkeypatch):
    monkeypatch.setattr(_linear, "_LOG_PENALTY", (0.0, 1e9))
    monkeypatch.setattr(_linear, "_LOG_STEEPNESS", (0.0, 1e9))
    monkeypatch.setattr(_linear, "_PENALTIES", np.array([0.3, 3.0]))
    monkeypatch.setattr(_linear, "_STEEPNESS", np.array([2.0]))
    X, y = make_embeddings(12, d=5)
    model = fit_ridge(support(X, y), 3)
    rows = np.c_[model.inputs.encode(X) / model.unit, np.full(12, 3**0.5)]
    evidence = []
    for penalty in (0.3, 3.0):
        total = 0.0
        for i in range(12):
            kept = np.arange(12) != i
            oracle = Ridge(alpha=penalty, fit_intercept=False)
            oracle.fit(rows[kept], (np.eye(3)[y] - 1 / 3)[kept])
            total += np.log(softmax(2.0 * oracle.predict(rows[[i]]), 1)[0, y[i]])
        evidence.append(total)
    np.testing.assert_allclose(model.chance[:, 0], softmax(evidence), rtol=1e-8)


@pytest.mark.parametrize("n_rows", [1, *(slow(n) for n in (3, 10))])
def test_a_head_on_embeddings_is_as_good_as_logistic_regression(n_rows):
    losses, hits = [], []
    for seed in range(3):
        X, y = make_embeddings(3 * n_rows, seed=seed)
        new, labels = make_embeddings(120, seed=100 + seed)
        clf = MetaFewShotClassifier(device="cpu").fit(X, y)
        peer = LogisticRegression(max_iter=1000).fit(X, y)
        both = [m.predict_proba(new) for m in (clf, peer)]
        losses.append([log_loss(labels, p) for p in both])
        hits.append([(p.argmax(1) == labels).mean() for p in both])
        assert clf.shares_["ridge"] > (0.99 if n_rows == 1 else 0.3)
    ours, theirs = np.mean(losses, 0)
    assert ours < theirs
    ours, theirs = np.mean(hits, 0)
    assert ours > theirs - 0.02


def test_wide_rows_with_gaps_are_left_to_the_prior():
    X, y = make_embeddings(30)
    assert "ridge" not in MetaFewShotClassifier(device="cpu").fit(X[:, :64], y).shares_
    clf = MetaFewShotClassifier(device="cpu").fit(X, y)
    assert "ridge" in clf.shares_
    assert np.isfinite(clf.predict_proba(np.where(np.eye(30, 100) > 0, np.nan, X))).all()
    X[0, 0] = np.nan
    assert clf.fit(X, y).shares_ == {"prior": 1}
