"""Meta-learning algorithms."""

from skmeta._training import ExecutionOptions, MetaOptimizer, Validation
from skmeta.learners._core import (
    LEARNERS,
    Algorithm,
    Context,
    GradientLearner,
    InnerLoopLearner,
    MetaLearner,
    NetworkLearner,
)
from skmeta.learners._fine_tuning import FineTuning
from skmeta.learners._maml import ANIL, MAML
from skmeta.learners._meta_sgd import MetaSGD
from skmeta.learners._metanas import MetaNAS
from skmeta.learners._protonet import ProtoNet
from skmeta.learners._reptile import Reptile
from skmeta.learners.auto import AutoLearner
from skmeta.learners.hierarchical import ALPaCA, HierarchicalLinear
from skmeta.learners.in_context import InContextLearner
from skmeta.learners.learned_optimizers import LearnedOptimizer, LSTMMetaLearner, PriorOptimizer

__all__ = [
    "ANIL",
    "MAML",
    "ALPaCA",
    "Algorithm",
    "AutoLearner",
    "ExecutionOptions",
    "FineTuning",
    "HierarchicalLinear",
    "InContextLearner",
    "LSTMMetaLearner",
    "LearnedOptimizer",
    "MetaNAS",
    "MetaOptimizer",
    "MetaSGD",
    "NetworkLearner",
    "PriorOptimizer",
    "ProtoNet",
    "Reptile",
    "Validation",
]
