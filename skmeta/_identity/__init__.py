"""What identifies a value, in this process and in others."""

from skmeta._identity._stable_repr import candidate_key, stable_repr

__all__ = []
