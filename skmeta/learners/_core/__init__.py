"""What learners share: base class, heads, inner loop, fit, evaluation, priors in and out."""

from skmeta.learners._core._algorithm import TaskLimits
from skmeta.learners._core._base import (
    LEARNERS,
    MetaLearner,
    NetworkLearner,
    OuterLoopLearner,
    missing_attribute,
)
from skmeta.learners._core._context import Context
from skmeta.learners._core._gradient import GradientLearner, InnerLoopLearner, Memory, Point
from skmeta.learners._core._heads import class_means, initial_head, loss, reptile_gradient, score
from skmeta.learners._core._inputs import (
    check_learner_rows,
    encode_rows,
    fit_scaler,
    flatten_rows,
    frame_encoder,
)
from skmeta.learners._core._options import TaskSampling, read_settings, task_type_parameter
from skmeta.learners._core._prior_io import read_prior, write_prior
from skmeta.learners._core._session import Session
from skmeta.learners._core._task_source import TaskSource, make_problem, resolve_kind
