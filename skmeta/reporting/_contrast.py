"""Contrasts: how much a target changes with one column, as a data frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from skmeta._optional import import_optional
from skmeta._validation import quote_some, suggest
from skmeta.mixed import Classes, Family, NegativeBinomial
from skmeta.reporting._effect import Effect, averaged, fit_effect
from skmeta.reporting._learned import left_by
from skmeta.reporting._sample import Sample

# Others leave less than this share of the variance of a column: they decide it.
_DECIDED = 1e-4
# Values of fit were standardised, and are known up to this share of their range.
_ROUNDING = 1e-6


class Column(NamedTuple):
    """A column of rows: numbers with NaN for gaps, or positions of labels with -1 for others."""

    name: str
    values: np.ndarray
    labels: tuple[Any, ...] | None = None  # None for numbers

    def encoded(self, like: Column | None = None) -> np.ndarray:
        """Return numbers (n, c) without gaps, as those of the column that the model was fitted to.

        Those of categories are indicators of all levels but the first.
        """
        like = self if like is None else like
        if self.labels is not None:
            return np.asarray(self.values[:, None] == np.arange(1, len(self.labels)), float)
        missing = np.isnan(self.values)
        fill = 0.0 if np.isnan(like.values).all() else float(np.nanmean(like.values))
        parts = [np.where(missing, fill, self.values)]
        parts += [missing * 1.0] * bool(np.isnan(like.values).any())
        return np.stack(parts, 1)


class Rows(NamedTuple):
    """Rows of a table as its estimator knows them."""

    columns: list[Column]  # without groups and exposures
    codes: np.ndarray  # of groups (n, F); one column of 0 without any
    y: np.ndarray  # targets, or positions of classes
    weight: np.ndarray
    exposure: np.ndarray  # over the unit of rates
    factors: list[tuple[str, list[Any]]]  # columns of groups, and their labels by code
    kind: str  # of the target
    classes: list[Any] | None = None


def columns_of(numbers: np.ndarray, names: Sequence[str], encoder: Any) -> list[Column]:
    """Return the columns of encoded numbers (n, d), given their names and a FrameEncoder."""
    columns, k = [], 0
    for known in encoder.columns if encoder is not None else ():
        name = str(known["name"])
        if "categories" in known:
            labels, width = known["categories"], len(known["categories"]) + known["has_other"]
            block = np.round(numbers[:, k : k + width])
            if "reference" in known:  # Of two categories, one has an indicator.
                columns.append(Column(name, block[:, 0], (known["reference"], *labels)))
            else:
                values = np.where(block.any(1), block.argmax(1), -1)
                columns.append(Column(name, values, (*labels, *["other"] * known["has_other"])))
            k += width
        else:
            values = numbers[:, k]
            if "levels" in known:
                values = np.round(np.where(np.isnan(values), -1, values))
            columns.append(Column(name, values, known.get("levels")))
            k += 1
    rest = zip(names[k:], numbers[:, k:].T, strict=True)
    return [*columns, *(Column(name, values) for name, values in rest)]


class ContrastMixin:
    """Gives estimators ``contrast``; they return their ``Rows`` by ``_rows_to_report(X)``."""

    def contrast(
        self,
        column: str | int,
        to: Any,
        versus: Any = None,
        X: Any = None,
        *,
        group: str | int | None = None,
        level: float = 0.95,
    ) -> Any:
        """Estimate how the expected target changes if a column goes from one value to another.

        All else stays as it is in the rows. The change is the effect of the column if nothing that
        is not in the table decides both it and the target, as in a trial with treatments at random.
        See :doc:`/reporting` for how it is estimated.

        Parameters
        ----------
        column : str or int
            Name or position of a column of ``X``.
        to : value or list of values
            Where the column goes: a category, or a number between those of ``fit``. A list has a
            row of the result for each.
        versus : value, default=None
            Where it comes from. None is the first category, or the lower of two numbers.
        X : data frame or array-like of shape (n_samples, n_features), default=None
            Rows over which changes are averaged. None takes those of ``fit``.
        group : str or int, default=None
            A column of groups: the result has a row for each of them. Effects of groups with few
            rows are drawn towards the common one.
        level : float, default=0.95
            Share of intervals that hold the truth.

        Returns
        -------
        pandas.DataFrame
            A row per comparison. ``estimate`` is the difference of expected targets: of classes,
            of their probabilities, and with exposures, of rates. ``std`` is its standard error,
            ``df`` the degrees of freedom of its t distribution, ``lower`` and ``upper`` are the
            bounds of its interval. Counts and amounts have ``ratio``, ``ratio_lower`` and
            ``ratio_upper``, too; of classes, these are ratios of odds.

        Raises
        ------
        ValueError
            If ``fit`` has seen no such value, or the effect cannot be told: other columns decide
            this one, or it differs between too few groups.
        """
        check_level(level)
        known = self._rows_to_report(None)  # type: ignore[attr-defined]
        at = known if X is None else self._rows_to_report(X)  # type: ignore[attr-defined]
        where = _place_of(self, column, known)
        pairs = _comparisons(known.columns[where], to, versus)
        factor = None if group is None else _factor(group, known)
        outputs: list[tuple[Any, np.ndarray, Family | None]] = [(None, known.y, _family(known))]
        if known.classes is not None:
            used = range(1, 2) if len(known.classes) == 2 else range(len(known.classes))
            outputs = [(known.classes[c], (known.y == c) * 1, Classes(2)) for c in used]
        others, records, names = others_of(at, where, known), [], []
        for label, y, family in outputs:
            sample = _sample(known, where, y)
            effect = fit_effect(sample, family, with_slopes=factor is not None)
            weights, models = [1.0], [effect]
            if factor is not None:
                _check_slopes(effect, factor, known)
                weights, models = effect.of_groups(factor)
            for name, ends in pairs:
                treatments = _treatment(known.columns[where], np.array(ends))
                to, versus = (effect.rows(D, others, at.codes) for D in treatments)
                for of, rows, own in _places(known, at, factor):
                    found = [model.compare(to[rows], versus[rows], own) for model in models]
                    names.append((name, label, of))
                    both = [averaged(weights, one) for one in zip(*found, strict=True)]
                    records.append(_record(*both, level, known))
        levels = ["contrast", "class", None if factor is None else known.factors[factor][0]]
        used = [True, len(outputs) > 1, factor is not None]
        pandas = import_optional("pandas", "contrast")
        index = pandas.MultiIndex.from_tuples(names, names=levels)
        index = index.droplevel([k for k in range(3) if not used[k]])
        return pandas.DataFrame(records, index=index)


def check_level(level: float) -> None:
    """Raise a ValueError if the level of an interval is none."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, both excluded, got {level!r}.")


