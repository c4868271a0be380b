"""The members of a grouped table, from the simplest on. To add one, add an entry to ``MEMBERS``.

An entry says what readers call a member, which tables it suits, and how it is fitted to a table: by
a plan for all members, beside what the mixed model predicts of rows from others of their group,
from scratch or from a fit to more rows. The mixture finds its weight.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from skmeta._tabular import Member, Outputs, Table, TargetUnits, varying
from skmeta.grouped._model import Settings
from skmeta.grouped.longitudinal import fit_class_lags
from skmeta.grouped.members import (
    BOTH,
    COUNTS,
    KINDS_OF_MODELS,
    MIXED,
    MIXTURE,
    POPULATION,
    PROCESS,
    Categories,
    Form,
    MixedEffects,
    PopulationMember,
    columns_of_interactions,
    counts_form,
    fit_mixed,
    fit_row_model,
    fit_trees,
    mixed_form,
    names_of_models,
    ordered_form,
)

# Tables of more rows have no model of counts, unless there are exposures. At so many rows, a fit
# takes a fifth to a third longer with it.
_MAX_COUNTS = 2000


class Plan(NamedTuple):
    """How the members of a table are fitted, and fitted again without some of its rows."""

    settings: Settings
    n_classes: int  # 0 for a regression
    has_one_column: bool
    has_folds: bool  # of groups
    categories: Categories
    units: TargetUnits | None  # of targets; None for classes

    @property
    def is_auto(self) -> bool:
        """Whether the package chooses the estimators."""
        return self.settings.population.is_auto

    def has_shared(self, columns: np.ndarray) -> bool:
        """Return whether what groups share is learned from the columns that vary."""
        return self.settings.model != MIXED and (self.has_one_column or len(columns) > 0)

    def models_of_rows(self, table: Table) -> list[str]:
        """Return the names of the models of rows that suit a table."""
        return names_of_models(len(table.y), self.n_classes) if self.is_auto else []


class Kind(NamedTuple):
    """A kind of member: its name, that for readers, how it is fitted, and which tables it suits."""

    name: str
    title: str
    fit: Callable[[Table, Plan, Outputs | None, Any], Member]
    suits: Callable[[Table, Plan], bool] = lambda *_: True


def _population(table: Table, plan: Plan, *_: Any) -> Member:
    return PopulationMember.from_errors(table, plan.n_classes)


def _mixed(
    table: Table,
    plan: Plan,
    _: Outputs | None,
    start: MixedEffects | None,
    *,
    form: Callable[[Table, Plan], Form],
) -> Member:
    return fit_mixed(table, form(table, plan) if start is None else start.form, start)


def _form_of_effects(table: Table, plan: Plan) -> Form:
    has_shared, settings = plan.has_shared(varying(table.X)), plan.settings
    parts = has_shared, plan.n_classes, settings.effects, settings.indicators
    return mixed_form(table, *parts)


def _form_of_counts(table: Table, plan: Plan) -> Form:
    assert plan.units is not None
    return counts_form(table, plan.units, plan.settings.n_parts > 1)


def _form_of_ordered(table: Table, plan: Plan) -> Form:
    return ordered_form(table, plan.settings.population, plan.n_classes)


def _interactions(table: Table, plan: Plan, _: Any, start: MixedEffects | None) -> Member:
    before = None if start is None else start.form.interactions
    interactions = columns_of_interactions(table.codes, before)
    assert interactions is not None
    form = mixed_form(interactions(table), False, 0, plan.settings.effects)
    return fit_mixed(table, form._replace(interactions=interactions))


def _trees(
    table: Table, plan: Plan, outputs: Outputs | None, start: Any, *, known_only: bool
) -> Member:
    assert outputs is not None
    # Where all targets are from 0 on, an estimator may need that.
    adds = not known_only and not plan.n_classes and float(table.y.min()) < 0
    n_rounds = 0
    if start is not None:
        adds, n_rounds = start.adds, start.population.n_rounds
    parts = table, BOTH, outputs, plan.settings.population, plan.n_classes
    return fit_trees(*parts, known_only=known_only, adds=adds, n_rounds=n_rounds)


def _has_trees(table: Table, plan: Plan) -> bool:
    # Trees add nothing to a process.
    return PROCESS not in plan.models_of_rows(table)


def _has_counts(table: Table, plan: Plan) -> bool:
    is_small = plan.is_auto and len(table.y) <= _MAX_COUNTS
    is_count = plan.units is not None and plan.units.target.kind == "count"
    return is_count and (plan.settings.counts_rates or is_small)


def _row_model(table: Table, plan: Plan, _: Any, start: Any, *, name: str) -> Member:
    return fit_row_model(name, table, plan.n_classes, plan.categories, start)


def _has_row_model(table: Table, plan: Plan, *, name: str) -> bool:
    return name in plan.models_of_rows(table)


MEMBERS: tuple[Kind, ...] = (
    Kind(POPULATION, "population", _population),
    Kind(MIXED, "mixed model", partial(_mixed, form=_form_of_effects), lambda *_: False),
    Kind(BOTH, "mixed model on population", partial(_mixed, form=_form_of_effects)),
    Kind(
        "trees",
        "trees on mixed model",
        partial(_trees, known_only=False),
        # Without columns, nothing is left to trees over groups of several columns.
        lambda table, plan: _has_trees(table, plan) and plan.has_shared(varying(table.X)),
    ),
    Kind("rows", "trees that know the group", partial(_trees, known_only=True), _has_trees),
    Kind(COUNTS, "model of counts", partial(_mixed, form=_form_of_counts), _has_counts),
    Kind(
        "interactions",
        "groups within groups of other columns",
        _interactions,
        lambda table, plan: not plan.n_classes and bool(columns_of_interactions(table.codes)),
    ),
    *(
        Kind(name, kind.title, partial(_row_model, name=name), partial(_has_row_model, name=name))
        for name, kind in KINDS_OF_MODELS.items()
    ),
    Kind(
        "lags",
        "trees that know earlier classes",
        lambda table, plan, *_: fit_class_lags(table, plan.settings.population, plan.n_classes),
        lambda table, plan: plan.has_one_column and plan.n_classes > 0 and np.ptp(table.times) > 0,
    ),
    Kind(
        "cumulative",
        "cumulative model",
        partial(_mixed, form=_form_of_ordered),
        lambda _, plan: plan.settings.target_type == "ordered" and plan.n_classes > 2,
    ),
)
TITLES = {kind.name: kind.title for kind in MEMBERS}


def choose_members(table: Table, plan: Plan) -> list[Kind]:
    """Return the kinds of members that suit a table."""
    one = plan.settings.model if plan.has_folds else POPULATION
    if one != MIXTURE:
        return [kind for kind in MEMBERS if kind.name == one]
    return [kind for kind in MEMBERS if kind.suits(table, plan)]
