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

from skmeta.mixed._class_posterior import ConditionedClasses
from skmeta.mixed._classification import estimate_class_structures
from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._levels import effect_scales, noise_levels
from skmeta.mixed._posterior import ConditionedTargets, condition_targets
from skmeta.mixed._regression import estimate_structures
from skmeta.mixed._structure import Forms, candidate_shapes, content_order

# A column is constant within groups if less than this share of its variance is within groups.
_CONSTANT = 1e-8
# Added to the diagonal of a covariance before its Cholesky factor is computed.
_JITTER = 1e-10


@dataclass(frozen=True)
class MixedModel:
    """A fitted mixed-effects model, an immutable value.

    Attributes
    ----------
    n_classes : int
        c; 0 for a regression.
    mean : ndarray of shape (q, j)
        m.
    covariance : ndarray of shape (j, q, q)
        S, and the covariance of the estimate of m.
    log_noise : float
        Mean over groups of log sigma; of a regression.
    log_spread : float or None
        Logarithm of the standard deviation of log sigma; None for the same noise in all groups.
    log_scale_spread : float or None
        The same of the log scale of the effects; None for the same scale, 1.
    shapes : list of CovarianceShape
        Forms of S that were estimated.
    forms : Forms
        Their estimates and weights.
    """

    n_classes: int
    mean: np.ndarray
    covariance: np.ndarray
    log_noise: float
    log_spread: float | None
    log_scale_spread: float | None
    shapes: list[CovarianceShape]
    forms: Forms

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
        if self.n_classes:
            return ConditionedClasses(self.mean, self.factor, z, y.astype(np.int64), w, codes)
        levels = noise_levels(self.log_noise, self.log_spread)
        scales = effect_scales(self.log_scale_spread)
        prior = (self.mean[:, 0], self.factor[0], *levels, *scales)
        return condition_targets(z, y, w, codes, n_groups, *prior)


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
        shapes, before = start.shapes, start.forms
        shapes = shapes[: len(before.fits)]
    if n_classes:
        of_classes, forms = estimate_class_structures(
            z, y.astype(np.int64), codes, shapes, n_classes, before, is_over
        )
        covariance = of_classes.covariance + of_classes.mean_covariance
        return MixedModel(n_classes, of_classes.mean, covariance, 0.0, None, None, shapes, forms)
    found, forms = estimate_structures(
        z,
        y,
        codes,
        shapes,
        varied_noise=varied_noise,
        heavy_tails=heavy_tails,
        start=before,
        is_over=is_over,
    )
    return MixedModel(
        0,
        found.mean[:, None],
        (found.covariance + found.mean_covariance)[None],
        found.log_noise,
        found.log_spread if varied_noise else None,
        found.log_scale_spread if heavy_tails else None,
        shapes,
        forms,
    )


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
