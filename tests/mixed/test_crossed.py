"""Models with several grouping factors against lme4, dense algebra and numerical integration."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import multivariate_normal, norm

from skmeta.mixed import _sparse_system, fit_crossed
from skmeta.mixed._crossed import _Problem


def ones(n):
    return np.ones((n, 1))


def table(seed=0, n=150, sizes=(12, 7)):
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(k, size=n) for k in sizes])
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = X @ [1.0, 0.5, 0.0] + rng.normal(size=n)
    for column, k in zip(codes.T, sizes, strict=True):
        y += rng.normal(size=k)[column]
    return X, y, codes


def dense(fit, codes):
    """Z as a dense matrix, and the variances of b."""
    sizes = fit.levels.sizes
    z = np.hstack([codes[:, f, None] == np.arange(k) for f, k in enumerate(sizes)]).astype(float)
    return z, np.repeat(fit.deviations**2, sizes)


@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_predictions_are_those_of_dense_algebra(storage, monkeypatch):
    if storage == "sparse":
        monkeypatch.setattr(_sparse_system, "_DENSE_SIZE", 0)
        monkeypatch.setattr(_sparse_system, "_DENSE_SHARE", 2.0)
        monkeypatch.setattr(_sparse_system, "_INVERSE_SIZE", 0)
    X, y, codes = table()
    fit = fit_crossed(X, y, codes)
    z, variances = dense(fit, codes)
    covariance = np.diag(variances)
    v = z @ covariance @ z.T + fit.sigma**2 * np.eye(len(y))
    weighted = np.linalg.solve(v, np.column_stack([X, y]))
    information = X.T @ weighted[:, :-1]
    beta = np.linalg.solve(information, X.T @ weighted[:, -1])
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-6)
    # The restricted likelihood.
    log_likelihood = multivariate_normal(X @ beta, v).logpdf(y)
    log_det = np.linalg.slogdet(information)[1]
    restricted = -2 * log_likelihood + log_det - X.shape[1] * np.log(2 * np.pi)
    np.testing.assert_allclose(fit.deviance, restricted, rtol=1e-7)
    effects = covariance @ z.T @ np.linalg.solve(v, y - X @ beta)
    np.testing.assert_allclose(np.concatenate(fit.effects), effects, atol=1e-6)
    # New rows: a known level of each factor, and new levels.
    at, levels = X[:4], np.array([[3, 5], [-1, 2], [4, -1], [-1, -1]])
    mean, std = fit.predict(at, levels, noise=True)
    at_z = dense(fit, levels)[0]
    cross = at_z @ covariance @ z.T
    np.testing.assert_allclose(mean, at @ beta + at_z @ effects, atol=1e-6)
    known = at_z @ covariance @ at_z.T - cross @ np.linalg.solve(v, cross.T)
    left = at - cross @ weighted[:, :-1]
    variance = np.diag(known + left @ np.linalg.solve(information, left.T)) + fit.sigma**2
    variance = variance + (levels < 0) @ fit.deviations**2
    np.testing.assert_allclose(std, np.sqrt(variance), rtol=1e-6)
    # A prediction of the effect alone.
    within = covariance - covariance @ z.T @ np.linalg.solve(v, z @ covariance)
    shift = covariance @ z.T @ weighted[:, :-1]
    within = within + shift @ np.linalg.solve(information, shift.T)
    np.testing.assert_allclose(
        np.concatenate([fit.effect_std(f) for f in (0, 1)]),
        np.sqrt(np.diag(within)),
        rtol=1e-6,
    )


@pytest.mark.parametrize("ridge", [False, True])
def test_estimates_maximise_the_likelihood(ridge):
    X, y, codes = table(1)
    fit = fit_crossed(X, y, codes, ridge=ridge)
    problem, at = _Problem(X, y, codes, False, ridge), fit.parameters
    np.testing.assert_allclose(problem.deviance(at), fit.deviance)
    for move in 0.01 * np.eye(len(at)):
        assert problem.deviance(at + move) > fit.deviance
        assert problem.deviance(at - move) > fit.deviance


def test_a_ridge_shrinks_slopes_without_effect():
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(8, size=60), rng.integers(5, size=60)])
    X = np.column_stack([np.ones(60), rng.normal(size=(60, 15))])
    y = rng.normal(size=60) + rng.normal(size=8)[codes[:, 0]]
    shrunken, free = (fit_crossed(X, y, codes, ridge=ridge).beta for ridge in (True, False))
    assert np.abs(shrunken[1:]).mean() < 0.4 * np.abs(free[1:]).mean()


def test_laplace_is_close_to_numerical_integration():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)[:, None]
    effects = 1.2 * rng.normal(size=40)
    y = (0.4 + effects[groups[:, 0]] + rng.logistic(size=400) > 0).astype(float)
    fit = fit_crossed(ones(400), y, groups, is_classification=True)
    std, beta = fit.deviations[0], fit.beta[0]
    total = 0.0
    for k in range(40):
        own = y[groups[:, 0] == k]

        def density(b, own=own):
            return norm.pdf(b, 0, std) * np.prod(expit((2 * own - 1) * (beta + b)))

        total += np.log(quad(density, -8, 8, epsabs=1e-14)[0])
    # The intercept is integrated out, with its prior.
    information = 2 * np.log(np.diag(fit.solution.information[0])).sum()
    of_intercept = information + 0.01 * beta**2
    np.testing.assert_allclose(fit.deviance - of_intercept, -2 * total, rtol=0.01)
    np.testing.assert_allclose([std, beta], [1.2, 0.4], atol=0.35)
    # Probabilities of a new level are averages over levels.
    found = fit.predict_proba(ones(1), np.array([[-1]]))[0]
    assert abs(found - 0.5) < abs(expit(beta) - 0.5)
    known = fit.predict_proba(ones(40), np.arange(40)[:, None])
    assert np.corrcoef(known, effects)[0, 1] > 0.8


def test_crossed_effects_of_classes_are_found():
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(60, size=3000), rng.integers(40, size=3000)])
    first, second = rng.normal(size=60), 0.6 * rng.normal(size=40)
    X = np.column_stack([np.ones(3000), rng.normal(size=3000)])
    eta = X @ [0.3, 1.0] + first[codes[:, 0]] + second[codes[:, 1]]
    y = (eta + rng.logistic(size=3000) > 0).astype(float)
    fit = fit_crossed(X, y, codes, is_classification=True, ridge=True)
    np.testing.assert_allclose(fit.beta[1], 1.0, atol=0.15)
    np.testing.assert_allclose(fit.deviations, [first.std(), second.std()], atol=0.15)
    assert np.corrcoef(fit.effects[0], first)[0, 1] > 0.9
    gap = (fit.effects[0] - first + first.mean()) / fit.effect_std(0)
    assert 0.7 < gap.std() < 1.3


def test_a_factor_without_differences_has_no_effects():
    rng = np.random.default_rng(0)
    codes = np.column_stack([np.arange(200) % 20, np.arange(200) % 7])
    y = rng.normal(size=200) + 2 * rng.normal(size=20)[codes[:, 0]]
    y -= np.array([y[codes[:, 1] == k].mean() for k in range(7)])[codes[:, 1]]
    fit = fit_crossed(ones(200), y, codes)
    np.testing.assert_allclose(fit.deviations[1], 0, atol=1e-8)
    np.testing.assert_allclose(fit.effects[1], 0, atol=1e-6)


def test_levels_that_are_not_known():
    X, y, codes = table(2)
    codes[:5, 0], codes[codes[:, 0] == 3, 0] = -1, 11
    fit = fit_crossed(X, y, codes)
    mean, std = fit.predict(X[:1].repeat(2, 0), np.array([[3, 0], [-1, 0]]))
    np.testing.assert_allclose(mean[0], mean[1])
    np.testing.assert_allclose(std[0], std[1])
    assert fit.effects[0][3] == 0
    np.testing.assert_allclose(fit.effect_std(0)[3], fit.deviations[0])
