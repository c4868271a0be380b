"""Leases: which worker of a shared search evaluates which candidate."""

from skmeta.search.history.leases._leases import Leases, LeaseState, retry
