"""The prior of a family of classifications by marginal likelihood: a logistic mixed-effects model.

Notation as in `_laplace`: q coefficients, j linear predictors, c classes. Coefficients of
predictor j of a task are drawn from N(m_j, S_j).

The effects of tasks and m are integrated out by Laplace's approximation. The prior of m is normal
with variance tau^2 for slopes, and flat for intercepts.

References: Breslow and Clayton (1993), Approximate inference in generalized linear mixed models;
Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using lme4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta.learners.hierarchical._covariance import CovarianceShape
from skmeta.learners.hierarchical._descent import descend
from skmeta.learners.hierarchical._laplace import (
    class_codes,
    find_mode,
    information,
    log_joint,
    mode_with_derivative,
    newton_parts,
    times_factor,
)
from skmeta.learners.hierarchical._structure import (
    Episodes,
    average_over_structures,
    draw_episodes,
    mean_over_queries,
)

_LOG_RIDGE_BOUNDS = (-6.0, 2.0)
# Precision of an intercept: its standard deviation is 10 logits.
_FLAT = 0.01
# Tasks computed together: largest ratio of the numbers of rows of two of them.
_SIZE_RATIO = 1.5
# Newton's method stops at a step of this size. The error after one more step is its square.
_TOLERANCE = 1e-4
# Relative changes of the likelihood at which optimisation ends.
_COARSE, _PRECISE = 1e-6, 1e-7
_JITTER = 1e-10


class ClassPrior(NamedTuple):
    """Distribution of the coefficients over the tasks of a family.

    Attributes
    ----------
    mean : Tensor of shape (q, j)
        m.
    covariance : Tensor of shape (j, q, q)
        S.
    mean_covariance : Tensor of shape (j, q, q)
        Covariance of the estimate of m, for each predictor separately.
    """

    mean: Tensor
    covariance: Tensor
    mean_covariance: Tensor


class Batch(NamedTuple):
    """Rows of g tasks of similar size; padding rows have weight 0."""

    z: Tensor  # (g, n, q)
    p: Tensor  # (g, n, c)
    w: Tensor  # (g, n)


def batch_tasks(z: np.ndarray, y: np.ndarray, codes: np.ndarray, n_classes: int) -> list[Batch]:
    """Divide tasks into batches of similar size.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,), int64
        Class positions.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.
    n_classes : int
        c.

    Returns
    -------
    list of Batch
        Batches of all tasks.
    """
    sizes = np.bincount(codes)
    parts = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1])
    parts.sort(key=len)
    indicators = np.eye(n_classes)
    batches, start = [], 0
    while start < len(parts):
        end = start
        while end < len(parts) and len(parts[end]) <= _SIZE_RATIO * len(parts[start]) + 1:
            end += 1
        longest = len(parts[end - 1])
        rows = np.stack([np.resize(part, longest) for part in parts[start:end]])
        there = np.stack([np.arange(longest) < len(part) for part in parts[start:end]])
        arrays = (z[rows], indicators[y[rows]], there.astype(float))
        batches.append(Batch(*(torch.from_numpy(a) for a in arrays)))
        start = end
    return batches


class ClassEvidence:
    """Marginal likelihood of all tasks as a function of the parameters.

    It stores the modes that it found, which are the starts for the next parameters.

    Parameters
    ----------
    batches : list of Batch
        Rows of the tasks.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    codes : Tensor of shape (c, j)
        C.
    """

    def __init__(self, batches: list[Batch], shape: CovarianceShape, codes: Tensor) -> None:
        self.batches, self.shape, self.codes = batches, shape, codes
        self.n_mean = shape.n_scales
        self.modes: list[Tensor | None] = [None] * len(batches)

    def split(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Return m (q, j) and the precision (q,) of its prior, the last of the parameters."""
        first = self.shape.n_parameters
        mean = at[first : first + self.n_mean].reshape(self.shape.n_predictors, -1).T
        slopes = torch.exp(-2 * at[-1]).expand(len(self.shape.varies) - 1)
        if self.shape.shrinkage == 0:
            slopes = torch.full_like(slopes, 1e-6)
        return mean, torch.cat([slopes.new_full((1,), _FLAT), slopes])

    def minus_log(self, at: Tensor) -> Tensor:
        """Return minus the log marginal likelihood, up to a constant."""
        mean, precision = self.split(at)
        factor = torch.linalg.cholesky(self.shape.covariance(at))
        value = 0.5 * (precision[:, None] * mean**2).sum()
        value = value - 0.5 * mean.shape[1] * torch.log(precision).sum()
        information = torch.diag(precision.repeat(mean.shape[1]))
        for k, batch in enumerate(self.batches):
            u = self._mode(k, batch, mean, factor)
            root, gained, _ = self._curvature(u, batch, mean, factor)
            joint = log_joint(u, *batch, mean, factor, self.codes)
            log_det = torch.log(torch.diagonal(root, dim1=-2, dim2=-1)).sum()
            value, information = value - joint.sum() + log_det, information + gained
        h_root = torch.linalg.cholesky(information)
        return value + torch.log(torch.diagonal(h_root)).sum()

    def _mode(self, k: int, batch: Batch, mean: Tensor, factor: Tensor) -> Tensor:
        start = self.modes[k]
        found = find_mode(*batch, mean, factor, self.codes, start=start, tolerance=_TOLERANCE)
        self.modes[k] = found
        return mode_with_derivative(found, *batch, mean, factor, self.codes)

    def _curvature(
        self, u: Tensor, batch: Batch, mean: Tensor, factor: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the root of M, the information on m with effects integrated out, and X."""
        coefficients = mean + times_factor(u, factor)
        _, a = information(coefficients, *batch, self.codes)
        size = factor.shape[0] * factor.shape[1]
        a = a.reshape(len(a), size, size)
        whole = torch.block_diag(*factor)
        la = whole.T @ a
        m = torch.eye(size, dtype=a.dtype) + la @ whole
        root = torch.linalg.cholesky(m)
        x = torch.linalg.solve_triangular(root, la, upper=False)
        return root, a.sum(0) - (x.mT @ x).sum(0), x

    def effects(self, at: Tensor) -> Tensor:
        """Return the effects (G, j, q) of the tasks, in the order of the batches."""
        mean, _ = self.split(at)
        factor = torch.linalg.cholesky(self.shape.covariance(at))
        found = [self._mode(k, batch, mean, factor) for k, batch in enumerate(self.batches)]
        return torch.cat([times_factor(u, factor).mT for u in found])

    def prior(self, at: Tensor) -> ClassPrior:
        """Return the estimates at given parameters."""
        mean, precision = self.split(at)
        covariance = self.shape.covariance(at)
        factor = torch.linalg.cholesky(covariance)
        information = torch.diag(precision.repeat(mean.shape[1]))
        for k, batch in enumerate(self.batches):
            u = self._mode(k, batch, mean, factor)
            information = information + self._curvature(u, batch, mean, factor)[1]
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(information))
        j, q = factor.shape[:2]
        blocks = inverse.reshape(j, q, j, q)
        if j > 1:
            # A constant added to all classes changes no probability, and is not identified.
            centre = torch.eye(j, dtype=blocks.dtype) - 1 / j
            blocks = torch.einsum("ab,bpcq,cd->apdq", centre, blocks, centre)
        each = torch.stack([blocks[i, :, i] for i in range(j)])
        return ClassPrior(mean, covariance, each)


class ClassFit(NamedTuple):
    """Estimates, and the parameters that another optimisation can start from."""

    prior: ClassPrior
    parameters: np.ndarray


def estimate_classification(
    batches: list[Batch], shape: CovarianceShape, n_classes: int
) -> ClassPrior:
    """Maximise the marginal likelihood of all tasks.

    Parameters
    ----------
    batches : list of Batch
        Rows of the tasks.
    shape : CovarianceShape
        Form of S, and its shrinkage.
    n_classes : int
        c.

    Returns
    -------
    ClassPrior
        The estimates.
    """
    return fit_classification(batches, shape, n_classes).prior


def estimate_class_structures(
    z: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    shapes: Sequence[CovarianceShape],
    n_classes: int,
) -> ClassPrior:
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

    Returns
    -------
    ClassPrior
        The average.
    """
    batches = batch_tasks(z, y, codes, n_classes)
    fits: list[ClassFit] = []
    for shape in shapes:
        before = fits[-1] if shape.rank and fits else None
        fits.append(fit_classification(batches, shape, n_classes, before))

    def estimate(tasks: np.ndarray) -> list[ClassPrior]:
        rows = np.flatnonzero(np.isin(codes, tasks))
        of_rows = np.searchsorted(tasks, codes[rows])
        part = batch_tasks(z[rows], y[rows], of_rows, n_classes)
        return [
            fit_classification(part, shape, n_classes, start, coarse=True).prior
            for shape, start in zip(shapes, fits, strict=True)
        ]

    def score(
        priors: Sequence[ClassPrior], tasks: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        episodes = draw_episodes(z, y, codes, tasks, rng)
        if episodes is None:
            return None
        return np.stack([_log_probabilities(prior, episodes, n_classes) for prior in priors])

    return average_over_structures([fit.prior for fit in fits], codes, estimate, score)


def _log_probabilities(prior: ClassPrior, episodes: Episodes, n_classes: int) -> np.ndarray:
    """Return the mean log probability (e,) of the classes of the query rows of episodes.

    Logits are integrated out by MacKay's approximation, which is good enough for a comparison.
    """
    j, q = prior.covariance.shape[:2]
    eye = torch.eye(q, dtype=prior.mean.dtype)
    factor = torch.linalg.cholesky(prior.covariance + prior.mean_covariance + _JITTER * eye)
    codes = class_codes(n_classes, eye)
    indicators = torch.eye(n_classes, dtype=eye.dtype)[episodes.y]
    parts = (episodes.z, indicators, episodes.w, prior.mean, factor, codes)
    u = find_mode(*parts, tolerance=_TOLERANCE)
    root = torch.linalg.cholesky(newton_parts(u, *parts)[1])
    logits = episodes.query_z @ (prior.mean + times_factor(u, factor)) @ codes.T
    # Logits of class c at a row z are z' L_j u_j times the code of c for each predictor j.
    whitened = torch.einsum("emp,jpq,cj->emcjq", episodes.query_z, factor, codes).flatten(-2)
    e, m, c, _ = whitened.shape
    half = torch.linalg.solve_triangular(root, whitened.reshape(e, m * c, j * q).mT, upper=False)
    variance = (half**2).sum(1).reshape(e, m, c)
    if n_classes == 2:
        variance = 4 * variance  # Of the difference of the two logits, for each of them.
    scaled = logits / torch.sqrt(1 + math.pi * variance / 8)
    log_p = torch.log_softmax(scaled, -1).gather(-1, episodes.query_y[..., None])[..., 0]
    return mean_over_queries(log_p, episodes)


def fit_classification(
    batches: list[Batch],
    shape: CovarianceShape,
    n_classes: int,
    start: ClassFit | None = None,
    *,
    coarse: bool = False,
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

    Returns
    -------
    ClassFit
        The estimates.
    """
    evidence = ClassEvidence(batches, shape, class_codes(n_classes, batches[0].z))
    if start is None:
        mean = _start_mean(batches, shape, evidence.codes)
        found = np.concatenate([shape.start(), mean, [-1.0]])
        found = _descend(evidence, found, _COARSE, with_factor=False)
    else:
        found = shape.extended(start.parameters, evidence.n_mean + 1)
    first = shape.n_parameters
    if shape.rank and int(shape.varies.sum()) > 1 and not found[shape.n_scales : first].any():
        effects = evidence.effects(torch.from_numpy(found)).numpy()
        found[:first] = shape.with_correlations(found[:first], effects)
        found = _descend(evidence, found, _COARSE if coarse else _PRECISE, with_factor=True)
    elif start is not None:
        found = _descend(evidence, found, _COARSE if coarse else _PRECISE, with_factor=True)
    with torch.no_grad():
        return ClassFit(evidence.prior(torch.from_numpy(found)), found)


def _start_mean(batches: list[Batch], shape: CovarianceShape, codes: Tensor) -> np.ndarray:
    """Return slopes of 0, and intercepts that give each class its share of the rows."""
    each = [(batch.w[..., None] * batch.p).sum((0, 1)) for batch in batches]
    counts = torch.stack(each).sum(0)
    log_share = torch.log((counts + 0.5) / (counts + 0.5).sum())
    log_share = log_share - log_share.mean()
    mean = np.zeros((shape.n_predictors, len(shape.varies)))
    mean[:, 0] = (torch.linalg.pinv(codes) @ log_share).numpy()
    return mean.ravel()


def _descend(
    evidence: ClassEvidence, start: np.ndarray, tolerance: float, with_factor: bool
) -> np.ndarray:
    shape = evidence.shape
    return descend(
        lambda at: evidence.minus_log(at) + shape.penalty(at),
        start,
        [*shape.bounds(with_factor), *[(-20.0, 20.0)] * evidence.n_mean, _LOG_RIDGE_BOUNDS],
        maxiter=300,
        ftol=tolerance,
        gtol=1e-3,
    )
