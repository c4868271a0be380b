"""Predictive distributions as histograms with exponential tails.

Notation: k bins between k - 1 edges, in units of the support set's standard deviation. The first
and the last bin reach to infinity, with density exp(-distance) beyond their edge. Probabilities
have shape (m, k).

Reference: Mueller et al. (2022), Transformers can do Bayesian inference, section 4. Their tails are
half-normal, so that the loss of a distant target grows with the square of its distance.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from skmeta._tabular.table_prior._arithmetic import like

N_BINS = 64
_REACH = 6.0
_BEND = 2.5
_TINY = np.finfo(float).tiny


@lru_cache
def bin_edges() -> np.ndarray:
    """Return the increasing edges (k - 1,) between the bins."""
    # Bins are narrow in the middle, where the targets of a support set are, and wide outside.
    edges = _REACH * np.sinh(_BEND * np.linspace(-1, 1, N_BINS - 1)) / np.sinh(_BEND)
    edges.setflags(write=False)
    return np.asarray(edges)


def binned_moments(probability: Any) -> tuple[Any, Any]:
    """Return the means and variances (m,) of distributions, arrays or tensors."""
    edges = bin_edges()
    ends = edges[0] - 1, edges[-1] + 1
    centre = like(np.r_[ends[0], (edges[1:] + edges[:-1]) / 2, ends[1]], probability)
    spread = like(np.r_[1.0, np.diff(edges) ** 2 / 12, 1.0], probability)
    mean = probability @ centre
    return mean, (probability * ((centre - mean[..., None]) ** 2 + spread)).sum(-1)


def binned_quantiles(probability: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return quantiles (m, q) at levels (q,) strictly between 0 and 1."""
    edges, (m, k) = bin_edges(), probability.shape
    upper = probability.cumsum(1)
    upper /= upper[:, -1:]
    # All rows in one search: those of row i lie between 2 i and 2 i + 1.
    row = np.arange(m)[:, None]
    at = (upper[:, :-1] + 2 * row).ravel().searchsorted((levels + 2 * row).ravel())
    at = at.reshape(m, -1) - (k - 1) * row
    below = np.take_along_axis(np.pad(upper, ((0, 0), (1, 0))), at, 1)
    inside = np.take_along_axis(upper, at, 1) - below
    share = ((levels - below) / np.maximum(inside, _TINY)).clip(_TINY, 1.0)
    left, right = np.r_[0.0, edges], np.r_[edges, 0.0]
    value = left[at] + share * (right - left)[at]
    value = np.where(at == 0, edges[0] + np.log(share), value)
    last = edges[-1] - np.log(np.maximum(1 - share, _TINY))
    return np.asarray(np.where(at == k - 1, last, value))
