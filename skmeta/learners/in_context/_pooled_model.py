"""The units of a family of regressions: a pooled linear regression, and variance components.

The transformer standardises each table on its own, so it does not use the units of columns and
targets. In a family of tasks the units are the same: a pupil's intake score means the same in
each school. So targets are measured from a linear regression on the rows of all tasks. Their
location and scale are shrunken from those of the support set towards those of the family.

Notation: n rows, d columns; residuals are those of the pooled regression.

Reference: Laird and Ware (1982), Random-effects models for longitudinal data.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor

from skmeta.backend import State

_PENALTIES = np.logspace(-2, 4, 25)
_MOST_ROWS = 1e6
# Number of rows that the family's scale counts as at the start.
_SPREAD_ROWS = 10.0


def fit_mixed_model(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> State:
    """Fit the random-intercept model of a family: pooled ridge regression, variance components.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Standardised rows of all tasks; NaN is a missing value.
    y : ndarray of shape (n,)
        Standardised targets.
    groups : ndarray of shape (n,)
        Task of each row.

    Returns
    -------
    dict of Tensor
        ``family.weight`` (d,) and ``family.bias``, coefficients of the pooled regression.
        ``family.log_rows``, logarithm of the number of rows that the family's location counts as.
        ``family.log_scale``, logarithm of the family's scale, and ``family.log_scale_rows``,
        logarithm of the number of rows that it counts as.
    """
    x = np.nan_to_num(x)
    pooled = RidgeCV(_PENALTIES).fit(x, y)
    between, within = variance_components(y - pooled.predict(x), groups)
    found = {
        "weight": pooled.coef_,
        "bias": pooled.intercept_,
        "log_rows": np.log(np.clip(within / max(between, 1e-12), 1 / _MOST_ROWS, _MOST_ROWS)),
        "log_scale": np.log(max(within, 1e-12)) / 2,
        "log_scale_rows": np.log(_SPREAD_ROWS),
    }
    return {f"family.{n}": torch.tensor(v, dtype=torch.float64) for n, v in found.items()}


def variance_components(residuals: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Estimate the variance between and within groups of unequal sizes, by analysis of variance.

    Parameters
    ----------
    residuals : ndarray of shape (n,)
        Values.
    groups : ndarray of shape (n,)
        Group of each value.

    Returns
    -------
    between, within : float
        The variances, at least 0. With a single group, or with one row per group, the variance
        between groups is 0.
    """
    codes, size = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    n, n_groups = len(codes), len(size)
    if n_groups < 2 or n == n_groups:
        return 0.0, float(residuals.var())
    means = np.bincount(codes, residuals) / size
    within = ((residuals - means[codes]) ** 2).sum() / (n - n_groups)
    among = (size * (means - residuals.mean()) ** 2).sum() / (n_groups - 1)
    typical = (n - (size**2).sum() / n) / (n_groups - 1)
    return float(max(0.0, (among - within) / typical)), float(within)


def has_pooled_model(state: Mapping[str, Tensor]) -> bool:
    """Return whether a state holds a pooled model."""
    return "family.weight" in state


def predict_pooled(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the pooled predictions (n,) of rows (n, ...); 0 without a pooled model."""
    if not has_pooled_model(state):
        return x.new_zeros(len(x))
    return torch.nan_to_num(x.flatten(1)) @ state["family.weight"] + state["family.bias"]


def shrunken_location_and_scale(
    state: Mapping[str, Tensor], residuals: Tensor, w: Tensor
) -> tuple[Tensor, Tensor]:
    """Return location and scale of weighted residuals (n,), shrunken towards the family's."""
    location = (w * residuals).sum() / (w.sum() + state["family.log_rows"].exp())
    rows = state["family.log_scale_rows"].exp()
    squares = (w * (residuals - location) ** 2).sum() + rows * (2 * state["family.log_scale"]).exp()
    return location, torch.sqrt(squares / (w.sum() + rows))
