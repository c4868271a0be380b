"""What identifies a value, in this process and in others; objects that are their own copies."""

from skmeta._identity._copies import Immutable, Uncopied
from skmeta._identity._values import (
    Identity,
    candidate_key,
    identify,
    remembered_texts,
    stable_repr,
)

__all__ = []
