"""Importance of the parameters of a search, and the expected score along each of them.

A Gaussian process, that of a search without history, is fitted to the scores of the candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import Configuration, Value
from skmeta.search.report._axes import is_number
from skmeta.search.space import Encoding, is_logarithmic, plain_value
from skmeta.search.surrogate import PlainModel, standardise, winsorize_scores, with_one_thread

Array = NDArray[np.float64]

MIN_CANDIDATES = 6
_WINSOR_FACTOR = 2.0  # as for the surfaces of past searches
_MAX_ROWS = 250  # the best candidates of a larger search, half of them, and every k-th other one
_N_PERMUTED = 1000  # rows with permuted values of each parameter
_N_POINTS = 41  # of a slice
_Z = 1.6449  # 90% of a normal distribution


@dataclass(frozen=True)
class FittedScores:
    """The candidates of a search that a model of its scores is fitted to.

    Very low scores are raised, as in the surfaces of past searches, because they would hide the
    differences between good candidates.

    Attributes
    ----------
    configurations : tuple of dict
        Candidates with a score, with plain values.
    scores : ndarray of shape (n_candidates,)
        Their scores.
    """

    configurations: tuple[Configuration, ...]
    scores: Array

    @property
    def best(self) -> Configuration:
        """The candidate with the best score."""
        return self.configurations[int(self.scores.argmax())]

    @property
    def varying(self) -> list[str]:
        """Parameters that have different values, or that some candidates do not have."""
        names = dict.fromkeys(name for one in self.configurations for name in one)
        seen = {n: {_key(one.get(n, ...)) for one in self.configurations} for n in names}
        return [name for name in names if len(seen[name]) > 1]

    @property
    def rows_like_best(self) -> list[int]:
        """Positions of the candidates that have the same parameters as the best one."""
        tried, names = self.configurations, self.best.keys()
        return [i for i, one in enumerate(tried) if one.keys() == names]

    @with_one_thread()
    def predict(self, configurations: Sequence[Configuration]) -> tuple[Array, Array]:
        """Return mean and standard deviation of the expected scores of configurations."""
        tried = self.configurations
        raised = winsorize_scores(self.scores, _WINSOR_FACTOR)
        encoding = Encoding.from_configurations(tried)
        names = {name for one in tried for name in one}
        X = encoding.transform([*tried, *configurations], names)
        model = PlainModel(X, encoding.groups)
        model.observe(np.arange(len(tried)), (raised - raised.mean()) / raised.std(), len(tried))
        mean, std = (values[len(tried) :] for values in model.predict())
        return raised.mean() + raised.std() * mean, raised.std() * std


class Importance(NamedTuple):
    """Total effects of parameters, the largest first.

    Attributes
    ----------
    names : tuple of str
        The parameters.
    values : ndarray of shape (n_parameters,)
        Share of the variance of the candidates' expected scores that a parameter accounts for,
        alone or together with others.
    """

    names: tuple[str, ...]
    values: Array


class Slice(NamedTuple):
    """The expected score along one parameter; all others are those of the best candidate.

    Attributes
    ----------
    name : str
        The parameter.
    numbers : ndarray of shape (n_numbers,)
        Numbers along the parameter; empty if it has none.
    values : tuple of length n_values
        Other values, such as strings and None.
    mean, low, high : ndarray of shape (n_numbers + n_values,)
        Expected score there, and its 90% interval.
    """

    name: str
    numbers: Array
    values: tuple[Value, ...]
    mean: Array
    low: Array
    high: Array


def fit_scores(params: Sequence[Mapping[str, Any]], scores: Any) -> FittedScores | None:
    """Return the candidates that a model is fitted to.

    Parameters
    ----------
    params : sequence of dict
        Parameters of the candidates.
    scores : array-like of shape (n_candidates,)
        Greater is better; NaN for a candidate that failed.

    Returns
    -------
    FittedScores or None
        None if there is nothing to learn: fewer than six candidates with a score, scores that are
        all equal, or no parameter that varies.
    """
    values = np.asarray(scores, dtype=np.float64)
    rows = np.flatnonzero(np.isfinite(values))
    if len(rows) > _MAX_ROWS:
        order = rows[np.argsort(-values[rows], kind="stable")]
        others = np.linspace(_MAX_ROWS // 2, len(order) - 1, _MAX_ROWS // 2).round().astype(np.intp)
        rows = np.sort(np.concatenate([order[: _MAX_ROWS // 2], order[others]]))
    tried = tuple({n: plain_value(v) for n, v in params[i].items()} for i in rows.tolist())
    fitted = FittedScores(tried, values[rows])
    if len(rows) < MIN_CANDIDATES or standardise(values[rows]) is None or not fitted.varying:
        return None
    return fitted


def parameter_importance(fitted: FittedScores) -> Importance:
    """Return the total effect of each parameter that varies.

    Parameters
    ----------
    fitted : FittedScores
        Candidates and scores.

    Returns
    -------
    Importance
        The largest effect first.

    Notes
    -----
    This is permutation importance on the model: candidates exchange the values of a parameter, and
    all other values stay. The mean squared change of the expected score over twice its variance is
    Sobol's total index, by Jansen's estimator [1]_. Effects add up to more than 1 if parameters
    interact. Candidates of the same sub-space exchange values. Those of different ones exchange a
    parameter that tells the sub-spaces apart, and with it those that only one of them has.

    References
    ----------
    .. [1] Saltelli et al. (2010), Variance based sensitivity analysis of model output, table 2 (f).
    """
    rng = np.random.default_rng(0)
    tried, names = fitted.configurations, fitted.varying
    n_repeats = -(-_N_PERMUTED // len(tried))
    changed = [
        one for name in names for _ in range(n_repeats) for one in _exchanged(tried, name, rng)
    ]
    mean, _ = fitted.predict([*tried, *changed])
    before, after = mean[: len(tried)], mean[len(tried) :].reshape(len(names), n_repeats, -1)
    variance = max(float(before.var()), np.finfo(np.float64).tiny)
    effects = np.clip(((after - before) ** 2).mean(axis=(1, 2)) / (2 * variance), 0, 1)
    order = np.argsort(-effects, kind="stable")
    return Importance(tuple(names[j] for j in order), effects[order])


def _exchanged(
    tried: Sequence[Configuration], name: str, rng: np.random.Generator
) -> list[Configuration]:
    """Return the candidates after they have exchanged the values of a parameter."""
    spaces: dict[frozenset[str], list[int]] = {}
    for row, one in enumerate(tried):
        if name in one:
            spaces.setdefault(frozenset(one), []).append(row)
    exchanging = list(spaces.values())
    if all(len({_key(tried[i][name]) for i in rows}) == 1 for rows in exchanging):
        exchanging = [[i for rows in exchanging for i in rows]]
    changed = list(tried)
    for rows in exchanging:
        for row, donor in zip(rows, rng.permutation(rows).tolist(), strict=True):
            other = tried[donor]
            kept = {n: v for n, v in tried[row].items() if n in other and n != name}
            changed[row] = {**other, **kept}
    return changed


def sliced_parameters(fitted: FittedScores) -> list[str]:
    """Return the parameters that vary among candidates with those of the best one."""
    alike = [fitted.configurations[i] for i in fitted.rows_like_best]
    return [name for name in fitted.best if len({_key(one[name]) for one in alike}) > 1]


def score_slices(fitted: FittedScores, names: Sequence[str]) -> list[Slice]:
    """Return the expected score along parameters, through the best candidate.

    Parameters
    ----------
    fitted : FittedScores
        Candidates and scores.
    names : sequence of str
        Some of `sliced_parameters`.
    """
    best = fitted.best
    alike = [fitted.configurations[i] for i in fitted.rows_like_best]
    grids = [_grid([one[name] for one in alike]) for name in names]
    queries: list[Configuration] = [
        {**best, name: value}
        for name, (numbers, others) in zip(names, grids, strict=True)
        for value in [*numbers.tolist(), *others]
    ]
    mean, std = fitted.predict(queries)
    slices, end = [], 0
    for name, (numbers, others) in zip(names, grids, strict=True):
        at = slice(end, end := end + len(numbers) + len(others))
        low, high = mean[at] - _Z * std[at], mean[at] + _Z * std[at]
        slices.append(Slice(name, numbers, others, mean[at], low, high))
    return slices


def _grid(column: Sequence[Value]) -> tuple[Array, tuple[Value, ...]]:
    """Return numbers along the range of a column, and its other values."""
    numbers = np.array([v for v in column if is_number(v)], dtype=np.float64)
    others = tuple({_key(v): v for v in column if not is_number(v)}.values())
    if not len(numbers):
        return numbers, others
    between: Any = np.geomspace if is_logarithmic(numbers) else np.linspace
    grid = np.clip(between(numbers.min(), numbers.max(), _N_POINTS), numbers.min(), numbers.max())
    if all(isinstance(v, int) for v in column if is_number(v)):
        grid = grid.round()
    return np.unique(grid), others


def _key(value: Any) -> tuple[bool, str]:
    return is_number(value), str(float(value) if is_number(value) else value)
