"""The history of searches: recorded as they run, read by the next one."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from skmeta.exceptions import HistoryError, HistoryFormatError, HistoryWarning, SkmetaError
from skmeta.search.history import _codec, _exchange, _importers, _queries
from skmeta.search.history._reader import HistoryReader
from skmeta.search.history._store import MEMORY, Store
from skmeta.search.record import Evaluation, RecordedSearch, SearchRecord

_Pending = tuple[SearchRecord, _codec.Row]


class SearchHistory(HistoryReader):
    """Past searches, kept in a file, on a server or in memory.

    It holds parameters, scores, times and fingerprints, but no data. Candidates
    are written as they finish, each in a transaction of its own; any number of processes may
    write at once.

    Parameters
    ----------
    path_or_url : str or path-like, default=":memory:"
        A path is a SQLite file, made when it does not exist. What contains ``://`` is an
        SQLAlchemy URL, such as ``postgresql://user@host/database`` (``pip install
        skmeta[postgres]``). ``":memory:"`` lives as long as the object.

    Raises
    ------
    HistoryError
        If it cannot be opened or written.
    HistoryFormatError
        If there is something else in that place, or a history of a newer format.

    Notes
    -----
    A clone, and a copy in another process, stands for the same database. A history in memory is
    copied to other processes by value, and what they write is lost.

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

    _read_only = False

    def __init__(self, path_or_url: str | os.PathLike[str] = MEMORY) -> None:
        super().__init__(Store(address_of(path_or_url)))
        self._begun: dict[int, SearchRecord] = {}
        self._pending: list[_Pending] = []

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._begun, self._pending = {}, []

    def begin(self, record: SearchRecord) -> int:
        """Return the id of a search, which is new unless its fingerprint is known.

        Parameters
        ----------
        record : SearchRecord
            What is known before the first candidate.
        """
        search_id = self._store.run(
            lambda connection: _queries.ensure_search(connection, record), write=True
        )
        self._begun[search_id] = record
        return search_id

    def record(self, search_id: int, evaluation: Evaluation) -> None:
        """Write a finished candidate; it is durable when this returns.

        A candidate that the search has already (equal ``key``) is left as it is. One that cannot
        be written is kept in memory, and written with the next.

        Parameters
        ----------
        search_id : int
            As `begin` returned it.
        evaluation : Evaluation
            The candidate.

        Raises
        ------
        HistoryError
            If the database cannot be written now.
        """
        row = _codec.evaluation_to_row(evaluation)
        with self._store.lock:
            self._pending.append((self._record_of(search_id), row))
            self._flush()

    def finish(self, search_id: int) -> None:
        """Note that a search ended, and write what could not be written before.

        Parameters
        ----------
        search_id : int
            As `begin` returned it.
        """
        fingerprint = self._record_of(search_id).fingerprint

        def work(connection: Any) -> None:
            found = _queries.find_search(connection, fingerprint)
            if found is not None:
                _queries.finish_search(connection, found)

        with self._store.lock:
            self._flush()
            self._store.run(work, write=True)

    def add(
        self,
        estimator: Any,
        params: Sequence[Mapping[str, Any]],
        scores: Any,
        *,
        dataset: str | None = None,
        X: Any = None,
        y: Any = None,
        metafeatures: Mapping[str, float] | None = None,
        scoring: str | None = None,
        greater_is_better: bool | Mapping[str, bool] | None = None,
        fit_times: Any = None,
        score_times: Any = None,
    ) -> Self:
        """Add configurations that were measured elsewhere, as one past search.

        What was measured of the same estimator on the same data set by the same metrics is one
        search, also when it is added in parts. A configuration that is there already stays.

        Parameters
        ----------
        estimator : estimator, class or str
            What was configured. For the name of a class, such as ``"SVC"``, the parameters are
            the predictor's.
        params : sequence of dict
            Parameters of each configuration, as for ``set_params``.
        scores : array-like of shape (n_candidates,) or (n_candidates, n_folds), or dict of those
            Test scores, NaN where a fit failed; a dict gives them by metric.
        dataset : str, optional
            Name of the data set; where X is given, by default the digest of its rows.
        X, y : array-like, optional
            The data set. Its fingerprint is kept, but no rows.
        metafeatures : dict of str -> float, optional
            Meta-features of the data set. They are kept; no search uses them.
        scoring : str, optional
            The metric, by default ``"score"``; of several, the one that is maximised.
        greater_is_better : bool or dict of str -> bool, optional
            Has to be given for metrics that are not scorers of scikit-learn.
        fit_times, score_times : array-like of shape (n_candidates,) or (n_candidates, n_folds)
            Seconds.

        Returns
        -------
        self : SearchHistory

        Warns
        -----
        HistoryWarning
            If a configuration is there already, with other scores.

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
        """
        data = _importers.DataSet(name=dataset, X=X, y=y, metafeatures=metafeatures)
        measured = _importers.measurements(
            params,
            scores,
            scoring=scoring,
            greater_is_better=greater_is_better,
            fit_times=fit_times,
            score_times=score_times,
        )
        return self._add(_importers.make_search(estimator, data, measured))

    def add_cv_results(
        self,
        search_or_results: Any,
        estimator: Any = None,
        *,
        dataset: str | None = None,
        X: Any = None,
        y: Any = None,
        metafeatures: Mapping[str, float] | None = None,
        scoring: str | None = None,
        greater_is_better: bool | Mapping[str, bool] | None = None,
    ) -> Self:
        """Add a finished search of scikit-learn.

        Parameters
        ----------
        search_or_results : fitted search, dict or DataFrame
            A ``GridSearchCV``, ``RandomizedSearchCV`` or the like, or its ``cv_results_``. Of a
            halving search over rows, only what was scored with the most rows is added.
        estimator : estimator, class or str, optional
            What was configured; a fitted search knows.
        dataset, X, y, metafeatures
            As for `add`.
        scoring : str, optional
            The metric; a fitted search knows, unless its ``refit`` is not a name.
        greater_is_better : bool or dict of str -> bool, optional
            Scores of scikit-learn are better when greater, which is the default.

        Returns
        -------
        self : SearchHistory

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.model_selection import GridSearchCV
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> X, y = load_iris(return_X_y=True)
        >>> search = GridSearchCV(SVC(), {"C": [0.1, 1.0, 10.0]}).fit(X, y)
        >>> history = SearchHistory().add_cv_results(search, dataset="iris", X=X, y=y)
        >>> len(history.to_frame())
        3
        """
        results = getattr(search_or_results, "cv_results_", search_or_results)
        if results is not search_or_results:
            scoring = scoring or _importers.metric_of_search(search_or_results)
            estimator = search_or_results.estimator if estimator is None else estimator
        if estimator is None or not hasattr(results, "keys"):
            raise HistoryFormatError(
                "Give a fitted search, or its cv_results_ together with estimator=...; got "
                f"{type(search_or_results).__name__} and estimator={estimator!r}."
            )
        measured = _importers.measurements_of_cv_results(
            results,
            scoring=scoring,
            greater_is_better=True if greater_is_better is None else greater_is_better,
        )
        data = _importers.DataSet(name=dataset, X=X, y=y, metafeatures=metafeatures)
        return self._add(_importers.make_search(estimator, data, measured))

    def add_optuna(
        self,
        study: Any,
        estimator: Any,
        *,
        dataset: str | None = None,
        X: Any = None,
        y: Any = None,
        metafeatures: Mapping[str, float] | None = None,
        scoring: str | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Self:
        """Add the finished trials of a study of Optuna; pruned ones are left out.

        Parameters
        ----------
        study : optuna.study.Study
            The study; its direction says whether values are better when greater.
        estimator : estimator, class or str
            What was configured.
        dataset, X, y, metafeatures
            As for `add`.
        scoring : str, optional
            What the objective's value is; of several objectives, the one that counts, by name.
        names : dict of str -> str, optional
            The estimator's name of a parameter, where the study's is another:
            ``{"c": "svc__C"}``.

        Returns
        -------
        self : SearchHistory

        Examples
        --------
        >>> import optuna
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(direction="maximize")
        >>> study.optimize(lambda trial: -abs(trial.suggest_float("c", 1, 9) - 5), n_trials=4)
        >>> history = SearchHistory().add_optuna(study, SVC(), dataset="iris", names={"c": "C"})
        >>> len(history.to_frame())
        4
        """
        measured = _importers.measurements_of_study(study, names=names, scoring=scoring)
        data = _importers.DataSet(name=dataset, X=X, y=y, metafeatures=metafeatures)
        return self._add(_importers.make_search(estimator, data, measured))

    @classmethod
    def from_cv_results(
        cls,
        search_or_results: Any,
        estimator: Any = None,
        *,
        history: str | os.PathLike[str] = MEMORY,
        **options: Any,
    ) -> Self:
        """Return a history with a finished search of scikit-learn; see `add_cv_results`.

        Parameters
        ----------
        search_or_results, estimator, **options
            As for `add_cv_results`.
        history : str or path-like, default=":memory:"
            Where the history is kept.
        """
        return cls(history).add_cv_results(search_or_results, estimator, **options)

    @classmethod
    def from_optuna(
        cls, study: Any, estimator: Any, *, history: str | os.PathLike[str] = MEMORY, **options: Any
    ) -> Self:
        """Return a history with the finished trials of a study of Optuna; see `add_optuna`.

        Parameters
        ----------
        study, estimator, **options
            As for `add_optuna`.
        history : str or path-like, default=":memory:"
            Where the history is kept.
        """
        return cls(history).add_optuna(study, estimator, **options)

    def merge(self, other: "SearchHistory | ReadOnlyHistory | str | os.PathLike[str]") -> Self:
        """Add all searches of another history; what is there already stays as it is.

        Parameters
        ----------
        other : SearchHistory, ReadOnlyHistory, str or path-like
            A history, its path or URL, or a file that `export` wrote (``.jsonl``, ``.jsonl.gz``
            or ``.parquet``).

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
        items = list(_searches_in(other))

        def work(connection: Any) -> None:
            for item in items:
                _queries.merge_search(connection, item)

        self._store.run(work, write=True)
        return self

    def remove(self, dataset: str) -> int:
        """Delete the searches on a data set.

        Parameters
        ----------
        dataset : str
            The data set's name.

        Returns
        -------
        n_removed : int
            The number of searches deleted.
        """
        return self._store.run(
            lambda connection: _queries.remove_dataset(connection, dataset), write=True
        )

    def close(self) -> None:
        """Write what could not be written before, and let go of the database.

        A later use opens it again. What still cannot be written stays in memory, with a warning.
        """
        try:
            if self._pending:
                with self._store.lock:
                    self._flush()
        except SkmetaError as error:
            warnings.warn(
                f"Finished candidates are in memory only. {error}",
                HistoryWarning,
                stacklevel=2,
            )
        super().close()

    def _add(self, item: RecordedSearch) -> Self:
        changed = 0

        def work(connection: Any) -> None:
            nonlocal changed
            search_id = _queries.ensure_search(connection, item.record, item.started)
            before = {e.key: e.scores for e in _queries.read_evaluations(connection, search_id)}
            _queries.merge_search(connection, item)
            changed = _count_changed(before, item.evaluations)

        self._store.run(work, write=True)
        if changed:
            warnings.warn(
                f"{changed} configurations were measured before on {item.record.dataset_label!r}, "
                "with other scores, which are kept. To replace them, call remove(dataset) first. "
                "To keep both, give another dataset=.",
                HistoryWarning,
                stacklevel=3,
            )
        return self

    def _record_of(self, search_id: int) -> SearchRecord:
        if search_id not in self._begun:  # begun by another process, or before a copy was made
            record = self._store.run(lambda connection: _queries.find_record(connection, search_id))
            if record is None:
                raise HistoryError(
                    f"{self!r} has no search of id {search_id!r}. Give the id that begin returned."
                )
            self._begun[search_id] = record
        return self._begun[search_id]

    def _flush(self) -> None:
        if not self._pending:
            return
        batch = list(self._pending)
        try:
            self._store.run(lambda connection: _write(connection, batch), write=True)
        except HistoryError as error:
            raise HistoryError(
                f"{error} Finished candidates that wait in memory, to be written with the next: "
                f"{len(batch)}."
            ) from error
        del self._pending[: len(batch)]


class ReadOnlyHistory(HistoryReader):
    """A history that a search reads and does not change.

    For nested cross-validation, where what the inner searches find on parts of the data must not
    enter the history. A search that was recorded earlier is still resumed.

    Parameters
    ----------
    history : SearchHistory, ReadOnlyHistory, str or path-like
        The history, or its path or URL. It has to exist.

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

    def __init__(self, history: "SearchHistory | ReadOnlyHistory | str | os.PathLike[str]") -> None:
        if isinstance(history, HistoryReader):
            super().__init__(history._store)
        else:
            super().__init__(Store(address_of(history), read_only=True))

    def begin(self, record: SearchRecord) -> int:
        """Return the id of a search, or 0 where it is not in the history.

        Parameters
        ----------
        record : SearchRecord
            What is known before the first candidate.
        """
        found = self._store.run(
            lambda connection: _queries.find_search(connection, record.fingerprint)
        )
        return found or 0

    def record(self, search_id: int, evaluation: Evaluation) -> None:
        """Do nothing."""

    def finish(self, search_id: int) -> None:
        """Do nothing."""


ReadOnly = ReadOnlyHistory  # its name in version 0.1


def open_history(
    history: SearchHistory | ReadOnlyHistory | str | os.PathLike[str] | None,
) -> SearchHistory | ReadOnlyHistory | None:
    """Return the history that a parameter means.

    Parameters
    ----------
    history : None, str, path-like, SearchHistory or ReadOnlyHistory
        A path or URL is opened; everything else is returned as it is.
    """
    if history is None or isinstance(history, SearchHistory | ReadOnlyHistory):
        return history
    return SearchHistory(history)


def address_of(path_or_url: object) -> str:
    """Return a path or URL as text, or say what it should be."""
    if isinstance(path_or_url, str | os.PathLike):
        text = os.fspath(path_or_url)
        if isinstance(text, str) and text:
            return text
    raise HistoryError(
        f"A history is given by a path or an SQLAlchemy URL, not {path_or_url!r} of type "
        f"{type(path_or_url).__name__}. Give 'searches.db', for example."
    )


def _write(connection: Any, batch: list[_Pending]) -> None:
    by_search: dict[str, list[_codec.Row]] = {}
    records = {record.fingerprint: record for record, _ in batch}
    for record, row in batch:
        by_search.setdefault(record.fingerprint, []).append(row)
    for fingerprint, rows in by_search.items():
        # The search is looked up by what it is: its id may be another's, if the file was replaced.
        search_id = _queries.ensure_search(connection, records[fingerprint])
        _queries.insert_evaluations(connection, search_id, rows)


def _searches_in(
    other: SearchHistory | ReadOnlyHistory | str | os.PathLike[str],
) -> Iterable[RecordedSearch]:
    if isinstance(other, HistoryReader):
        return other
    address = address_of(other)
    if "://" not in address and _exchange.is_exchange_file(Path(address)):
        return _exchange.read_file(Path(address).expanduser())
    return ReadOnlyHistory(address)


def _count_changed(before: dict[str, Any], evaluations: Iterable[Evaluation]) -> int:
    """Return how many candidates have other scores than one of the same key before them."""
    seen, changed = dict(before), set()
    for one in evaluations:
        first = seen.setdefault(one.key, one.scores)
        if repr(dict(first)) != repr(dict(one.scores)):  # NaN is not equal to itself
            changed.add(one.key)
    return len(changed)
