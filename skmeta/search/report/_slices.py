"""The expected score along one parameter, through the best candidate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import Value
from skmeta.search.report._importance import FittedScores
from skmeta.search.report._sampler import is_number

Array = NDArray[np.float64]

_N_POINTS = 41
_Z = 1.6449  # 90% of a normal distribution


@dataclass(frozen=True)
class Slice:
    """The expected score along one parameter; all others are those of the best candidate.

    Attributes
    ----------
    name : str
        The parameter.
    is_log : bool
        Whether its numbers are on a log scale.
    numbers : ndarray of shape (n_points,)
        Numbers along the parameter; empty if it has none.
    mean, low, high : ndarray of shape (n_points,)
        Expected score there, and its 90% interval.
    values : tuple of length n_values
        Other values, such as strings and None.
    value_mean, value_low, value_high : ndarray of shape (n_values,)
        The same for them.
    """

    name: str
    is_log: bool
    numbers: Array
    mean: Array
    low: Array
    high: Array
    values: tuple[Value, ...]
    value_mean: Array
    value_low: Array
    value_high: Array


def sliced_parameters(fitted: FittedScores) -> list[str]:
    """Return the parameters that the best candidate has and that vary in its sub-space."""
    best = fitted.best
    return [
        name
        for name in fitted.sampler.varying
        if name in best and not fitted.sampler.marginal(name, best).is_constant
    ]


def score_slice(fitted: FittedScores, name: str) -> Slice:
    """Return the expected score along a parameter, through the best candidate.

    Parameters
    ----------
    fitted : FittedScores
    name : str
        One of `sliced_parameters`.

    Returns
    -------
    Slice
    """
    marginal = fitted.sampler.marginal(name, fitted.best)
    numbers = np.empty(0)
    if marginal.number_share:
        n_points = _N_POINTS if marginal.high > marginal.low else 1
        placed = [v for v in marginal.place(np.linspace(0, 1, n_points)) if is_number(v)]
        numbers = np.unique(np.array(placed, dtype=np.float64))
    values = [*numbers.tolist(), *marginal.values]
    mean, std = fitted.model.predict([{**fitted.best, name: value} for value in values])
    low, high, n = mean - _Z * std, mean + _Z * std, len(numbers)
    return Slice(
        name=name,
        is_log=bool(marginal.is_log and n and numbers[0] > 0),
        numbers=numbers,
        mean=mean[:n],
        low=low[:n],
        high=high[:n],
        values=marginal.values,
        value_mean=mean[n:],
        value_low=low[n:],
        value_high=high[n:],
    )
