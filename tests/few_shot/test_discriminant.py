"""A discriminant for wide rows of one unit."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import NearestCentroid

from skmeta.few_shot import MetaFewShotClassifier, _discriminant
from skmeta.few_shot._discriminant import Densities, fit_discriminant
from skmeta.few_shot._support import SupportSet


def make_embeddings(n, d=100, seed=0):
    """Rows of three classes, whose columns carry the same few facts many times."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    facts = 1.5 * np.eye(3, 8)[y] + rng.normal(size=(n, 8))
    return facts @ np.random.default_rng(7).normal(size=(8, d)) + 0.3 * rng.normal(size=(n, d)), y


def support(X, y, weight=None):
    return SupportSet(X, y, np.ones(len(y)) if weight is None else weight)


def test_with_the_largest_shrinkage_it_is_the_nearest_centroid(monkeypatch):
    monkeypatch.setattr(_discriminant, "_ROWS_OF_CENTRE", 0.0)
    X, y = make_embeddings(30)
    new = make_embeddings(60, seed=1)[0]
    densities = Densities.fit(support(X, y), 3)
    found = densities.log_density(new)[-1].argmax(1)
    np.testing.assert_array_equal(found, NearestCentroid().fit(X, y).predict(new))


def test_without_shrinkage_it_is_the_linear_discriminant(monkeypatch):
    monkeypatch.setattr(_discriminant, "_ROWS_OF_CENTRE", 0.0)
    monkeypatch.setattr(_discriminant, "_SHRINKAGES", np.array([1e-9]))
    X, y = make_embeddings(90, d=5)
    new = make_embeddings(60, d=5, seed=1)[0]
    densities = Densities.fit(support(X, y), 3)
    oracle = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y)
    found = densities.log_density(new)[0] * densities.spread
    # The covariance of scikit-learn is divided by n, and ours by its degrees of freedom.
    expected = oracle.decision_function(new) * 87 / 90
    ours, theirs = (v[:, 1:] - v[:, :1] for v in (found, expected))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_rows", [1, 3, 10])
def test_a_head_on_embeddings_is_as_good_as_logistic_regression(n_rows):
    losses, hits = [], []
    for seed in range(5):
        X, y = make_embeddings(3 * n_rows, seed=seed)
        new, labels = make_embeddings(300, seed=100 + seed)
        clf = MetaFewShotClassifier(device="cpu").fit(X, y)
        peer = LogisticRegression(max_iter=1000).fit(X, y)
        both = [m.predict_proba(new) for m in (clf, peer)]
        losses.append([log_loss(labels, p) for p in both])
        hits.append([(p.argmax(1) == labels).mean() for p in both])
        assert clf.shares_["discriminant"] > (0.99 if n_rows == 1 else 0.3)
    ours, theirs = np.mean(losses, 0)
    assert ours < theirs
    ours, theirs = np.mean(hits, 0)
    assert ours > theirs - 0.02


def test_rotation_unit_and_orders_have_no_effect():
    X, y = make_embeddings(24)
    new = make_embeddings(20, seed=1)[0]
    expected = fit_discriminant(support(X, y), 3).predict(new)
    np.testing.assert_allclose(expected.sum(1), 1)
    rng = np.random.default_rng(0)
    # Folds depend on the rows, so that one is enough to see that nothing else does.
    turn, order = np.linalg.qr(rng.normal(size=(100, 100)))[0], rng.permutation(24)
    densities = Densities.fit(support(X, y), 3)
    turned = Densities.fit(support(1e3 * X @ turn + 5, y), 3)
    np.testing.assert_allclose(
        turned.log_density(1e3 * new @ turn + 5), densities.log_density(new), rtol=1e-6
    )
    found = fit_discriminant(support(X[order], y[order]), 3).predict(new)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = fit_discriminant(support(X, 2 - y), 3).predict(new)
    np.testing.assert_allclose(found[:, ::-1], expected, rtol=1e-6)


def test_weight_of_two_is_two_rows_and_rare_classes_are_rare():
    X, y = make_embeddings(24)
    weight = 1.0 + np.arange(24) % 2
    rows = np.repeat(np.arange(24), weight.astype(int))
    one, other = (
        Densities.fit(support(X, y, weight), 3),
        Densities.fit(support(X[rows], y[rows]), 3),
    )
    np.testing.assert_allclose(one.log_density(X), other.log_density(X), rtol=1e-6)
    noise = np.random.default_rng(0).normal(size=(300, 70))
    y = (np.arange(200) < 20).astype(int)
    proba = fit_discriminant(support(noise[:200], y), 2).predict(noise[200:])
    assert proba[:, 1].mean() == pytest.approx(0.1, abs=0.05)


def test_gaps_and_categories_are_left_to_the_prior():
    X, y = make_embeddings(30)
    assert "discriminant" in MetaFewShotClassifier(device="cpu").fit(X, y).shares_
    assert "discriminant" not in MetaFewShotClassifier(device="cpu").fit(X[:, :64], y).shares_
    clf = MetaFewShotClassifier(device="cpu").fit(X, y)
    assert np.isfinite(clf.predict_proba(np.where(np.eye(30, 100) > 0, np.nan, X))).all()
    X[0, 0] = np.nan
    assert clf.fit(X, y).shares_ == {"prior": 1}
