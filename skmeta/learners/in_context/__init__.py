"""The tabular learner: views, transformer, experts, binned distributions."""

from skmeta.learners.in_context._learner import InContextLearner
from skmeta.learners.in_context._transformer import TableTransformer
