"""Contrasts: how much a target changes with one column, as a data frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from skmeta._mixed import Classes, Family, NegativeBinomial, Normal
from skmeta._optional import import_optional
from skmeta._reporting._effect import Estimate, averaged, fit_effect
from skmeta._reporting._sample import TreatmentRows, df_of_groups, differs_within, left_by
from skmeta._validation import count, quote, quote_some, suggest
from skmeta._warnings import warn_caller
from skmeta.exceptions import SkmetaWarning

# Others leave less than this share of the variance of a column: they decide it.
_DECIDED = 1e-4
# Values of fit were standardised, and are known up to this share of their range.
_ROUNDING = 1e-6
# In 156 drawn trials of counts, 95 % intervals held .75 of fewer events, .91 of 5 to 9, and .94 of
# more.
_MIN_EVENTS = 5
# With fewer groups that are treated as a whole, by whether targets are counts or classes, only
# straight lines of other columns are told. 95 % intervals of 40 groups held .94 to .97, and those
# of counts and classes of 80 groups .83 to .95 (benchmarks/measure/confounders.py).
_FEW_GROUPS = {False: 40, True: 100}


class Column(NamedTuple):
    """A column of rows: numbers with NaN for gaps, or positions of labels with -1 for others."""

    name: str
    values: np.ndarray
    labels: tuple[Any, ...] | None = None  # None for numbers

    @property
    def missing(self) -> np.ndarray:
        """Gaps, and levels that are no label (n,)."""
        return np.isnan(self.values) if self.labels is None else self.values < 0

    @property
    def seen(self) -> np.ndarray:
        """Numbers, or positions of labels, that rows have."""
        return np.unique(self.values[~self.missing])

    def treatment(self, values: np.ndarray) -> np.ndarray:
        """Return columns (n, k) of values; those of categories are of all levels seen but one."""
        if self.labels is None:
            return np.asarray(values, float)[:, None]
        return np.asarray(values[:, None] == self.seen[1:], float)

    def encoded(self, like: Column | None = None) -> np.ndarray:
        """Return numbers (n, c) without gaps, as those of the column that the model was fitted to.

        Those of categories are indicators of all levels but the first.
        """
        like = self if like is None else like
        if self.labels is not None:
            return np.asarray(self.values[:, None] == np.arange(1, len(self.labels)), float)
        fill = 0.0 if like.missing.all() else float(np.nanmean(like.values))
        parts = [np.where(self.missing, fill, self.values)]
        parts += [self.missing * 1.0] * bool(like.missing.any())
        return np.stack(parts, 1)


class ReportTable(NamedTuple):
    """Rows of a table as its estimator knows them."""

    columns: list[Column]  # without groups and exposures
    codes: np.ndarray  # of groups (n, F); one column of 0 without any
    y: np.ndarray  # targets, or positions of classes
    weight: np.ndarray
    exposure: np.ndarray  # over the unit of rates
    factors: list[tuple[str, dict[Any, int]]]  # columns of groups, and the codes of their labels
    kind: str  # of the target
    classes: list[Any] | None = None


def columns_of(numbers: np.ndarray, names: Sequence[str], encoder: Any) -> list[Column]:
    """Return the columns of encoded numbers (n, d), given their names and a FrameEncoder."""
    columns, k = [], 0
    for known in encoder.columns if encoder is not None else ():
        name = str(known["name"])
        if "categories" in known:
            labels = (*known["categories"], *["other"] * known["has_other"])
            block = np.round(numbers[:, k : k + len(labels)])
            k += len(labels)
            if "reference" in known:  # Of two categories, one has an indicator.
                block, labels = np.hstack([1 - block, block]), (known["reference"], *labels)
            columns.append(Column(name, np.where(block.any(1), block.argmax(1), -1), labels))
        else:
            values = numbers[:, k]
            if "levels" in known:
                values = np.round(np.where(np.isnan(values), -1, values))
            columns.append(Column(name, values, known.get("levels")))
            k += 1
    rest = zip(names[k:], numbers[:, k:].T, strict=True)
    return [*columns, *(Column(name, values) for name, values in rest)]


class ContrastMixin:
    """Gives ``contrast``; estimators return their ``ReportTable`` by ``_rows_to_report(X)``."""

    _rows_to_report: Callable[[Any], ReportTable]

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
            Where it comes from. None is the first category, or the other one of two values.
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
            A row per comparison. ``estimate`` is the difference of expected targets: of the
            probabilities of each class, or of the second one of two, and with exposures, of rates.
            ``std`` is its standard error, ``df`` the degrees of freedom of its t distribution
            and ``attrs["df_from"]`` where they come from: ``"rows"``, ``"rows and groups"``, or
            ``"groups of 'clinic'"`` if each clinic has one value, so that their number limits
            them: to narrow the interval, add groups. ``lower`` and ``upper`` are its bounds. Counts
            and amounts have ``ratio``, ``ratio_lower`` and ``ratio_upper``, too; of classes, these
            are ratios of odds.

        Raises
        ------
        ValueError
            If ``fit`` has seen no such value, or the effect cannot be told: other columns decide
            this one, it differs between too few groups, there are fewer than five events, or none
            with one of the values.
        """
        check_level(level)
        known = self._rows_to_report(None)
        _check_events(known)
        at = known if X is None else self._rows_to_report(X)
        where = _place_of(self, column, known)
        treated, others = known.columns[where], other_columns(at, where, known)
        pairs = _comparisons(treated, to, versus)
        _check_arms(known, treated, pairs)
        factor, places = _places(known, at, group)
        family: Family = NegativeBinomial() if known.kind == "count" else Normal()
        outputs = [(None, known.y)]
        if known.classes is not None:
            used, family = range(len(known.classes) == 2, len(known.classes)), Classes(2)
            outputs = [(known.classes[c], (known.y == c) * 1) for c in used]
        _warn_of_curves(known, where)
        records = {}
        for label, y in outputs:
            effect = fit_effect(_sample(known, where, y), family, with_slopes=factor is not None)
            weights, models = [1.0], [effect]
            if factor is not None:
                weights, models = effect.by_group(factor)
            for name, ends in pairs:
                end, start = effect.rows(treated.treatment(np.array(ends)), others, at.codes)
                for of, rows, own in places:
                    each = [model.compare(end[rows], start[rows], own) for model in models]
                    both = (averaged(weights, one) for one in zip(*each, strict=True))
                    records[name, label, of] = _record(known, level, *both)
        pandas = import_optional("pandas", "contrast")
        names = ["contrast", "class", None if group is None else str(group)]
        index = pandas.MultiIndex.from_tuples(records, names=names)
        frame = pandas.DataFrame(list(records.values()), index)
        frame.attrs["df_from"] = _source_of_df(known, treated, factor)
        return frame.droplevel([1] * (len(outputs) == 1) + [2] * (factor is None))


