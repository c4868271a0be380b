"""The tabular learner: views, transformer, experts, binned distributions."""

from skmeta.learners.in_context._cells import measure_columns as measure_columns
from skmeta.learners.in_context._cells import relative_weight as relative_weight
from skmeta.learners.in_context._learner import InContextLearner as InContextLearner
from skmeta.learners.in_context._transformer import TableTransformer as TableTransformer
from skmeta.learners.in_context._views import divide_rows as divide_rows
from skmeta.learners.in_context._views import location_and_scale as location_and_scale
