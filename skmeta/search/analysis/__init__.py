"""Analysis of a finished search: which parameters matter, and where scores are good."""

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
from skmeta.search.analysis._sampler import is_number
from skmeta.search.analysis._slices import Slice, score_slice, sliced_parameters

__all__ = [
    "MIN_CANDIDATES",
    "ExpectedIncumbent",
    "FittedScores",
    "Importance",
    "Slice",
    "expected_incumbent",
    "finite_or_nan",
    "fit_scores",
    "is_number",
    "metric_name_of",
    "metric_of",
    "most_resources",
    "parameter_importance",
    "reference_scores",
    "score_floor",
    "score_slice",
    "sliced_parameters",
]
