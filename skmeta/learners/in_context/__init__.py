"""The tabular learner: views, transformer, experts, binned distributions."""

from skmeta.learners.in_context._binned import (
    N_BINS,
    bin_edges,
    binned_loss,
    binned_moments,
    binned_quantiles,
)
from skmeta.learners.in_context._cells import N_CODES, N_SLOTS, describe_cells, measure_columns
from skmeta.learners.in_context._experts import (
    EXPERTS,
    N_EXPERTS,
    LinearModel,
    fit_experts,
    mix_with_linear_model,
    predict_experts,
)
from skmeta.learners.in_context._learner import InContextLearner
from skmeta.learners.in_context._support import module_parameters
from skmeta.learners.in_context._transformer import TableTransformer
from skmeta.learners.in_context._views import (
    add_components,
    choose_views,
    fit_components,
    location_and_scale,
    n_views,
)
