"""Past searches for a prior, and the choice of those on similar data sets."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import Configuration, PastSearch, SearchRecord
from skmeta.search.space import relative_configuration

Rows = Sequence[dict[str, Any]]

_MAX_DEVIATION = 3.0  # of a feature from the mean, in standard deviations


def nearest_searches(rows: Rows, features: Mapping[str, float], n: int) -> list[dict[str, Any]]:
    """Return the rows of the n searches on the data sets that resemble one most, in their order.

    Later searches are preferred among equal ones. Searches whose features are unknown come last.

    Parameters
    ----------
    rows : sequence of dict
        Rows of the table of searches.
    features : dict of str -> float
        Features of the data set; empty if they are unknown.
    n : int
        Number of searches.
    """
    distances = np.full(len(rows), np.inf)
    if features:
        values = _read_features(rows, list(features))
        is_known = np.isfinite(values).all(axis=1)
        if is_known.any():
            known = values[is_known]
            deviation = known.std(axis=0)
            own = np.array([*features.values()])
            scale = np.where(deviation > 1e-9, deviation, 1.0)
            steps = np.clip((known - own) / scale, -2 * _MAX_DEVIATION, 2 * _MAX_DEVIATION)
            distances[is_known] = (steps**2).mean(axis=1)
    latest_first = np.arange(len(rows))[::-1]
    order = latest_first[np.argsort(distances[latest_first], kind="stable")]
    return [rows[i] for i in np.sort(order[:n])]


def _read_features(rows: Rows, names: list[str]) -> NDArray[np.float64]:
    """Return the features of each search; NaN where they are unknown or cannot be read."""
    values = np.full((len(rows), len(names)), np.nan)
    for row, value in zip(rows, values, strict=True):
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            features = json.loads(row["details"])["dataset_features"]
            value[:] = [features[name] for name in names]
    return values


def make_past_search(
    record: SearchRecord,
    scored: Sequence[tuple[Configuration, Mapping[str, tuple[float, ...]]]],
    metric: str | None,
) -> PastSearch:
    """Return a past search.

    Parameters
    ----------
    record : SearchRecord
        Its description.
    scored : sequence of (dict, dict of str -> tuple of float)
        Configuration, and scores of each fold by metric, of each candidate.
    metric : str or None
        The wanted metric. That which the search maximised is taken if it is None or unknown.
    """
    chosen = metric if metric is not None and metric in record.metrics else record.refit_metric
    folds = [scores.get(chosen, ()) for _, scores in scored]
    n_folds = np.array([len(values) for values in folds], dtype=np.intp)
    return PastSearch(
        dataset=record.dataset_label,
        configurations=tuple(relative_configuration(one, record.target_scale) for one, _ in scored),
        scores=_average(folds) * record.metrics.get(chosen, 1),
        n_folds=n_folds if len(set(n_folds.tolist())) > 1 else None,
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
