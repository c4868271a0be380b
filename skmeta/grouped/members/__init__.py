"""Members of the mixture: ways to predict rows of groups. See ``_member`` for their interface."""

from skmeta.grouped.members._canonical import (
    Order,
    Standardiser,
    canonical_order,
    deal_groups,
    deal_rows,
)
from skmeta.grouped.members._crossed import (
    CrossedEffects,
    check_factors,
    check_settings,
    fit_crossed_member,
)
from skmeta.grouped.members._fit import (
    BOTH,
    LEARNER,
    MEMBERS,
    POPULATION,
    ModelFitter,
    design,
    fit_members,
)
from skmeta.grouped.members._group_effects import GroupEffects, as_columns, fit_group_effects
from skmeta.grouped.members._member import Conditioned, Member, Outputs
from skmeta.grouped.members._population import (
    FitSettings,
    Population,
    fill,
    fit_population,
    folds_of,
    losses_of,
    varying,
)
from skmeta.grouped.members._table import Table

__all__ = [
    "BOTH",
    "LEARNER",
    "MEMBERS",
    "POPULATION",
    "Conditioned",
    "CrossedEffects",
    "FitSettings",
    "GroupEffects",
    "Member",
    "ModelFitter",
    "Order",
    "Outputs",
    "Population",
    "Standardiser",
    "Table",
    "as_columns",
    "canonical_order",
    "check_factors",
    "check_settings",
    "deal_groups",
    "deal_rows",
    "design",
    "fill",
    "fit_crossed_member",
    "fit_group_effects",
    "fit_members",
    "fit_population",
    "folds_of",
    "losses_of",
    "varying",
]
