"""Members of the mixture: ways to predict rows of groups. See ``_member`` for their names."""

from skmeta.grouped.members._interactions import columns_of_interactions
from skmeta.grouped.members._member import (
    BOTH,
    COUNTS,
    MIXED,
    MIXTURE,
    POPULATION,
    PopulationMember,
)
from skmeta.grouped.members._mixed import (
    MIN_STD,
    Form,
    MixedEffects,
    as_columns,
    counts_form,
    fit_mixed,
    mixed_form,
    ordered_form,
)
from skmeta.grouped.members._row_models import (
    KINDS_OF_MODELS,
    PROCESS,
    Categories,
    RowModel,
    fit_row_model,
    names_of_models,
)
from skmeta.grouped.members._scales import residual_scales
from skmeta.grouped.members._trees import SecondPopulation, fit_trees
