"""Leases: which worker of a shared search evaluates which candidate."""

from skmeta.search.history.leases._leases import Leases as Leases
from skmeta.search.history.leases._leases import LeaseState as LeaseState
from skmeta.search.history.leases._leases import retry as retry
