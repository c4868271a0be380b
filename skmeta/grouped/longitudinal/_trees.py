"""Trees that know earlier rows of the group: for changes since the last value, or classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from skmeta._tabular import FitSettings, Outputs, Population, Table, fit_population
from skmeta.grouped.longitudinal._curves import LastValue, TargetRange, TimeMember
from skmeta.grouped.longitudinal._rows import first_rows, rows_before

# Folds of groups of trees for changes, and rows that trees are fitted to, at most.
_N_FOLDS, _MAX_CASES = 3, 4000
# Shares of earlier classes fade by this factor from row to row.
_FADE = 0.7


def step_columns(known: Table, at: Table) -> np.ndarray:
    """Return columns (n, q) of rows to predict; NaN without known rows."""
    before = rows_before(known, at)
    y, t = known.y[before.order], known.times[before.order]
    first, n = before.first, before.n

    def row(place: np.ndarray, least: int, values: np.ndarray) -> np.ndarray:
        padded = np.append(values, np.nan)
        return np.asarray(padded[np.where(n >= least, place, len(values))])

    last, previous = row(first + n - 1, 1, y), row(first + n - 2, 2, y)
    sums = np.append(0.0, np.cumsum(y))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (sums[first + n] - sums[first]) / n
        rise = (last - row(first, 2, y)) / (row(first + n - 1, 2, t) - row(first, 2, t))
    since = at.times - row(first + n - 1, 1, t)
    rise = np.where(np.isfinite(rise), rise, np.nan)
    X = at.features
    X_last = np.vstack([known.features, np.full((1, X.shape[1]), np.nan)])[before.last]
    parts = [last, last - previous, mean, rise, since, n, at.times, X, X - X_last]
    return np.column_stack(parts)


@dataclass(frozen=True)
class Lags(TimeMember):
    """Trees over groups, cross-fitted, that know earlier rows of the group.

    They predict the classes, or changes since the last value.
    """

    population: Population
    n_classes: int
    last: LastValue | None = None  # None for classes

    @property
    def base(self) -> str:
        """The member whose deviations it takes; none for classes."""
        return "" if self.last is None else self.last.base

    def predict_from(self, known: Table, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows of groups, given known rows."""
        if self.last is None:
            columns = lag_columns(known, at, self.n_classes)
            return Outputs(self.population.predict(columns, at.fold), np.zeros(len(columns)))
        last, target_range = self.last.predict_from(known, at, before), self.last.range
        change = self.population.predict(
            step_columns(*free_of_season(target_range, known, at)), at.fold
        )
        free = target_range.without_season(at._replace(y=last.mean))
        return Outputs(target_range.within(target_range.add(free + change, at.shared)), last.std)


def free_of_season(target_range: TargetRange, *tables: Table) -> list[Table]:
    """Return rows whose targets have no season."""
    return [rows._replace(y=target_range.without_season(rows)) for rows in tables]


def fit_lags(
    table: Table,
    settings: FitSettings,
    n_classes: int,
    last: LastValue | None = None,
    ahead: int | None = None,
    start: Lags | None = None,
    share: Callable[[Table, Table], Table] = lambda rows, _: rows,
) -> Lags:
    """Fit trees to rows of groups up to steps `ahead`, given the first rows of each.

    What members share of rows, such as seasons, follows from known rows by `share`.
    """
    known, query = first_rows(table, _MAX_CASES, ahead)
    y, fold, n_rounds = query.y, query.fold, 0
    if last is None:
        columns = lag_columns(known, query, n_classes)
    else:
        known, query = share(known, known), share(query, known)
        known, query = free_of_season(last.range, known, query)
        y = query.y - np.append(known.y, last.mean)[rows_before(known, query).last]
        columns = step_columns(known, query)
        fold = fold % _N_FOLDS
    if start is not None:
        # Later rows are of groups that are known: trees need no folds of these.
        fold, n_rounds = np.zeros(len(y), int), start.population.n_rounds
    weight = query.weight
    if last is not None:
        # What a user gives as a population learns what groups share, and not changes in time.
        settings, drawn = settings._replace(estimator="auto"), _draw(query)
        columns, y, fold, weight = columns[drawn], y[drawn], fold[drawn], np.ones(len(y))
    fold = np.unique(fold, return_inverse=True)[1]
    parts = settings, columns, y, weight, fold, n_classes
    population, _ = fit_population(
        *parts, corrects_base=True, n_rounds=n_rounds, is_small=last is not None
    )
    return Lags(population, n_classes, last)


def _draw(rows: Table) -> np.ndarray:
    """Draw positions (n,) of rows by weight; the k rows of a case count as sqrt(k) rows."""
    codes = np.unique(rows.group, return_inverse=True)[1]
    chance = rows.weight / np.sqrt(np.bincount(codes))[codes]
    return np.random.default_rng(0).choice(len(codes), len(codes), p=chance / chance.sum())


def lag_columns(known: Table, at: Table, n_classes: int) -> np.ndarray:
    """Return columns (n, q) of rows to predict: those of the table, and earlier classes.

    These are the last one, shares with equal and with fading weights, their number and the time
    since.
    """
    before = rows_before(known, at)
    first, n = before.first, before.n
    is_class = (known.y[before.order, None] == np.arange(n_classes)).astype(float)
    sums = np.vstack([np.zeros(n_classes), np.cumsum(is_class, 0)])
    fading, codes = np.zeros((len(is_class) + 1, n_classes)), known.group[before.order]
    for k, row in enumerate(is_class):
        same = k > 0 and codes[k] == codes[k - 1]
        fading[k + 1] = row * (1 - _FADE) + (_FADE * fading[k] if same else 0.0)
    has_rows, last = n > 0, np.where(n > 0, first + n, 0)
    shares = (sums[last] - sums[np.where(has_rows, first, 0)]) / np.maximum(n, 1)[:, None]
    faded = fading[last] / np.maximum(fading[last].sum(1, keepdims=True), 1e-300)
    last_class = np.vstack([np.zeros(n_classes), is_class])[last]
    lags = np.where(has_rows[:, None], np.hstack([last_class, shares, faded]), np.nan)
    since = np.where(has_rows, at.times - np.append(known.times, 0.0)[before.last], np.nan)
    return np.column_stack([at.X, lags, n, since])
