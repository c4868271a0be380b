"""What a meta-learner carries from earlier tasks to the next."""

from skmeta.priors._file import is_of_rows
from skmeta.priors._prior import MetaPrior
from skmeta.priors._rows import tensors_of_rows, warn_if_misfit

__all__ = ["MetaPrior"]
