"""The one outer loop, with validation, checkpoints and progress."""

from skmeta.training._checkpoint import load_checkpoint, prepare_checkpoint, save_checkpoint
from skmeta.training._constraints import OUTER_LOOP_CONSTRAINTS
from skmeta.training._deadline import shared_deadline, start_deadline, time_limit
from skmeta.training._loop import OPTIMIZERS, SCHEDULES, TrainingSettings, meta_train

__all__ = [
    "OPTIMIZERS",
    "OUTER_LOOP_CONSTRAINTS",
    "SCHEDULES",
    "TrainingSettings",
    "load_checkpoint",
    "meta_train",
    "prepare_checkpoint",
    "save_checkpoint",
    "shared_deadline",
    "start_deadline",
    "time_limit",
]
