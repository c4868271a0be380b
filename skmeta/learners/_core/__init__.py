"""What learners share: base class, heads, inner loop, fit, evaluation, priors in and out."""

from skmeta.learners._core._base import LEARNERS, MetaLearner
from skmeta.learners._core._context import Context
from skmeta.learners._core._gradient import GradientLearner, Memory, Point
from skmeta.learners._core._heads import class_means, initial_head, loss, score
from skmeta.learners._core._prior_io import Session, read_prior, resolve_head, write_prior
from skmeta.learners._core._problem import TaskSource, flatten_rows
from skmeta.learners._core._ravel import join, log_and_sign, lstm_cell, lstm_weights, part
from skmeta.learners._core._safeguard import choose, tame, watch

__all__ = [
    "LEARNERS",
    "Context",
    "GradientLearner",
    "Memory",
    "MetaLearner",
    "Point",
    "Session",
    "TaskSource",
    "choose",
    "class_means",
    "flatten_rows",
    "initial_head",
    "join",
    "log_and_sign",
    "loss",
    "lstm_cell",
    "lstm_weights",
    "part",
    "read_prior",
    "resolve_head",
    "score",
    "tame",
    "watch",
    "write_prior",
]
