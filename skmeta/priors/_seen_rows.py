"""Digests of the rows that a prior was meta-trained on, by which they are known again.

Notation (symbol, shape, meaning):

h       (n,)    digest of a row, an integer below 2^53, which a float64 holds exactly
S       (m,)    digests that are kept, the smallest of rows that one task (class or group) alone has
b               the largest digest that is kept where some are left out, so that S is a random
                sample of rows: whether a row was seen is known where its digest is at most b
p       (17,)   shares of a task's rows that one other task has, as quantiles over tasks: as many
                rows of a new task are among S by chance

A row of a regression counts with its target. Rows are rounded to float32. A row that several tasks
have, as of categories or of whole numbers, is no evidence.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from skmeta._columns import mix_bits

MAX_DIGESTS = 16_384  # 128 KiB of a file
DIGESTS, SHARES, BOUND = "rows.digests", "rows.shares", "rows.bound"
# Probability, at most, that so many rows of a new task are known by chance.
_MAX_ERROR = 0.005
_LARGEST = float(2**53)

Tensors = dict[str, NDArray[np.float64]]


def row_digests(X: np.ndarray, y: np.ndarray | None) -> np.ndarray:
    """Return a digest (n,) of each row (n, d), with its target (n,) if there is one."""
    table = np.asarray(X).reshape(len(X), -1)
    n_columns = table.shape[1] + (y is not None)
    multipliers = mix_bits(np.arange(n_columns, dtype=np.uint64)) | np.uint64(1)
    total = _column_sum(table, multipliers[: table.shape[1]])
    if y is not None:
        total += _column_sum(np.asarray(y)[:, None], multipliers[-1:])
    return (mix_bits(total) >> np.uint64(11)).astype(np.float64)


def describe_rows(
    X: np.ndarray, y: np.ndarray | None, tasks: np.ndarray, earlier: Mapping[str, Any]
) -> Tensors:
    """Return what a prior keeps of rows whose class or group is `tasks` (n,).

    `earlier` are the tensors of the prior that the meta-training started from.
    """
    codes = np.unique(tasks, return_inverse=True)[1]
    pairs = np.unique(np.stack([row_digests(X, y), codes]), axis=1)
    digests, place, n_tasks = np.unique(pairs[0], return_inverse=True, return_counts=True)
    shared = n_tasks[place] == 2
    shares = np.bincount(pairs[1].astype(int), shared) / np.bincount(pairs[1].astype(int))
    shares = np.maximum(np.quantile(shares, np.linspace(0, 1, 17)), 1 / (len(digests) + 1))
    kept, bound = digests[n_tasks == 1], _LARGEST
    if DIGESTS in earlier:
        kept = np.union1d(kept, earlier[DIGESTS])
        bound, shares = float(earlier[BOUND]), np.maximum(shares, earlier[SHARES])
    if len(kept) > MAX_DIGESTS:
        bound = min(bound, float(kept[MAX_DIGESTS - 1]))
    values = {DIGESTS: kept[kept <= bound], SHARES: shares, BOUND: bound}
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}


def count_seen(
    tensors: Mapping[str, np.ndarray], X: np.ndarray, y: np.ndarray | None
) -> tuple[int, int]:
    """Return how many rows were seen in meta-training, of how many of which this is known.

    The first number is 0 where chance explains it.
    """
    if not tensors.get(DIGESTS, np.zeros(0)).size:
        return 0, 0
    digests = np.unique(row_digests(X, y))
    digests = digests[digests <= tensors[BOUND]]
    n, n_seen = len(digests), int(np.isin(digests, tensors[DIGESTS]).sum())
    if n_seen and bdtrc(n_seen - 1, n, tensors[SHARES]).mean() > _MAX_ERROR:
        return 0, n
    return n_seen, n


def _column_sum(table: np.ndarray, multipliers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sum the bits of each row's numbers, each column with a multiplier of its own."""
    total = np.zeros(len(table), dtype=np.uint64)
    step = max(1, 2**22 // max(1, table.shape[1]))
    for start in range(0, len(table), step):
        with np.errstate(over="ignore", invalid="ignore"):
            part = np.asarray(table[start : start + step], dtype=np.float32) + np.float32(0)
        part[np.isnan(part)] = np.nan  # one missing value, of many that are none
        bits = part.view(np.uint32)
        # Whole numbers differ in their first bits only; a product would keep the last ones 0.
        bits = bits ^ (bits >> np.uint32(16))
        total[start : start + step] = bits.astype(np.uint64) @ multipliers
    return total
