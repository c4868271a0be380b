"""The prior of a family of regressions by marginal likelihood: a linear mixed-effects model.

Notation: G tasks, q coefficients. The sufficient statistics of a task's rows are A = Z'Z
(G, q, q), b = Z'y (G, q), c = y'y (G,) and n (G,). Coefficients of a task are drawn from N(m, S),
targets from N(Z b, sigma^2).

m is integrated out. Its prior is normal with variance tau^2 for slopes, and flat for the
intercept. With a flat prior for all, the marginal likelihood is the restricted likelihood (REML).

References: Laird and Ware (1982), Random-effects models for longitudinal data; Bates, Maechler,
Bolker and Walker (2015), Fitting linear mixed-effects models using lme4, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta.learners.hierarchical._covariance import CovarianceShape
from skmeta.learners.hierarchical._descent import descend
from skmeta.learners.hierarchical._gaussian import (
    mixture_log_density,
    noise_grid,
    noise_levels,
    predictive,
    regression_posterior,
)
from skmeta.learners.hierarchical._structure import (
    Episodes,
    average_over_structures,
    draw_episodes,
    mean_over_queries,
)

_LOG_NOISE_BOUNDS = (-9.0, 3.0)
_LOG_RIDGE_BOUNDS = (-6.0, 4.0)
_LOG_SPREAD_BOUNDS = (-6.0, 0.5)
# Precision of a flat prior; positive, so that matrices with constant columns can be inverted.
_FLAT = 1e-5
_N_REWEIGHTINGS = 3
# Relative changes of the likelihood at which optimisation ends.
_COARSE, _PRECISE = 1e-6, 1e-8
# Grid that estimates the spread of the noise. It is fine, because many rows determine the noise
# of a task well.
_N_FINE_LEVELS = 61
# Relative addition to the diagonal of the information on m, against rounding errors.
_ROUNDING = 1e-10
_JITTER = 1e-10
# Values of a batch of matrices, to bound the memory.
_MOST_VALUES = 4_000_000


class RegressionPrior(NamedTuple):
    """Distribution of coefficients and noise over the tasks of a family.

    Attributes
    ----------
    mean : Tensor of shape (q,)
        m.
    covariance : Tensor of shape (q, q)
        S.
    mean_covariance : Tensor of shape (q, q)
        Covariance of the estimate of m.
    log_noise : float
        Mean of log sigma over tasks.
    log_spread : float
        Logarithm of the standard deviation of log sigma over tasks.
    """

    mean: Tensor
    covariance: Tensor
    mean_covariance: Tensor
    log_noise: float
    log_spread: float


class Statistics(NamedTuple):
    """Sufficient statistics of the rows of each task; see the notation of the module."""

    gram: Tensor
    moment: Tensor
    square: Tensor
    n_rows: Tensor


def task_statistics(z: np.ndarray, y: np.ndarray, codes: np.ndarray) -> Statistics:
    """Compute the sufficient statistics of the rows of each task.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,)
        Targets.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.

    Returns
    -------
    Statistics
        A, b, c and n.
    """
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    parts = np.split(order, np.cumsum(sizes)[:-1])
    gram = np.stack([z[rows].T @ z[rows] for rows in parts])
    moment = np.stack([z[rows].T @ y[rows] for rows in parts])
    square = np.bincount(codes, y * y)
    return Statistics(*(torch.from_numpy(v) for v in (gram, moment, square, sizes.astype(float))))


class RegressionFit(NamedTuple):
    """Estimates, and what another optimisation can start from.

    Attributes
    ----------
    prior : RegressionPrior
        The estimates.
    parameters : ndarray
        Parameters of the covariance, then the logarithms of the noise and of tau.
    ratio : Tensor of shape (G,)
        Expected precision of each task's noise, divided by that at the mean of log sigma.
    """

    prior: RegressionPrior
    parameters: np.ndarray
    ratio: Tensor


def estimate_regression(
    statistics: Statistics, shape: CovarianceShape, *, varied_noise: bool
) -> RegressionPrior:
    """Maximise the marginal likelihood of all tasks.

    Parameters
    ----------
    statistics : Statistics
        Sufficient statistics of the tasks.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    varied_noise : bool
        Whether sigma differs between tasks.

    Returns
    -------
    RegressionPrior
        The estimates.
    """
    return fit_regression(statistics, shape, varied_noise=varied_noise).prior


def estimate_structures(
    z: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    shapes: Sequence[CovarianceShape],
    *,
    varied_noise: bool,
) -> RegressionPrior:
    """Estimate a prior for each form of S, and average them by their predictions of other tasks.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,)
        Targets.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.
    shapes : sequence of CovarianceShape
        The forms, from the simplest on.
    varied_noise : bool
        Whether sigma differs between tasks.

    Returns
    -------
    RegressionPrior
        The average.
    """
    statistics = task_statistics(z, y, codes)
    fits: list[RegressionFit] = []
    for shape in shapes:
        before = fits[-1] if shape.rank and fits else None
        fits.append(fit_regression(statistics, shape, varied_noise=varied_noise, start=before))

    def estimate(tasks: np.ndarray) -> list[RegressionPrior]:
        rows = torch.from_numpy(tasks)
        part = Statistics(*(value[rows] for value in statistics))
        starts = [fit._replace(ratio=fit.ratio[rows]) for fit in fits]
        return [
            fit_regression(part, shape, varied_noise=varied_noise, start=start, coarse=True).prior
            for shape, start in zip(shapes, starts, strict=True)
        ]

    def score(
        priors: Sequence[RegressionPrior], tasks: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        episodes = draw_episodes(z, y, codes, tasks, rng)
        if episodes is None:
            return None
        return np.stack([_log_densities(prior, episodes, varied_noise) for prior in priors])

    return average_over_structures([fit.prior for fit in fits], codes, estimate, score)


def _log_densities(prior: RegressionPrior, episodes: Episodes, varied_noise: bool) -> np.ndarray:
    """Return the mean log predictive density (e,) of the query rows of episodes."""
    eye = torch.eye(len(prior.mean), dtype=prior.mean.dtype)
    whole = prior.covariance + prior.mean_covariance + _JITTER * eye
    factor = torch.linalg.cholesky(whole)
    log_noise = torch.tensor(prior.log_noise, dtype=eye.dtype)
    log_spread = torch.tensor(prior.log_spread, dtype=eye.dtype) if varied_noise else None
    levels = noise_levels(log_noise, log_spread)

    def of_episode(z: Tensor, y: Tensor, w: Tensor, at: Tensor, target: Tensor) -> Tensor:
        posterior = regression_posterior(z, y, w, prior.mean, factor, *levels)
        mean, variance = predictive(posterior, at)
        return mixture_log_density(mean, variance, posterior.log_weight, target)

    size = max(1, _MOST_VALUES // (len(levels[0]) * len(eye) ** 2))
    values = torch.func.vmap(of_episode, chunk_size=size)(
        episodes.z, episodes.y, episodes.w, episodes.query_z, episodes.query_y
    )
    return mean_over_queries(values, episodes)


def fit_regression(
    statistics: Statistics,
    shape: CovarianceShape,
    *,
    varied_noise: bool,
    start: RegressionFit | None = None,
    coarse: bool = False,
) -> RegressionFit:
    """Maximise the marginal likelihood, from scratch or from an earlier fit.

    Parameters
    ----------
    statistics : Statistics
        Sufficient statistics of the tasks.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    varied_noise : bool
        Whether sigma differs between tasks.
    start : RegressionFit, optional
        A fit of the same form, or of the same form without correlations.
    coarse : bool, default=False
        Whether a rough optimum, near the start, is enough.

    Returns
    -------
    RegressionFit
        The estimates.
    """
    if start is None:
        parameters = np.concatenate([shape.start(), [np.log(0.7), 0.0]])
        ratio, n_reweightings = torch.ones_like(statistics.n_rows), _N_REWEIGHTINGS
    else:
        parameters, ratio = shape.extended(start.parameters, 2), start.ratio
        n_reweightings = 1 if coarse else _N_REWEIGHTINGS - 1
    log_noise, log_spread = 0.0, _LOG_SPREAD_BOUNDS[0]
    for _ in range(n_reweightings if varied_noise else 1):
        weighted = statistics._replace(
            gram=statistics.gram * ratio[:, None, None],
            moment=statistics.moment * ratio[:, None],
            square=statistics.square * ratio,
        )
        parameters = _maximise(weighted, shape, parameters, start is not None, coarse)
        found = _effects(weighted, shape, torch.from_numpy(parameters))
        log_noise = float(parameters[shape.n_parameters])
        if varied_noise:
            log_noise, log_spread, ratio = _estimate_noise(statistics, found, log_noise)
    prior = RegressionPrior(
        found.mean, found.covariance, found.mean_covariance, log_noise, log_spread
    )
    return RegressionFit(prior, parameters, ratio)


def _maximise(
    statistics: Statistics,
    shape: CovarianceShape,
    start: np.ndarray,
    is_warm: bool,
    coarse: bool,
) -> np.ndarray:
    """Maximise without correlations first, then with them, from the directions found."""
    tolerance = _COARSE if coarse else _PRECISE
    if shape.rank == 0 or int(shape.varies.sum()) < 2 or start[shape.n_scales : -2].any():
        return _descend(statistics, shape, start, tolerance, with_factor=True)
    found = start.copy()
    if not is_warm:
        found = _descend(statistics, shape, start, _COARSE, with_factor=False)
    effects = _effects(statistics, shape, torch.from_numpy(found)).effects
    found[: shape.n_parameters] = shape.with_correlations(
        found[: shape.n_parameters], effects.numpy()[:, None]
    )
    return _descend(statistics, shape, found, tolerance, with_factor=True)


def _descend(
    statistics: Statistics,
    shape: CovarianceShape,
    start: np.ndarray,
    tolerance: float,
    with_factor: bool,
) -> np.ndarray:
    return descend(
        lambda at: _minus_log_evidence(statistics, shape, at) + shape.penalty(at),
        start,
        [*shape.bounds(with_factor), _LOG_NOISE_BOUNDS, _LOG_RIDGE_BOUNDS],
        maxiter=500,
        ftol=tolerance,
        gtol=1e-4,
    )


class _Effects(NamedTuple):
    """Estimates at given parameters."""

    mean: Tensor
    covariance: Tensor
    mean_covariance: Tensor
    effects: Tensor


def _fixed_precision(shape: CovarianceShape, log_ridge: Tensor) -> Tensor:
    """Return the precision (q,) of the prior of m."""
    precision = torch.full((len(shape.varies),), _FLAT, dtype=log_ridge.dtype)
    if shape.shrinkage == 0:
        return precision
    return torch.cat([precision[:1], torch.exp(-2 * log_ridge).expand(len(precision) - 1)])


def _minus_log_evidence(statistics: Statistics, shape: CovarianceShape, at: Tensor) -> Tensor:
    gram, moment, square, n_rows = statistics
    log_noise, log_ridge = at[shape.n_parameters], at[shape.n_parameters + 1]
    precision = _fixed_precision(shape, log_ridge)
    root, x_gram, x_moment = _whitened(statistics, shape.covariance(at)[0], log_noise)
    variance = torch.exp(2 * log_noise)
    h = _fixed_information(precision, gram.sum(0) / variance, x_gram)
    g = moment.sum(0) / variance - (x_gram.mT @ x_moment)[..., 0].sum(0)
    h_root = torch.linalg.cholesky(h)
    half = torch.linalg.solve_triangular(h_root, g[:, None], upper=False)
    quadratic = square.sum() / variance - (x_moment**2).sum() - (half**2).sum()
    log_dets = 2 * (_log_diagonal(root).sum() + _log_diagonal(h_root).sum())
    log_dets = log_dets - torch.log(precision).sum()
    value: Tensor = 0.5 * (2 * n_rows.sum() * log_noise + log_dets + quadratic)
    return value


def _fixed_information(precision: Tensor, gram: Tensor, x_gram: Tensor) -> Tensor:
    """Return the precision (q, q) of m, whose prior has a given precision (q,)."""
    rounding = _ROUNDING * torch.diagonal(gram)
    return torch.diag(precision + rounding) + gram - (x_gram.mT @ x_gram).sum(0)


def _log_diagonal(root: Tensor) -> Tensor:
    found: Tensor = torch.log(torch.diagonal(root, dim1=-2, dim2=-1))
    return found


def _whitened(
    statistics: Statistics, covariance: Tensor, log_noise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the root of M = I + L'AL / s^2, and X of root X = L'A / s^2 and L'b / s^2."""
    factor, variance = torch.linalg.cholesky(covariance), torch.exp(2 * log_noise)
    lg = factor.T @ statistics.gram / variance
    m = torch.eye(len(factor), dtype=factor.dtype) + lg @ factor
    root = torch.linalg.cholesky(m)
    lb = (statistics.moment @ factor / variance)[..., None]
    both = torch.linalg.solve_triangular(root, torch.cat([lg, lb], -1), upper=False)
    return root, both[..., :-1], both[..., -1:]


