"""``SearchHistory``: what was found before, in a database."""

from skmeta.search.history._default import default_history, set_default_history, use_history
from skmeta.search.history._history import ReadOnly as ReadOnly
from skmeta.search.history._history import ReadOnlyHistory, SearchHistory, open_history

__all__ = [
    "ReadOnlyHistory",
    "SearchHistory",
    "default_history",
    "open_history",
    "set_default_history",
    "use_history",
]
