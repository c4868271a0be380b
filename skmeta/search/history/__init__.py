"""Histories: past searches, kept in a database."""

from skmeta.search.history._history import VARIABLE, SearchHistory, hide_password
from skmeta.search.history._leases import Leases, LeaseState
from skmeta.search.history._store import mask_password
