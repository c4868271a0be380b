"""Hyperparameter search that remembers."""

from skmeta.search._learned_defaults import learned_defaults
from skmeta.search._refit import best_within, neg_model_size
from skmeta.search._search_cv import MetaLearnedSearchCV
from skmeta.search.history import SearchHistory
from skmeta.search.prior import (
    SearchPrior,
    describe_prior,
    shipped_priors,
)
from skmeta.search.record import PastSearch
from skmeta.search.space import default_search_space
from skmeta.search.surrogate import SearchStrategy

__all__ = [
    "MetaLearnedSearchCV",
    "PastSearch",
    "SearchHistory",
    "SearchPrior",
    "SearchStrategy",
    "best_within",
    "default_search_space",
    "describe_prior",
    "learned_defaults",
    "neg_model_size",
    "shipped_priors",
]
