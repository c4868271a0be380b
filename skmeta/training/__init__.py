"""The one outer loop, with validation, checkpoints and progress: for the package alone."""

from skmeta.training._checkpoint import load_checkpoint as load_checkpoint
from skmeta.training._checkpoint import prepare_checkpoint as prepare_checkpoint
from skmeta.training._checkpoint import save_checkpoint as save_checkpoint
from skmeta.training._constraints import OUTER_LOOP_CONSTRAINTS as OUTER_LOOP_CONSTRAINTS
from skmeta.training._deadline import shared_deadline as shared_deadline
from skmeta.training._deadline import start_deadline as start_deadline
from skmeta.training._deadline import time_limit as time_limit
from skmeta.training._loop import OPTIMIZERS as OPTIMIZERS
from skmeta.training._loop import SCHEDULES as SCHEDULES
from skmeta.training._loop import TrainingSettings as TrainingSettings
from skmeta.training._loop import meta_train as meta_train

__all__ = []
