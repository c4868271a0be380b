"""Several columns of groups, nested or crossed: an effect of each level, estimated together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from skmeta._mixed import (
    Classes,
    Conditioned,
    EachClass,
    EachConditioned,
    MixedModel,
    fit,
    varies_within,
)
from skmeta._optional import import_optional
from skmeta._tabular import Member, Outputs, Standardiser, Table, parents_of
from skmeta._validation import quote
from skmeta.exceptions import EpisodeError
from skmeta.grouped.members._group_effects import MAX_TOGETHER, MIN_STD, Design

# Slopes differ between levels if there are no more effects than this of all factors but the
# largest, and no more products of columns than that of all rows.
_MAX_EFFECTS, _MAX_VALUES = 1500, 2**24
# Pairs have effects if there are at most this share of pairs per row.
_MAX_PAIRS = 0.8
_MAX_LEVELS = 2**31
# Decrease of minus the log likelihood that ends the fit: with slopes, and of intercepts alone.
_TOLERANCE, _PRECISE = 1e-3, 1e-5

Pair = tuple[int, int]


def check_factors(codes: np.ndarray, names: list[str]) -> None:
    """Raise an error if a column of groups has one group, or is the same as another one."""
    for f, name in enumerate(names):
        if codes[:, f].max() == 0:
            raise EpisodeError(
                f"Group column {quote(name)} has one group only, so nothing says how its groups "
                "differ. Leave it out of groups."
            )
        for g in range(f):
            if parents_of(codes, f, g) is not None and parents_of(codes, g, f) is not None:
                raise EpisodeError(
                    f"Group columns {quote(names[g])} and {quote(name)} divide the rows into the "
                    "same groups. Name one of them."
                )


@dataclass(frozen=True)
class CrossedEffects(Member):
    """How the groups of several factors differ: a mixed model with effects of each level.

    A factor is nested in another if each of its levels occurs with one level of that; a level is
    known beside that one only. Pairs of levels with several rows are a factor of their own.
    """

    design: Design
    units: Standardiser
    pairs: tuple[tuple[int, int], ...]  # factors whose pairs have effects
    model: MixedModel | EachClass
    table: Table  # rows it knows
    parents: list[list[np.ndarray | None]]  # level of g by that of f; None if not nested
    least_std: float = MIN_STD  # of a prediction

    keeps_rows = True

    def __getstate__(self) -> dict[str, Any]:
        # What is given takes more room than the rows, and a moment.
        return {name: value for name, value in self.__dict__.items() if name != "given"}

    def condition(self, known: Table) -> CrossedEffects:
        """Return the effects given other known rows. Covariances stay as they are."""
        if known is self.table:
            return self
        return replace(self, table=known, parents=_all_parents(known.codes))

    @cached_property
    def given(self) -> Conditioned | EachConditioned:
        """The effects, given the known rows."""
        table, y = self.table, self.table.y
        y = y.astype(np.int64) if self.design.n_classes else y
        codes = np.column_stack([table.codes, self._pair_codes(table.codes)])
        return self.model.condition(self._columns(table), y, codes, table.weight)

    @cached_property
    def _known_pairs(self) -> list[np.ndarray]:
        return [np.unique(_keys(self.table.codes, *pair)) for pair in self.pairs]

    def _pair_codes(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (n, n_pairs) of the pairs; -1 for those without known rows."""
        columns = [np.empty((len(codes), 0), np.int64)]
        for pair, known in zip(self.pairs, self._known_pairs, strict=True):
            keys = _keys(codes, *pair)
            at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            columns.append(np.where(known[at] == keys, at, -1)[:, None])
        return np.hstack(columns)

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows."""
        codes = np.column_stack([at.codes, self._pair_codes(at.codes)])
        mean, std = self.given.predict(self._columns(at), codes)
        return Outputs(mean, std if self.design.n_classes else np.maximum(std, self.least_std))

    def _columns(self, table: Table) -> np.ndarray:
        return self.units.with_intercept(self.design(table))

    def within_parents(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (n, n_factors), -1 beside another level than they are nested in."""
        resolved = codes.copy()
        for f, factor_parents in enumerate(self.parents):
            for g, parents in enumerate(factor_parents):
                if parents is not None:
                    resolved[parents[codes[:, f]] != codes[:, g], f] = -1
        return resolved

    # ----------------------------------------------------------------------- effects

    def effects(
        self,
        names: list[str],
        levels: list[dict[Any, int]],
        scale: float,
        classes: list[Any] | None = None,
    ) -> Any:
        """Return a data frame of the effects of all levels; see `GroupedRegressor.effects_`."""
        pandas = import_optional("pandas", "effects_")
        parts, by_factor, deviations = [], self.given.effects, self.model.deviations
        for f, (name, numbers) in enumerate(zip(names, levels, strict=True)):
            index = pandas.MultiIndex.from_product([[name], ["shared", *numbers]])
            order, stds = list(numbers.values()), self.given.effect_std(f)
            counts = np.bincount(self.table.codes[:, f], minlength=len(order))[order]
            columns = {"rows": np.r_[counts.sum(), counts]}
            for k, of in enumerate(self._names_of_predictors(classes)):
                between, own = deviations[f][k, 0], by_factor[f][order, k, 0]
                columns[f"intercept{of}"] = scale * np.r_[0.0, own]
                columns[f"intercept{of} std"] = scale * np.r_[0.0, stds[order, k, 0]]
                columns[f"intercept{of} between"] = np.full(len(order) + 1, scale * between)
            parts.append(pandas.DataFrame(columns, index=index))
        return pandas.concat(parts).rename_axis(["column", "group"])

    def _names_of_predictors(self, classes: list[Any] | None) -> list[str]:
        if classes is None or len(classes) <= 2:
            return [""]
        return [f" ({label})" for label in classes]

    def summary(self, names: list[str], scale: float, classes: list[Any] | None = None) -> str:
        """Return in words how much groups differ; see :meth:`effects`."""
        what = "log odds" if self.design.n_classes else "target"
        lines = [f"{len(self.table.y)} rows. Deviations of the {what}:"]
        deviations, n_levels = self.model.deviations, self.table.codes.max(0) + 1
        for f, name in enumerate(names):
            outer = [names[g] for g in range(len(names)) if self.parents[f][g] is not None]
            nested = f", nested in {' and '.join(outer)}" if outer else ""
            for k, of in enumerate(self._names_of_predictors(classes)):
                between = scale * deviations[f][k, 0]
                lines.append(
                    f"  between the {n_levels[f]} groups of {name}{nested}{of}: {between:.4g}"
                )
        for k, (f, g) in enumerate(self.pairs):
            each = [f"{scale * one:.4g}" for one in deviations[len(names) + k][:, 0]]
            lines.append(f"  between pairs of {names[f]} and {names[g]}: {', '.join(each)}")
        if isinstance(self.model, MixedModel) and not self.design.n_classes:
            lines.append(f"  of the rest: {scale * self.model.noise:.4g}")
        return "\n".join(lines)