def check_level(level: float) -> None:
    """Raise a ValueError if the level of an interval is none."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, such as 0.95, got {level!r}.")


def _check_events(known: ReportTable) -> None:
    """Raise a ValueError if counts, or one of two classes, are too few."""
    events = {"y": float(known.weight @ known.y)} if known.kind == "count" else {}
    if known.classes is not None and len(known.classes) == 2:
        each = enumerate(known.classes)
        events = {f"Class {quote(c)}": float(known.weight @ (known.y == k)) for k, c in each}
    for name, number in events.items():
        if number < _MIN_EVENTS:
            raise ValueError(
                f"{name} has {count(round(number), 'events')}, but contrast needs {_MIN_EVENTS} or "
                "more to tell an effect from chance. Add rows."
            )


def _check_arms(
    known: ReportTable, column: Column, pairs: list[tuple[str, tuple[float, float]]]
) -> None:
    """Raise a ValueError if all rows with a value have no event, or are of one of two classes."""
    is_binary = known.classes is not None and len(known.classes) == 2
    if not (is_binary or known.kind == "count") or (len(column.seen) > 2 and column.labels is None):
        return
    for end in {end for _, ends in pairs for end in ends}:
        y = known.y[(abs(column.values - end) < _ROUNDING) & (known.weight > 0)]
        if len(y) and (y == y[0]).all() and (is_binary or y[0] == 0):
            value = f"{end:g}" if column.labels is None else repr(column.labels[int(end)])
            what = "are of one class" if is_binary else "have no event"
            raise ValueError(
                f"All rows with {column.name}={value} {what}, so no ratio or its interval can be "
                "told. Add rows, or join this value with another one."
            )


def _place_of(estimator: Any, column: str | int, known: ReportTable) -> int:
    """Return the position of a column among those that are not groups."""
    names, n = [one.name for one in known.columns], getattr(estimator, "n_features_in_", 0)
    if isinstance(column, Integral) and -n <= column < n:
        given = getattr(estimator, "feature_names_in_", [f"x{k}" for k in range(n)])
        column = str(given[int(column)])
    prefix = "" if hasattr(estimator, "feature_names_in_") else "x"
    if column in [prefix + name for name, _ in known.factors]:
        raise ValueError(
            f"column={column!r} is a column of groups, so its effect is that of the groups: read "
            "effects_. Name another column."
        )
    if column not in names:
        hint = suggest(column, names) or f" It has {quote_some(names, 8)}."
        raise ValueError(f"column={column!r} is no column of X.{hint}")
    return names.index(str(column))


def _comparisons(column: Column, to: Any, versus: Any) -> list[tuple[str, tuple[float, float]]]:
    """Return names of comparisons, and values of the column: numbers or positions of labels."""
    seen = column.seen
    if len(seen) < 2:
        raise ValueError(f"Column {column.name!r} has one value, so its effect cannot be told.")
    if column.labels is not None:
        values = [column.labels[int(k)] for k in seen]
    else:  # Those of fit were standardised.
        places = 6 - int(np.floor(np.log10(np.ptp(seen))))
        values = np.unique(np.round(seen, places) + 0.0).tolist()
    ends = list(to) if isinstance(to, (list, tuple, np.ndarray)) else [to]
    if not ends:
        raise ValueError(f"to={to!r} has no value. Name one, such as {values[-1]!r}.")
    places_of_ends = [_value_of(column, end, "to", values) for end in ends]
    if versus is None:
        if column.labels is None and len(values) > 2:
            raise ValueError(
                f"Column {column.name!r} holds numbers, so versus, where the change starts, is "
                f"needed. Set it to a number between {values[0]:g} and {values[-1]:g}."
            )
        versus = values[1] if len(values) == 2 and ends[0] == values[0] else values[0]
        versus = bool(versus) if isinstance(ends[0], (bool, np.bool_)) else versus
    start = _value_of(column, versus, "versus", values)
    if start in places_of_ends:
        raise ValueError(
            f"to and versus, which is the first value if left out, are both {versus!r}. Set "
            "another versus."
        )
    both = zip(ends, places_of_ends, strict=True)
    return [(f"{_plain(end)} - {_plain(versus)}", (place, start)) for end, place in both]


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, Real) and not isinstance(value, bool) else str(value)


def _value_of(column: Column, value: Any, parameter: str, seen: list[Any]) -> float:
    """Return a number, or the position of a label, if `fit` has seen it."""
    given = f"{parameter}={value!r}"
    if column.labels is not None:
        if value not in seen:
            raise ValueError(
                f"{given} is no value of column {column.name!r} with enough rows in fit."
                f"{suggest(value, seen)} It has {quote_some(seen, 8)}."
            )
        return float(column.labels.index(value))
    if not isinstance(value, (Real, np.bool_)):
        raise ValueError(f"{given} must be a number, as column {column.name!r} holds them.")
    slack = _ROUNDING * (seen[-1] - seen[0])
    if not seen[0] - slack <= value <= seen[-1] + slack:
        raise ValueError(
            f"{given} is beyond the values that fit has seen of column {column.name!r}, "
            f"{seen[0]:g} to {seen[-1]:g}. Set a value between them."
        )
    return float(value)


def other_columns(at: ReportTable, where: int | None, known: ReportTable) -> np.ndarray:
    """Return all columns but one (n, d), as numbers without gaps."""
    pairs = zip(at.columns, known.columns, strict=True)
    parts = [one.encoded(like) for k, (one, like) in enumerate(pairs) if k != where]
    return np.hstack([np.empty((len(at.codes), 0)), *parts])


def _sample(known: ReportTable, where: int, y: np.ndarray) -> TreatmentRows:
    """Return rows whose treatment is known, or raise an error if its effect cannot be told."""
    column = known.columns[where]
    rows = np.flatnonzero(~column.missing)
    D, W = column.treatment(column.values)[rows], other_columns(known, where, known)[rows]
    codes = known.codes[rows]
    if min(left_by(W, values) for values in D.T) < _DECIDED:
        raise ValueError(
            f"The other columns decide column {column.name!r}, so its effect cannot be told "
            "from theirs. Leave out those that hold the same in another form."
        )
    df_by_factor = df_of_groups(np.hstack([D, W]), D.shape[1], codes)
    for (factor, labels), df in zip(known.factors, df_by_factor, strict=False):
        if df < 1:
            raise ValueError(
                f"Column {column.name!r} is the same in all rows of each group in {factor!r}, and "
                f"{len(labels)} groups are too few to tell its effect from what else differs "
                "between them. Add groups, or leave out columns that are constant within groups."
            )
    return TreatmentRows(D, W, y[rows], known.weight[rows], codes, np.log(known.exposure[rows]))


def _warn_of_curves(known: ReportTable, where: int) -> None:
    """Warn if few groups are treated as a whole, and a number of the group may decide which."""
    treated = known.columns[where]
    most = _FEW_GROUPS[known.classes is not None or known.kind == "count"]
    held = "70 to 93" if most > _FEW_GROUPS[False] else "82 to 94"
    numbers = [one for one in known.columns if one.labels is None and len(one.seen) > 2]
    for (name, labels), codes in zip(known.factors, known.codes.T, strict=False):
        of = codes >= 0
        each = ((one.name, one.encoded()[of]) for one in (treated, *numbers))
        fixed = [label for label, values in each if not differs_within(values, codes[of]).any()]
        own = [label for label in fixed if label != treated.name]
        if len(labels) < most and treated.name in fixed and own:
            warn_caller(
                f"Column {treated.name!r} is the same in all rows of each group in {name!r}, and "
                f"so is {quote_some(own)}. With {len(labels)} groups, an influence of such a "
                "column that is no straight line cannot be told from the effect. If there is one, "
                "and values were not assigned at random, the interval is too narrow: of 95 % "
                f"intervals of 20 groups, {held} % held. Add groups, or a column in the form that "
                "you expect, such as its square.",
                SkmetaWarning,
            )


def _source_of_df(known: ReportTable, column: Column, factor: int | None) -> str:
    """Say what limits the degrees of freedom of an effect: rows, or a column of groups."""
    if factor is not None or not known.factors:
        return "rows"
    seen = ~column.missing
    D, codes = column.treatment(column.values)[seen], known.codes[seen]
    by_factor = df_of_groups(D, D.shape[1], codes)
    name, df = min(
        zip((name for name, _ in known.factors), by_factor, strict=True), key=lambda f: f[1]
    )
    return f"groups of {name!r}" if np.isfinite(df) else "rows and groups"


def _places(
    known: ReportTable, at: ReportTable, group: str | int | None
) -> tuple[int | None, list[tuple[Any, np.ndarray, np.ndarray | None]]]:
    """Return the position of a column of groups; labels of groups, their rows, and levels (F,).

    Levels of other columns are -1. Without a column, the rows are all.
    """
    if group is None:
        return None, [(None, np.arange(len(at.codes)), None)]
    names = [name for name, _ in known.factors]
    if str(group) not in names:
        raise ValueError(
            f"group={group!r} is no column of groups of this model; it has "
            f"{quote_some(names) or 'none'}. Name one of them, or leave group out."
        )
    factor = names.index(str(group))
    places: list[tuple[Any, np.ndarray, np.ndarray | None]] = []
    for label, code in known.factors[factor][1].items():
        rows = np.flatnonzero(at.codes[:, factor] == code)
        if len(rows):
            places.append((label, rows, np.where(np.arange(len(names)) == factor, code, -1)))
    if not places:
        raise ValueError(f"X has no row of a group in {group!r} that fit has seen. Leave X out.")
    return factor, places


def _record(
    known: ReportTable, level: float, difference: Estimate, ratio: Estimate
) -> dict[str, float]:
    low, high = difference.interval(level)
    record = {"estimate": difference.value, "std": difference.std, "df": difference.df}
    record |= {"lower": low, "upper": high}
    if known.classes is not None or known.kind in ("count", "positive"):
        low, high = ratio.interval(level)
        values = np.exp([ratio.value, low, high])
        record |= dict(zip(("ratio", "ratio_lower", "ratio_upper"), values, strict=True))
    return record
