"""Methods of a history that only read, and past searches for a prior."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from skmeta._copies import Uncopied
from skmeta._html import table, tag
from skmeta._optional import import_optional
from skmeta.exceptions import FileFormatError, HistoryError
from skmeta.search.history import _codec
from skmeta.search.history._address import MEMORY, is_url
from skmeta.search.record import (
    CandidateRecord,
    Configuration,
    PastSearch,
    RecordedSearch,
    SearchRecord,
)
from skmeta.search.space import relative_configuration

if TYPE_CHECKING:
    from skmeta.search.history._store import HistoryStore

T = TypeVar("T")

_FRAME_COLUMNS = (
    *("search", "dataset", "estimator", "metric", "score", "score_std"),
    *("mean_fit_time", "mean_score_time", "source", "error"),
)


class HistoryReader(Uncopied):
    """Methods of a history that only read."""

    mode: str
    _address: str
    _name: str  # the address without its password
    _content: bytes | None = None  # of a history in memory that was copied, until it is opened

    @cached_property
    def _store(self) -> "HistoryStore":
        # SQLAlchemy is imported by searches with a history only.
        from skmeta.search.history._store import HistoryStore

        # A copy opens its database when it is first used. So a fitted search can be loaded on a
        # machine that does not have the history.
        return HistoryStore(self._address, read_only=self.mode == "read", content=self._content)

    def _run(self, query: str, *args: Any, **kwargs: Any) -> Any:
        """Run one of the queries and statements of `_queries`."""
        from skmeta.search.history import _queries

        return self._store.run(getattr(_queries, query), *args, **kwargs)

    def _candidates(
        self, fingerprint: str, keys: Collection[str] | None = None
    ) -> list[CandidateRecord]:
        """Return the finished candidates of a search, all or those of `keys`, as recorded."""
        rows = self._run("read_candidates", fingerprint, keys)
        return self._decode(rows, partial(_codec.row_to_candidate, owner=fingerprint))

    def _find(self, fingerprint: str) -> RecordedSearch | None:
        """Return a search without its candidates; None if there is none, or a damaged one."""
        rows = self._run("read_searches", fingerprint=fingerprint)
        searches = self._decode(rows, _codec.row_to_recorded)
        return searches[0] if searches else None

    def _position(self) -> tuple[str, int]:
        """Return the history's identity and the number of its last candidate."""
        identity, last_id = self._run("read_position")
        return identity, last_id

    def searches(
        self,
        *,
        estimator: str | Collection[str] | None = None,
        metric: str | None = None,
        exclude: str | Collection[str] = (),
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
            Data sets to leave out, by name or digest.

        Returns
        -------
        searches : list of PastSearch
            Scores are means over the folds, signed so that greater is better, and NaN if a
            candidate failed. A search without a finite score is left out.

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
        excluded = ({exclude} if isinstance(exclude, str) else set(exclude)) - {""}

        def is_kept(row: dict[str, Any]) -> bool:
            return excluded.isdisjoint((row["dataset"], row["data_digest"]))

        return self._past_searches(
            [estimator] if isinstance(estimator, str) else estimator, metric, is_kept
        )

    def _past_searches(
        self,
        estimators: Collection[str] | None,
        metric: str | None,
        is_kept: Callable[[dict[str, Any]], bool],
        until: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> list[PastSearch]:
        """Return the latest searches whose rows are kept, up to a `_position` of this history."""
        classes = None
        if estimators is not None:
            classes = {part for name in estimators for part in name.split("|")}
        rows, candidates = self._run("read_past", classes, is_kept, until, limit)
        damage: list[str] = []
        decode = partial(_codec.row_to_past, candidates=candidates, damage=damage)
        past = [make_past_search(*one, metric) for one in self._decode(rows, decode, damage)]
        return [one for one in past if np.isfinite(one.scores).any()]

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
        rows = self._run("describe")
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
        searches = list(self)
        rows = [
            _frame_row(number, search.record, candidate)
            for number, search in enumerate(searches)
            for candidate in search.candidates
        ]
        frame = import_optional("pandas", "history").DataFrame(rows)
        scores = sorted(name for name in frame.columns if name.startswith("mean_test_"))
        searched = {name for search in searches for name in search.record.space}
        params = sorted(name for name in frame.columns if "." in name)
        # A parameter that no search varied is shown if it differs between searches.
        params = [n for n in params if n in searched or frame[n].dropna().astype(str).nunique() > 1]
        return frame.reindex(columns=[*_FRAME_COLUMNS, *scores, *params])

    def close(self) -> None:
        """Do nothing: no connection to a file or a server outlives a method."""

    @property
    def path(self) -> Path | None:
        """Return the file of the history; None if it is in memory or on a server."""
        is_file = self._address != MEMORY and not is_url(self._address)
        return Path(self._address) if is_file else None

    def __iter__(self) -> Iterator[RecordedSearch]:
        # Everything is read first, so that no transaction stays open between steps of the caller.
        searches, damage = self._run("read_all")
        _codec.warn_of_damage(self._store.place, damage)
        return iter(searches)

    def __len__(self) -> int:
        """Return the number of searches."""
        return sum(n_searches for _, _, n_searches, _ in self._run("describe"))

    def __bool__(self) -> bool:
        return True  # an empty history can still record

    def __repr__(self) -> str:
        mode = f", mode={self.mode!r}" if self.mode != "write" else ""
        return f"{type(self).__name__}({self._name!r}{mode})"

    def _repr_html_(self) -> str:
        """Return what the history holds as an HTML table, for notebooks."""
        try:
            rows = self._run("describe")
        except (HistoryError, FileFormatError) as error:  # a representation must not fail
            return tag("p", f"{self!r}: {error}")
        return table(repr(self), ("estimator", "data sets", "searches", "candidates"), rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _decode(
        self,
        rows: Sequence[dict[str, Any]],
        decode: Callable[[dict[str, Any]], T],
        damage: list[str] | None = None,
    ) -> list[T]:
        """Return the decoded rows, and warn of damaged ones."""
        damage = [] if damage is None else damage
        decoded = _codec.decode_rows(rows, decode, damage)
        _codec.warn_of_damage(self._store.place, damage)
        return decoded


def _frame_row(number: int, record: SearchRecord, candidate: CandidateRecord) -> dict[str, Any]:
    metric = record.refit_metric
    folds = candidate.scores.get(metric, ())
    return {
        "search": number,
        "dataset": record.dataset_label,
        "estimator": record.estimator,
        "metric": metric,
        "score": _mean(folds) * record.metrics.get(metric, 1),
        "score_std": float(np.std(folds)) if len(folds) > 1 else np.nan,
        "mean_fit_time": _mean(candidate.fit_times),
        "mean_score_time": _mean(candidate.score_times),
        "source": candidate.source,
        "error": candidate.error,
        **{f"mean_test_{name}": _mean(values) for name, values in candidate.scores.items()},
        **candidate.configuration,
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else np.nan


# -- past searches for a prior ---------------------------------------------------------------------


def make_past_search(
    record: SearchRecord,
    scored: Sequence[tuple[Configuration, Mapping[str, tuple[float, ...]]]],
    metric: str | None,
) -> PastSearch:
    """Return a past search by `metric`, or by the one that it maximised if that is unknown."""
    chosen = metric if metric is not None and metric in record.metrics else record.refit_metric
    folds = [scores.get(chosen, ()) for _, scores in scored]
    return PastSearch(
        dataset=record.dataset_label,
        configurations=tuple(relative_configuration(one, record.target_scale) for one, _ in scored),
        scores=_average(folds) * record.metrics.get(chosen, 1),
        metric=chosen,
        estimator=record.estimator,
        data_digest=record.data_digest,
        data_sketch=record.data_sketch,
        dataset_features=record.dataset_features,
    )


def _average(folds: list[tuple[float, ...]]) -> NDArray[np.float64]:
    """Return the mean over folds of each candidate; NaN if there are none.

    The mean of a raced candidate is corrected by how much easier its folds were for the others.
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
