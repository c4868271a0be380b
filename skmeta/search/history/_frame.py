"""A history as a pandas DataFrame."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from skmeta._optional import import_optional
from skmeta.search.record import CandidateRecord, RecordedSearch

_COLUMNS = (
    *("search", "dataset", "estimator", "metric", "score", "score_std"),
    *("mean_fit_time", "mean_score_time", "source", "error"),
)


def to_frame(searches: Sequence[RecordedSearch]) -> Any:
    """Return a DataFrame with one row per candidate; see `HistoryReader.to_frame`."""
    rows = [
        _row(number, search, candidate)
        for number, search in enumerate(searches)
        for candidate in search.candidates
    ]
    frame = import_optional("pandas", "history").DataFrame(rows)
    scores = sorted(name for name in frame.columns if name.startswith("mean_test_"))
    searched = {name for search in searches for name in search.record.space}
    params = sorted(name for name in frame.columns if "." in name)
    # A parameter that no search varied is shown if it differs between searches.
    params = [n for n in params if n in searched or frame[n].dropna().astype(str).nunique() > 1]
    return frame.reindex(columns=[*_COLUMNS, *scores, *params])


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
        "source": candidate.source,
        "error": candidate.error,
        **{f"mean_test_{name}": _mean(values) for name, values in candidate.scores.items()},
        **candidate.configuration,
    }


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else np.nan
