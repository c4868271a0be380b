"""What can be asked of a history, whether or not it can be written."""

import json
import math
import os
import threading
from collections.abc import Collection, Hashable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from skmeta.search.history import _codec, _exchange, _queries, _schema
from skmeta.search.history._store import MEMORY, Store
from skmeta.search.record import Evaluation, PastSearch, RecordedSearch, SearchRecord

_opening = threading.Lock()


class HistoryReader:
    """What can be asked of a history, whether or not it can be written."""

    _read_only: ClassVar[bool]

    def __init__(self, store: Store) -> None:
        self._opened: Store | None = store
        self._state: dict[str, Any] = {
            "address": store.address,
            "name": store.name,
            "content": None,
        }

    @property
    def _store(self) -> Store:
        # A copy opens its database when it is first asked for something: a fitted search has to
        # load where its history is not.
        if self._opened is None:
            with _opening:
                if self._opened is None:
                    address, content = self._state["address"], self._state["content"]
                    self._opened = Store(address, read_only=self._read_only, content=content)
        return self._opened

    def evaluations(self, search: int | str) -> list[Evaluation]:
        """Return the finished candidates of one search, in the order they were recorded.

        Parameters
        ----------
        search : int or str
            The search's id, as `begin` returned it, or its fingerprint.

        Returns
        -------
        evaluations : list of Evaluation
            Empty where there is no such search.
        """

        def work(connection: Any) -> list[Evaluation]:
            found = _queries.find_search(connection, search) if isinstance(search, str) else search
            return [] if found is None else _queries.read_evaluations(connection, found)

        return self._store.run(work)

    def find(self, fingerprint: str) -> SearchRecord | None:
        """Return what was known of a search before its first candidate.

        Parameters
        ----------
        fingerprint : str
            The search's fingerprint.

        Returns
        -------
        record : SearchRecord or None
            None if there is no such search.
        """

        def work(connection: Any) -> SearchRecord | None:
            search_id = _queries.find_search(connection, fingerprint)
            return None if search_id is None else _queries.find_record(connection, search_id)

        return self._store.run(work)

    def position(self) -> tuple[str, int]:
        """Return the history's identity and the number of its last evaluation.

        Evaluations that are written later have greater numbers.
        """
        return self._store.run(_queries.read_position)

    def searches(
        self,
        *,
        estimator: str | Collection[str] | None = None,
        metric: str | None = None,
        exclude: str | Collection[str] = (),
        until: tuple[str, int] | None = None,
    ) -> list[PastSearch]:
        """Return past searches: their configurations, and one score each.

        Parameters
        ----------
        estimator : str or collection of str, optional
            Only searches that tried one of these classes, such as ``"SVC"``; ``"SVC|NuSVC"``
            stands for both.
        metric : str, optional
            The score wanted. A search that did not record it gives the metric it was refitted by.
        exclude : str or collection of str, default=()
            Data sets to leave out, by name or by digest, or searches by their fingerprint.
        until : tuple of (str, int), optional
            Only evaluations up to a `position` of this history. The position of another history
            has no effect.

        Returns
        -------
        searches : list of PastSearch
            Scores are means over the folds, signed so that greater is better, and NaN where a
            candidate failed. A search without any finite score is left out.

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
            rows = _queries.read_searches(connection, classes)
            is_own = until is not None and until[0] == _queries.read_position(connection)[0]
            last_id = until[1] if until is not None and is_own else None
            return rows, _queries.read_scores(connection, rows, last_id)

        rows, texts = self._store.run(work)
        past = [
            _make_past_search(_codec.row_to_search(row), texts[row["id"]], metric)
            for row in rows
            if excluded.isdisjoint((row["dataset"], row["data_digest"], row["fingerprint"]))
        ]
        return [one for one in past if np.isfinite(one.scores).any()]

    def version_token(self) -> Hashable:
        """Return a value that differs when searches or candidates were added or removed.

        It is cheap, so that what was computed from a history can be kept until it changes.
        """
        # Copies of a file share its identity, and may go different ways.
        return (self._store.name, *self._store.run(_queries.read_token))

    def describe(self) -> str:
        """Return how many data sets, searches and candidates there are, by estimator.

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
        """Return a pandas DataFrame with one row a candidate.

        Columns tell the search (``search``, ``dataset``, ``estimator``, ``metric``), how the
        candidate did (``score``, signed so that greater is better, ``score_std``,
        ``mean_test_<metric>``, times, ``error``) and its parameters under canonical names.

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
        return _exchange.to_frame(self)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a file that `SearchHistory.merge` reads.

        Parameters
        ----------
        path : str or path-like
            Its suffix says how: ``.jsonl`` and ``.jsonl.gz`` are JSON lines, ``.parquet`` is
            parquet. A file that is there is replaced.
        """
        _exchange.write_file(Path(path).expanduser(), self)

    def close(self) -> None:
        """Let go of the database; a later use opens it again."""
        if self._opened is not None:
            self._opened.close()

    @property
    def path(self) -> Path | None:
        """The file it is kept in; None in memory and on a server."""
        address = self._state["address"]
        return None if address == MEMORY or "://" in address else Path(address)

    def __iter__(self) -> Iterator[RecordedSearch]:
        # Read at once: nothing may hold a transaction open while the caller thinks.
        return iter(self._store.run(lambda connection: list(_queries.read_whole(connection))))

    def __len__(self) -> int:
        """Return the number of searches."""
        return self._store.run(lambda connection: _queries.count(connection, _schema.search))

    def __bool__(self) -> bool:
        return True  # an empty history is still a history to record in

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._state['name']!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # clones of a search write to the same history

    def __copy__(self) -> Self:
        return self

    def __sklearn_clone__(self) -> Self:
        return self

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
    record: SearchRecord, texts: tuple[list[str], list[str]], metric: str | None
) -> PastSearch:
    configurations, scores = texts
    chosen = metric if metric is not None and metric in record.metrics else record.refit_metric
    means = _average([json.loads(text).get(chosen, ()) for text in scores])
    return PastSearch(
        dataset=record.dataset_label,
        configurations=tuple(_codec.decode_configuration(text) for text in configurations),
        scores=means * record.metrics.get(chosen, 1),
        metric=chosen,
        estimator=record.estimator,
        data_digest=record.data_digest,
        data_sketch=record.data_sketch,
        metafeatures=record.metafeatures,
    )


def _average(folds: list[list[float | str | None]]) -> NDArray[np.float64]:
    """Return the mean over folds of each candidate; NaN where there are none."""
    n_folds = {len(values) for values in folds}
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        if len(n_folds) == 1 and n_folds != {0}:
            # NumPy reads null and "Infinity" as the floats they stand for.
            means: NDArray[np.float64] = np.array(folds, dtype=np.float64).mean(axis=1)
            return means
        decoded = [_codec.decode_numbers(values) for values in folds]
        return np.array([np.mean(v) if v else math.nan for v in decoded], dtype=np.float64)
