"""Members of the mixture: ways to predict rows of groups. See ``_member`` for their names."""

from skmeta.grouped.members._counts import CountEffects, fit_counts
from skmeta.grouped.members._crossed import (
    CrossedEffects,
    check_factors,
    fit_crossed_member,
)
from skmeta.grouped.members._cumulative import CumulativeEffects, fit_cumulative
from skmeta.grouped.members._group_effects import (
    MIN_STD,
    GroupEffects,
    as_columns,
    design_of,
    fit_group_effects,
    pooled_columns,
    residual_scales,
)
from skmeta.grouped.members._interactions import columns_of_interactions, fit_interactions
from skmeta.grouped.members._member import (
    BOTH,
    COUNTS,
    MIXED,
    MIXTURE,
    POPULATION,
    PopulationMember,
)
from skmeta.grouped.members._row_models import (
    KINDS_OF_MODELS,
    PROCESS,
    Categories,
    RowModel,
    fit_row_model,
    names_of_models,
)
from skmeta.grouped.members._trees import SecondPopulation, fit_trees
