"""Mixed-effects models: the coefficients of each task come from a learned distribution."""

from skmeta.learners.hierarchical._alpaca import ALPaCA
from skmeta.learners.hierarchical._learner import HierarchicalLinear
from skmeta.learners.hierarchical._mixed_model import (
    condition_mixed_model,
    predict_classes,
    target_moments,
)

__all__ = ["ALPaCA", "HierarchicalLinear"]
