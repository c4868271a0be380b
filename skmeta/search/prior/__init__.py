"""``SearchPrior``: scores of configurations, learned from past searches."""

from skmeta.search.prior._algorithm_selection import AlgorithmSelectionPrior
from skmeta.search.prior._joint import JointPrior
from skmeta.search.prior._prior import SearchPrior
from skmeta.search.prior._promise import evidence, probability_better
from skmeta.search.prior._shipped import describe_prior, load_shipped, shipped_priors
