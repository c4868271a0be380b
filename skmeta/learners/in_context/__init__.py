"""The tabular learner: views, transformer, experts, binned distributions."""

from skmeta.learners.in_context._cells import measure_columns, relative_weight
from skmeta.learners.in_context._learner import InContextLearner
from skmeta.learners.in_context._transformer import TableTransformer
from skmeta.learners.in_context._views import (
    canonical_order,
    divide_rows,
    location_and_scale,
)
