"""Means with 95% confidence intervals."""

from typing import Any

import numpy as np


def bootstrap_interval(values: Any, n_draws: int = 2000) -> tuple[Any, Any, Any]:
    """Mean over the first axis, and the ends of its interval from a bootstrap over it."""
    values = np.asarray(values)
    drawn = np.random.default_rng(0).integers(len(values), size=(n_draws, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975], axis=0)
    return values.mean(axis=0), low, high


def ratio_interval(ours: Any, theirs: Any, least: float = 0.0) -> tuple[Any, Any, Any]:
    """Ratio of means over the first axis of pairs, and its interval from a bootstrap of pairs."""
    pairs = np.stack([ours, theirs]) + least
    n = pairs.shape[1]
    drawn = pairs[:, np.random.default_rng(0).integers(n, size=(2000, n))].mean(axis=2)
    low, high = np.percentile(drawn[0] / drawn[1], [2.5, 97.5], axis=0)
    return np.divide(*pairs.mean(axis=1)), low, high


def compare_pairs(theirs: Any, ours: Any) -> dict[str, Any]:
    """Means of paired scores, and their difference with its interval."""
    theirs, ours = np.asarray(theirs, float), np.asarray(ours, float)
    mean, *ends = bootstrap_interval(ours - theirs)
    return {
        "pairs": len(ours),
        "means": np.round([theirs.mean(), ours.mean()], 4).tolist(),
        "difference": round(float(mean), 4),
        "interval": np.round(ends, 4).tolist(),
    }


def normal_interval(scores: np.ndarray) -> list[float] | None:
    """Mean and half width of its interval; None if a score is not finite."""
    if not np.isfinite(scores).all():
        return None
    return [float(scores.mean()), float(1.96 * scores.std(ddof=1) / len(scores) ** 0.5)]
