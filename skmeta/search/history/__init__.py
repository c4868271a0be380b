"""Histories: past searches, kept in a database."""

from typing import TYPE_CHECKING

from skmeta.search.history._address import mask_password
from skmeta.search.history._codec import row_to_recorded
from skmeta.search.history._history import SearchHistory, hide_password

if TYPE_CHECKING:  # it imports SQLAlchemy
    from skmeta.search.history._leases import Leases, LeaseState
