"""``SearchHistory``: searches are recorded while they run, and read by later ones."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from skmeta._copies import Uncopied
from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryError, SearchWarning
from skmeta.search.history._adding import measured_search
from skmeta.search.history._address import MEMORY, mask_password
from skmeta.search.history._reader import HistoryReader
from skmeta.search.record import CandidateRecord, SearchRecord

if TYPE_CHECKING:
    from skmeta.search.history._leases import Leases

# What a history may do.
MODES = ("write", "read", "share")


class SearchHistory(HistoryReader):
    """Past searches, kept in a file, on a server or in memory.

    It holds parameters, scores, times and fingerprints, but no data. Each candidate is written as
    soon as it is finished, and any number of processes may write at once. The guide is
    :doc:`/history`.

    Parameters
    ----------
    path_or_url : str or path-like, default=":memory:"
        Path of a SQLite file, which is created if it does not exist; or, with ``://``, an
        SQLAlchemy URL such as ``postgresql://user@host/database``. ``":memory:"`` lives as long as
        the object.
    mode : {"write", "read", "share"}, default="write"
        ``"read"`` reads an existing history and never writes it, for nested cross-validation.
        ``"share"`` lets several processes or machines work on one search: see
        :ref:`shared_searches`.

    Raises
    ------
    HistoryError
        If it cannot be opened or written, or is in memory and is to be shared.
    FileFormatError
        If there is something else in that place, or a history of a newer format.

    Notes
    -----
    Clones, and copies in other processes, use the same database. A history in memory is copied to
    other processes by value, and what they write is lost.

    Rows that were damaged are left out with a warning.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.svm import SVC
    >>> from skmeta.search import SearchHistory
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "searches.db")
    >>> with SearchHistory(path) as history:
    ...     history = history.add(SVC(), [{"C": 1.0}, {"C": 10.0}], [0.8, 0.9], dataset="iris")
    >>> len(SearchHistory(path))
    1
    >>> folder.cleanup()
    """

    def __init__(
        self, path_or_url: str | os.PathLike[str] = MEMORY, *, mode: str = "write"
    ) -> None:
        if mode not in MODES:
            raise HistoryError(f"mode must be one of {', '.join(map(repr, MODES))}, got {mode!r}.")
        address = os.fspath(path_or_url) if isinstance(path_or_url, str | os.PathLike) else ""
        if not isinstance(address, str) or not address:
            raise HistoryError(
                "A history is given by a path or an SQLAlchemy URL, a text that is not empty, not "
                f"by a {type(path_or_url).__name__}. Give 'searches.db', for example."
            )
        if mode == "share" and address == MEMORY:
            raise HistoryError(
                "mode='share' needs a history that all processes write, but this one is in memory. "
                "Give the path of a file, which processes of one machine share, or the URL of a "
                "server, such as postgresql://..."
            )
        self.mode = mode
        self._address = address
        self._address, self._name = self._store.address, self._store.name

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self)) | {"_address": hide_password(self._address)}
        store = state.pop("_store", None)
        if store is not None and store.in_memory:
            state["_content"] = store.content()
        return state

    def _begin(self, record: SearchRecord) -> str:
        """Enter a search if it is not there, and return its fingerprint."""
        if self.mode != "read":
            self._run("ensure_search", record, write=True)
        return record.fingerprint

    def _record(self, fingerprint: str, *candidates: CandidateRecord) -> None:
        """Write finished candidates durably; one with a key that is on record is kept as it is."""
        if self.mode != "read":
            self._run("insert_candidates", fingerprint, candidates, write=True)

    def _leases(self, fingerprint: str) -> "Leases":
        """Return the leases of a worker that shares a search with others."""
        from skmeta.search.history._leases import Leases

        return Leases(self._store, fingerprint)

    def add(
        self,
        estimator: Any,
        params: Sequence[Mapping[str, Any]] | None = None,
        scores: Any = None,
        *,
        dataset: str | None = None,
        X: Any = None,
        y: Any = None,
        scoring: str | None = None,
        greater_is_better: bool | Mapping[str, bool] | None = None,
    ) -> Self:
        """Add configurations that were measured elsewhere, as one past search.

        Configurations of the same estimator, data set and metrics belong to one search, even if
        they are added in parts. A configuration that is there already is left as it is.

        Parameters
        ----------
        estimator : estimator, or fitted search
            The estimator that was configured; or a ``GridSearchCV``, ``RandomizedSearchCV`` or
            similar, which has params and scores itself. If it is a halving search, only the
            candidates that were scored with the most resources are added.
        params : sequence of dict, optional
            Parameters of each configuration, as for ``set_params``.
        scores : array-like of shape (n_candidates,) or (n_candidates, n_folds), or dict of those, \
