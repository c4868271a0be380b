"""Members of the mixture: ways to predict rows of groups. See ``_member`` for their interface."""

from skmeta.grouped.members._crossed import (
    CrossedEffects,
    check_factors,
    check_settings,
    fit_crossed_member,
)
from skmeta.grouped.members._group_effects import (
    GroupEffects,
    as_columns,
    design_of,
    fit_group_effects,
    from_other_rows,
)
from skmeta.grouped.members._member import (
    BOTH,
    LEARNER,
    MEMBERS,
    POPULATION,
    PROBABILITIES,
    ROWS,
    TREES,
    CalibratedOutputs,
    Conditioned,
    Level,
    Member,
    Outputs,
    PopulationMember,
    interpolate,
)
from skmeta.grouped.members._population import (
    FitSettings,
    Population,
    fill,
    fit_population,
    folds_of,
    losses_of,
    silent,
    varying,
)
from skmeta.grouped.members._rows import (
    Order,
    Standardiser,
    Table,
    canonical_order,
    deal_groups,
    deal_rows,
    make_cases,
    places_in_groups,
    some,
    weighted_quantiles,
)
from skmeta.grouped.members._trees import fit_trees
