"""Leases: which worker of a shared search evaluates which candidate."""

from skmeta.search.history.leases._leases import Lease, Leases, LeaseState, retry

__all__ = ["Lease", "LeaseState", "Leases", "retry"]
