"""Hyperparameter search that remembers."""

from skmeta.search._default_history import default_history, set_default_history, use_history
from skmeta.search._history import ReadOnly, SearchHistory, open_history
from skmeta.search._prior import SearchPrior
from skmeta.search._search_cv import MetaLearnedSearchCV

__all__ = [
    "MetaLearnedSearchCV",
    "ReadOnly",
    "SearchHistory",
    "SearchPrior",
    "default_history",
    "open_history",
    "set_default_history",
    "use_history",
]
