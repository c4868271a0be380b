"""The prior of a family of classifications by marginal likelihood: a logistic mixed-effects model.

Notation as in `_class_evidence`: q coefficients, j linear predictors, c classes. Coefficients of
predictor j of a task are drawn from N(m_j, S_j).

References: Breslow and Clayton (1993), Approximate inference in generalized linear mixed models;
Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using lme4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from skmeta.mixed._class_evidence import Batch, ClassEvidence, ClassPrior, batch_tasks
from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._episodes import (
    Episodes,
    class_log_probabilities,
    draw_episodes,
    mean_over_queries,
)
from skmeta.mixed._newton import minimise
from skmeta.mixed._structure import Forms, average_over_structures, blend

# Decreases of minus the log likelihood that end the optimisation.
_COARSE, _PRECISE = 1e-2, 1e-3


class ClassFit(NamedTuple):
    """Estimates, and the parameters that another optimisation can start from."""

    prior: ClassPrior
    parameters: np.ndarray


def estimate_class_structures(
    z: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    shapes: Sequence[CovarianceShape],
    n_classes: int,
    start: Forms | None = None,
    is_over: Callable[[], bool] | None = None,
) -> tuple[ClassPrior, Forms]:
    """Estimate a prior for each form of S, and average them by their predictions of other tasks.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,), int64
        Class positions.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.
    shapes : sequence of CovarianceShape
        The forms, from the simplest on.
    n_classes : int
        c.
    start : Forms, optional
        Fits of the same forms to other rows, to start from.
    is_over : callable, optional
        Tells whether the time is over. Then the estimates so far are averaged.

    Returns
    -------
    prior : ClassPrior
        The average.
    forms : Forms
        The estimates and their weights.
    """
    batches = batch_tasks(z, y, codes, n_classes)
    fits: list[ClassFit] = []
    if start is not None:
        fits = [
            fit_classification(batches, shape, n_classes, fit, coarse=True, is_over=is_over)
            for shape, fit in zip(shapes, start.fits, strict=True)
        ]
    for shape in shapes if start is None else ():
        before = fits[-1] if fits else None
        if before and is_over is not None and is_over():
            break
        fits.append(fit_classification(batches, shape, n_classes, before, is_over=is_over))

    def estimate(tasks: np.ndarray) -> list[ClassPrior]:
        rows = np.flatnonzero(np.isin(codes, tasks))
        of_rows = np.searchsorted(tasks, codes[rows])
        part = batch_tasks(z[rows], y[rows], of_rows, n_classes)
        return [
            fit_classification(part, shape, n_classes, start, coarse=True, is_over=is_over).prior
            for shape, start in zip(shapes, fits, strict=False)
        ]

    def score(
        priors: Sequence[ClassPrior], tasks: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        episodes = draw_episodes(z, y, codes, tasks, rng)
        if episodes is None:
            return None
        return np.stack([_log_probabilities(prior, episodes) for prior in priors])

    priors = [fit.prior for fit in fits]
    weights = average_over_structures(priors, codes, estimate, score, is_over, start)
    return blend(priors, weights), Forms(fits, weights)


def _log_probabilities(prior: ClassPrior, episodes: Episodes) -> np.ndarray:
    """Return the mean log probability (e,) of the classes of the query rows of episodes."""
    whole = prior.covariance + prior.mean_covariance
    return mean_over_queries(class_log_probabilities(episodes, prior.mean, whole), episodes)


def fit_classification(
    batches: list[Batch],
    shape: CovarianceShape,
    n_classes: int,
    start: ClassFit | None = None,
    *,
    coarse: bool = False,
    is_over: Callable[[], bool] | None = None,
) -> ClassFit:
    """Maximise the marginal likelihood, from scratch or from an earlier fit.

    Parameters
    ----------
    batches : list of Batch
        Rows of the tasks.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    n_classes : int
        c.
    start : ClassFit, optional
        A fit of the same form, or of the same form without correlations.
    coarse : bool, default=False
        Whether a rough optimum, near the start, is enough.
    is_over : callable, optional
        Tells whether the time is over. Then the parameters reached are returned.

    Returns
    -------
    ClassFit
        The estimates.
    """
    evidence = ClassEvidence(batches, shape)
    tolerance = _COARSE if coarse else _PRECISE
    first, may_correlate = shape.n_parameters, shape.rank and int(shape.varies.sum()) > 1
    if start is None:
        mean = _start_mean(batches, shape)
        found = np.concatenate([shape.start(), mean, [-1.0]])
        found = _minimise(evidence, found, _COARSE if may_correlate else tolerance, False, is_over)
    else:
        found = shape.extended(start.parameters, evidence.n_mean + 1)
    if may_correlate and not found[shape.n_scales : first].any():
        effects = evidence.effects(found)
        found[:first] = shape.with_correlations(found[:first], effects)
        found = _minimise(evidence, found, tolerance, True, is_over)
    elif start is not None:
        found = _minimise(evidence, found, tolerance, True, is_over)
    return ClassFit(evidence.prior(found), found)


def _start_mean(batches: list[Batch], shape: CovarianceShape) -> np.ndarray:
    """Return slopes of 0, and intercepts that give each class its share of the rows."""
    counts = np.sum([(batch.w[..., None] * batch.p).sum((0, 1)) for batch in batches], 0)
    log_share = np.log((counts + 0.5) / (counts + 0.5).sum())
    mean = np.zeros((shape.n_predictors, len(shape.varies)))
    mean[:, 0] = log_share[1] - log_share[0] if len(mean) == 1 else log_share - log_share.mean()
    return mean.ravel()


def _minimise(
    evidence: ClassEvidence,
    start: np.ndarray,
    tolerance: float,
    with_factor: bool,
    is_over: Callable[[], bool] | None,
) -> np.ndarray:
    bounds = np.array([*evidence.shape.bounds(with_factor), *evidence.bounds])
    longest = np.concatenate([evidence.shape.longest_steps(), np.full(evidence.n_mean + 1, 2.0)])
    return minimise(
        evidence.evaluate, start, bounds, tolerance=tolerance, longest=longest, is_over=is_over
    )
