"""The one outer loop, its settings, checkpoints and priors, for learners of all kinds."""

from skmeta._training._checkpoint import load_checkpoint, save_checkpoint
from skmeta._training._loop import meta_train
from skmeta._training._options import (
    Declared,
    ExecutionOptions,
    FitSettings,
    MetaOptimizer,
    OuterLoopSettings,
    Validation,
    declarations,
    fingerprint,
    learner_name,
    option_class,
    parameter,
    read_parameters,
    settings_by_role,
)

__all__ = []
