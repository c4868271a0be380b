"""Rates of places with their intervals: a mixed-effects model of counts with exposures.

The logarithm of a rate is linear in the columns, with an effect of each group. A group with few
counts is drawn to what the columns say. The interval is that of the rate, not of a count to come.

References: Clayton and Kaldor (1987), Empirical Bayes estimates of age-standardized relative risks;
Kass and Steffey (1989), Approximate Bayesian inference in conditionally independent hierarchical
models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

from skmeta._mixed import NegativeBinomial, Poisson
from skmeta._optional import import_optional
from skmeta._reporting._contrast import Rows, check_level, others_of
from skmeta._reporting._effect import fit_effect
from skmeta._reporting._sample import Sample
from skmeta._validation import count

# Standard deviation of the logarithm of a rate, beyond which the mean is above the 90 % interval.
_MAX_STD = 2 * float(ndtri(0.95))


def fit_rates(
    known: Sample, others: np.ndarray, codes: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return rates (m,), their standard deviations, and the bounds of their intervals.

    Known rows have counts y, no treatment, and offsets that are logarithms of exposures. Rows asked
    have columns (m, d) and groups (m, F), -1 if new.
    """
    # With a row per group, effects of groups are the noise beyond that of counts.
    has_own = bool((known.codes.max(0) + 1 == len(known.y)).any())
    effect = fit_effect(known, Poisson() if has_own else NegativeBinomial(), products=())
    X = effect.design(np.empty((len(others), 0)), others, codes)
    mean, covariance = effect.given.moments(X, codes)
    # What is not known of the parameters adds to the variance.
    slopes = effect.slopes(lambda given: given.moments(X, codes)[0][:, 0])
    variance = covariance[:, 0, 0] + ((slopes @ effect.model.uncertainty) * slopes).sum(1)
    unknown = np.flatnonzero(~(variance < _MAX_STD**2))
    if len(unknown):
        raise ValueError(
            f"y has {count(round(known.y @ known.weight), 'events')}, which say too little about "
            f"the rates of {count(len(unknown), 'rows')}, such as row {unknown[0]}: they may be a "
            "thousand times as large or small. Leave out columns that do not matter, or rows far "
            "from those of fit."
        )
    half = float(ndtri(0.5 + level / 2)) * np.sqrt(variance)
    rate = np.exp(mean[:, 0] + variance / 2)
    lower, upper = (np.exp(mean[:, 0] + sign * half) for sign in (-1, 1))
    return rate, rate * np.sqrt(np.expm1(variance)), lower, upper


def rates_frame(known: Rows, at: Rows, level: float, index: Any) -> Any:
    """Return a data frame of the rates of rows, by the rows that a model knows."""
    if known.kind != "count":
        raise ValueError(
            f"Rates are of counts, but the targets are of kind {known.kind!r}. Fit counts, with "
            "exposure, the column of what they are counted over."
        )
    check_level(level)
    others, none = others_of(known, None, known), np.empty((len(known.y), 0))
    parts = known.y, known.weight, known.codes, np.log(known.exposure)
    values = fit_rates(Sample(none, others, *parts), others_of(at, None, known), at.codes, level)
    pandas = import_optional("pandas", "rates")
    columns = dict(zip(("rate", "std", "lower", "upper"), values, strict=True))
    return pandas.DataFrame(columns, index=index)