def _family(known: Rows) -> Family | None:
    return NegativeBinomial() if known.kind == "count" else None


def _place_of(estimator: Any, column: str | int, known: Rows) -> int:
    """Return the position of a column among those that are not groups."""
    names = [one.name for one in known.columns]
    given = getattr(estimator, "feature_names_in_", None)
    if not isinstance(column, str):
        n = estimator.n_features_in_
        if not -n <= column < n:
            raise ValueError(f"column={column} is no position: X has {n} columns.")
        column = str(given[column]) if given is not None else f"x{column % n}"
    if column in [name for name, _ in known.factors]:
        raise ValueError(
            f"column={column!r} is a column of groups, so its effect is that of the groups: read "
            "effects_. Name another column."
        )
    if column not in names:
        hint = suggest(column, names) or f" It has {quote_some(names, 8)}."
        raise ValueError(f"X has no column {column!r}, which column names.{hint}")
    return names.index(column)


def _comparisons(column: Column, to: Any, versus: Any) -> list[tuple[str, tuple[float, float]]]:
    """Return names of comparisons, and values of the column: numbers or positions of labels."""
    name, seen = column.name, np.unique(column.values[~np.isnan(column.values)])
    if len(seen) < 2:
        raise ValueError(f"Column {name!r} has one value only, so its effect cannot be told.")
    if versus is None:
        if column.labels is None and len(seen) > 2:
            raise ValueError(
                f"Column {name!r} holds numbers, so versus, where the change starts, is needed. "
                f"Set it to a number between {seen[0]:g} and {seen[-1]:g}."
            )
        versus = seen[0] if column.labels is None else column.labels[int(seen[seen >= 0][0])]
    several = to if isinstance(to, (list, tuple, np.ndarray)) else [to]
    start = _value_of(column, versus, "versus")
    pairs = []
    for one in several:
        end = _value_of(column, one, "to")
        if end == start:
            raise ValueError(f"to and versus are both {one!r}. Set two values.")
        pairs.append((f"{_plain(one)} - {_plain(versus)}", (end, start)))
    return pairs


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, Real) and not isinstance(value, bool) else str(value)


def _value_of(column: Column, value: Any, parameter: str) -> float:
    name = column.name
    if column.labels is not None:
        labels = list(column.labels)
        value = value.item() if isinstance(value, np.generic) else value
        if value not in labels or not (column.values == labels.index(value)).any():
            hint = suggest(value, labels) if isinstance(value, str) else ""
            raise ValueError(
                f"{parameter}={value!r} is no value of column {name!r} with enough rows in fit."
                f"{hint} It has {quote_some(labels, 8)}."
            )
        return float(labels.index(value))
    if not isinstance(value, (Real, np.bool_)):
        raise ValueError(f"{parameter}={value!r} must be a number, as column {name!r} holds them.")
    low, high = np.nanmin(column.values), np.nanmax(column.values)
    slack = _ROUNDING * (high - low)
    if not low - slack <= value <= high + slack:
        raise ValueError(
            f"{parameter}={value!r} is beyond the values that fit has seen of column {name!r}, "
            f"{low:g} to {high:g}. Set a value between them."
        )
    return float(value)


