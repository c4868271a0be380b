"""Which coefficients differ between tasks: forms of the covariance, weighted on held-out tasks.

A covariance of all coefficients is estimated well from many tasks only. So several forms of it are
estimated: one where intercepts alone differ between tasks, one with slopes that are independent,
and one with correlated slopes. The prior is their weighted mean: a shrinkage estimate whose
weights follow from the log predictive density of tasks that the estimates have not seen. For
that, tasks are divided into two halves, and each half is predicted by estimates from the other.
Many weights are tried, and their average is taken, each counted by its predictive likelihood: a
few tasks leave much uncertain, and the best weights on them would be too extreme.

Notation: k priors, e episodes, s support rows, m query rows, q coefficients, j linear predictors,
c classes.

References: Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance
matrices; Stone (1974), Cross-validatory choice and assessment of statistical predictions; Yao,
Vehtari, Simpson and Gelman (2018), Using stacking to average Bayesian predictive distributions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from skmeta._stacking import average_weights
from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._episodes import Episodes, draw_episodes
from skmeta.mixed._newton import Evaluation, minimise

EFFECTS = ("auto", "intercept", "slopes", "correlated")
# Shares of the forms with slopes, and of correlated slopes among these, that are tried. Small
# shares shrink slopes whose variance the likelihood overrates, because rows of a task depend on
# each other.
_SHARES_OF_SLOPES = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)
_SHARES_OF_CORRELATED = (0.0, 1 / 2, 1.0)
# Query rows of an episode are dependent, and count like this number of rows in all.
_N_INDEPENDENT = 3.0
# With fewer tasks, all forms get the same weight; more are needed if there is an earlier fit.
_LEAST_TASKS, _LEAST_TASKS_AGAIN = 8, 16
# With so many tasks, the weights hardly depend on a few of them, and those of an earlier fit are
# taken over.
_ENOUGH_TASKS = 50
# Estimates of a half are from at most this many tasks, and episodes of the other.
_MOST_ESTIMATED, _MOST_TASKS = 300, 60
_SEED = 0
# Decrease of minus the log likelihood that ends a rough optimisation, and longest steps of the
# parameters that do not belong to the covariance.
_COARSE, _LONGEST_STEP = 1e-2, 2.0


class Prior(NamedTuple):
    """Distribution of the coefficients, and of a regression's noise, over tasks.

    Attributes
    ----------
    mean : ndarray of shape (q, j)
        m.
    covariance : ndarray of shape (j, q, q)
        S.
    mean_covariance : ndarray of shape (j, q, q)
        Covariance of the estimate of m, for each predictor separately.
    log_noise : float
        Mean over tasks of log sigma; 0 for a classification.
    log_spread : float or None
        Logarithm of the standard deviation of log sigma; None for the same noise in all tasks.
    log_scale_spread : float or None
        The same of the log scale of the effects; None for the same scale, 1.
    """

    mean: np.ndarray
    covariance: np.ndarray
    mean_covariance: np.ndarray
    log_noise: float = 0.0
    log_spread: float | None = None
    log_scale_spread: float | None = None


class Fit(NamedTuple):
    """Estimates of one form, and the parameters that another optimisation can start from."""

    prior: Prior
    parameters: np.ndarray


class Forms(NamedTuple):
    """Fits of the forms of the covariance, and their weights (k,)."""

    fits: list[Fit]
    weights: np.ndarray


class Evidence(Protocol):
    """A marginal likelihood as a function of the parameters, those of the covariance first."""

    shape: CovarianceShape

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Lowest and highest values of the parameters after those of the covariance."""

    def evaluate(self, values: np.ndarray) -> Evaluation:
        """Return minus the log posterior of the parameters."""

    def effects(self, values: np.ndarray) -> np.ndarray:
        """Return the effects (G, j, q) of the tasks."""


class Family(Protocol):
    """Tasks, with a way to fit them and to score predictions."""

    def fit(self, shape: CovarianceShape, start: Fit | None, coarse: bool) -> Fit:
        """Fit one form, from scratch or from an earlier fit; ``coarse`` ends near the start."""

    def take(self, tasks: np.ndarray) -> Self:
        """Return some of the tasks."""

    def log_densities(self, prior: Prior, episodes: Episodes) -> np.ndarray:
        """Return log predictive densities (e, m) of the query rows of episodes."""


def maximise(evidence: Evidence, start: np.ndarray, tolerance: float, is_warm: bool) -> np.ndarray:
    """Maximise an evidence without correlations first, then from the directions found.

    Parameters
    ----------
    evidence : Evidence
        Minus the function.
    start : ndarray of shape (p,)
        Where to begin.
    tolerance : float
        Decrease that ends the optimisation.
    is_warm : bool
        Whether the start is the optimum without correlations.

    Returns
    -------
    ndarray of shape (p,)
        The parameters.
    """
    shape, k, at = evidence.shape, evidence.shape.n_parameters, start
    bounds, uncorrelated = (
        np.array([*shape.bounds(with_factor), *evidence.bounds]) for with_factor in (True, False)
    )
    longest = np.append(shape.longest_steps(), np.full(len(at) - k, _LONGEST_STEP))
    may_correlate = shape.rank > 0 and int(shape.varies.sum()) > 1
    if may_correlate and not at[shape.n_scales : k].any():
        if not is_warm:
            at = minimise(evidence.evaluate, at, uncorrelated, tolerance=_COARSE, longest=longest)
        directions = shape.with_correlations(at[:k], evidence.effects(at))
        at = np.append(directions, at[k:])
    return minimise(evidence.evaluate, at, bounds, tolerance=tolerance, longest=longest)