def _effects(statistics: Statistics, shape: CovarianceShape, at: Tensor) -> _Effects:
    covariance = shape.covariance(at)[0]
    log_noise, log_ridge = at[shape.n_parameters], at[shape.n_parameters + 1]
    root, x_gram, x_moment = _whitened(statistics, covariance, log_noise)
    variance, precision = torch.exp(2 * log_noise), _fixed_precision(shape, log_ridge)
    h = _fixed_information(precision, statistics.gram.sum(0) / variance, x_gram)
    g = statistics.moment.sum(0) / variance - (x_gram.mT @ x_moment)[..., 0].sum(0)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(h))
    mean = inverse @ g
    u = torch.linalg.solve_triangular(root.mT, x_moment - (x_gram @ mean)[..., None], upper=True)
    factor = torch.linalg.cholesky(covariance)
    return _Effects(mean, covariance, inverse, u[..., 0] @ factor.T)


def _estimate_noise(
    statistics: Statistics, found: _Effects, log_noise: float
) -> tuple[float, float, Tensor]:
    """Estimate mean and spread of log sigma over tasks by marginal likelihood, given m and S.

    Returns
    -------
    log_noise, log_spread : float
        The estimates.
    ratio : Tensor of shape (G,)
        Expected precision of each task's noise, divided by that at the mean of log sigma.
    """
    gram, moment, square, n_rows = statistics
    factor = torch.linalg.cholesky(found.covariance)
    eigenvalues, vectors = torch.linalg.eigh(factor.T @ gram @ factor)
    eigenvalues = eigenvalues.clamp_min(0.0)
    residual = moment - gram @ found.mean
    shift = (vectors.mT @ (residual @ factor)[..., None])[..., 0] ** 2
    misfit = (
        square - 2 * moment @ found.mean + torch.einsum("p,gpq,q->g", found.mean, gram, found.mean)
    )
    nodes, log_weight = noise_grid(_N_FINE_LEVELS)

    def log_likelihoods(at: Tensor) -> Tensor:
        """Return log likelihoods (k, G), up to a constant, for all noise levels."""
        log_sigma = at[0] + torch.exp(at[1]) * nodes
        variance = torch.exp(2 * log_sigma)[:, None, None]
        fit = (shift / (variance * (variance + eigenvalues))).sum(-1)
        log_det = torch.log1p(eigenvalues / variance).sum(-1)
        likelihood = -0.5 * (misfit / variance[..., 0] - fit + log_det)
        found: Tensor = log_weight[:, None] + likelihood - n_rows * log_sigma[:, None]
        return found

    at = descend(
        lambda at: -torch.logsumexp(log_likelihoods(at), 0).sum(),
        np.array([log_noise, np.log(0.2)]),
        [_LOG_NOISE_BOUNDS, _LOG_SPREAD_BOUNDS],
    )
    probability = torch.softmax(log_likelihoods(torch.from_numpy(at)), 0)
    ratio = (probability * torch.exp(-2 * np.exp(at[1]) * nodes)[:, None]).sum(0)
    return float(at[0]), float(at[1]), ratio