optional
            Test scores, NaN if a fit failed. A dict has them by metric.
        dataset : str, optional
            Name of the data set. It can be left out if X is given.
        X, y : array-like, optional
            The data set. Its fingerprint is kept, but no rows.
        scoring : str, optional
            The metric, by default that of the search, or ``"score"``. If there are several, the one
            that was maximised.
        greater_is_better : bool or dict of str -> bool, optional
            It is required for metrics that are not scorers of scikit-learn.

        Returns
        -------
        self : SearchHistory

        Raises
        ------
        FileFormatError
            If something that is needed is missing, or scores are not numbers.
        ValueError
            If the estimator does not have one of the parameters.

        Warns
        -----
        SearchWarning
            If a configuration is there already with other scores.

        Examples
        --------
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> history = SearchHistory()
        >>> history = history.add(
        ...     SVC(),
        ...     [{"C": 1.0}, {"C": 10.0}],
        ...     [[0.81, 0.79], [0.92, 0.88]],
        ...     dataset="iris",
        ...     scoring="accuracy",
        ... )
        >>> history.searches(metric="accuracy")[0].scores
        array([0.8, 0.9])

        >>> from sklearn.datasets import load_iris
        >>> from sklearn.model_selection import GridSearchCV
        >>> X, y = load_iris(return_X_y=True)
        >>> search = GridSearchCV(SVC(), {"C": [0.1, 1.0, 10.0]}).fit(X, y)
        >>> len(history.add(search, dataset="iris, by grid", X=X, y=y).to_frame())
        5
        """
        item = measured_search(estimator, params, scores, dataset, X, y, scoring, greater_is_better)
        n_different = self._run("merge_searches", [item], write=True)
        if n_different:
            warn_caller(
                f"{n_different} configurations were measured before on "
                f"{item.record.dataset_label!r}, with other scores, which are kept. To replace "
                "them, call remove(dataset) first. To keep both, give another dataset=.",
                SearchWarning,
            )
        return self

    def merge(self, other: "SearchHistory | str | os.PathLike[str]") -> Self:
        """Add all searches of another history. Candidates that are there already do not change.

        Parameters
        ----------
        other : SearchHistory, str or path-like
            A history, or its path or URL.

        Returns
        -------
        self : SearchHistory

        Examples
        --------
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> mine = SearchHistory().add(SVC(), [{"C": 1.0}], [0.8], dataset="iris")
        >>> yours = SearchHistory().add(SVC(), [{"C": 1.0}], [0.7], dataset="wine")
        >>> len(mine.merge(yours).merge(yours))
        2
        """
        source = other if isinstance(other, SearchHistory) else SearchHistory(other, mode="read")
        self._run("merge_searches", list(source), write=True)
        return self

    def remove(self, dataset: str) -> int:
        """Delete the searches of a name, or on a data set by its digest; return their number."""
        return int(self._run("remove_dataset", dataset, write=True))


class _MaskedAddress(Uncopied, str):
    """A URL whose secrets are neither shown nor pickled."""

    def __repr__(self) -> str:
        return repr(mask_password(str(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (mask_password(str(self)),)


def hide_password(history: object) -> object:
    """Return a URL with a password as an equal string whose ``repr`` hides it."""
    if type(history) is str or isinstance(history, os.PathLike):
        text = os.fspath(history)
        if isinstance(text, str) and mask_password(text) != text:
            return _MaskedAddress(text)
    return history
