"""Configurations that were measured elsewhere: by a user, or a search of scikit-learn."""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import get_scorer_names

from skmeta._validation import suggest
from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryFormatError, HistoryWarning
from skmeta.search.history import _queries
from skmeta.search.history._reader import HistoryReader
from skmeta.search.record import (
    CandidateRecord,
    DataFingerprint,
    RecordedSearch,
    SearchRecord,
    dataset_features,
    fingerprint_data,
)
from skmeta.search.space import (
    candidate_key,
    canonical_configurations,
    canonical_names,
    predictor_name,
    signature,
    target_scale,
)

_Params = Sequence[Mapping[str, Any]]
_Folds = list[tuple[float, ...]]

_DEFAULT_METRIC = "score"
_ADDED = "added"  # replaces a description of the values, which may be added in parts


class AddingHistory(HistoryReader):
    """A history with the method that adds configurations that were measured elsewhere."""

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
            similar, which has params and scores itself. Of a halving search, only candidates that
            were scored with the most resources are added.
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

        Warns
        -----
        HistoryWarning
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
        if params is None and scores is None:
            measured = _measurements_of_search(estimator, scoring)
            estimator = estimator.estimator
        else:
            measured = _measurements(
                params, scores, scoring=scoring, greater_is_better=greater_is_better
            )
        return self._add(_make_search(estimator, dataset, X, y, measured))

    def _add(self, item: RecordedSearch) -> Self:
        def work(connection: Any) -> int:
            search_id = _queries.ensure_search(connection, item.record, item.started)
            known, _ = _queries.read_candidates(connection, search_id)
            before = {one.key: repr(one.scores) for one in known}  # NaN is not equal to itself
            _queries.merge_search(connection, item)
            scores = [(before.get(one.key), repr(one.scores)) for one in item.candidates]
            return sum(old is not None and old != new for old, new in scores)

        n_changed = self._store.run(work, write=True)
        if n_changed:
            warn_caller(
                f"{n_changed} configurations were measured before on {item.record.dataset_label!r},"
                " with other scores, which are kept. To replace them, call remove(dataset) first. "
                "To keep both, give another dataset=.",
                HistoryWarning,
            )
        return self


@dataclass(frozen=True, kw_only=True)
class _Measurements:
    """Configurations, with the scores of each."""

    params: _Params
    scores: Mapping[str, _Folds]
    signs: Mapping[str, int]
    refit_metric: str


def _measurements(
    params: Any,
    scores: Any,
    *,
    scoring: str | None = None,
    greater_is_better: bool | Mapping[str, bool] | None = None,
) -> _Measurements:
    """Return checked measurements of configurations."""
    candidates = _check_params(params)
    if scores is None:
        raise HistoryFormatError(
            "params were given without scores. Pass one score, or one list of scores, for each."
        )
    by_metric = scores if isinstance(scores, Mapping) else {scoring or _DEFAULT_METRIC: scores}
    chosen = next(iter(by_metric)) if scoring is None and len(by_metric) == 1 else scoring
    if chosen not in by_metric:
        raise HistoryFormatError(
            f"scoring must name the metric to maximise, one of {sorted(by_metric)}; got "
            f"{scoring!r}."
        )
    n = len(candidates)
    return _Measurements(
        params=candidates,
        scores={name: _check_folds(f"scores of {name!r}", v, n) for name, v in by_metric.items()},
        signs={name: _sign(name, greater_is_better) for name in by_metric},
        refit_metric=str(chosen),
    )


def _check_params(params: Any) -> _Params:
    is_list = isinstance(params, Iterable) and not isinstance(params, Mapping)
    candidates = list(params) if is_list else []
    if not candidates or not all(isinstance(one, Mapping) for one in candidates):
        raise HistoryFormatError(
            f"params must be a list of dicts, one per candidate, such as [{{'C': 1.0}}, ...], got "
            f"{params!r:.100}."
        )
    return candidates


def _sign(name: str, greater_is_better: bool | Mapping[str, bool] | None) -> int:
    given = (
        greater_is_better.get(name) if isinstance(greater_is_better, Mapping) else greater_is_better
    )
    if given is not None:
        return 1 if given else -1
    if name == _DEFAULT_METRIC or name in get_scorer_names():
        return 1
    raise HistoryFormatError(
        f"It is not known whether a greater {name!r} is better, since scikit-learn has no scorer "
        "of that name. Give greater_is_better=True or False."
    )


