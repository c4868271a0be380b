"""What learners share: base class, heads, inner loop, fit, evaluation, priors in and out."""

from skmeta.learners._core._algorithm import (
    Algorithm,
    Context,
    class_means,
    initial_head,
    linear,
    loss,
    measures,
    prototype_head,
    score,
)
from skmeta.learners._core._base import (
    LEARNERS,
    MetaLearner,
    NetworkLearner,
    OuterLoopLearner,
    missing_attribute,
)
from skmeta.learners._core._evaluation import baseline_scores, warn_if_beaten
from skmeta.learners._core._gradient import (
    GradientLearner,
    InitialWeightsLearner,
    InnerLoopAlgorithm,
    InnerLoopLearner,
    Memory,
    Point,
    adam_step,
)
from skmeta.learners._core._inputs import (
    TaskSource,
    check_learner_rows,
    make_problem,
    resolve_kind,
    target_type_parameter,
)
from skmeta.learners._core._prior_io import (
    VIEWS,
    make_prior,
    read_prior,
    scaler_of,
    state_of,
    write_prior,
)
from skmeta.learners._core._session import Session
from skmeta.learners._core._settings import (
    PUBLISHED_LOOP,
    read_settings,
)
