"""Random tables for property tests: ties, gaps, constants, heavy tails, equal rows and columns."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st


class DrawnTable(NamedTuple):
    """A table, its targets, and a generator for what is done to it."""

    X: np.ndarray
    y: np.ndarray
    rng: np.random.Generator


def _column(kind, n, rng):
    drawn = {
        "normal": rng.normal(size=n),
        "far": 1e4 + rng.normal(size=n),
        "ties": rng.integers(0, 4, n).astype(float),
        "binary": rng.integers(0, 2, n).astype(float),
        "constant": np.full(n, 0.3),
        "tails": np.exp(3 * rng.normal(size=n)),
        "ranks": rng.permutation(n).astype(float),
    }
    return drawn[kind]


KINDS = ("normal", "far", "ties", "binary", "constant", "tails", "ranks")


def draw_table(seed, least_rows=4, most_rows=60, most_columns=5, has_gaps=True, kinds=KINDS):
    """Return a table of numbers with targets that depend on its columns."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(least_rows, most_rows + 1))
    drawn = rng.choice(kinds, rng.integers(1, most_columns + 1))
    X = np.column_stack([_column(kind, n, rng) for kind in drawn])
    z = (X - X.mean(0)) / np.where(X.std(0) > 1e-9, X.std(0), 1)
    y = z @ rng.normal(size=X.shape[1]) + rng.choice([0.0, 0.01, 0.3, 1.0]) * rng.normal(size=n)
    are_rounded, are_missing, has_twins = rng.random(3) < 0.5
    y = np.round(y) if are_rounded else y
    if has_gaps and are_missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    if has_twins:
        twins = rng.integers(0, n, n // 3)
        X[: len(twins)], y[: len(twins)] = X[twins], y[twins]
    if np.ptp(y) == 0:
        y[0] += 1
    return DrawnTable(X, y, rng)


def tables(**options):
    """Draw tables by `draw_table`."""
    return st.integers(0, 2**32 - 1).map(lambda seed: draw_table(seed, **options))


def classes_of(table, n_classes):
    """Return classes of the targets by their ranks, of one row and more each."""
    ranks = np.argsort(np.argsort(table.y, kind="stable"), kind="stable")
    return ranks * n_classes // len(ranks)
