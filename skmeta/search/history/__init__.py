"""Histories: past searches, kept in a database."""

from skmeta.search.history._address import hide_password, mask_password
from skmeta.search.history._history import SearchHistory, open_history
from skmeta.search.history._leases import Leases, LeaseState, retry