def _treatment(column: Column, values: np.ndarray) -> np.ndarray:
    """Return columns (n, k) of a treatment; those of categories are of the levels seen."""
    if column.labels is None:
        return np.asarray(values, float)[:, None]
    seen = np.unique(column.values[column.values >= 0])
    return np.asarray(values[:, None] == seen[1:], float)


def others_of(at: Rows, where: int | None, known: Rows) -> np.ndarray:
    """Return all columns but one (n, d), as numbers without gaps."""
    pairs = zip(at.columns, known.columns, strict=True)
    parts = [one.encoded(like) for k, (one, like) in enumerate(pairs) if k != where]
    return np.hstack([np.empty((len(at.codes), 0)), *parts])


def _sample(known: Rows, where: int, y: np.ndarray) -> Sample:
    """Return rows whose treatment is known, or raise an error if its effect cannot be told."""
    column = known.columns[where]
    missing = np.isnan(column.values) if column.labels is None else column.values < 0
    rows = np.flatnonzero(~missing)
    D, W = _treatment(column, column.values)[rows], others_of(known, where, known)[rows]
    codes = known.codes[rows]
    for values in D.T:
        if left_by(W, values) < _DECIDED:
            raise ValueError(
                f"The other columns decide column {column.name!r}, so its effect cannot be told "
                "from theirs. Leave out those that hold the same in another form."
            )
        for f, (factor, _) in enumerate(known.factors):
            _check_groups(column.name, factor, values, W, codes[:, f])
    offset = np.log(known.exposure[rows])
    return Sample(D, W, y[rows], known.weight[rows], codes, offset)


def _check_groups(name: str, factor: str, D: np.ndarray, W: np.ndarray, codes: np.ndarray) -> None:
    """Raise an error if a column that differs between groups only has too few of them."""
    n_groups = len(np.unique(codes))
    first = np.unique(codes, return_index=True)[1]
    place = np.unique(codes, return_inverse=True)[1]

    def is_constant(values: np.ndarray) -> bool:
        return bool((values == values[first][place]).all())

    if n_groups == 1 or not is_constant(D):
        return
    fixed = [values[first] for values in W.T if is_constant(values)]
    columns = np.column_stack([np.ones(n_groups), D[first], *fixed])
    rank = np.linalg.matrix_rank(columns)
    if n_groups - rank < 1 or rank == np.linalg.matrix_rank(np.delete(columns, 1, axis=1)):
        raise ValueError(
            f"Column {name!r} is the same in all rows of each group in {factor!r}, and there are "
            f"{n_groups} groups, too few to tell its effect from what else differs between them. "
            "Add groups, or leave out columns that are constant within groups."
        )


def _factor(group: str | int, known: Rows) -> int:
    names = [name for name, _ in known.factors]
    if str(group) not in names:
        raise ValueError(
            f"group={group!r} is no column of groups of this model; it has "
            f"{quote_some(names) if names else 'none'}. Name one of them, or leave group out."
        )
    return names.index(str(group))


def _check_slopes(effect: Effect, factor: int, known: Rows) -> None:
    if len(effect.model.columns[factor]) == 1:
        name = known.factors[factor][0]
        raise ValueError(
            f"The effect cannot be told for each group in {name!r}: groups have too few rows of "
            "different values of the column. Leave group out for the common effect."
        )


def _places(
    known: Rows, at: Rows, factor: int | None
) -> Iterator[tuple[Any, np.ndarray, np.ndarray | None]]:
    """Yield labels of groups, their rows, and levels (F,), -1 for unknown; None for all rows."""
    if factor is None:
        yield None, np.arange(len(at.codes)), None
        return
    column = at.codes[:, factor]
    for code in np.unique(column[column >= 0]):
        levels = np.where(np.arange(at.codes.shape[1]) == factor, code, -1)
        yield known.factors[factor][1][code], np.flatnonzero(column == code), levels


def _record(difference: Any, ratio: Any, level: float, known: Rows) -> dict[str, float]:
    low, high = difference.interval(level)
    record = {"estimate": difference.value, "std": difference.std, "df": difference.df}
    record |= {"lower": low, "upper": high}
    if known.classes is not None or known.kind in ("count", "positive"):
        low, high = ratio.interval(level)
        values = np.exp([ratio.value, low, high])
        record |= dict(zip(("ratio", "ratio_lower", "ratio_upper"), values, strict=True))
    return record
