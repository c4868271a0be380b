"""Learned optimizers: networks whose outputs are the steps of gradient descent."""

from skmeta.learners.learned_optimizers._learned_optimizer import LearnedOptimizer
from skmeta.learners.learned_optimizers._learned_update import (
    bound_step,
    initial_rule,
    learned_step,
    preprocess_gradient,
    ravel,
)
from skmeta.learners.learned_optimizers._lstm import LSTMMetaLearner
from skmeta.learners.learned_optimizers._mlp_rule import mlp_update
from skmeta.learners.learned_optimizers._prior_optimizer import PriorOptimizer
from skmeta.learners.learned_optimizers._problems import ProblemBatch, meta_gradient
