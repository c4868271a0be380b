"""Tasks for meta-training from real tables: any column is the target, of any rows and columns.

The tables are the sets of ``tabular/index.csv`` and ``tabular/uci_regression``, and those of R
packages (``lib/r_tables.py``), which have no target of their own. The origins of both are
divided into two halves (``origins.half_of``), so that a model that was trained on one half can be
tested on the other. Sets that scikit-learn ships are in neither half: examples are never seen.

In half of the tasks the target is that of the set, otherwise another column. A target of a
classification with more than ten values is cut at random quantiles. Rows favour rare classes in
many tasks, as those of synthetic tables do. Columns are drawn at random; some are flipped, warped,
coded anew or lose values, so that a table is not learned by heart.

Notation: b tasks, n rows, d columns.
"""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from torch import Tensor

from benchmarks.lib.origins import half_of, origin
from benchmarks.lib.r_tables import load_r_tables
from benchmarks.lib.tabular_sets import index, load

MAX_ROWS, MAX_CLASSES, MAX_COLUMNS = 5000, 10, 60
# Columns of at most so many values may be coded anew.
MAX_CODES = 12
# Share of the most frequent value above which a column is no target.
MAX_SHARE = 0.9


class Table(NamedTuple):
    """A real table of at most 5,000 rows; the last column is the target of the set, if it has one.

    ``n_levels`` (columns,) is 0 where values are missing, ``is_target`` (columns,) says whether a
    column may be a target, and ``weight`` is the chance of the table: one over the number of tables
    of its origin.
    """

    name: str
    values: np.ndarray
    n_levels: np.ndarray
    is_target: np.ndarray
    weight: float
    has_target: bool = True


def all_names() -> list[str]:
    """The sets of the index, then those of UCI."""
    rows, uci = index()
    return [row["name"] for row in rows] + uci


def load_tables(halves: Iterable[str]) -> list[Table]:
    """Read the tables of some halves."""
    names = [name for name in all_names() if half_of(name) in set(halves)]
    origins = [origin(name.replace("/", "_")) for name in names]
    return [
        make_table(name, whole(name), 1 / origins.count(o))
        for name, o in zip(names, origins, strict=True)
    ]


@cache
def tables_of_r_packages() -> dict[str, tuple[str, np.ndarray]]:
    """Origin and values of each table of R packages."""
    kept_apart = [whole(name) for name in all_names()]
    kept_apart += [
        np.column_stack(loader(return_X_y=True))
        for loader in (load_iris, load_wine, load_breast_cancer, load_digits, load_diabetes)
    ]
    return load_r_tables(kept_apart)


def load_tables_of_r(halves: Iterable[str], share: float, others: list[Table]) -> list[Table]:
    """Read the tables of R packages; their chance is a share of that of all.

    A table of less than ten columns has a smaller chance.
    """
    tables = {n: t for n, t in tables_of_r_packages().items() if half_of(t[0]) in halves}
    n_tables = Counter(origin for origin, _ in tables.values())
    chance = {n: min(10, values.shape[1]) / n_tables[o] for n, (o, values) in tables.items()}
    unit = share / (1 - share) * sum(t.weight for t in others) / sum(chance.values())
    return [
        make_table(name, values, unit * chance[name])._replace(has_target=False)
        for name, (_, values) in tables.items()
    ]


def whole(name: str) -> np.ndarray:
    """A set; the last column is the target."""
    return np.column_stack(load(name))


def make_table(name: str, values: np.ndarray, weight: float) -> Table:
    """Describe the columns of a table."""
    values = values.astype(np.float32)
    if len(values) > MAX_ROWS:
        values = values[np.random.default_rng(0).choice(len(values), MAX_ROWS, replace=False)]
    n_levels, is_target = [], []
    for column in values.T:
        count = np.unique(column, return_counts=True)[1]
        is_whole = not np.isnan(column).any()
        n_levels.append(len(count) if is_whole else 0)
        is_target.append(is_whole and len(count) > 1 and count.max() <= MAX_SHARE * len(column))
    return Table(name, values, np.array(n_levels), np.array(is_target), weight)


