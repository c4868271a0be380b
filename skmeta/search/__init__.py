"""Hyperparameter search that remembers."""

from skmeta.search._learned_defaults import learned_defaults
from skmeta.search._search_cv import MetaLearnedSearchCV
from skmeta.search.history import SearchHistory
from skmeta.search.prior import SearchPrior, shipped_priors
from skmeta.search.space import default_search_space

__all__ = [
    "MetaLearnedSearchCV",
    "SearchHistory",
    "SearchPrior",
    "default_search_space",
    "learned_defaults",
    "shipped_priors",
]
