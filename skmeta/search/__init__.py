"""Hyperparameter search that remembers."""

from skmeta.search._default_history import default_history, set_default_history, use_history
from skmeta.search._history import ReadOnly, SearchHistory, open_history
from skmeta.search._joint import ChoicePrior, JointPrior
from skmeta.search._prior import SearchPrior
from skmeta.search._records import Evaluation, PastSearch, RecordedSearch, SearchRecord
from skmeta.search._search_cv import MetaLearnedSearchCV
from skmeta.search._shipped import describe_prior, shipped_priors
from skmeta.search._spaces import default_search_space, register_search_space
from skmeta.search._strategy import SearchStrategy, Suggestion

__all__ = [
    "ChoicePrior",
    "Evaluation",
    "JointPrior",
    "MetaLearnedSearchCV",
    "PastSearch",
    "ReadOnly",
    "RecordedSearch",
    "SearchHistory",
    "SearchPrior",
    "SearchRecord",
    "SearchStrategy",
    "Suggestion",
    "default_history",
    "default_search_space",
    "describe_prior",
    "open_history",
    "register_search_space",
    "set_default_history",
    "shipped_priors",
    "use_history",
]
