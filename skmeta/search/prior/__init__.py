"""``SearchPrior``: scores of configurations, learned from past searches."""

from skmeta.search.prior._combined import AlgorithmSelectionPrior, JointPrior, join
from skmeta.search.prior._past_surfaces import PastSurfaces
from skmeta.search.prior._prior import SearchPrior
from skmeta.search.prior._promise import evidence, probability_better
from skmeta.search.prior._resemblance import UNKNOWN_DISTANCE, resemblance
from skmeta.search.prior._shipped import load_shipped, shipped_priors
