"""The prior of a family of regressions by marginal likelihood: a linear mixed-effects model.

Notation as in `_gaussian_evidence`: G tasks, q coefficients, sufficient statistics A, b, c and n.
Coefficients of a task are drawn from N(m, S), targets from N(Z b, sigma^2).

If the noise differs between tasks, two steps alternate: S, m and sigma are estimated with tasks
weighted by their expected precision, and the distribution of sigma given S and m.

Effects of tasks often have heavier tails than a normal distribution. So they are drawn from
N(0, s^2 S), where the logarithm of the scale s of a task is N(0, tau^2) over tasks. Otherwise a
task that is far from the others would pass for a noisy one if the noise may differ, and its effects
would be shrunken too much. tau maximises the marginal likelihood, given all else.

References: Laird and Ware (1982), Random-effects models for longitudinal data; Bates, Maechler,
Bolker and Walker (2015), Fitting linear mixed-effects models using lme4, section 3; West (1987), On
scale mixtures of normal distributions; Pinheiro, Liu and Wu (2001), Efficient algorithms for robust
estimation in linear mixed-effects models using the multivariate t distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._episodes import Episodes, draw_episodes, mean_over_queries, target_log_densities
from skmeta.mixed._gaussian_evidence import (
    LOG_NOISE_BOUNDS,
    LOG_RIDGE_BOUNDS,
    GaussianEvidence,
)
from skmeta.mixed._levels import effect_scales, noise_levels
from skmeta.mixed._newton import minimise
from skmeta.mixed._noise import (
    LOG_SCALE_SPREAD_BOUNDS,
    LOG_SPREAD_BOUNDS,
    estimate_noise,
    estimate_scales,
)
from skmeta.mixed._statistics import GroupStatistics, group_statistics
from skmeta.mixed._structure import Forms, average_over_structures, blend

_N_REWEIGHTINGS = 3
# The fit of twice as many tasks, or more, starts from that of so many.
_ENOUGH_TASKS = 400
# Decreases of minus the log likelihood that end the optimisation.
_COARSE, _PRECISE = 1e-2, 1e-5
# Levels of the noise and scales of the effects in a comparison of forms.
_N_LEVELS, _N_SCALES = 7, 3
# Where the standard deviation of log sigma over tasks starts.
_START_SPREAD, _LEAST_START_SPREAD = 0.2, 0.05


class RegressionPrior(NamedTuple):
    """Distribution of coefficients and noise over the tasks of a family.

    Attributes
    ----------
    mean : np.ndarray of shape (q,)
        m.
    covariance : np.ndarray of shape (q, q)
        S.
    mean_covariance : np.ndarray of shape (q, q)
        Covariance of the estimate of m.
    log_noise : float
        Mean of log sigma over tasks.
    log_spread : float
        Logarithm of the standard deviation of log sigma over tasks.
    log_scale_spread : float
        log tau.
    """

    mean: np.ndarray
    covariance: np.ndarray
    mean_covariance: np.ndarray
    log_noise: float
    log_spread: float
    log_scale_spread: float


class RegressionFit(NamedTuple):
    """Estimates, and what another optimisation can start from.

    Attributes
    ----------
    prior : RegressionPrior
        The estimates.
    parameters : ndarray
        Parameters of the covariance, then the logarithms of the noise and of tau.
    ratio : np.ndarray of shape (G,)
        Expected precision of each task's noise, divided by that at the mean of log sigma.
    """

    prior: RegressionPrior
    parameters: np.ndarray
    ratio: np.ndarray


def estimate_structures(
    z: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    shapes: Sequence[CovarianceShape],
    *,
    varied_noise: bool,
    heavy_tails: bool,
    start: Forms | None = None,
    is_over: Callable[[], bool] | None = None,
) -> tuple[RegressionPrior, Forms]:
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
    heavy_tails : bool
        Whether s does.
    start : Forms, optional
        Fits of the same forms to other rows, to start from.
    is_over : callable, optional
        Tells whether the time is over. Then the estimates so far are averaged.

    Returns
    -------
    prior : RegressionPrior
        The average.
    forms : Forms
        The estimates and their weights.
    """
    statistics = group_statistics(z, y, codes, int(codes.max()) + 1)
    options: dict[str, Any] = {"varied_noise": varied_noise, "heavy_tails": heavy_tails}
    options["is_over"] = is_over
    fits: list[RegressionFit] = []
    if start is not None:
        for shape, fit in zip(shapes, start.fits, strict=True):
            warm = fit._replace(ratio=_noise_ratio(statistics, shape, fit, varied_noise))
            fits.append(fit_regression(statistics, shape, start=warm, coarse=True, **options))
    for shape in shapes if start is None else ():
        before = fits[-1] if fits else None
        if before and is_over is not None and is_over():
            break
        fits.append(_fit_many(statistics, shape, before, options))

    def estimate(tasks: np.ndarray) -> list[RegressionPrior]:
        return [
            fit_regression(
                statistics.take(tasks),
                shape,
                start=fit._replace(ratio=fit.ratio[tasks]),
                coarse=True,
                **options,
            ).prior
            for shape, fit in zip(shapes, fits, strict=False)
        ]

    def score(
        priors: Sequence[RegressionPrior], tasks: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        episodes = draw_episodes(z, y, codes, tasks, rng)
        if episodes is None:
            return None
        varies = varied_noise, heavy_tails
        return np.stack([_log_densities(prior, episodes, *varies) for prior in priors])

    priors = [fit.prior for fit in fits]
    weights = average_over_structures(priors, codes, estimate, score, is_over, start)
    return blend(priors, weights), Forms(fits, weights)


def _fit_many(
    statistics: GroupStatistics,
    shape: CovarianceShape,
    before: RegressionFit | None,
    options: dict[str, Any],
) -> RegressionFit:
    """Fit all tasks; if they are many, start from a fit of some of them."""
    n_tasks = len(statistics.n_rows)
    if n_tasks < 2 * _ENOUGH_TASKS:
        return fit_regression(statistics, shape, start=before, **options)
    rows = np.linspace(0, n_tasks - 1, _ENOUGH_TASKS).round().astype(int)
    of_some = before and before._replace(ratio=before.ratio[rows])
    first = fit_regression(statistics.take(rows), shape, start=of_some, **options)
    ratio = _noise_ratio(statistics, shape, first, options["varied_noise"])
    start = first._replace(ratio=ratio)
    return fit_regression(statistics, shape, start=start, coarse=True, **options)


def _noise_ratio(
    statistics: GroupStatistics, shape: CovarianceShape, fit: RegressionFit, varied_noise: bool
) -> np.ndarray:
    """Return the ratio of a fit for other tasks."""
    if not varied_noise:
        return np.ones(len(statistics.n_rows))
    found = GaussianEvidence(statistics, shape).estimates(fit.parameters)
    return estimate_noise(statistics, found, fit.prior.log_noise, fit.prior.log_spread)[2]


def _log_densities(
    prior: RegressionPrior, episodes: Episodes, varied_noise: bool, heavy_tails: bool
) -> np.ndarray:
    """Return the mean log predictive density (e,) of the query rows of episodes."""
    levels = noise_levels(prior.log_noise, prior.log_spread if varied_noise else None, _N_LEVELS)
    scales = effect_scales(prior.log_scale_spread if heavy_tails else None, _N_SCALES)
    of_model = (prior.mean, prior.covariance + prior.mean_covariance, *levels, *scales)
    return mean_over_queries(target_log_densities(episodes, *of_model), episodes)


def fit_regression(
    statistics: GroupStatistics,
    shape: CovarianceShape,
    *,
    varied_noise: bool,
    heavy_tails: bool,
    start: RegressionFit | None = None,
    coarse: bool = False,
    is_over: Callable[[], bool] | None = None,
) -> RegressionFit:
    """Maximise the marginal likelihood, from scratch or from an earlier fit.

    Parameters
    ----------
    statistics : GroupStatistics
        Sufficient statistics of the tasks.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    varied_noise : bool
        Whether sigma differs between tasks.
    heavy_tails : bool
        Whether s does.
    start : RegressionFit, optional
        A fit of the same form, or of the same form without correlations.
    coarse : bool, default=False
        Whether a rough optimum, near the start, is enough.
    is_over : callable, optional
        Tells whether the time is over. Then the parameters reached are returned.

    Returns
    -------
    RegressionFit
        The estimates.
    """
    if start is None:
        parameters = np.concatenate([shape.start(), [np.log(0.7), 0.0]])
        ratio, n_reweightings = np.ones(len(statistics.n_rows)), _N_REWEIGHTINGS
    else:
        parameters, ratio = shape.extended(start.parameters, 2), start.ratio
        n_reweightings = 1 if coarse else _N_REWEIGHTINGS
    log_noise, log_spread = 0.0, float(np.log(_START_SPREAD))
    if start is not None:
        # Not from the lower bound, near which the likelihood is flat.
        log_spread = max(start.prior.log_spread, float(np.log(_LEAST_START_SPREAD)))
    for _ in range(n_reweightings if varied_noise else 1):
        weighted = statistics._replace(
            gram=statistics.gram * ratio[:, None, None],
            moment=statistics.moment * ratio[:, None],
            square=statistics.square * ratio,
        )
        evidence = GaussianEvidence(weighted, shape)
        parameters = _maximise(evidence, parameters, start is not None, coarse, is_over)
        found = evidence.estimates(parameters)
        log_noise = float(parameters[shape.n_parameters])
        if varied_noise:
            log_noise, log_spread, ratio = estimate_noise(statistics, found, log_noise, log_spread)
    if not varied_noise:
        log_spread = LOG_SPREAD_BOUNDS[0]
    log_scale_spread = LOG_SCALE_SPREAD_BOUNDS[0]
    if heavy_tails and coarse and start is not None:
        log_scale_spread = start.prior.log_scale_spread
    elif heavy_tails:
        log_scale_spread = estimate_scales(statistics, found, log_noise, log_spread)
    prior = RegressionPrior(
        found.mean,
        found.covariance,
        found.mean_covariance,
        log_noise,
        log_spread,
        log_scale_spread,
    )
    return RegressionFit(prior, parameters, ratio)


def _maximise(
    evidence: GaussianEvidence,
    start: np.ndarray,
    is_warm: bool,
    coarse: bool,
    is_over: Callable[[], bool] | None,
) -> np.ndarray:
    """Maximise without correlations first, then with them, from the directions found."""
    shape, tolerance = evidence.shape, _COARSE if coarse else _PRECISE
    if shape.rank == 0 or int(shape.varies.sum()) < 2 or start[shape.n_scales : -2].any():
        return _minimise(evidence, start, tolerance, True, is_over)
    found = start.copy()
    if not is_warm:
        found = _minimise(evidence, start, _COARSE, False, is_over)
    effects = evidence.estimates(found).effects
    found[: shape.n_parameters] = shape.with_correlations(
        found[: shape.n_parameters], effects[:, None]
    )
    return _minimise(evidence, found, tolerance, True, is_over)


def _minimise(
    evidence: GaussianEvidence,
    start: np.ndarray,
    tolerance: float,
    with_factor: bool,
    is_over: Callable[[], bool] | None,
) -> np.ndarray:
    bounds = [*evidence.shape.bounds(with_factor), LOG_NOISE_BOUNDS, LOG_RIDGE_BOUNDS]
    longest = np.concatenate([evidence.shape.longest_steps(), [2.0, 2.0]])
    return minimise(
        evidence.evaluate,
        start,
        np.array(bounds),
        tolerance=tolerance,
        longest=longest,
        is_over=is_over,
    )
