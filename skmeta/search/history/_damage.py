"""Damaged rows: they are left out with a warning.

Each row has a digest, which detects damage even if the row can still be read. The digest of a
candidate has two parts: one of the columns that a prior is learned from, and one of the others.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryFormatError, HistoryWarning
from skmeta.search.history._codec import SEARCH_FIELDS

_MAX_SHOWN = 5
_LENGTH = 16  # of the digest of some columns, in hexadecimal digits
# Kind of row -> columns of each part of its digest. ``finished`` is not among them: it is written
# later.
_PARTS = {
    "search": ((*SEARCH_FIELDS, "details", "started"),),
    "candidate": (("search_id", "configuration", "scores"), ("search_id", "key", "details")),
}


@dataclass(frozen=True)
class DamagedRow:
    """A row of a history that cannot be read.

    Attributes
    ----------
    kind : str
        ``"search"`` or ``"candidate"``.
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
        owner = f" of search {self.search_id}" if self.kind == "candidate" else ""
        return f"{self.kind} {self.id}{owner}: {self.reason}"


def warn_of_damage(name: str, rows: Sequence[DamagedRow]) -> None:
    """Warn that rows were left out, and name them."""
    if not rows:
        return
    shown = "; ".join(map(str, rows[:_MAX_SHOWN]))
    more = f"; and {len(rows) - _MAX_SHOWN} more" if len(rows) > _MAX_SHOWN else ""
    warn_caller(
        f"{name} has damaged rows, which are left out: {shown}{more}. A search that is run again "
        "evaluates its damaged candidates anew and replaces their rows.",
        HistoryWarning,
    )


def row_digest(row: Mapping[str, Any], kind: str) -> str:
    """Return the digest of a row; that of a candidate has its ``search_id``.

    Parameters
    ----------
    row : mapping
        Columns and their values.
    kind : {"search", "candidate"}
    """
    return "".join(_digest(row, columns) for columns in _PARTS[kind])


def check_digest(row: Mapping[str, Any], kind: str) -> None:
    """Compare a row with its digest. A part whose columns were not all read is not compared.

    Parameters
    ----------
    row : mapping
        Columns and their values, and the ``digest``.
    kind : {"search", "candidate"}

    Raises
    ------
    HistoryFormatError
        If they differ.
    """
    digest, parts = row["digest"], _PARTS[kind]
    if not isinstance(digest, str) or len(digest) != _LENGTH * len(parts):
        raise HistoryFormatError("digest is damaged")
    for k, columns in enumerate(parts):
        expected = digest[k * _LENGTH : (k + 1) * _LENGTH]
        if all(column in row for column in columns) and expected != _digest(row, columns):
            raise HistoryFormatError(f"{', '.join(columns)} do not match their digest")


def _digest(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    # `ascii` gives the same text in every version of Python, and is fast.
    text = ascii([row[column] for column in columns]).encode("ascii")
    return hashlib.blake2b(text, digest_size=_LENGTH // 2).hexdigest()
