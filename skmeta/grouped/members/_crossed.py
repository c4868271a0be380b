"""Several columns of groups, nested or crossed: an effect of each level, estimated together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from skmeta._optional import import_optional
from skmeta._validation import quote, quote_some
from skmeta.exceptions import EpisodeError
from skmeta.grouped.members._group_effects import Design
from skmeta.grouped.members._member import BOTH, LEARNER, POPULATION
from skmeta.mixed import CrossedFit, fit_crossed
from skmeta.tabular import Outputs, Standardiser, Table, fill, varying

# Settings of `combine` for several columns of groups.
_COMBINE = ("auto", POPULATION, LEARNER, BOTH)
# The least share of a row's variance that its own target does not explain.
_LEAST_LEFT = 1e-6


def check_settings(learner: Any, combine: str, order: Any) -> None:
    """Raise an error if a setting is for one column of groups only."""
    if not isinstance(learner, str):
        rule = f"learner={type(learner).__name__}", "learner='auto'"
    elif combine not in _COMBINE:
        rule = f"combine={combine!r}", f"combine to one of {quote_some(_COMBINE, 4)}"
    elif order is not None:
        rule = f"order={order!r}", "order=None"
    else:
        return
    raise ValueError(
        f"{rule[0]} is for one column of groups, but groups names several. Set {rule[1]}, or name "
        "one column."
    )


def check_factors(codes: np.ndarray, names: list[str]) -> None:
    """Raise an error if a column of groups has one group, or is the same as another one."""
    for f, name in enumerate(names):
        if codes[:, f].max() == 0:
            raise EpisodeError(
                f"Group column {quote(name)} has one group only, so nothing says how its groups "
                "differ. Leave it out of groups."
            )
        for g in range(f):
            if _parents(codes, f, g) is not None and _parents(codes, g, f) is not None:
                raise EpisodeError(
                    f"Group columns {quote(names[g])} and {quote(name)} divide the rows into the "
                    "same groups. Name one of them."
                )


def _parents(codes: np.ndarray, f: int, g: int) -> np.ndarray | None:
    """Return the level of factor g for each level of f; None if f is not nested in g."""
    parents = np.empty(codes[:, f].max() + 1, np.int64)
    parents[codes[:, f]] = codes[:, g]
    return parents if (parents[codes[:, f]] == codes[:, g]).all() else None


@dataclass(frozen=True)
class CrossedEffects:
    """A mixed model with an intercept for each level of each factor.

    It has the columns of the table and the predictions of the population. Levels have numbers; -1
    is one without known rows: its effect is 0. A factor is nested in another one if each of its
    levels occurs with one level of the other. A level is then known beside that one only.

    Attributes
    ----------
    design : Design
        Columns of the mixed model.
    units : Standardiser
        Their units.
    table : Table
        The rows it knows.
    fits : list of CrossedFit
        One fit, or one for each of more than two classes.
    parents : list of list
        For factors f and g, the level of g for each level of f; None if f is not nested in g.
    """

    design: Design
    units: Standardiser
    table: Table
    fits: list[CrossedFit]
    parents: list[list[np.ndarray | None]]

    known_only: ClassVar[bool] = False

    def without(self, kept: Table) -> CrossedEffects:
        """Return the mixed model of the rows of other groups."""
        return self.condition(kept)

    def condition(self, known: Table) -> CrossedEffects:
        """Return the effects given other known rows. The variances stay as they are."""
        if known is self.table:
            return self
        design = self._columns(known)
        fits = [
            fit.condition(design, target, known.codes)
            for fit, target in zip(self.fits, _targets(known, self.design.n_classes), strict=True)
        ]
        return CrossedEffects(self.design, self.units, known, fits, _all_parents(known.codes))

    def predict(self, at: Table, before: Mapping[str, Outputs]) -> Outputs:
        """Predict rows."""
        design = self._columns(at)
        if not self.design.n_classes:
            return Outputs(*self.fits[0].predict(design, at.codes, noise=True))
        each = [fit.predict_proba(design, at.codes) for fit in self.fits]
        proba = np.column_stack([1 - each[0], each[0]] if len(each) == 1 else each)
        return Outputs(proba / proba.sum(1, keepdims=True), np.zeros(len(design)))

    def _columns(self, table: Table) -> np.ndarray:
        return np.hstack([np.ones((len(table.y), 1)), self.units(self.design(table))])

    def left_out_quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Return quantiles of residuals over the predicted deviation, each row left out in turn.

        The residual of a row that is left out is its residual over 1 - h, and its predicted
        variance is sigma^2 / (1 - h), where sigma^2 h is the variance of its fitted value.
        A classification has none.
        """
        if self.design.n_classes:
            return np.zeros(0)
        fit, table = self.fits[0], self.table
        mean, std = fit.predict(self._columns(table), table.codes)
        left = np.maximum(1 - (std / fit.sigma) ** 2, _LEAST_LEFT)
        ratio = (table.y - mean) / (fit.sigma * np.sqrt(left))
        return np.asarray(np.quantile(ratio, probabilities))

    def within_parents(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (n, n_factors), -1 for levels beside another level than they are nested in.

        Parameters
        ----------
        codes : ndarray of shape (n, n_factors), int64
            Levels by their labels; -1 for those without known rows.
        """
        resolved = codes.copy()
        for f, factor_parents in enumerate(self.parents):
            for g, parents in enumerate(factor_parents):
                if parents is not None:
                    resolved[parents[codes[:, f]] != codes[:, g], f] = -1
        return resolved

    # ----------------------------------------------------------------------- what was found

    def effects(
        self,
        names: list[str],
        levels: list[dict[Any, int]],
        scale: float,
        classes: list[Any] | None = None,
    ) -> Any:
        """Return a pandas data frame of the effects of all levels.

        Parameters
        ----------
        names : list of str
            Names of the factors.
        levels : list of dict
            Labels of their levels, and the numbers of these.
        scale : float
            Unit of the targets.
        classes : list, optional
            Labels of the classes. Of more than two, each has columns of its own.

        Returns
        -------
        pandas.DataFrame
            Indexed by factor and level, with the columns ``rows``, ``intercept`` and
            ``intercept std``. The row ``shared`` of a factor has the deviation between its levels.
        """
        pandas = import_optional("pandas", "effects_")
        parts = []
        for f, (name, numbers) in enumerate(zip(names, levels, strict=True)):
            index = pandas.MultiIndex.from_product([[name], ["shared", *numbers]])
            order = list(numbers.values())
            counts = np.bincount(self.table.codes[:, f], minlength=len(order))[order]
            columns = {"rows": np.r_[counts.sum(), counts]}
            for fit, of in zip(self.fits, self._names_of_fits(classes), strict=True):
                between = float(fit.deviations[f])
                columns[f"intercept{of}"] = scale * np.r_[0.0, fit.effects[f][order]]
                columns[f"intercept{of} std"] = scale * np.r_[between, fit.effect_std(f)[order]]
            parts.append(pandas.DataFrame(columns, index=index))
        return pandas.concat(parts).rename_axis(["column", "group"])

    def _names_of_fits(self, classes: list[Any] | None) -> list[str]:
        if classes is None or len(self.fits) == 1:
            return [""] * len(self.fits)
        return [f" ({label})" for label in classes]

    def summary(self, names: list[str], scale: float, classes: list[Any] | None = None) -> str:
        """Return in words how much groups differ; see :meth:`effects`."""
        what = "log odds" if self.design.n_classes else "target"
        lines = [f"{len(self.table.y)} rows. Deviations of the {what}:"]
        for f, name in enumerate(names):
            outer = [names[g] for g in range(len(names)) if self.parents[f][g] is not None]
            nested = f", nested in {' and '.join(outer)}" if outer else ""
            for fit, of in zip(self.fits, self._names_of_fits(classes), strict=True):
                between = scale * float(fit.deviations[f])
                n_levels = int(self.table.codes[:, f].max()) + 1
                lines.append(
                    f"  between the {n_levels} groups of {name}{nested}{of}: {between:.4g}"
                )
        if not self.design.n_classes:
            lines.append(f"  of the rest: {scale * self.fits[0].sigma:.4g}")
        return "\n".join(lines)


def fit_crossed_member(table: Table, has_shared: bool, n_classes: int) -> CrossedEffects:
    """Fit the mixed model to the rows of all groups.

    Parameters
    ----------
    table : Table
        The rows.
    has_shared : bool
        Whether the predictions of the population are columns.
    n_classes : int
        Number of classes; 0 for a regression.
    """
    design = Design(varying(fill(table.X)), has_shared, n_classes)
    units = Standardiser.learn(design(table))
    columns = np.hstack([np.ones((len(table.y), 1)), units(design(table))])
    options = {"is_classification": bool(n_classes), "ridge": columns.shape[1] > 1}
    fits = [fit_crossed(columns, y, table.codes, **options) for y in _targets(table, n_classes)]
    return CrossedEffects(design, units, table, fits, _all_parents(table.codes))


def _targets(table: Table, n_classes: int) -> list[np.ndarray]:
    """Return the targets, or an indicator of the second of two classes, or of each class."""
    if not n_classes:
        return [table.y]
    return [(table.y == k).astype(float) for k in range(1 if n_classes == 2 else 0, n_classes)]


def _all_parents(codes: np.ndarray) -> list[list[np.ndarray | None]]:
    factors = range(codes.shape[1])
    return [[None if f == g else _parents(codes, f, g) for g in factors] for f in factors]
