"""All groups of a table at once: their statistics and posteriors, and predictions of rows by group.

Notation as in `_gaussian` and `_laplace`: G groups, n rows, q coefficients (the first is the
intercept), k noise levels, l scales of effects, j linear predictors, c classes, m query rows. Codes
(n,) or (m,) are the groups of rows, from 0 on. A group may have no rows; its posterior is the
prior.

Groups are computed in batches of similar size, padded with rows of weight 0. Of a regression, the
posterior of a group is kept in the basis of the eigenvectors V of L'AL, where A = Z'WZ and L L' is
the prior covariance of the coefficients. There it is diagonal for all noise levels and scales: the
coefficients are m + L V u, and given sigma and s, element i of u is normal with mean
s^2 r_i / (sigma^2 + s^2 lambda_i) and variance s^2 sigma^2 / (sigma^2 + s^2 lambda_i), with
r = V'L'Z'W (y - Z m) and eigenvalues lambda.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta.backend import to_numpy
from skmeta.learners.hierarchical._function_space import query_log_proba
from skmeta.learners.hierarchical._laplace import (
    ClassTask,
    class_log_proba,
    find_mode,
    mode_with_derivative,
)

# Groups computed together: largest ratio of the numbers of rows of two of them.
_SIZE_RATIO = 1.5
# Values of one array of a batch, to bound the memory.
_MOST_VALUES = 2**21
# Query rows of a group of a classification computed together.
_MOST_QUERIES = 16


class Batch(NamedTuple):
    """Groups of similar size.

    Attributes
    ----------
    groups : Tensor of shape (g,), int64
        Numbers of the groups.
    rows : Tensor of shape (g, n), int64
        Positions of their rows; padding repeats one.
    there : Tensor of shape (g, n), float64
        1 for rows, and 0 for padding.
    """

    groups: Tensor
    rows: Tensor
    there: Tensor


class _Sorted(NamedTuple):
    """Positions of rows, sorted by group; first positions and numbers of rows of the groups."""

    order: Tensor
    starts: Tensor
    sizes: Tensor

    def padded(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Return positions of the rows of groups, and which are there, (g, n)."""
        sizes = self.sizes[groups]
        position = torch.arange(int(sizes.max()), device=sizes.device)
        there = position < sizes[:, None]
        at = self.starts[groups, None] + torch.where(there, position, 0)
        rows = self.order[at.clamp_max(len(self.order) - 1)]
        return rows, there.to(torch.float64)


def _sort(codes: Tensor, n_groups: int) -> _Sorted:
    sizes = torch.bincount(codes, minlength=n_groups)
    return _Sorted(torch.argsort(codes, stable=True), torch.cumsum(sizes, 0) - sizes, sizes)


