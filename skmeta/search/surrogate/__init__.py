"""Models of the score, and the strategy that suggests candidates (ask and tell)."""

from skmeta.search.surrogate._acquisition import (
    design_from_surfaces,
    design_of_least_variance,
    expected_log_seconds,
    expected_utility,
    log_cost,
    most_promising,
)
from skmeta.search.surrogate._gp import krige, matern, scale_columns, with_one_thread
from skmeta.search.surrogate._models import LearnedModels, PlainModel
from skmeta.search.surrogate._strategy import SearchStrategy
from skmeta.search.surrogate._surfaces import (
    SurfaceInterpolation,
    learn_surfaces,
    standardise,
    winsorize_scores,
)
