"""The units of the columns that a prior was meta-trained on, and rows that cannot have them.

Notation (symbol, shape, meaning), over drawn tasks e with n_e rows:

m       (e, d)    mean of each column in a task
s       (e, d)    standard deviation
u       (e, d)    logarithm of the squared deviation, of columns that are not constant in the task
g       (e, d)    share of missing values

UNITS keeps (9, d): the mean M of m and its variance B between tasks, the mean W of s^2, the mean U
of u and its variance V, the mean G of g and its variance H, which columns a scaler that was fitted
to each task has changed, and which columns vary within tasks, so that their units are known. Each
score of a new task is in units of its standard deviation. The variance of a mean is
B + max(W, s^2) / n: a column that is rarely 1 may be so now.

The rows of an image are its mean and its deviation: its pixels have one unit.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNITS, N_TASKS = "rows.units", "rows.n_tasks"
# The score from which a column does not fit; it is larger where few classes or groups were seen.
# Chosen on divisions of 24 tables: benchmarks/measure/prior_in_a_pipeline.py measures others.
_MAX_SCORE, _FEW_TASKS = 9.0, 5.0
_N_DRAWN = 300
_MAX_VALUES = 2**22  # of images that are read at once
# Share of tasks above which a column must vary, so that something is known of its units.
_VARIES = 0.9
_EXACT = 1e-5

Array = NDArray[np.float64]
# Number of rows; mean, deviation and share of missing values of each column; which were scaled.
Moments = tuple[int, Array, Array, Array, NDArray[np.bool_]]


class Misfit(NamedTuple):
    """A column of a support set that does not fit what a prior has seen."""

    column: int
    now: str
    before: str


def columns_of(X: np.ndarray, is_image: bool) -> Array:
    """Return the rows (n, d) as numbers; of images, the mean and the deviation (n, 2)."""
    table = np.asarray(X).reshape(len(X), -1)
    if not is_image:
        return np.asarray(table, dtype=np.float64)
    step = max(1, _MAX_VALUES // table.shape[1])
    parts = (table[k : k + step].astype(np.float64) for k in range(0, len(table), step))
    return np.concatenate([np.column_stack([part.mean(1), part.std(1)]) for part in parts])


def describe_units(
    table: Array, n_tasks: int, draw: Callable[[np.random.Generator], np.ndarray]
) -> dict[str, Array]:
    """Return what a prior keeps of the units of columns.

    `draw` returns the rows of a task; `n_tasks` is the number of classes or groups.
    """
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore", invalid="ignore"):
        return _units([_moments(table[draw(rng)]) for _ in range(_N_DRAWN)], n_tasks)


def _units(each: list[Moments], n_tasks: int) -> dict[str, Array]:
    n, m, s, gaps, scaled = (np.stack(part) for part in zip(*each, strict=True))
    W = _mean(s**2)
    B = np.maximum(_variance(m) - W * float((1 / n).mean()), 0)
    varies = np.where((s > 0).mean(0) > _VARIES, 1.0, 0.0)
    u = 2 * np.log(np.where((s > 0) & np.isfinite(s), s, np.nan))
    V, H = _variance(u), _variance(gaps)
    units = np.stack([_mean(m), B, W, _mean(u), V, _mean(gaps), H, scaled.any(0), varies])
    return {UNITS: np.nan_to_num(units), N_TASKS: np.asarray(float(n_tasks))}


def find_misfit(tensors: Mapping[str, np.ndarray], table: Array) -> Misfit | None:
    """Return the column that cannot have the units of the meta-training; None if all can."""
    if UNITS not in tensors or tensors[UNITS].shape[1] != table.shape[1] or len(table) < 2:
        return None
    units = np.asarray(tensors[UNITS])
    M, B, W, U, V, G, H, was_scaled, varies = units
    with np.errstate(over="ignore", invalid="ignore"):
        n, m, s, gaps, is_scaled = _moments(table)
    new = is_scaled & (was_scaled == 0)
    if new.any():
        return _misfit(int(new.argmax()), units, m, s, gaps)
    with np.errstate(all="ignore"):
        location = abs(m - M) / np.sqrt(B + np.maximum(W, s**2) / n)
        scale = abs(2 * np.log(s) - U) / np.sqrt(V + 2 / (n - 1))
        missing = abs(gaps - G) / np.sqrt(H + (G * (1 - G) + 1 / n) / n)
    location[varies == 0] = 0
    scale[(varies == 0) | (s == 0)] = 0
    scores = np.max(np.nan_to_num([location, scale, missing], posinf=0), axis=0)
    worst = int(scores.argmax())
    limit = _MAX_SCORE * (1 + _FEW_TASKS / tensors[N_TASKS])
    return _misfit(worst, units, m, s, gaps) if scores[worst] > limit else None


def _misfit(column: int, units: Array, m: Array, s: Array, gaps: Array) -> Misfit:
    M, B, W, _, _, G, *_ = units[:, column]

    def spell(mean: float, deviation: float, missing: float) -> str:
        mean = mean if abs(mean) > _EXACT * deviation else 0.0
        text = f"mean {mean:.3g} and standard deviation {deviation:.3g}"
        return f"{text}, {missing:.0%} missing" if G or gaps[column] else text

    now = spell(m[column], s[column], gaps[column])
    return Misfit(column, now, spell(M, float(np.sqrt(B + W)), G))


def _moments(table: Array) -> Moments:
    """Return n, the mean, the deviation, the share of missing values, and what was scaled."""
    known = ~np.isnan(table)
    count = known.sum(0)
    filled = np.where(known, table, 0.0)
    mean = filled.sum(0) / np.maximum(count, 1)
    deviation = np.sqrt((np.where(known, table - mean, 0.0) ** 2).sum(0) / np.maximum(count, 1))
    # Rounding can leave a constant column with a tiny deviation.
    deviation[deviation <= 1e-12 * abs(mean)] = 0
    mean, gaps = np.where(count > 0, mean, np.nan), 1 - count / len(table)
    return len(table), mean, deviation, gaps, _is_scaled(table, mean, deviation)


def _is_scaled(table: Array, mean: Array, deviation: Array) -> NDArray[np.bool_]:
    """Return which columns a scaler of scikit-learn has changed that was fitted to these rows."""
    least, low, middle, high, largest = np.percentile(table, (0, 25, 50, 75, 100), axis=0)
    standard = (abs(mean) < _EXACT) & (abs(deviation - 1) < _EXACT)
    unit = (abs(least) < _EXACT) & (abs(largest - 1) < _EXACT)
    robust = (abs(middle) < _EXACT) & (abs(high - low - 1) < _EXACT)
    # An indicator has such quartiles, and such a range.
    is_whole = (table == np.rint(table)).all(0)
    return np.asarray(standard | ((robust | unit) & ~is_whole))


def _mean(values: Array) -> Array:
    known = ~np.isnan(values)
    return np.asarray(np.where(known, values, 0.0).sum(0) / np.maximum(known.sum(0), 1))


def _variance(values: Array) -> Array:
    return _mean((values - _mean(values)) ** 2)
