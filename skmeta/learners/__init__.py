"""Meta-learning algorithms."""

from skmeta.learners._anil import ANIL
from skmeta.learners._core import LEARNERS as LEARNERS
from skmeta.learners._core import (
    Context,
    GradientLearner,
    InnerLoopLearner,
    MetaLearner,
)
from skmeta.learners._fine_tuning import FineTuning
from skmeta.learners._learned_optimizer import LearnedOptimizer
from skmeta.learners._lstm import LSTMMetaLearner
from skmeta.learners._maml import MAML
from skmeta.learners._meta_sgd import MetaSGD
from skmeta.learners._metanas import MetaNAS
from skmeta.learners._prior_optimizer import PriorOptimizer
from skmeta.learners._protonet import ProtoNet
from skmeta.learners._reptile import Reptile
from skmeta.learners.auto import AutoLearner
from skmeta.learners.hierarchical import ALPaCA, HierarchicalLinear
from skmeta.learners.in_context import InContextLearner

__all__ = [
    "ANIL",
    "MAML",
    "ALPaCA",
    "AutoLearner",
    "Context",
    "FineTuning",
    "GradientLearner",
    "HierarchicalLinear",
    "InContextLearner",
    "InnerLoopLearner",
    "LSTMMetaLearner",
    "LearnedOptimizer",
    "MetaLearner",
    "MetaNAS",
    "MetaSGD",
    "PriorOptimizer",
    "ProtoNet",
    "Reptile",
]
