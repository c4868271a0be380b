"""Damaged rows: they are left out with a warning, and can be listed and removed."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from skmeta.exceptions import HistoryWarning

__all__ = ["DamagedRow", "warn_of_damage"]

_MAX_SHOWN = 5


@dataclass(frozen=True, order=True)
class DamagedRow:
    """A row of a history that cannot be read.

    Attributes
    ----------
    kind : str
        ``"search"`` or ``"evaluation"``.
    id : int
        The row's id in its table.
    search_id : int
        The id of the search that it belongs to.
    reason : str
        Which column is damaged, and how.
    """

    kind: str
    id: int
    search_id: int
    reason: str

    def __str__(self) -> str:
        of = f" of search {self.search_id}" if self.kind == "evaluation" else ""
        return f"{self.kind} {self.id}{of}: {self.reason}"


def warn_of_damage(name: str, rows: Sequence[DamagedRow]) -> None:
    """Warn that rows were left out, and name them."""
    if not rows:
        return
    shown = "; ".join(map(str, rows[:_MAX_SHOWN]))
    more = f"; and {len(rows) - _MAX_SHOWN} more" if len(rows) > _MAX_SHOWN else ""
    warnings.warn(
        f"{name} has damaged rows, which are left out: {shown}{more}. List them with "
        "'python -m skmeta history check', and remove them with its option --remove.",
        HistoryWarning,
        stacklevel=4,
    )
