"""What learners share: base class, heads, inner loop, fit, evaluation, priors in and out."""

from skmeta.learners._core._algorithm import TaskLimits, learner_name
from skmeta.learners._core._base import (
    LEARNERS,
    MetaLearner,
    NetworkLearner,
    OuterLoopLearner,
    missing_attribute,
)
from skmeta.learners._core._context import Context
from skmeta.learners._core._gradient import (
    GradientLearner,
    InnerLoopLearner,
    Memory,
    Point,
)
from skmeta.learners._core._heads import (
    class_means,
    initial_head,
    loss,
    reptile_gradient,
    score,
)
from skmeta.learners._core._inputs import (
    check_learner_rows,
    encode_rows,
    flatten_rows,
    frame_encoder,
)
from skmeta.learners._core._options import (
    ExecutionOptions,
    MetaOptimizer,
    TaskSampling,
    Validation,
    read_settings,
    task_type_parameter,
)
from skmeta.learners._core._parameters import (
    Declared,
    as_option,
    parameter,
    settings_by_role,
    shared_parameter,
)
from skmeta.learners._core._prior_io import (
    classes_in_common,
    read_prior,
    scaler_of,
    state_of,
    write_prior,
)
from skmeta.learners._core._session import Session
from skmeta.learners._core._task_source import TaskSource, resolve_kind

__all__ = [
    "LEARNERS",
    "Context",
    "Declared",
    "ExecutionOptions",
    "GradientLearner",
    "InnerLoopLearner",
    "Memory",
    "MetaLearner",
    "MetaOptimizer",
    "NetworkLearner",
    "OuterLoopLearner",
    "Point",
    "Session",
    "TaskLimits",
    "TaskSampling",
    "TaskSource",
    "Validation",
    "as_option",
    "check_learner_rows",
    "class_means",
    "classes_in_common",
    "encode_rows",
    "flatten_rows",
    "frame_encoder",
    "initial_head",
    "learner_name",
    "loss",
    "missing_attribute",
    "parameter",
    "read_prior",
    "read_settings",
    "reptile_gradient",
    "resolve_kind",
    "scaler_of",
    "score",
    "settings_by_role",
    "shared_parameter",
    "state_of",
    "task_type_parameter",
    "write_prior",
]
