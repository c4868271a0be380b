"""Samples of the rows of a search's folds: whether there is one, and which rows it has.

A few candidates on a tenth of the rows take about as long as one on all rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Rows = NDArray[np.intp]

_MIN_ROWS = 15_000  # of a table that has a sample
_SHARE_OF_ROWS = 0.1
SHARE_OF_BUDGET = 0.25  # of a time budget that the sample may take

# A candidate is scored on this many rows of a fold at least, since scores cost less than fits.
_MIN_TEST_ROWS = 1_000
# Of each class, this many rows come first: classes that no fit has seen make scores fail.
_MIN_OF_CLASS = 3


def sample_size(n_iter: int, n_rows: int) -> int:
    """Return the number of rows of the sample for so many candidates, 0 if there is none."""
    return round(_SHARE_OF_ROWS * n_rows) if n_iter and n_rows >= _MIN_ROWS else 0


def sample_folds(
    splits: Sequence[Any], y: Any, share: float, *, is_classification: bool, seed: int
) -> list[tuple[Rows, Rows]]:
    """Draw a share of each fold's training rows by class, and at least 1,000 test rows if any."""
    classes = np.asarray(y) if is_classification else np.empty((0, 0))
    if classes.shape[1:] == (1,):
        classes = classes[:, 0]
    target = np.unique(classes, return_inverse=True)[1] if classes.ndim == 1 else None
    samples = []
    for fold, (train, test) in enumerate(splits):
        rng = np.random.default_rng([seed, fold])
        drawn = []
        for rows, least in ((train, 1), (test, _MIN_TEST_ROWS)):
            ordered = _drawn_order(_indices(rows), target, rng)
            n = max(int(np.ceil(share * len(ordered))), min(least, len(ordered)))
            drawn.append(np.sort(ordered[:n]))
        samples.append((drawn[0], drawn[1]))
    return samples


def rank_by_rows(results: dict[str, Any], n_rows: Sequence[int]) -> None:
    """Add the rows of each candidate to ``cv_results_``, and rank those of more rows first."""
    rows = np.array(n_rows)
    results["n_resources"] = rows
    for name in [name for name in results if name.startswith("rank_")]:
        ranks = results[name].copy()
        for n in np.unique(rows):
            own = rows == n
            before = np.count_nonzero(rows > n)
            results[name][own] = before + rankdata(ranks[own], method="min")


def _indices(rows: Any) -> Rows:
    values = np.asarray(rows)
    return np.flatnonzero(values) if values.dtype == bool else values


def _drawn_order(rows: Rows, target: NDArray[np.intp] | None, rng: np.random.Generator) -> Rows:
    """Return rows in an order of which each beginning is a sample, stratified by the target."""
    drawn = rng.permutation(rows)
    if target is None:
        return drawn
    labels = target[drawn]
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    position = np.empty(len(drawn))  # among the rows of its class
    position[by_class] = np.arange(len(drawn)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = np.where(position < _MIN_OF_CLASS, -1.0, (position + 0.5) / counts[labels])
    return drawn[np.argsort(at, kind="stable")]
