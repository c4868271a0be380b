"""Mixed-effects models: the coefficients of each task come from a learned distribution."""

from skmeta.learners.hierarchical._alpaca import ALPaCA
from skmeta.learners.hierarchical._gaussian import mixture_log_density, with_intercept
from skmeta.learners.hierarchical._learner import HierarchicalLinear
from skmeta.learners.hierarchical._mixed_model import (
    condition_mixed_model,
    estimate_mixed_model,
    predict_classes,
    predict_targets,
)
from skmeta.learners.hierarchical.crossed import CrossedFit, fit_crossed

__all__ = [
    "ALPaCA",
    "CrossedFit",
    "HierarchicalLinear",
    "condition_mixed_model",
    "estimate_mixed_model",
    "fit_crossed",
    "mixture_log_density",
    "predict_classes",
    "predict_targets",
    "with_intercept",
]
