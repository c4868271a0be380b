"""Histories: past searches, kept in a database."""

from skmeta.search.history._address import hide_password, mask_password
from skmeta.search.history._default import (
    default_history,
    open_history,
    set_default_history,
    use_history,
)
from skmeta.search.history._history import SearchHistory
from skmeta.search.history._read_only import ReadOnlyHistory
from skmeta.search.history.leases import Leases, LeaseState, retry

__all__ = [
    "LeaseState",
    "Leases",
    "ReadOnlyHistory",
    "SearchHistory",
    "default_history",
    "hide_password",
    "mask_password",
    "open_history",
    "retry",
    "set_default_history",
    "use_history",
]
