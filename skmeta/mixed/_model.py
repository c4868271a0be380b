"""A mixed-effects model: fit it to groups, condition it on their rows, predict.

Notation: n rows, q coefficients (the first is the intercept), G groups, j linear predictors (one of
a regression or of two classes, else one for each class), c classes. Z (n, q) are rows with a
leading 1 and standardised columns, codes (n,) their groups, from 0 on. Coefficients of a group are
drawn from N(m, S), targets from N(Z b, sigma^2); of two classes, Z b is the logit of the second.
The logarithms of sigma and of the scale of a group's effects are normal over groups.

References: Laird and Ware (1982), Random-effects models for longitudinal data; Breslow and Clayton
(1993), Approximate inference in generalized linear mixed models; Bates, Maechler, Bolker and Walker
(2015), Fitting linear mixed-effects models using lme4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmeta.mixed._classification import Classifications
from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._forms import Family, Forms, Prior, candidate_shapes, fit_forms
from skmeta.mixed._noise import effect_scales, noise_levels
from skmeta.mixed._posterior import ConditionedClasses, ConditionedTargets, condition_targets
from skmeta.mixed._regression import Regressions
from skmeta.mixed._statistics import group_statistics

# A column is constant within groups if less than this share of its variance is within groups.
_CONSTANT = 1e-8
# Added to the diagonal of a covariance before its Cholesky factor is computed.
_JITTER = 1e-10
# Values of a column are the same if they differ by less than this share of its deviation.
_SAME = 1e-9


@dataclass(frozen=True)
class MixedModel:
    """A fitted mixed-effects model, an immutable value.

    Attributes
    ----------
    n_classes : int
        c; 0 for a regression.
    prior : Prior
        The distribution of the coefficients and of the noise.
    shapes : list of CovarianceShape
        Forms of S that were estimated.
    forms : Forms
        Their estimates and weights.
    """

    n_classes: int
    prior: Prior
    shapes: list[CovarianceShape]
    forms: Forms

    @property
    def covariance(self) -> np.ndarray:
        """S, and the covariance of the estimate of m: (j, q, q)."""
        return np.asarray(self.prior.covariance + self.prior.mean_covariance)

    @property
    def factor(self) -> np.ndarray:
        """Cholesky factors (j, q, q) of the covariance."""
        q = self.covariance.shape[-1]
        return np.linalg.cholesky(self.covariance + _JITTER * np.eye(q))

    def condition(
        self, z: np.ndarray, y: np.ndarray, w: np.ndarray, codes: np.ndarray, n_groups: int
    ) -> ConditionedTargets | ConditionedClasses:
        """Condition the model on rows of groups.

        Parameters
        ----------
        z : ndarray of shape (n, q)
            Rows with a leading 1.
        y : ndarray of shape (n,)
            Targets or class positions.
        w : ndarray of shape (n,)
            Weights as numbers of repetitions.
        codes : ndarray of shape (n,), int64
            Groups of the rows, from 0 on.
        n_groups : int
            Number of groups. A group may have no rows.

        Returns
        -------
        ConditionedTargets or ConditionedClasses
            It predicts other rows of the groups.
        """
        mean, factor = self.prior.mean, self.factor
        if self.n_classes:
            return ConditionedClasses(mean, factor, z, y.astype(np.int64), w, codes)
        levels = noise_levels(self.prior.log_noise, self.prior.log_spread)
        scales = effect_scales(self.prior.log_scale_spread)
        return condition_targets(z, y, w, codes, n_groups, mean[:, 0], factor[0], *levels, *scales)


def fit(
    z: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    n_classes: int = 0,
    *,
    effects: str = "auto",
    rank: int = 2,
    shrinkage: float = 1.0,
    varied_noise: bool = True,
    heavy_tails: bool = True,
    start: MixedModel | None = None,
    is_over: Callable[[], bool] | None = None,
) -> MixedModel:
    """Estimate the distribution of coefficients over groups by marginal likelihood.

    Parameters
    ----------
    z : ndarray of shape (n, q)
        Rows with a leading 1.
    y : ndarray of shape (n,)
        Standardised targets, or class positions.
    codes : ndarray of shape (n,), int64
        Group of each row, from 0 on.
    n_classes : int, default=0
        c; 0 for a regression.
    effects, rank, shrinkage, varied_noise, heavy_tails
        As for :class:`~skmeta.learners.HierarchicalLinear`.
    start : MixedModel, optional
        A model of the same columns, fitted with the same settings to other rows. A rough optimum
        near its estimates is found.
    is_over : callable, optional
        Tells whether the time is over. Then the estimates so far are returned.

    Returns
    -------
    MixedModel
        The estimates.
    """
    order = content_order(z, y, codes)
    z, y, codes = z[order], y[order], codes[order]
    # Groups are numbered in this order, too.
    codes = np.cumsum(np.diff(codes, prepend=codes[:1]) != 0)
    if start is None:
        n_predictors = 1 if n_classes <= 2 else n_classes
        shape = CovarianceShape(_varies(z, codes), n_predictors, rank, shrinkage)
        shapes, before = candidate_shapes(shape, effects), None
    else:
        before = start.forms
        shapes = start.shapes[: len(before.fits)]
    family: Family
    if n_classes:
        y = y.astype(np.int64)
        family = Classifications(z, y, codes, n_classes)
    else:
        statistics = group_statistics(z, y, codes, int(codes.max()) + 1)
        family = Regressions(statistics, varied_noise, heavy_tails)
    prior, forms = fit_forms(family, shapes, z, y, codes, before, is_over)
    return MixedModel(n_classes, prior, shapes, forms)


def _varies(z: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return which coefficients may differ: those of columns that vary within groups."""
    sizes = np.bincount(codes)
    within = np.empty(z.shape[1])
    for k, column in enumerate(z.T):
        means = np.bincount(codes, column) / sizes
        within[k] = np.mean((column - means[codes]) ** 2)
    varies = within > _CONSTANT * np.maximum(z.var(0), 1e-12)
    varies[0] = True
    return np.asarray(varies)


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
    task_keys = np.add.reduceat(_mixed(keys)[by_task], np.cumsum(sizes) - sizes)
    return np.lexsort((keys, task_keys[codes], sizes[codes]))


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Return a hash of unsigned integers: one step of SplitMix64."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: np.ndarray = keys ^ (keys >> np.uint64(31))
    return found
