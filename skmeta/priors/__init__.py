"""What a meta-learner carries from earlier tasks to the next."""

from skmeta.priors._prior import MetaPrior

__all__ = ["MetaPrior"]
