"""Histories: past searches, kept in a database."""

from skmeta.search.history._address import hide_password as hide_password
from skmeta.search.history._address import mask_password as mask_password
from skmeta.search.history._history import SearchHistory as SearchHistory
from skmeta.search.history._history import open_history as open_history
from skmeta.search.history.leases import Leases as Leases
from skmeta.search.history.leases import LeaseState as LeaseState
from skmeta.search.history.leases import retry as retry
