"""Mixed-effects models: the coefficients of each task come from a learned distribution."""

from skmeta.learners.hierarchical._alpaca import ALPaCA
from skmeta.learners.hierarchical._learner import HierarchicalLinear

__all__ = ["ALPaCA", "HierarchicalLinear"]
