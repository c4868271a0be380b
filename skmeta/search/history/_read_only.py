"""``ReadOnlyHistory``: a history that a search reads and does not change."""

import os

from skmeta.search.history import _queries
from skmeta.search.history._address import address_of
from skmeta.search.history._reader import HistoryReader
from skmeta.search.history._store import HistoryStore
from skmeta.search.record import CandidateRecord, SearchRecord


class ReadOnlyHistory(HistoryReader):
    """A history that a search reads and does not change.

    Use it for nested cross-validation: what the inner searches find on parts of the data must not
    be recorded. A search that was recorded earlier is still resumed.

    Parameters
    ----------
    history : SearchHistory, ReadOnlyHistory, str or path-like
        The history, or its path or URL. It must exist.

    Raises
    ------
    HistoryError
        If it cannot be opened.
    HistoryFormatError
        If there is something else in that place, or a history of a newer format.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from skmeta.search import ReadOnlyHistory, SearchHistory
    >>> history = SearchHistory().add(SVC(), [{"C": 1.0}], [0.8], dataset="iris")
    >>> len(ReadOnlyHistory(history))
    1
    """

    _read_only = True

    def __init__(self, history: HistoryReader | str | os.PathLike[str]) -> None:
        if isinstance(history, HistoryReader):
            super().__init__(history._store)
        else:
            super().__init__(HistoryStore(address_of(history), read_only=True))

    def begin(self, record: SearchRecord) -> int:
        """Return the id of a search, or 0 if it is not in the history.

        Parameters
        ----------
        record : SearchRecord
            Description of the search.

        Returns
        -------
        int
            The id, or 0.
        """
        search_id = self._store.run(
            lambda connection: _queries.find_search(connection, record.fingerprint)
        )
        return search_id or 0

    def record(self, search_id: int, candidate: CandidateRecord) -> None:
        """Do nothing."""

    def finish(self, search_id: int) -> None:
        """Do nothing."""
