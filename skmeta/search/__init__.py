"""Hyperparameter search that remembers."""

from skmeta.search._default_history import default_history, set_default_history, use_history
from skmeta.search._history import ReadOnly, SearchHistory, open_history

__all__ = [
    "ReadOnly",
    "SearchHistory",
    "default_history",
    "open_history",
    "set_default_history",
    "use_history",
]
