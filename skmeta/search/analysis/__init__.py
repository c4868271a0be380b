"""Analysis of a finished search: which parameters matter, where scores are good, what took time."""

from skmeta.search.analysis._chart_records import (
    IncumbentChart,
    TimelineChart,
    pad_range,
    style_sources,
)
from skmeta.search.analysis._cv_results import (
    metric_name_of,
    metric_of,
    most_resources,
    reference_scores,
)
from skmeta.search.analysis._importance import (
    MIN_CANDIDATES,
    FittedScores,
    Importance,
    fit_scores,
    parameter_importance,
)
from skmeta.search.analysis._incumbent import (
    ExpectedIncumbent,
    expected_incumbent,
    finite_or_nan,
    score_floor,
)
from skmeta.search.analysis._prior_effects import PriorEffect, prior_effects
from skmeta.search.analysis._slices import Contour, Slice, contour, score_slice, sliced_parameters

__all__ = [
    "MIN_CANDIDATES",
    "Contour",
    "ExpectedIncumbent",
    "FittedScores",
    "Importance",
    "IncumbentChart",
    "PriorEffect",
    "Slice",
    "TimelineChart",
    "contour",
    "expected_incumbent",
    "finite_or_nan",
    "fit_scores",
    "metric_name_of",
    "metric_of",
    "most_resources",
    "pad_range",
    "parameter_importance",
    "prior_effects",
    "reference_scores",
    "score_floor",
    "score_slice",
    "sliced_parameters",
    "style_sources",
]
