"""The model of a grouped table whose rows come in time: a regression with one column of groups."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skmeta._optional import import_optional
from skmeta.grouped._mixture import PROBABILITIES, CalibratedOutputs
from skmeta.grouped._model import FittedModel, Settings
from skmeta.grouped.longitudinal import Longitudinal, TimedRows, fit_longitudinal
from skmeta.grouped.members import (
    GroupEffects,
    Order,
    Standardiser,
    Table,
    canonical_order,
    deal_groups,
    fill,
    varying,
)


def fit_timed_model(
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    codes: np.ndarray,
    times: np.ndarray,
    settings: Settings,
) -> tuple[TimedModel, Order] | None:
    """Fit members that know time, and the weights of their mixture.

    Parameters
    ----------
    X, y, weight, codes, times, settings
        As for :func:`~skmeta.grouped._model.fit_model`. The last column of X holds the times.

    Returns
    -------
    model : TimedModel
        The fitted model.
    order : Order
        The canonical order of rows and groups.

    None if all times are equal, or no row of a group can be held out.
    """
    column_units, target_units = Standardiser.learn(X), Standardiser.learn(y)
    X, y = column_units(X), target_units(y)
    if np.ptp(X[:, -1]) == 0:
        return None
    order = canonical_order(np.column_stack([X, y]), codes)
    X, y, weight, times = (part[order.rows] for part in (X, y, weight, times))
    codes = order.codes
    folds = deal_groups(codes[:, 0], y, min(settings.n_folds, int(codes.max()) + 1))
    shared, place = np.zeros(len(y)), np.arange(len(y))
    table = Table(X, shared, y, weight, codes, folds[codes[:, 0]], place, times)
    columns = varying(fill(X[:, :-1]))
    zero = float(target_units(np.zeros(1))[0])
    fitted = fit_longitudinal(_rows(table, columns), settings.population, zero, PROBABILITIES)
    settings.population.report()
    if fitted is None:
        return None
    units = column_units, target_units
    return TimedModel(settings, 0, *units, folds, table, columns, fitted), order


def _rows(table: Table, columns: np.ndarray) -> TimedRows:
    X = fill(table.X[:, :-1])[:, columns]
    return TimedRows(X, table.X[:, -1], table.y, table.group, table.weight, table.X, table.fold)


@dataclass(frozen=True)
class TimedModel(FittedModel):
    """A fitted model of groups in time.

    Attributes
    ----------
    columns : ndarray of int64
        Columns that vary, of those that are filled, without the times.
    fitted : Longitudinal
        The members, and their weights.
    """

    columns: np.ndarray
    fitted: Longitudinal

    def predict(self, X: np.ndarray, codes: np.ndarray, times: np.ndarray) -> CalibratedOutputs:
        """Predict rows, in standardised units."""
        at, known = self._asked(X, codes, times)
        predicted = self.fitted.predict(_rows(known, self.columns), _rows(at, self.columns))
        return CalibratedOutputs(predicted.mean, predicted.std, predicted.quantiles)

    @cached_property
    def effects_of_columns(self) -> GroupEffects | None:
        """How groups differ in the columns, time included; fitted when it is asked for."""
        return self._effects_of_fit()

    def losses(self) -> Any:
        """Return a pandas data frame of the losses: new groups by known rows, then later rows."""
        pandas = import_optional("pandas", "losses_")
        regimes, rows = self.fitted.regimes, {}
        if "new" in regimes:
            new = regimes["new"]
            rows = {f"{k:.0f}": row for k, row in zip(new.known, new.losses, strict=True)}
        if "later" in regimes:
            rows["later"] = regimes["later"].losses[0]
        index = pandas.Index(list(rows), name="known rows")
        columns = [*self.fitted.names, "mixture"]
        return pandas.DataFrame(list(rows.values()), index=index, columns=columns)

    def summary(self) -> str:
        """Return in words what predicts new groups, and later rows of known ones."""
        losses = self.losses()
        n_groups = int(self.known.group.max()) + 1
        lines = [f"{len(self.known.y)} rows of {n_groups} groups in time."]
        lines.append("Squared error, as a share of the variance of y, of rows held out:")
        for name, row in losses.iterrows():
            of = "later rows of known groups" if name == "later" else f"{name} known rows"
            best = row.drop("mixture").nsmallest(3)
            parts = ", ".join(f"{member} {loss:.3f}" for member, loss in best.items())
            lines.append(f"  {of}: mixture {row['mixture']:.3f}; {parts}")
        return "\n".join(lines)
