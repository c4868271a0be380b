"""Meta-learning algorithms."""

from skmeta.learners._anil import ANIL
from skmeta.learners._base import LEARNERS, MetaLearner
from skmeta.learners._context import Context
from skmeta.learners._fine_tuning import FineTuning
from skmeta.learners._gradient import GradientLearner
from skmeta.learners._in_context import InContextLearner
from skmeta.learners._learned_optimizer import LearnedOptimizer
from skmeta.learners._lstm import LSTMMetaLearner
from skmeta.learners._maml import MAML
from skmeta.learners._meta_sgd import MetaSGD
from skmeta.learners._metanas import MetaNAS
from skmeta.learners._prior_io import Session, read_prior
from skmeta.learners._prior_optimizer import PriorOptimizer
from skmeta.learners._problem import flatten_rows
from skmeta.learners._protonet import ProtoNet
from skmeta.learners._reptile import Reptile

__all__ = [
    "ANIL",
    "LEARNERS",
    "MAML",
    "Context",
    "FineTuning",
    "GradientLearner",
    "InContextLearner",
    "LSTMMetaLearner",
    "LearnedOptimizer",
    "MetaLearner",
    "MetaNAS",
    "MetaSGD",
    "PriorOptimizer",
    "ProtoNet",
    "Reptile",
    "Session",
    "flatten_rows",
    "read_prior",
]
