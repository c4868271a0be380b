"""What learners share: base class, heads, inner loop, fit, evaluation, priors in and out."""

from skmeta.learners._core._base import LEARNERS, MetaLearner, missing_attribute
from skmeta.learners._core._context import Context, TaskLimits
from skmeta.learners._core._gradient import GradientLearner, InnerLoopLearner, Memory, Point
from skmeta.learners._core._heads import class_means, initial_head, loss, score
from skmeta.learners._core._inputs import (
    check_learner_rows,
    encode_rows,
    flatten_rows,
    frame_encoder,
)
from skmeta.learners._core._prior_io import classes_in_common, read_prior, write_prior
from skmeta.learners._core._ravel import (
    lstm_cell,
    lstm_weights,
    preprocess_gradient,
    ravel,
    unravel,
)
from skmeta.learners._core._session import Session
from skmeta.learners._core._task_source import TaskSource, resolve_kind

__all__ = [
    "LEARNERS",
    "Context",
    "GradientLearner",
    "InnerLoopLearner",
    "Memory",
    "MetaLearner",
    "Point",
    "Session",
    "TaskLimits",
    "TaskSource",
    "check_learner_rows",
    "class_means",
    "classes_in_common",
    "encode_rows",
    "flatten_rows",
    "frame_encoder",
    "initial_head",
    "loss",
    "lstm_cell",
    "lstm_weights",
    "missing_attribute",
    "preprocess_gradient",
    "ravel",
    "read_prior",
    "resolve_kind",
    "score",
    "unravel",
    "write_prior",
]
