"""Which of many past searches a prior is learned from: those on data sets like the one at hand."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = Sequence[dict[str, Any]]

_KEY = '"dataset_features":'
_MAX_DEVIATION = 3.0  # of a feature from the mean, in standard deviations
_decoder = json.JSONDecoder()


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
        text = row["details"]
        # The rest of the details is much longer.
        at = text.find(_KEY) if isinstance(text, str) else -1
        if at < 0:
            continue
        try:
            features = _decoder.raw_decode(text, at + len(_KEY))[0]
            value[:] = [features[name] for name in names]
        except (ValueError, TypeError, KeyError):
            continue
    return values