def _similar(sizes: Tensor, n_values: int) -> Iterator[Tensor]:
    """Yield positions of similar sizes, whose sum with padding times n_values is bounded."""
    by_size = torch.argsort(sizes, stable=True)
    of_size = to_numpy(sizes[by_size])
    first = 0
    while first < len(of_size):
        longest = int(_SIZE_RATIO * of_size[first]) + 1
        most = max(1, _MOST_VALUES // (longest * n_values))
        last = min(int(np.searchsorted(of_size, longest, side="right")), first + most)
        yield by_size[first:last]
        first = last


def batches_of_groups(codes: Tensor, n_groups: int, n_values: int = 1) -> Iterator[Batch]:
    """Divide the groups that have rows into batches of similar size.

    Parameters
    ----------
    codes : Tensor of shape (n,), int64
        Group of each row.
    n_groups : int
        G.
    n_values : int, default=1
        Number of values that a computation needs for each row.

    Yields
    ------
    Batch
        Groups without rows are in none.
    """
    rows = _sort(codes, n_groups)
    present = torch.nonzero(rows.sizes)[:, 0]
    for part in _similar(rows.sizes[present], n_values):
        yield Batch(present[part], *rows.padded(present[part]))


class GroupStatistics(NamedTuple):
    """Sufficient statistics of the rows of each group.

    Attributes
    ----------
    gram : Tensor of shape (G, q, q)
        A = Z'WZ.
    moment : Tensor of shape (G, q)
        Z'W (y - Z m).
    square : Tensor of shape (G,)
        (y - Z m)'W (y - Z m).
    n_rows : Tensor of shape (G,)
        Sums of the weights.
    """

    gram: Tensor
    moment: Tensor
    square: Tensor
    n_rows: Tensor


def group_statistics(
    z: Tensor, y: Tensor, w: Tensor | None, codes: Tensor, n_groups: int
) -> GroupStatistics:
    """Compute the sufficient statistics of the rows of each group.

    Parameters
    ----------
    z : Tensor of shape (n, q)
        Rows with a leading 1.
    y : Tensor of shape (n,)
        Targets, or their distances to Z m.
    w : Tensor of shape (n,) or None
        Weights; None if all are 1.
    codes : Tensor of shape (n,), int64
        Group of each row.
    n_groups : int
        G.

    Returns
    -------
    GroupStatistics
        With zeros for groups without rows.
    """
    q = z.shape[1]
    gram, moment = z.new_zeros(n_groups, q, q), z.new_zeros(n_groups, q)
    square, n_rows = z.new_zeros(n_groups), z.new_zeros(n_groups)
    for groups, rows, there in batches_of_groups(codes, n_groups, q):
        weight = there if w is None else there * w[rows]
        of_z, of_y = z[rows], y[rows]
        weighted = weight[..., None] * of_z
        gram[groups] = weighted.mT @ of_z
        moment[groups] = (weighted.mT @ of_y[..., None])[..., 0]
        square[groups] = (weight * of_y**2).sum(1)
        n_rows[groups] = weight.sum(1)
    return GroupStatistics(gram, moment, square, n_rows)


# ---------------------------------------------------------------------------------- regressions


class GroupPosterior(NamedTuple):
    """Posteriors of the coefficients of all groups; see the notation of the module.

    Attributes
    ----------
    mean : Tensor of shape (G, q)
        Means over all noise levels and scales.
    prior_mean : Tensor of shape (q,)
        m.
    basis : Tensor of shape (G, q, q)
        L V.
    eigenvalues : Tensor of shape (G, q)
        lambda.
    shift : Tensor of shape (G, q)
        r.
    noise : Tensor of shape (k,)
        sigma.
    scale : Tensor of shape (l,)
        s.
    log_share : Tensor of shape (G, k, l)
        Logarithms of the probabilities of the scales, given the noise level.
    log_weight : Tensor of shape (G, k)
        Logarithms of the probabilities of the noise levels.
    """

    mean: Tensor
    prior_mean: Tensor
    basis: Tensor
    eigenvalues: Tensor
    shift: Tensor
    noise: Tensor
    scale: Tensor
    log_share: Tensor
    log_weight: Tensor


def group_posteriors(
    z: Tensor,
    y: Tensor,
    w: Tensor,
    codes: Tensor,
    n_groups: int,
    mean: Tensor,
    factor: Tensor,
    noise: Tensor,
    log_weight: Tensor,
    scale: Tensor,
    log_share: Tensor,
) -> GroupPosterior:
    """Condition the prior of a regression on the rows of each group.

    Parameters
    ----------
    z : Tensor of shape (n, q)
        Rows with a leading 1.
    y, w : Tensor of shape (n,)
        Targets, and weights as numbers of repetitions.
    codes : Tensor of shape (n,), int64
        Group of each row.
    n_groups : int
        G.
    mean : Tensor of shape (q,)
        m.
    factor : Tensor of shape (q, q)
        L.
    noise, log_weight : Tensor of shape (k,)
        Noise levels and their log probabilities before any row is seen.
    scale, log_share : Tensor of shape (l,)
        Scales of the effects and their log probabilities.

    Returns
    -------
    GroupPosterior
        The same, up to rounding, as of
        :func:`~skmeta.learners.hierarchical._gaussian.regression_posterior` for each group.
    """
    gram, moment, square, n_rows = group_statistics(z, y - z @ mean, w, codes, n_groups)
    eigenvalues, vectors = torch.linalg.eigh(factor.T @ gram @ factor)
    eigenvalues = eigenvalues.clamp_min(0.0)
    basis = factor @ vectors
    shift = (basis.mT @ moment[..., None])[..., 0]
    q, n_parts = len(mean), len(noise) * len(scale)
    after = z.new_empty(n_groups, len(noise), len(scale))
    weight, centre = z.new_empty(n_groups, len(noise)), z.new_empty(n_groups, q)
    for part in torch.arange(n_groups, device=z.device).split(
        max(1, _MOST_VALUES // (n_parts * q))
    ):
        per_sigma, of_u, _ = _of_u(eigenvalues[part], shift[part], noise, scale)
        fit = (of_u * shift[part][:, None, None]).sum(-1) / noise[:, None] ** 2
        log_det = torch.log(per_sigma).sum(-1)
        misfit = square[part][:, None] / noise**2
        joint = log_share - 0.5 * (misfit[..., None] - fit + log_det)
        joint = joint - (n_rows[part][:, None] * torch.log(noise))[..., None]
        after[part] = torch.log_softmax(joint, 2)
        weight[part] = torch.log_softmax(log_weight + torch.logsumexp(joint, 2), 1)
        whole = (weight[part][..., None] + after[part]).exp().flatten(1)
        centre[part] = (whole[:, None] @ of_u.flatten(1, 2))[:, 0]
    found = mean + (basis @ centre[..., None])[..., 0]
    return GroupPosterior(found, mean, basis, eigenvalues, shift, noise, scale, after, weight)


def _of_u(
    eigenvalues: Tensor, shift: Tensor, noise: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return 1 + s^2 lambda / sigma^2, and means and variances of u, (g, k, l, q)."""
    square, variance = scale[:, None] ** 2, noise[:, None, None] ** 2
    per_sigma = 1 + (square / variance) * eigenvalues[:, None, None]
    of_u = (square / variance) * shift[:, None, None] / per_sigma
    return per_sigma, of_u, square / per_sigma


def group_predictive(
    posterior: GroupPosterior, z: Tensor, codes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the predictive distributions of rows: mixtures of k normal distributions.

    Parameters
    ----------
    posterior : GroupPosterior
        What :func:`group_posteriors` returned.
    z : Tensor of shape (m, q)
        Rows with a leading 1.
    codes : Tensor of shape (m,), int64
        Their groups.

    Returns
    -------
    mean, variance, log_weight : Tensor of shape (k, m)
        Means, variances and log probabilities of the components.
    """
    noise, scale, q = posterior.noise, posterior.scale, z.shape[1]
    mean, variance = z.new_empty(len(noise), len(z)), z.new_empty(len(noise), len(z))
    present, own = torch.unique(codes, return_inverse=True)
    for groups, rows, _ in batches_of_groups(own, len(present), q + 3 * len(noise) * len(scale)):
        of = present[groups]
        _, of_u, spread = _of_u(posterior.eigenvalues[of], posterior.shift[of], noise, scale)
        along = z[rows] @ posterior.basis[of]  # (g, n, q)
        shape = (*rows.shape, len(noise), len(scale))
        moved = (along @ of_u.flatten(1, 2).mT).reshape(shape)
        inner = ((along**2) @ spread.flatten(1, 2).mT).reshape(shape)
        share = posterior.log_share[of].exp()[:, None]
        centre = (share * moved).sum(-1)
        whole = (share * (inner + (moved - centre[..., None]) ** 2)).sum(-1)
        mean[:, rows] = centre.permute(2, 0, 1)
        variance[:, rows] = (whole + noise**2).permute(2, 0, 1)
    return mean + z @ posterior.prior_mean, variance, posterior.log_weight[codes].T


# ------------------------------------------------------------------------------- classifications


def group_modes(task: ClassTask, codes: Tensor, n_groups: int) -> Tensor:
    """Find the modes (G, j, q) of the whitened coefficients of all groups of a classification.

    Parameters
    ----------
    task : ClassTask
        Rows of all groups, and the prior.
    codes : Tensor of shape (n,), int64
        Group of each row.
    n_groups : int
        G.
    """
    modes = task.z.new_zeros(n_groups, *task.factor.shape[:2])
    n_values = task.factor.shape[0] ** 2 * task.z.shape[1]
    for groups, rows, there in batches_of_groups(codes, n_groups, n_values):
        part = task._replace(z=task.z[rows], p=task.p[rows], w=there * task.w[rows])
        modes[groups] = mode_with_derivative(find_mode(part), part)
    return modes


def group_log_proba(
    modes: Tensor, task: ClassTask, codes: Tensor, at: Tensor, codes_at: Tensor
) -> Tensor:
    """Return log probabilities (m, c) of the classes of query rows.

    Parameters
    ----------
    modes : Tensor of shape (G, j, q)
        What :func:`group_modes` returned.
    task : ClassTask
        Rows of all groups, and the prior.
    codes : Tensor of shape (n,), int64
        Group of each row.
    at : Tensor of shape (m, q)
        Query rows with a leading 1.
    codes_at : Tensor of shape (m,), int64
        Their groups.
    """
    found = at.new_empty(len(at), len(task.codes))
    (j, q), c, n_groups = task.factor.shape[:2], len(task.codes), len(modes)
    support, queries = _sort(codes, n_groups), _sort(codes_at, n_groups)
    # Queries of a group in chunks, each of which is computed with all support rows of the group.
    n_chunks = -(-queries.sizes // _MOST_QUERIES)
    own = torch.repeat_interleave(torch.arange(n_groups, device=at.device), n_chunks)
    rank = torch.arange(len(own), device=at.device) - (torch.cumsum(n_chunks, 0) - n_chunks)[own]
    past = rank * _MOST_QUERIES
    sizes = (queries.sizes[own] - past).clamp_max(_MOST_QUERIES)
    chunks = _Sorted(queries.order, queries.starts[own] + past, sizes)
    # The method for each number of support rows is that of `predict_classes`.
    few = c * support.sizes[own] ** 3 < (j * q) ** 3
    for is_few, method in ((True, query_log_proba), (False, class_log_proba)):
        side = torch.nonzero(few == is_few)[:, 0]
        predict = partial(_log_proba, method, task)
        n_values = _MOST_QUERIES * c * max(j * q, c)
        for part in _similar(support.sizes[own[side]], n_values):
            of = side[part]
            rows, there = support.padded(own[of])
            asked, is_asked = chunks.padded(of)
            parts = (modes[own[of]], task.z[rows], task.p[rows], there * task.w[rows], at[asked])
            log_p = torch.func.vmap(predict)(*parts)
            found[asked[is_asked > 0]] = log_p[is_asked > 0]
    return found


def _log_proba(
    method: Callable[[Tensor, ClassTask, Tensor], Tensor],
    task: ClassTask,
    mode: Tensor,
    z: Tensor,
    p: Tensor,
    w: Tensor,
    at: Tensor,
) -> Tensor:
    """Predict the query rows of one group."""
    return method(mode, task._replace(z=z, p=p, w=w), at)