def fit_forms(
    family: Family,
    shapes: Sequence[CovarianceShape],
    z: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    before: Forms | None = None,
    is_over: Callable[[], bool] | None = None,
) -> tuple[Prior, Forms]:
    """Fit each form, and average them by how well they predict tasks they have not seen.

    Parameters
    ----------
    family : Family
        The tasks.
    shapes : sequence of CovarianceShape
        The forms, from the simplest on.
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,)
        Targets, or class positions.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.
    before : Forms, optional
        Fits of the same forms to other rows, to start from.
    is_over : callable, optional
        Tells whether the time is over. Then the forms fitted so far are averaged, and those
        without a prediction get the same weight.

    Returns
    -------
    prior : Prior
        The average.
    forms : Forms
        The fits and their weights.
    """
    fits: list[Fit] = []
    for k, shape in enumerate(shapes):
        if fits and is_over is not None and is_over():
            break
        start = (fits[-1] if fits else None) if before is None else before.fits[k]
        fits.append(family.fit(shape, start, before is not None))
    n_tasks, weights = int(codes.max()) + 1, np.full(len(fits), 1 / len(fits))
    if before is not None and n_tasks >= _ENOUGH_TASKS:
        weights = before.weights
    elif len(fits) > 1 and n_tasks >= (_LEAST_TASKS if before is None else _LEAST_TASKS_AGAIN):
        weights = _weigh(family, shapes, fits, z, y, codes, is_over)
    return blend([fit.prior for fit in fits], weights), Forms(fits, weights)


def _weigh(
    family: Family,
    shapes: Sequence[CovarianceShape],
    fits: list[Fit],
    z: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    is_over: Callable[[], bool] | None,
) -> np.ndarray:
    """Return weights (k,) of the forms: each half of the tasks is predicted from the other."""
    # Tasks and rows are sorted by content, and a fixed seed makes fit deterministic.
    rng = np.random.default_rng(_SEED)
    order = rng.permutation(int(codes.max()) + 1)
    grid, scores = _weight_grid(len(fits)), []
    for held_out, others in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        if is_over is not None and is_over():
            break
        part = family.take(np.sort(others[:_MOST_ESTIMATED]))
        pairs = zip(shapes, fits, strict=False)
        estimates = [part.fit(shape, fit, True).prior for shape, fit in pairs]
        episodes = draw_episodes(z, y, codes, np.sort(held_out)[:_MOST_TASKS], rng)
        if episodes is not None:
            priors = [blend(estimates, weights) for weights in grid]
            each = np.stack([family.log_densities(prior, episodes) for prior in priors])
            rows = episodes.query_w
            scores.append((each * rows).sum(2) / rows.sum(1))
    if not scores:
        return np.full(len(fits), 1 / len(fits))
    losses = -np.concatenate(scores, 1)
    return average_weights(losses, grid, n_independent=_N_INDEPENDENT * losses.shape[1])


def candidate_shapes(shape: CovarianceShape, effects: str) -> list[CovarianceShape]:
    """Return the forms of the covariance that are estimated, from the simplest on.

    Parameters
    ----------
    shape : CovarianceShape
        Coefficients that may differ, rank and shrinkage.
    effects : {"auto", "intercept", "slopes", "correlated"}
        A single form, or all of them.

    Returns
    -------
    list of CovarianceShape
        At least one form. None is given twice.
    """
    first = np.zeros_like(shape.varies)
    first[0] = True
    shapes = {
        "intercept": replace(shape, varies=first, rank=0),
        "slopes": replace(shape, rank=0),
        "correlated": shape,
    }
    if effects != "auto":
        return [shapes[effects]]
    n_varying = int(shape.varies.sum())
    if n_varying == 1:
        return [shapes["intercept"]]
    return list(shapes.values())[: 3 if shape.rank else 2]


def blend(priors: Sequence[Prior], weights: Sequence[float] | np.ndarray) -> Prior:
    """Return the weighted mean of priors, field by field."""

    def mean(values: tuple[Any, ...]) -> Any:
        if values[0] is None:
            return None
        return sum(float(w) * v for w, v in zip(weights, values, strict=True) if w)

    return Prior(*map(mean, zip(*priors, strict=True)))


def _weight_grid(k: int) -> np.ndarray:
    """Return weights (g, k) of the forms, from the simplest on."""
    if k == 2:
        return np.array([[1 - share, share] for share in _SHARES_OF_SLOPES])
    pairs = itertools.product(_SHARES_OF_SLOPES, _SHARES_OF_CORRELATED)
    grid = {(1 - slopes, slopes * (1 - part), slopes * part) for slopes, part in pairs}
    return np.array(sorted(grid, reverse=True))
