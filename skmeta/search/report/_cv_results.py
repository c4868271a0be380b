"""Scores and metrics read from the ``cv_results_`` of a search."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor


def metric_of(cv_results: Any, metric: str | None) -> str:
    """Check the name of a metric of a search; None returns the first metric."""
    known = [str(key)[10:] for key in cv_results if str(key).startswith("mean_test_")]
    if metric is None:
        return known[0]
    if metric not in known:
        raise ValueError(f"metric must be one of the search's metrics, {known}, got {metric!r}.")
    return metric


def most_resources(cv_results: Any) -> NDArray[np.intp]:
    """Return the positions of the candidates with comparable scores: all, except for halving."""
    if "n_resources" not in cv_results:
        return np.arange(len(cv_results["params"]))
    resources = np.asarray(cv_results["n_resources"])
    return np.flatnonzero(resources == resources.max())


def reference_scores(reference: Any, metric: str) -> Any:
    """Return the scores of a fitted search; an array is returned as it is."""
    results = getattr(reference, "cv_results_", None)
    if results is None:
        return reference
    scores = results[f"mean_test_{metric_of(results, metric)}"]
    return np.asarray(scores, dtype=float)[most_resources(results)]


def metric_name_of(search: Any, metric: str | None) -> str | None:
    """Return the name of a search's scores, or None if it is unknown."""
    if metric not in (None, "score"):
        return metric
    if isinstance(search.scoring, str):
        return search.scoring
    if search.scoring is not None:
        return getattr(search.scoring, "__name__", None)
    if is_classifier(search):
        return "accuracy"
    return "R²" if is_regressor(search) else None
