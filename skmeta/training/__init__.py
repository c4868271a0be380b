"""The one outer loop, its settings, checkpoints and priors, for learners of all kinds."""

from skmeta.training._checkpoint import load_checkpoint as load_checkpoint
from skmeta.training._checkpoint import resume_checkpoint as resume_checkpoint
from skmeta.training._checkpoint import save_checkpoint as save_checkpoint
from skmeta.training._loop import TrainingSettings as TrainingSettings
from skmeta.training._loop import meta_train as meta_train
from skmeta.training._loop import shared_deadline as shared_deadline
from skmeta.training._loop import start_deadline as start_deadline
from skmeta.training._loop import time_limit as time_limit
from skmeta.training._options import N_JOBS as N_JOBS
from skmeta.training._options import ExecutionOptions as ExecutionOptions
from skmeta.training._options import FitSettings as FitSettings
from skmeta.training._options import MetaOptimizer as MetaOptimizer
from skmeta.training._options import OuterLoopSettings as OuterLoopSettings
from skmeta.training._options import Validation as Validation
from skmeta.training._options import check_resumable as check_resumable
from skmeta.training._options import fingerprint as fingerprint
from skmeta.training._options import read_parameters as read_parameters
from skmeta.training._options import training_settings as training_settings
from skmeta.training._parameters import Declared as Declared
from skmeta.training._parameters import declarations as declarations
from skmeta.training._parameters import learner_name as learner_name
from skmeta.training._parameters import option_class as option_class
from skmeta.training._parameters import parameter as parameter
from skmeta.training._parameters import settings_by_role as settings_by_role
from skmeta.training._priors import make_prior as make_prior
from skmeta.training._priors import scaler_of as scaler_of
from skmeta.training._priors import state_of as state_of

__all__ = []