def _check_folds(what: str, values: Any, n_candidates: int) -> _Folds:
    """Return one tuple of floats per candidate, from a number or a list of numbers for each."""
    rows = list(values)
    if len(rows) != n_candidates:
        raise HistoryFormatError(
            f"{what}: {len(rows)} were given for the {n_candidates} dicts in params. "
            "Give one number, or one list of numbers, for each."
        )
    try:
        return [tuple(float(v) for v in np.atleast_1d(np.asarray(row, float))) for row in rows]
    except (TypeError, ValueError) as error:
        raise HistoryFormatError(
            f"{what} must be numbers, or lists of numbers ({error}). NaN stands for a failed fit."
        ) from error


def _measurements_of_search(search: Any, scoring: str | None) -> _Measurements:
    """Return the candidates of a fitted search of scikit-learn."""
    if not hasattr(search, "cv_results_"):
        raise HistoryFormatError(
            "Without params and scores, add needs a fitted search, such as GridSearchCV, got "
            f"{search!r:.100}. Scores from elsewhere are added with add(estimator, params, scores)."
        )
    results = search.cv_results_
    # A halving search scored the others with less than the full resources.
    resources = np.asarray(results.get("n_resources", np.zeros(len(results["params"]))))
    kept = np.flatnonzero(resources == resources.max())
    columns = {name: [values[k] for k in kept] for name, values in results.items()}
    names = [name.removeprefix("mean_test_") for name in columns if name.startswith("mean_test_")]
    own = search.refit if len(names) > 1 else search.scoring
    metric = scoring or (own if isinstance(own, str) else None)
    # In scikit-learn, the score of a single metric is named "score", whatever the metric.
    recorded = {name: metric or name if names == [_DEFAULT_METRIC] else name for name in names}
    return _measurements(
        columns["params"],
        {recorded[name]: _folds(columns, name) for name in names},
        scoring=metric,
        greater_is_better=True,
    )


def _folds(columns: Mapping[str, list[Any]], name: str) -> list[list[float]]:
    splits: list[list[Any]] = []
    while f"split{len(splits)}_test_{name}" in columns:
        splits.append(columns[f"split{len(splits)}_test_{name}"])
    return [[float(v) for v in row] for row in zip(*splits, strict=True)]


def _make_search(
    estimator: Any, dataset: str | None, X: Any, y: Any, measured: _Measurements
) -> RecordedSearch:
    """Return measured configurations as a search.

    Measurements of the same estimator, data set and metrics are one search, whether they are
    added together or one by one.
    """
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise HistoryFormatError(
            f"estimator must be an estimator, such as SVC(), got {estimator!r}."
        )
    _check_names(estimator, measured.params)
    data = DataFingerprint("", ()) if X is None else fingerprint_data(X, y)
    label = data.digest if dataset is None else dataset
    if not isinstance(label, str) or not label:
        raise HistoryFormatError(
            f"dataset must be the name of the data set, a text that is not empty, not {dataset!r}. "
            "Give it, or give X and y."
        )
    known = canonical_names(estimator)
    searched = {known[name] for one in measured.params for name in one if name in known}
    kind, classes = predictor_name(estimator, measured.params), signature(estimator)
    signs = sorted(measured.signs.items())
    identity = ["measured", label, data.digest, kind, classes, signs, measured.refit_metric]
    features = {}
    if X is not None:
        features = dataset_features(X, y, is_classification=is_classifier(estimator))
    record = SearchRecord(
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        dataset=dataset,
        data_digest=data.digest,
        data_sketch=data.sketch,
        estimator=kind,
        signature=classes,
        space=dict.fromkeys(sorted(searched), _ADDED),
        metrics=dict(measured.signs),
        refit_metric=measured.refit_metric,
        dataset_features=features,
        target_scale=target_scale(estimator, y),
    )
    configurations = canonical_configurations(estimator, measured.params)
    candidates = tuple(
        CandidateRecord(
            configuration=configuration,
            key=candidate_key(params),
            scores={name: folds[k] for name, folds in measured.scores.items()},
        )
        for k, (configuration, params) in enumerate(
            zip(configurations, measured.params, strict=True)
        )
    )
    now = time.time()
    return RecordedSearch(record=record, candidates=candidates, started=now, finished=now)


def _check_names(estimator: Any, params: _Params) -> None:
    known = set(estimator.get_params(deep=True))
    for number, one in enumerate(params):
        for name in one:
            if name not in known and not _is_of_a_part(name, one):
                hint = suggest(name, known) or " See estimator.get_params()."
                raise HistoryFormatError(
                    f"params[{number}] has {name!r}, which {type(estimator).__name__} does not "
                    f"have.{hint}"
                )


def _is_of_a_part(name: str, params: Mapping[str, Any]) -> bool:
    """Return whether a parameter belongs to a part that the candidate itself sets."""
    steps = name.split("__")
    return any("__".join(steps[:k]) in params for k in range(1, len(steps)))