def fit_crossed_member(
    table: Table,
    used: np.ndarray,
    has_shared: bool,
    n_classes: int,
    settings: Mapping[str, Any],
    pooled: np.ndarray,
    start: CrossedEffects | None = None,
) -> CrossedEffects:
    """Fit the mixed model of the columns `used`, roughly near `start` if it is given."""
    parents = _all_parents(table.codes)
    if start is None:
        design = Design(used, has_shared, n_classes, pooled)
        units = Standardiser.learn(design(table))
        pairs = _pairs(table.codes, parents) if n_classes <= 2 else ()
    else:
        design, units, pairs = start.design, start.units, start.pairs
    X = units.with_intercept(design(table))
    paired = [np.unique(_keys(table.codes, *pair), return_inverse=True)[1] for pair in pairs]
    effects, rank = settings.get("effects", "auto"), settings.get("rank", 2)
    is_diagonal = effects == "slopes" or (effects == "auto" and bool(n_classes))
    is_each = n_classes > MAX_TOGETHER
    before: Any = None if start is None else start.model
    own = design.columns_of_classes(np.arange(n_classes))
    if before is not None:
        one = before.models[0] if is_each else before
        columns = list(one.columns)
    else:
        given = X[:, own[0]] if is_each else X
        is_pooled = design.are_pooled(given.shape[1])
        columns = _slopes(given, table.codes, effects, n_classes, is_pooled)
        columns += [np.array([0])] * len(pairs)
    fit_one = partial(
        fit,
        codes=np.column_stack([table.codes, *paired]),
        family=Classes(2 if is_each else n_classes) if n_classes else None,
        columns=columns,
        w=table.weight,
        rank=0 if is_diagonal else rank,
        tolerance=_TOLERANCE if max(map(len, columns)) > 1 else _PRECISE,
        shrinkage=settings.get("shrinkage", 1.0) if X.shape[1] > 1 else 0.0,
    )
    y = table.y.astype(np.int64) if n_classes else table.y
    model = EachClass.fit(fit_one, X, y, own, before) if is_each else fit_one(X, y, start=before)
    if design.is_reversed(model):
        return fit_crossed_member(table, used, False, n_classes, settings, design.pooled)
    return CrossedEffects(design, units, pairs, model, table, parents)


def _slopes(
    X: np.ndarray, codes: np.ndarray, effects: str, n_classes: int, is_pooled: np.ndarray
) -> list[np.ndarray]:
    """Return the columns whose coefficients differ between the levels of each factor."""
    sizes, j = sorted(codes.max(0) + 1), max(n_classes, 1) if n_classes != 2 else 1
    q = X.shape[1] - int(is_pooled.sum())
    is_large = j * q * sum(sizes[:-1]) > _MAX_EFFECTS or len(X) * (j * q) ** 2 > _MAX_VALUES
    if effects == "intercept" or is_large or (effects == "auto" and j > 1):
        return [np.array([0])] * codes.shape[1]
    return [np.flatnonzero(varies_within(X, column) & ~is_pooled) for column in codes.T]


def _pairs(codes: np.ndarray, parents: list[list[np.ndarray | None]]) -> tuple[Pair, ...]:
    """Return the crossed factors whose pairs of levels have several rows."""
    n, crossed = len(codes), []
    for f, g in itertools.combinations(range(codes.shape[1]), 2):
        n_pairs = len(np.unique(_keys(codes, f, g)))
        is_nested = parents[f][g] is not None or parents[g][f] is not None
        if not is_nested and n_pairs <= _MAX_PAIRS * n:
            crossed.append((f, g))
    return tuple(crossed)


def _keys(codes: np.ndarray, f: int, g: int) -> np.ndarray:
    """Return numbers (n,) of the pairs of levels of two factors; -1 if one is not known."""
    is_known = (codes[:, f] >= 0) & (codes[:, g] >= 0)
    return np.where(is_known, codes[:, f] * _MAX_LEVELS + codes[:, g], -1)


def _all_parents(codes: np.ndarray) -> list[list[np.ndarray | None]]:
    factors = range(codes.shape[1])
    return [[None if f == g else parents_of(codes, f, g) for g in factors] for f in factors]
