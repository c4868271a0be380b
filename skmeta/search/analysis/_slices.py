"""The expected score along one parameter, or over two, through the best candidate."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search.analysis._importance import FittedScores
from skmeta.search.analysis._sampler import is_number
from skmeta.search.record import Value

__all__ = ["Contour", "Slice", "contour", "score_slice", "sliced_parameters"]

Array = NDArray[np.float64]

_N_POINTS = 41
_N_CELLS = 25
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


@dataclass(frozen=True)
class Contour:
    """The expected score over two parameters; all others are those of the best candidate.

    Attributes
    ----------
    names : tuple of str of length 2
        The parameters of the columns and of the rows.
    axes : tuple of Slice of length 2
        The axes: ``numbers``, ``values`` and ``is_log`` are used.
    mean, std : ndarray of shape (n_rows, n_columns)
        Expected score and its standard deviation.
    """

    names: tuple[str, str]
    axes: tuple[Slice, Slice]
    mean: Array
    std: Array

    @property
    def ticks(self) -> tuple[list[Any], list[Any]]:
        """The values of the columns and of the rows."""
        x, y = self.axes
        return axis_values(x), axis_values(y)


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
    axis = _axis(fitted, name, _N_POINTS)
    rows = [{**fitted.best, name: value} for value in axis_values(axis)]
    mean, std = fitted.model.predict(rows)
    n = len(axis.numbers)
    low, high = mean - _Z * std, mean + _Z * std
    return replace(
        axis,
        mean=mean[:n],
        low=low[:n],
        high=high[:n],
        value_mean=mean[n:],
        value_low=low[n:],
        value_high=high[n:],
    )


def contour(fitted: FittedScores, names: tuple[str, str]) -> Contour:
    """Return the expected score over two parameters, through the best candidate.

    Parameters
    ----------
    fitted : FittedScores
    names : tuple of str of length 2
        Two of `sliced_parameters`.

    Returns
    -------
    Contour
    """
    x, y = (_axis(fitted, name, _N_CELLS) for name in names)
    columns, rows = axis_values(x), axis_values(y)
    grid = [{**fitted.best, names[0]: u, names[1]: v} for v in rows for u in columns]
    mean, std = fitted.model.predict(grid)
    shape = len(rows), len(columns)
    return Contour(names, (x, y), mean.reshape(shape), std.reshape(shape))


def axis_values(axis: Slice) -> list[Any]:
    """Return the values of an axis: its numbers, then the others."""
    return [*axis.numbers.tolist(), *axis.values]


def _axis(fitted: FittedScores, name: str, n_points: int) -> Slice:
    marginal = fitted.sampler.marginal(name, fitted.best)
    numbers = np.empty(0)
    if marginal.number_share:
        n = n_points if marginal.high > marginal.low else 1
        placed = [v for v in marginal.place(np.linspace(0, 1, n)) if is_number(v)]
        numbers = np.unique(np.array(placed, dtype=np.float64))
    nothing = np.empty(0)
    return Slice(
        name=name,
        is_log=marginal.is_log,
        numbers=numbers,
        mean=nothing,
        low=nothing,
        high=nothing,
        values=marginal.values,
        value_mean=nothing,
        value_low=nothing,
        value_high=nothing,
    )
