"""What the regressions of one family share in absolute terms.

A table that is measured on its own says nothing of what its columns and its target are worth
elsewhere. Tasks of one family share that: a pupil's intake score means the same in each school.
Targets of a family are therefore measured from a line that all tasks have in common, with a
centre and a scale between those of the support set and those of the family, and the predicted
distribution is mixed with that of the family: a random-intercept model, which meta-training goes
on from.

Notation: n rows, d columns, k bars; r = y - line(x) are residuals.

Reference: Laird and Ware (1982), Random-effects models for longitudinal data.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import RidgeCV
from torch import Tensor

from skmeta.backbones import bar_borders
from skmeta.backend import State

_PENALTIES = np.logspace(-2, 4, 25)
_MOST_ROWS = 1e6
# Rows that the family's spread counts as, and the weight of its distribution, to begin with.
_SPREAD_ROWS, _SHARE = 10.0, 0.9
# A step of meta-training moves a weight by its step size, the logit of the share by as many times
# that.
_HASTE = 20.0


def estimate_family(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> State:
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
        ``family.weight`` (d,) and ``family.bias`` of the line; ``family.log_rows``, logarithm of
        the number of rows that the family's centre counts as; ``family.log_scale`` and
        ``family.log_scale_rows``, the same of its scale; ``family.log_spread`` and
        ``family.share`` of its distribution.
    """
    x = np.nan_to_num(x)
    line = RidgeCV(_PENALTIES).fit(x, y)
    between, within = variance_components(y - line.predict(x), groups)
    found = {
        "weight": line.coef_,
        "bias": line.intercept_,
        "log_rows": np.log(np.clip(within / max(between, 1e-12), 1 / _MOST_ROWS, _MOST_ROWS)),
        "log_scale": np.log(max(within, 1e-12)) / 2,
        "log_scale_rows": np.log(_SPREAD_ROWS),
        "log_spread": 0.0,
        "share": np.log(_SHARE / (1 - _SHARE)) / _HASTE,
    }
    return {f"family.{n}": torch.tensor(v, dtype=torch.float64) for n, v in found.items()}


def variance_components(residuals: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Variance between and within groups, by the analysis of variance of unequal groups.

    Parameters
    ----------
    residuals : ndarray of shape (n,)
        Values.
    groups : ndarray of shape (n,)
        Group of each.

    Returns
    -------
    between, within : float
        The variances, not below 0. With a single group, or with one row in each, all is within.
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


def has_family(state: Mapping[str, Tensor]) -> bool:
    """Whether a state knows a family."""
    return "family.weight" in state


def line_of(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Values (n,) of the family's line at rows (n, ...); 0 without a family."""
    if not has_family(state):
        return x.new_zeros(len(x))
    return torch.nan_to_num(x.flatten(1)) @ state["family.weight"] + state["family.bias"]


def shrunken_location_and_scale(
    state: Mapping[str, Tensor], residuals: Tensor, w: Tensor
) -> tuple[Tensor, Tensor]:
    """Centre and scale of residuals (n,) with weights (n,), drawn to those of the family."""
    location = (w * residuals).sum() / (w.sum() + state["family.log_rows"].exp())
    rows = state["family.log_scale_rows"].exp()
    squares = (w * (residuals - location) ** 2).sum() + rows * (2 * state["family.log_scale"]).exp()
    return location, torch.sqrt(squares / (w.sum() + rows))


def mixed_with_family(state: Mapping[str, Tensor], log_probability: Tensor) -> Tensor:
    """Logarithms of probabilities (..., k) of bars, mixed with the family's normal distribution."""
    if not has_family(state):
        return log_probability
    borders = bar_borders().to(log_probability)
    below = torch.special.ndtr(borders / state["family.log_spread"].exp())
    bars = F.pad(F.pad(below, (1, 0)), (0, 1), value=1.0).diff()
    share = _HASTE * state["family.share"]
    of_family = torch.log(bars.clamp_min(torch.finfo(bars.dtype).tiny)) + F.logsigmoid(share)
    return torch.logaddexp(of_family, log_probability + F.logsigmoid(-share))
