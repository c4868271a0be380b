"""A history as a pandas DataFrame."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from skmeta._optional import import_optional
from skmeta.search.record import CandidateRecord, RecordedSearch

__all__ = ["to_frame"]

_COLUMNS = (
    "search",
    "dataset",
    "estimator",
    "metric",
    "score",
    "score_std",
    "mean_fit_time",
    "mean_score_time",
    "error",
    "source",
)
_PREDICTIONS = ("predicted_mean_score", "predicted_std_score")


def to_frame(searches: Sequence[RecordedSearch], *, all_columns: bool) -> Any:
    """Return a DataFrame with one row per candidate; see `HistoryReader.to_frame`."""
    pandas = import_optional("pandas", "history")
    rows = [
        _row(number, search, candidate)
        for number, search in enumerate(searches)
        for candidate in search.candidates
    ]
    frame = pandas.DataFrame(rows)
    scores = [name for name in frame.columns if name.startswith("mean_test_")]
    first = [*_COLUMNS, *_PREDICTIONS] if all_columns else [*_COLUMNS]
    params = [n for n in frame.columns if n not in {*_COLUMNS, *_PREDICTIONS, *scores}]
    if not all_columns:
        searched = {name for search in searches for name in search.record.space}
        params = [n for n in params if n in searched or _is_informative(frame[n])]
        # What a column would only repeat: no errors, and the mean that is the score already.
        first = [n for n in first if n != "error" or frame[n].notna().any()] if rows else first
        if all([*search.record.metrics.values()] == [1] for search in searches):
            scores = []
    return frame.reindex(columns=[*first, *sorted(scores), *sorted(params)])


def _is_informative(column: Any) -> bool:
    """Return whether a parameter that no search varied has several values to show."""
    values = column.dropna().astype(str)
    is_digest = values.str.startswith("digest:")
    return values.nunique() > 1 and not is_digest.all()


def _row(number: int, search: RecordedSearch, candidate: CandidateRecord) -> dict[str, Any]:
    metric = search.record.refit_metric
    folds = candidate.scores.get(metric, ())
    return {
        "search": number,
        "dataset": search.record.dataset_label,
        "estimator": search.record.estimator,
        "metric": metric,
        "score": _mean(folds) * search.record.metrics.get(metric, 1),
        "score_std": float(np.std(folds)) if len(folds) > 1 else np.nan,
        "mean_fit_time": _mean(candidate.fit_times),
        "mean_score_time": _mean(candidate.score_times),
        "error": candidate.error,
        "source": candidate.source,
        **{name: getattr(candidate, name) for name in _PREDICTIONS},
        **{f"mean_test_{name}": _mean(values) for name, values in candidate.scores.items()},
        **candidate.configuration,
    }


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else np.nan
