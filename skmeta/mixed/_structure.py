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
from typing import Any, NamedTuple, TypeVar

import numpy as np

from skmeta._stacking import average_weights
from skmeta.mixed._covariance import CovarianceShape

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
# Values of a column are the same if they differ by less than this share of its deviation.
_SAME = 1e-9

Prior = TypeVar("Prior", bound=tuple[Any, ...])


class Forms(NamedTuple):
    """Estimates of the forms of the covariance, and their weights (k,)."""

    fits: list[Any]
    weights: np.ndarray


def content_order(z: np.ndarray, y: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return an order of the rows that depends on what is in them only.

    The order of the rows of a table, the names of tasks and the units of columns are no
    information. In this order, sums and draws from a fixed seed are the same whatever they are.
    Tasks are sorted by size, then by a hash; so are the rows of a task. The hash is one of the
    ranks of the values in each column.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows.
    y : ndarray of shape (n,)
        Targets, or class positions.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.

    Returns
    -------
    ndarray of shape (n,), int64
        Positions of the rows; those of a task are together.
    """
    keys = np.zeros(len(z), np.uint64)
    for column in (*z.T, y):
        order = np.argsort(column, kind="stable")
        steps = np.diff(column[order], prepend=column[order[:1]])
        # Values that differ by rounding errors only are the same.
        ranks = np.empty(len(z), np.uint64)
        ranks[order] = np.cumsum(steps > _SAME * max(float(np.std(column)), 1e-300))
        keys = _mixed(keys + ranks)
    by_task = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    of_task = np.add.reduceat(_mixed(keys)[by_task], np.cumsum(sizes) - sizes)
    return np.lexsort((keys, of_task[codes], sizes[codes]))


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Return a hash of unsigned integers: one step of SplitMix64."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: np.ndarray = keys ^ (keys >> np.uint64(31))
    return found


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
    of_name = {
        "intercept": replace(shape, varies=first, rank=0),
        "slopes": replace(shape, rank=0),
        "correlated": shape,
    }
    if effects != "auto":
        return [of_name[effects]]
    n_varying = int(shape.varies.sum())
    if n_varying == 1:
        return [of_name["intercept"]]
    return list(of_name.values())[: 3 if shape.rank else 2]


def blend(priors: Sequence[Prior], weights: Sequence[float] | np.ndarray) -> Prior:
    """Return the weighted mean of priors, field by field."""
    fields = zip(*priors, strict=True)
    means = (sum(float(w) * v for w, v in zip(weights, of, strict=True) if w) for of in fields)
    return type(priors[0])(*means)


def average_over_structures(
    full: Sequence[tuple[Any, ...]],
    codes: np.ndarray,
    estimate: Callable[[np.ndarray], Sequence[Any]],
    score: Callable[[Sequence[Any], np.ndarray, np.random.Generator], np.ndarray | None],
    is_over: Callable[[], bool] | None = None,
    before: Forms | None = None,
) -> np.ndarray:
    """Weight the estimates of several forms by how well they predict tasks they have not seen.

    Parameters
    ----------
    full : sequence of tuple
        One estimate from all tasks for each form.
    codes : ndarray of shape (n,), int64
        Task of each row, from 0 on.
    estimate : callable
        Given task numbers, returns estimates from these tasks, in the order of ``full``.
    score : callable
        Given priors, task numbers and a generator, returns the mean log predictive density of
        each episode (k, e); None without episodes.
    is_over : callable, optional
        Tells whether the time is over. Then forms without a prediction get the same weight.
    before : Forms, optional
        Fits that these started from.

    Returns
    -------
    ndarray of shape (k,)
        The weights.
    """
    k = len(full)
    n_tasks = int(codes.max()) + 1
    if k == 1:
        return np.ones(1)
    if before is not None and n_tasks >= _ENOUGH_TASKS:
        return before.weights
    equal = np.full(k, 1 / k)
    if n_tasks < (_LEAST_TASKS if before is None else _LEAST_TASKS_AGAIN):
        return equal
    # Tasks and rows are sorted by content, and a fixed seed makes fit deterministic.
    rng = np.random.default_rng(_SEED)
    order = rng.permutation(n_tasks)
    grid = _weight_grid(k)
    found = []
    for held_out, others in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        if is_over is not None and is_over():
            break
        estimates = estimate(np.sort(others[:_MOST_ESTIMATED]))
        tried = [blend(estimates, weights) for weights in grid]
        scores = score(tried, np.sort(held_out)[:_MOST_TASKS], rng)
        if scores is not None:
            found.append(scores)
    if not found:
        return equal
    scores = np.concatenate(found, 1)
    n_independent = _N_INDEPENDENT * scores.shape[1]
    return average_weights(-scores, grid, n_independent=n_independent)


def _weight_grid(k: int) -> np.ndarray:
    """Return weights (g, k) of the forms, from the simplest on."""
    if k == 2:
        return np.array([[1 - share, share] for share in _SHARES_OF_SLOPES])
    pairs = itertools.product(_SHARES_OF_SLOPES, _SHARES_OF_CORRELATED)
    found = {(1 - slopes, slopes * (1 - part), slopes * part) for slopes, part in pairs}
    return np.array(sorted(found, reverse=True))
