"""The tabular learner: its network in torch, which is meta-trained."""

from skmeta.learners.in_context._binned import binned_loss
from skmeta.learners.in_context._learner import InContextLearner
from skmeta.learners.in_context._linear_model import LinearEvidence
from skmeta.learners.in_context._support import module_parameters, view_task
from skmeta.learners.in_context._transformer import TableTransformer

__all__ = []