class RealTables:
    """Draws batches of tasks of one shape, of a kind ("classification" or "regression").

    A target of a regression has more than ten values. In half of the tasks, the target is that of
    the set. Columns and targets are changed at random.
    """

    def __init__(self, tables: list[Table], kind: str) -> None:
        self.tables, self.kind = tables, kind
        self.targets = [
            np.flatnonzero(t.is_target & ((t.n_levels > MAX_CLASSES) | (kind == "classification")))
            for t in tables
        ]
        self.weight = np.array([t.weight for t in tables])
        self.weight *= [len(targets) > 0 for targets in self.targets]
        self.n_rows = np.array([len(t.values) for t in tables])
        self.n_columns = np.array([t.values.shape[1] - 1 for t in tables])

    def draw_columns(self, rng: np.random.Generator, n_rows: int) -> int:
        """Draw a number of columns: all of a table in most cases."""
        chance = self.weight * (self.n_rows >= n_rows)
        n = min(MAX_COLUMNS, self.n_columns[rng.choice(len(chance), p=chance / chance.sum())])
        return int(n if rng.random() < 0.6 else np.exp(rng.uniform(0, np.log(n + 1))))

    def draw(self, rng: np.random.Generator, b: int, n: int, d: int) -> tuple[Tensor, Tensor]:
        """Draw tasks: rows (b, n, d), and labels or targets (b, n)."""
        chance = self.weight * (self.n_rows >= n) * (self.n_columns >= d)
        # Tables of about d columns are most frequent.
        chance = chance * d / np.maximum(self.n_columns, d)
        chosen = rng.choice(len(chance), b, p=chance / chance.sum())
        drawn = [self._draw_one(rng, int(i), n, d) for i in chosen]
        x, y = (np.stack(part) for part in zip(*drawn, strict=True))
        return torch.from_numpy(x), torch.from_numpy(y)

    def _draw_one(
        self, rng: np.random.Generator, i: int, n: int, d: int
    ) -> tuple[np.ndarray, np.ndarray]:
        table, targets = self.tables[i], self.targets[i]
        last = table.values.shape[1] - 1
        target = last
        is_own = table.has_target and last in targets and rng.random() < 0.5
        if not is_own:
            target = int(rng.choice(targets))
        others = np.delete(np.arange(last + 1), target)
        columns = rng.choice(others, d, replace=False)
        pool = rng.choice(len(table.values), min(len(table.values), 4 * n), replace=False)
        y = table.values[pool, target]
        if self.kind == "classification":
            y = to_classes(rng, y, int(table.n_levels[target]), n)
            rows = balanced_rows(rng, y, n)
        else:
            rows = np.arange(n)
            if rng.random() < 0.3:
                y = warp(rng, y)
        x = table.values[pool[rows]][:, columns]
        return vary(rng, x, table.n_levels[columns]), y[rows]


def to_classes(rng: np.random.Generator, values: np.ndarray, n_levels: int, n: int) -> np.ndarray:
    """Class positions: the values, one against the others, or intervals between quantiles."""
    if n_levels <= MAX_CLASSES:
        y = np.unique(values, return_inverse=True)[1]
        return (y == rng.integers(y.max() + 1)).astype(np.int64) if rng.random() < 0.1 else y
    c = 2 if rng.random() < 0.4 else int(rng.integers(2, max(3, min(MAX_CLASSES, n // 3) + 1)))
    share = rng.dirichlet(np.full(c, 20.0 if rng.random() < 0.5 else 2.0))
    cuts = np.unique(np.quantile(values, share.cumsum()[:-1]))
    return np.searchsorted(cuts, values, side="right" if rng.random() < 0.5 else "left")


def balanced_rows(rng: np.random.Generator, y: np.ndarray, n: int) -> np.ndarray:
    """Draw n rows without replacement; in many tasks, favour rare classes."""
    power = rng.choice([0.0, 1.0, rng.random()], p=[0.25, 0.375, 0.375])
    count = np.bincount(y)[y]
    key = rng.gumbel(size=len(y)) - power * np.log(count)
    return rng.permutation(np.argpartition(-key, n - 1)[:n])


def warp(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Apply a random monotone map to each column."""
    z = x - np.nanmean(x, axis=0)
    z = z / (np.nanstd(x, axis=0) + 1e-6)
    strength = rng.uniform(0.3, 1.0)
    maps = (
        lambda v: np.exp(strength * v.clip(-5, 5)),
        lambda v: np.sign(v) * np.abs(v) ** (0.5 + strength),
        lambda v: np.arcsinh(3 * strength * v),
    )
    warped: np.ndarray = maps[rng.integers(len(maps))](z)
    return warped.astype(x.dtype)


def vary(rng: np.random.Generator, x: np.ndarray, n_levels: np.ndarray) -> np.ndarray:
    """Flip half of the columns; in some tasks warp them, code them anew or remove values."""
    d = x.shape[1]
    x = x * rng.choice(np.array([-1.0, 1.0], dtype=x.dtype), d)
    if rng.random() < 0.3:
        is_warped = rng.random(d) < 0.5
        x[:, is_warped] = warp(rng, x[:, is_warped])
    if rng.random() < 0.3:
        for j in np.flatnonzero((n_levels > 2) & (n_levels <= MAX_CODES)):
            levels, code = np.unique(x[:, j], return_inverse=True)
            x[:, j] = rng.permutation(len(levels))[code]
    if rng.random() < 0.1:
        x[rng.random(x.shape) < 0.5 * rng.random(d) ** 2] = np.nan
    return x
