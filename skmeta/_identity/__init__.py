"""What identifies a value, in this process and in others."""

from skmeta._identity._stable_repr import candidate_key as candidate_key
from skmeta._identity._stable_repr import stable_repr as stable_repr

__all__ = []
