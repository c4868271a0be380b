"""``SearchPrior``: scores of configurations, learned from past searches."""

from skmeta.search.prior._algorithm_selection import (
    AlgorithmSelectionPrior as AlgorithmSelectionPrior,
)
from skmeta.search.prior._joint import JointPrior as JointPrior
from skmeta.search.prior._prior import SearchPrior as SearchPrior
from skmeta.search.prior._shipped import describe_prior as describe_prior
from skmeta.search.prior._shipped import load_shipped as load_shipped
from skmeta.search.prior._shipped import shipped_priors as shipped_priors
