"""Methods of a history that only read."""

import threading
from collections.abc import Collection, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skmeta._html import table, tag
from skmeta._immutable import Uncopied
from skmeta.exceptions import HistoryError, HistoryFormatError
from skmeta.search.history import _codec, _frame, _queries
from skmeta.search.history._address import MEMORY
from skmeta.search.history._damage import DamagedRow, check_digest, warn_of_damage
from skmeta.search.history._nearest import nearest_searches
from skmeta.search.history._store import HistoryStore
from skmeta.search.record import (
    CandidateRecord,
    Configuration,
    PastSearch,
    RecordedSearch,
    SearchRecord,
)
from skmeta.search.space import relative_configuration

_opening = threading.Lock()


class HistoryReader(Uncopied):
    """Methods of a history that only read."""

    def __init__(self, store: HistoryStore, **settings: Any) -> None:
        self._opened: HistoryStore | None = store
        place = {"address": store.address, "name": store.name, "content": None}
        self._state: dict[str, Any] = {**place, "read_only": store.read_only, **settings}

    @property
    def _store(self) -> HistoryStore:
        # A copy opens its database when it is first used. So a fitted search can be loaded on a
        # machine that does not have the history.
        if self._opened is None:
            with _opening:
                if self._opened is None:
                    settings = {name: self._state[name] for name in ("read_only", "content")}
                    self._opened = HistoryStore(self._state["address"], **settings)
        return self._opened

    def candidates(
        self, search: int | str, keys: Collection[str] | None = None
    ) -> list[CandidateRecord]:
        """Return the finished candidates of a search, in the order in which they were recorded.

        Parameters
        ----------
        search : int or str
            Id of the search, as returned by `begin`, or its fingerprint.
        keys : collection of str, default=None
            Keys of the wanted candidates. None returns all.

        Returns
        -------
        candidates : list of CandidateRecord
            Empty if there is no such search.

        Warns
        -----
        HistoryWarning
            If rows are damaged. They are left out.
        """

        def work(connection: Any) -> tuple[list[CandidateRecord], list[DamagedRow]]:
            search_id = search if isinstance(search, int) else None
            if isinstance(search, str):
                search_id = _queries.find_search(connection, search)
            if search_id is None:
                return [], []
            return _queries.read_candidates(connection, search_id, keys)

        candidates, damage = self._store.run(work)
        warn_of_damage(self._store.place, damage)
        return candidates

    def find(self, fingerprint: str) -> SearchRecord | None:
        """Return the record of a search.

        Parameters
        ----------
        fingerprint : str
            Fingerprint of the search.

        Returns
        -------
        record : SearchRecord or None
            None if there is no such search, or if its record is damaged.

        Warns
        -----
        HistoryWarning
            If the record is damaged.
        """

        def work(connection: Any) -> tuple[SearchRecord | None, list[DamagedRow]]:
            search_id = _queries.find_search(connection, fingerprint)
            if search_id is None:
                return None, []
            try:
                return _queries.find_record(connection, search_id), []
            except HistoryFormatError as error:
                return None, [DamagedRow("search", search_id, search_id, str(error))]

        record, damage = self._store.run(work)
        warn_of_damage(self._store.place, damage)
        return record

    def position(self) -> tuple[str, int]:
        """Return the history's identity and the number of its last candidate.

        Candidates that are written later have greater numbers.
        """
        return self._store.run(_queries.read_position)

    def searches(
        self,
        *,
        estimator: str | Collection[str] | None = None,
        metric: str | None = None,
        exclude: str | Collection[str] = (),
        until: tuple[str, int] | None = None,
        limit: int | None = None,
        like: Mapping[str, float] | None = None,
    ) -> list[PastSearch]:
        """Return past searches: their configurations, and one score for each.

        Parameters
        ----------
        estimator : str or collection of str, optional
            Keep searches that tried one of these classes, such as ``"SVC"``; ``"SVC|NuSVC"``
            means both.
        metric : str, optional
            The wanted metric. For a search that did not record it, the scores are those of the
            metric that it maximised.
        exclude : str or collection of str, default=()
            Data sets to leave out, by name or digest, or searches, by fingerprint.
        until : tuple of (str, int), optional
            Keep candidates up to this `position` of this history. The position of another
            history has no effect.
        limit : int, optional
            Return this many searches at most: those on the data sets that resemble the one that
            `like` describes, or the latest ones. The others are not read, which takes a few
            microseconds for each.
        like : dict of str -> float, optional
            Features of a data set, as in `PastSearch`.

        Returns
        -------
        searches : list of PastSearch
            Scores are means over the folds, signed so that greater is better, and NaN if a
            candidate failed. A search without a finite score is left out.

        Warns
        -----
        HistoryWarning
            If rows are damaged. They are left out.

        Examples
        --------
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> history = SearchHistory()
        >>> history = history.add(SVC(), [{"C": 1.0}, {"C": 10.0}], [0.8, 0.9], dataset="iris")
        >>> [past] = history.searches(estimator="SVC")
        >>> past.scores
        array([0.8, 0.9])
        """
        classes = None if estimator is None else _split_classes(estimator)
        excluded = ({exclude} if isinstance(exclude, str) else set(exclude)) - {""}

        def work(connection: Any) -> tuple[_queries.Rows, dict[int, Any]]:
            is_own = until is not None and until[0] == _queries.read_position(connection)[0]
            last_id = until[1] if until is not None and is_own else None
            rows = [
                row
                for row in _queries.read_searches(connection, classes, last_id)
                if excluded.isdisjoint((row["dataset"], row["data_digest"], row["fingerprint"]))
            ]
            if limit is not None and len(rows) > limit:
                rows = nearest_searches(rows, like or {}, limit)
            return rows, _queries.read_scores(connection, rows, last_id)

        rows, candidates = self._store.run(work)
        past, damage = [], []
        for row in rows:
            try:
                record = _queries.decode_search(row)
            except HistoryFormatError as error:
                damage.append(DamagedRow("search", row["id"], row["id"], str(error)))
                continue
            past.append(_make_past_search(record, candidates[row["id"]], metric, damage))
        warn_of_damage(self._store.place, damage)
        return [one for one in past if np.isfinite(one.scores).any()]

    def version_token(self) -> Hashable:
        """Return a value that changes when searches or candidates are added or removed.

        It is cheap. What was computed from a history is valid until the token changes.
        """
        # The name is part of it, because copies of a file have the same identity.
        return (self._store.name, *self._store.run(_queries.read_token))

    def describe(self) -> str:
        """Return a table with the number of data sets, searches and candidates per estimator.

        Examples
        --------
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> history = SearchHistory()
        >>> history = history.add(SVC(), [{"C": 1.0}, {"C": 10.0}], [0.8, 0.9], dataset="iris")
        >>> print(history.describe())
        estimator  data sets  searches  candidates
        SVC                1         1           2
        """
        rows = self._store.run(_queries.describe)
        width = max([len("estimator"), *(len(row[0]) for row in rows)])
        lines = [f"{'estimator':<{width}}  data sets  searches  candidates"]
        lines += [f"{a:<{width}}  {b:>9}  {c:>8}  {d:>10}" for a, b, c, d in rows]
        return "\n".join(lines)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per candidate.

        Columns are the search (``search``, ``dataset``, ``estimator``, ``metric``), its result
        (``score``, signed so that greater is better, ``score_std``, times, ``source``, ``error``,
        ``mean_test_<metric>``), and the parameters under canonical names. A parameter is left out
        if no search varied it and it has the same value in all of them.

        Returns
        -------
        frame : DataFrame

        Warns
        -----
        HistoryWarning
            If rows are damaged. They are left out.

        Examples
        --------
        >>> from sklearn.svm import SVC
        >>> from skmeta.search import SearchHistory
        >>> history = SearchHistory()
        >>> history = history.add(SVC(), [{"C": 1.0}, {"C": 10.0}], [0.8, 0.9], dataset="iris")
        >>> history.to_frame()[["dataset", "estimator", "score", "SVC.C"]]
          dataset estimator  score  SVC.C
        0    iris       SVC    0.8    1.0
        1    iris       SVC    0.9   10.0
        """
        return _frame.to_frame(list(self))

    def close(self) -> None:
        """Close the database. A later use opens it again."""
        if self._opened is not None:
            self._opened.close()

    @property
    def path(self) -> Path | None:
        """Return the file of the history; None if it is in memory or on a server."""
        address = self._state["address"]
        return None if address == MEMORY or "://" in address else Path(address)

    @property
    def read_only(self) -> bool:
        """Return whether the history is never written."""
        return bool(self._state["read_only"])

    @property
    def shared(self) -> bool:
        """Return whether several processes work on one search."""
        return bool(self._state["shared"])

    def __iter__(self) -> Iterator[RecordedSearch]:
        # Everything is read first, so that no transaction stays open between steps of the caller.
        searches, damage = self._store.run(_queries.read_all)
        warn_of_damage(self._store.place, damage)
        return iter(searches)

    def __len__(self) -> int:
        """Return the number of searches."""
        return self._store.run(_queries.count_searches)

    def __bool__(self) -> bool:
        return True  # an empty history can still record

    def __repr__(self) -> str:
        settings = (f", {name}=True" for name in ("shared", "read_only") if self._state[name])
        return f"{type(self).__name__}({self._state['name']!r}{''.join(settings)})"

    def _repr_html_(self) -> str:
        """Return what the history holds as an HTML table, for notebooks."""
        try:
            rows = self._store.run(_queries.describe)
        except (HistoryError, HistoryFormatError) as error:  # a representation must not fail
            return tag("p", f"{self!r}: {error}")
        return table(repr(self), ("estimator", "data sets", "searches", "candidates"), rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        if self._opened is not None and self._opened.in_memory:
            return {**self._state, "content": self._opened.content()}
        return self._state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._opened = None
        self._state = state


def _split_classes(estimator: str | Collection[str]) -> set[str]:
    names = [estimator] if isinstance(estimator, str) else estimator
    return {part for name in names for part in name.split("|")}


def _make_past_search(
    record: SearchRecord,
    rows: list[dict[str, Any]],
    metric: str | None,
    damage: list[DamagedRow],
) -> PastSearch:
    """Return a past search; append its damaged rows to `damage`."""
    chosen = metric if metric is not None and metric in record.metrics else record.refit_metric
    configurations: list[Configuration] = []
    folds: list[tuple[float, ...]] = []
    for row in rows:
        try:
            configuration = _codec.decode_column(row, "configuration", _codec.decode_configuration)
            scores = _codec.decode_column(row, "scores", _codec.decode_scores)
            check_digest(row, "candidate")
        except HistoryFormatError as error:
            damage.append(DamagedRow("candidate", row["id"], row["search_id"], str(error)))
        else:
            configurations.append(configuration)
            folds.append(scores.get(chosen, ()))
    return PastSearch(
        dataset=record.dataset_label,
        configurations=tuple(
            relative_configuration(one, record.target_scale) for one in configurations
        ),
        scores=_average(folds) * record.metrics.get(chosen, 1),
        n_folds=_count_folds(folds),
        metric=chosen,
        estimator=record.estimator,
        data_digest=record.data_digest,
        data_sketch=record.data_sketch,
        dataset_features=record.dataset_features,
    )


def _average(folds: list[tuple[float, ...]]) -> NDArray[np.float64]:
    """Return the mean over folds of each candidate; NaN if there are none.

    A candidate that was stopped in a race has the first folds only, which may be harder or easier
    than the others. Its mean is corrected by how much easier they were for the other candidates.
    """
    n_folds = {len(values) for values in folds}
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        if len(n_folds) == 1 and n_folds != {0}:
            return np.asarray(np.array(folds, dtype=np.float64).mean(axis=1))
        means = np.array([np.mean(v) if v else np.nan for v in folds], dtype=np.float64)
        most = max(n_folds, default=0)
        whole = np.array([v for v in folds if len(v) == most and np.isfinite(v).all()])
        if len(whole) and most:
            ease = whole.mean(axis=0) - whole.mean()
            means -= [np.mean(ease[: len(v)]) if 0 < len(v) < most else 0.0 for v in folds]
        return means


def _count_folds(folds: list[tuple[float, ...]]) -> NDArray[np.intp] | None:
    """Return the number of folds of each candidate; None if it is the same for all."""
    counts = np.array([len(values) for values in folds], dtype=np.intp)
    return None if len(np.unique(counts)) < 2 else counts
