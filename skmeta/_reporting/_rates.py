"""Rates of places with their intervals: a mixed-effects model of counts with exposures.

The logarithm of a rate is linear in the columns, with an effect of each group. A group with few
counts is drawn to what the columns say. Effects of places with a row each are logarithms of gamma
variables, as rates are often skewed; others are normal. The interval is that of the rate, not of a
count to come.

References: Chung et al. (2013), A nondegenerate penalized likelihood estimator for variance
parameters in multilevel models; Clayton and Kaldor (1987), Empirical Bayes estimates of
age-standardized relative risks; Kass and Steffey (1989), Approximate Bayesian inference in
conditionally independent hierarchical models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammainc, ndtri

from skmeta._mixed import NegativeBinomial, Poisson
from skmeta._optional import import_optional
from skmeta._reporting._contrast import ReportTable, check_level, other_columns
from skmeta._reporting._effect import fit_effect
from skmeta._reporting._sample import TreatmentRows
from skmeta._validation import count

# Standard deviation of the logarithm of a rate, beyond which the mean is above the 90 % interval.
_MAX_STD = 2 * float(ndtri(0.95))
# Sizes of gamma distributions of rates, nodes of the logarithm of their mean, and bisections.
_SIZES = np.exp(np.linspace(-3.0, 5.0, 25))
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_N_HALVINGS = 40


def fit_rates(
    known: TreatmentRows, others: np.ndarray, codes: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return rates (m,), their standard deviations, and the bounds of their intervals.

    Known rows have counts y, no treatment, and offsets that are logarithms of exposures. Rows asked
    have columns (m, d) and groups (m, F), -1 if new.
    """
    if known.codes.shape[1] == 1 and known.codes.max() + 1 == len(known.y):
        return _gamma_rates(known, others, codes, level)
    # With a row per group, effects of groups are the noise beyond that of counts.
    has_own = bool((known.codes.max(0) + 1 == len(known.y)).any())
    effect = fit_effect(known, Poisson() if has_own else NegativeBinomial(), products=())
    X = effect.design(np.empty((len(others), 0)), others, codes)
    mean, covariance = effect.given.moments(X, codes)
    # What is not known of the parameters adds to the variance.
    slopes = effect.slopes(lambda given: given.moments(X, codes)[0][:, 0])
    variance = covariance[:, 0, 0] + ((slopes @ effect.model.uncertainty) * slopes).sum(1)
    _check_known(known, variance)
    half = float(ndtri(0.5 + level / 2)) * np.sqrt(variance)
    rate = np.exp(mean[:, 0] + variance / 2)
    lower, upper = (np.exp(mean[:, 0] + sign * half) for sign in (-1, 1))
    return rate, rate * np.sqrt(np.expm1(variance)), lower, upper


def _check_known(known: TreatmentRows, variance: np.ndarray) -> None:
    """Raise a ValueError if variances (m,) of logarithms of rates are too large."""
    unknown = np.flatnonzero(~(variance < _MAX_STD**2))
    if len(unknown):
        raise ValueError(
            f"y has {count(round(known.y @ known.weight), 'events')}, which say too little about "
            f"the rates of {count(len(unknown), 'rows')}, such as row {unknown[0]}: they may be a "
            "thousand times as large or small. Leave out columns that do not matter, or rows far "
            "from those of fit."
        )


def _gamma_rates(
    known: TreatmentRows, others: np.ndarray, codes: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what `fit_rates` does, of places with one row each, whose rates are gamma variables.

    Given the size a and the mean m of a rate, that of a place with y events over e is a gamma
    variable of shape a + y and inverse scale a / m + e. It is averaged over a and m.
    """
    alone = known._replace(codes=np.zeros_like(known.codes))
    effect = fit_effect(alone, NegativeBinomial(), products=())
    none = np.full((len(others), 1), -1)
    X = effect.design(np.empty((len(others), 0)), others, none)
    variance = np.einsum("mq,qp,mp->m", X, effect.given.mean_covariance, X)
    _check_known(known, variance + (2 * _MAX_STD**2 if known.weight @ known.y < 2 else 0))
    log_mean = effect.given.moments(X, none)[0][:, 0]
    eta = effect.given.moments(effect.X, alone.codes - 1)[0] + known.offset[:, None]
    families = [NegativeBinomial(size) for size in _SIZES]
    log = np.array([known.weight @ family.log(known.y, eta) for family in families])
    # The deviation of rates over their mean has a prior that is 0 at 0 (Chung et al., 2013).
    log += -0.5 / _SIZES - np.log(_SIZES)
    weights = np.multiply.outer(np.exp(log - log.max()), _NODE_WEIGHTS).ravel()
    weights /= weights.sum()
    place = np.empty(len(known.y), int)
    place[known.codes[:, 0]] = np.arange(len(known.y))
    is_known, row = codes[:, 0] >= 0, place[codes[:, 0]]
    events, exposure = known.weight * known.y, known.weight * np.exp(known.offset)
    size = np.repeat(_SIZES, len(_NODES))
    mean = np.exp(log_mean[:, None] + np.sqrt(variance)[:, None] * np.tile(_NODES, len(_SIZES)))
    shape = size + (is_known * events[row])[:, None]
    inverse_scale = size / mean + (is_known * exposure[row])[:, None]
    rate = (shape / inverse_scale) @ weights
    std = np.sqrt((shape * (shape + 1) / inverse_scale**2) @ weights - rate**2)
    bounds = []
    for share in (0.5 - level / 2, 0.5 + level / 2):
        low, high = np.log(rate) - 50, np.log(rate) + 10
        for _ in range(_N_HALVINGS):
            middle = (low + high) / 2
            is_below = gammainc(shape, inverse_scale * np.exp(middle)[:, None]) @ weights < share
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
        bounds.append(np.exp((low + high) / 2))
    return rate, std, *bounds


def rates_frame(known: ReportTable, at: ReportTable, level: float, index: Any) -> Any:
    """Return a data frame of the rates of rows, by the rows that a model knows."""
    if known.kind != "count":
        raise ValueError(
            f"Rates are of counts, but the targets are of kind {known.kind!r}. Fit counts, with "
            "exposure, the column of what they are counted over."
        )
    check_level(level)
    others, none = other_columns(known, None, known), np.empty((len(known.y), 0))
    parts = known.y, known.weight, known.codes, np.log(known.exposure)
    values = fit_rates(
        TreatmentRows(none, others, *parts), other_columns(at, None, known), at.codes, level
    )
    pandas = import_optional("pandas", "rates")
    columns = dict(zip(("rate", "std", "lower", "upper"), values, strict=True))
    return pandas.DataFrame(columns, index=index)
