"""Models with several grouping factors against dense algebra, differences and integration."""

import numpy as np
import pytest
from marks import slow

from skmeta._mixed import (
    Classes,
    CovarianceShape,
    Evidence,
    NegativeBinomial,
    Normal,
    Ordered,
    Poisson,
    fit,
)
from skmeta._mixed._conditioned import sorted_rows


def targets(kind, eta, rng):
    logistic = eta + rng.logistic(size=len(eta))
    if kind == "normal":
        return Normal(), eta + 0.5 * rng.normal(size=len(eta))
    if kind == "poisson":
        return Poisson(), rng.poisson(np.exp(eta)).astype(float)
    if kind == "negative binomial":
        y = rng.negative_binomial(1.5, 1.5 / (1.5 + np.exp(eta)))
        return NegativeBinomial(1.5), y.astype(float)
    if kind == "two classes":
        return Classes(2), (logistic > 0).astype(int)
    y = np.digitize(logistic, [0.0, 1.0])
    return (Classes(3) if kind == "three classes" else Ordered.of(y, 3)), y


KINDS = ["normal", "poisson", "negative binomial", "two classes", "three classes", "ordered"]


@pytest.mark.parametrize("kind", [slow(k) if k == "three classes" else k for k in KINDS])
@pytest.mark.parametrize("is_restricted", [True, False])
def test_gradients_are_differences(kind, is_restricted):
    rng, n = np.random.default_rng(0), 60
    first, second = rng.integers(10, size=n), rng.integers(5, size=n)
    codes = np.column_stack([second, first, np.unique(first * 5 + second, return_inverse=True)[1]])
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    eta = X @ [0.5, 0.5, 0] + 0.7 * rng.normal(size=10)[first] + 0.5 * rng.normal(size=5)[second]
    family, y = targets(kind, eta, rng)
    w, columns = rng.choice([1.0, 0.5, 2.0], size=n), [np.r_[0, 1], np.r_[0:3], np.r_[:1]]
    order, rows = sorted_rows(X, y, w, codes, columns, family)
    rows.tolerance = 1e-8  # What the last step changes is added to first order.
    shapes = [
        CovarianceShape(len(columns[f]), family.n_predictors, len(columns[f]) // 2, 1.0)
        for f in order
    ]
    evidence = Evidence(rows, shapes, 3, is_restricted)
    at = evidence.start()
    at = at + 0.2 * rng.normal(size=len(at))
    found = evidence.evaluate(at)
    steps = 1e-5 * np.eye(len(at))
    slopes = [evidence.evaluate(at + e).value - evidence.evaluate(at - e).value for e in steps]
    np.testing.assert_allclose(found.gradient, np.array(slopes) / 2e-5, atol=1e-5)
    hessian = found.curvature()
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)


def table(seed=0, n=150, sizes=(12, 7)):
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(k, size=n) for k in sizes])
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = X @ [1.0, 0.5, 0.0] + rng.normal(size=n)
    for column, k in zip(codes.T, sizes, strict=True):
        y += rng.normal(size=k)[column] + X[:, 1] * 0.5 * rng.normal(size=k)[column]
    return X, y, codes


def test_predictions_are_those_of_dense_algebra():
    X, y, codes = table()
    columns = [np.array([0, 1]), np.array([0])]
    model = fit(X, y, codes, columns=columns, rank=1)
    w = np.random.default_rng(0).choice([1.0, 0.5, 3.0], size=len(y))
    given = model.condition(X, y, codes, w)

    def dense(X, codes):
        parts = []
        for f, (used, size) in enumerate(zip(columns, (12, 7), strict=True)):
            level = (codes[:, f, None] == np.arange(size)).astype(float)
            parts.append((level[:, :, None] * X[:, used][:, None]).reshape(len(X), -1))
        return np.hstack(parts)

    blocks = [
        np.kron(np.eye(size), s[0]) for size, s in zip((12, 7), model.covariances, strict=True)
    ]
    covariance = np.zeros((31, 31))
    covariance[:24, :24], covariance[24:, 24:] = blocks
    z = dense(X, codes)
    v = z @ covariance @ z.T + np.diag(model.noise**2 / w)
    weighted = np.linalg.solve(v, np.column_stack([X, y]))
    information = X.T @ weighted[:, :-1] + np.diag(model.mean_prior)
    beta = np.linalg.solve(information, X.T @ weighted[:, -1])
    np.testing.assert_allclose(given.mean[0], beta, rtol=1e-6)
    effects = covariance @ z.T @ np.linalg.solve(v, y - X @ beta)
    found = np.concatenate([one.ravel() for one in given.effects])
    np.testing.assert_allclose(found, effects, atol=1e-6)
    within = covariance - covariance @ z.T @ np.linalg.solve(v, z @ covariance)
    shift = covariance @ z.T @ weighted[:, :-1]
    within = within + shift @ np.linalg.solve(information, shift.T)
    stds = np.concatenate([given.effect_std(f).ravel() for f in (0, 1)])
    np.testing.assert_allclose(stds, np.sqrt(np.diag(within)), rtol=1e-6)
    # New rows: known levels, whether or not they occurred together, and new ones.
    at, levels = X[:6], np.array([[3, 5], [-1, 2], [4, -1], [-1, -1], [11, 6], [0, 0]])
    mean, std = given.predict(at, levels)
    at_z = dense(at, levels)
    cross = at_z @ covariance @ z.T
    np.testing.assert_allclose(mean, at @ beta + at_z @ effects, atol=1e-6)
    known = at_z @ covariance @ at_z.T - cross @ np.linalg.solve(v, cross.T)
    left = at - cross @ weighted[:, :-1]
    variance = np.diag(known + left @ np.linalg.solve(information, left.T)) + model.noise**2
    for f, used in enumerate(columns):
        spread = np.einsum("nq,qp,np->n", at[:, used], model.covariances[f][0], at[:, used])
        variance = variance + (levels[:, f] < 0) * spread
    np.testing.assert_allclose(std, np.sqrt(variance), rtol=1e-6)


def test_weights_are_repetitions():
    X, y, codes = table(3)
    w = np.random.default_rng(0).integers(1, 4, size=len(y))
    rows = np.repeat(np.arange(len(y)), w)
    weighted = fit(X, y, codes, w=w.astype(float))
    repeated = fit(X[rows], y[rows], codes[rows])
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-6)
    np.testing.assert_allclose(weighted.noise, repeated.noise, rtol=1e-6)


def make_crossed(n, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(15, size=n), rng.integers(12, size=n)])
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    effects = [2.0 * rng.normal(size=(15, 2)), 0.3 * rng.normal(size=12)]
    y = (X * effects[0][codes[:, 0]]).sum(1) + effects[1][codes[:, 1]] + rng.normal(size=n)
    return X, y / y.std(), codes, [np.array([0, 1]), np.array([0])]


def test_a_fit_of_many_rows_starts_from_that_of_some(monkeypatch):
    X, y, codes, columns = make_crossed(900)
    expected = fit(X, y, codes, columns=columns)
    monkeypatch.setattr("skmeta._mixed._model._ENOUGH_ROWS", 300)
    found = fit(X, y, codes, columns=columns)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-4)
    for one, other in zip(found.covariances, expected.covariances, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.02, atol=1e-4)
