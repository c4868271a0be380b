"""``SearchPrior``: what past searches teach a new one."""

from skmeta.search.prior._joint import ChoicePrior, JointPrior
from skmeta.search.prior._prior import SearchPrior
from skmeta.search.prior._shipped import describe_prior, load_shipped, shipped_priors

__all__ = [
    "ChoicePrior",
    "JointPrior",
    "SearchPrior",
    "describe_prior",
    "load_shipped",
    "shipped_priors",
]
