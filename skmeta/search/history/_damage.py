"""Damaged rows: they are left out with a warning, and can be listed and removed.

Each row has a digest, which detects damage even if the row can still be read. The digest has two
halves of 64 bits. Rows that version 0.1 wrote have no digest.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryFormatError, HistoryWarning

__all__ = [
    "DamagedRow",
    "check_digest",
    "digest_of_evaluation",
    "digest_of_search",
    "warn_of_damage",
]

_MAX_SHOWN = 5
_HALF = 16  # hexadecimal digits
# Columns of the two halves: those that a prior is learned from, and the others.
_EVALUATION = (
    ("search_id", "configuration", "scores"),
    (
        *("search_id", "key", "params", "train_scores", "fit_times", "score_times"),
        *("n_test_samples", "error", "source", "predicted_mean_score", "predicted_std_score"),
        "n_rounds",
    ),
)
# Columns that were added later. They are part of the digest only if they are not empty.
_LATER = ("n_rounds",)
# Columns of the two halves: those that never change, and others that do. ``finished`` is not among
# them, since version 0.1 may write it to a row that has a digest.
_SEARCH = (
    ("fingerprint", "data_digest", "estimator", "refit_metric", "details"),
    ("dataset", "started"),
)


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
    warn_caller(
        f"{name} has damaged rows, which are left out: {shown}{more}. List them with "
        "'python -m skmeta history check', and remove them with its option --remove.",
        HistoryWarning,
    )


def digest_of_evaluation(row: Mapping[str, Any]) -> str:
    """Return the digest of a candidate's row, which has its ``search_id``."""
    return "".join(_digest(row, columns) for columns in _EVALUATION)


def digest_of_search(row: Mapping[str, Any]) -> str:
    """Return the digest of a search's row."""
    return "".join(_digest(row, columns) for columns in _SEARCH)


def check_digest(row: Mapping[str, Any], kind: str) -> None:
    """Compare a row with its digest. A half whose columns are not all there is not compared.

    Parameters
    ----------
    row : mapping
        Columns and their values.
    kind : {"search", "evaluation"}
        What the row stands for.

    Raises
    ------
    HistoryFormatError
        If they differ.
    """
    expected = row.get("digest")
    if expected is None:
        return
    halves = _SEARCH if kind == "search" else _EVALUATION
    for k, columns in enumerate(halves):
        if not all(column in row or column in _LATER for column in columns):
            continue
        if not isinstance(expected, str) or len(expected) != _HALF * len(halves):
            raise HistoryFormatError("digest is damaged")
        if expected[k * _HALF : (k + 1) * _HALF] != _digest(row, columns):
            raise HistoryFormatError(f"{', '.join(columns)} do not match their digest")


def _digest(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    # `ascii` gives the same text in every version of Python, and is fast.
    values = [row.get(c) for c in columns if c not in _LATER or row.get(c) is not None]
    text = ascii(values).encode("ascii")
    return hashlib.blake2b(text, digest_size=_HALF // 2).hexdigest()
