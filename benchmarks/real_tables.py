"""Tasks for meta-training from real tables: any column is the target, of any rows and columns.

The tables are the sets of ``tabular/index.csv`` and ``tabular/uci_regression``, and those of R
packages (``r_tables.py``), which have no target of their own. The origins of both are
divided into two halves (``origins.half_of``), so that a model that was trained on one half can be
tested on the other. Sets that scikit-learn ships are in neither half: examples are never seen.

In half of the tasks the target is that of the set, otherwise another column. A target of a
classification with more than ten values is cut at random quantiles. Rows favour rare classes in
many tasks, as those of synthetic tables do. Columns are drawn at random; some are flipped, warped,
coded anew or lose values, so that a table is not learned by heart. Words are seen as codes in
some tasks, and as indicators in others.

Notation: b tasks, n rows, d columns.
"""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from origins import half_of, origin
from r_tables import RTable, load_r_tables
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from tabular_sets import index, load
from torch import Tensor

from skmeta.few_shot._indicators import choose_indicators

MAX_ROWS, MAX_CLASSES, MAX_COLUMNS = 5000, 10, 60
# Columns of at most so many values may be coded anew, and indicators of a column of words.
MAX_CODES, MAX_INDICATORS = 12, 30
# Share of the most frequent value above which a column is no target.
MAX_SHARE = 0.9


class Table(NamedTuple):
    """A real table; the last column is the target of the set.

    Attributes
    ----------
    name : str
        Name of the set.
    values : ndarray of shape (rows, columns)
        At most 5,000 rows.
    n_levels : ndarray of shape (columns,)
        Number of values of each column, 0 where numbers are missing.
    is_target : ndarray of shape (columns,), bool
        Whether a column may be a target.
    is_words : ndarray of shape (columns,), bool
        Whether a column has codes of words.
    weight : float
        Chance of the table: one over the number of tables of its origin.
    has_target : bool
        Whether the last column is the target of a set; otherwise, it is one like others.
    """

    name: str
    values: np.ndarray
    n_levels: np.ndarray
    is_target: np.ndarray
    is_words: np.ndarray
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
def tables_of_r_packages() -> dict[str, RTable]:
    """The tables of R packages."""
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
    tables = {name: t for name, t in tables_of_r_packages().items() if half_of(t.origin) in halves}
    n_tables = Counter(t.origin for t in tables.values())
    chance = {name: min(10, t.values.shape[1]) / n_tables[t.origin] for name, t in tables.items()}
    unit = share / (1 - share) * sum(t.weight for t in others) / sum(chance.values())
    return [
        make_table(name, t.values, unit * chance[name], t.is_words)._replace(has_target=False)
        for name, t in tables.items()
    ]


def whole(name: str) -> np.ndarray:
    """A set; the last column is the target."""
    return np.column_stack(load(name))


def make_table(
    name: str, values: np.ndarray, weight: float, is_words: np.ndarray | None = None
) -> Table:
    """Describe the columns of a table."""
    if is_words is None:
        is_words = np.zeros(values.shape[1], bool)
    values = values.astype(np.float32)
    if len(values) > MAX_ROWS:
        values = values[np.random.default_rng(0).choice(len(values), MAX_ROWS, replace=False)]
    n_levels, is_target = [], []
    for column, has_words in zip(values.T, is_words, strict=True):
        count = np.unique(column[~np.isnan(column)], return_counts=True)[1]
        is_whole = not np.isnan(column).any()
        n_levels.append(len(count) if is_whole or has_words else 0)
        is_target.append(is_whole and len(count) > 1 and count.max() <= MAX_SHARE * len(column))
    return Table(name, values, np.array(n_levels), np.array(is_target), is_words, weight)


class RealTables:
    """Draws batches of tasks of one shape.

    Parameters
    ----------
    tables : list of Table
        Where the tasks come from.
    kind : {"classification", "regression"}
        What they are. A target of a regression has more than ten values.
    own_target : float, default=0.5
        Share of the tasks whose target is that of the set, if it may be one.
    varied : bool, default=True
        Whether columns and targets are changed at random.
    """

    def __init__(
        self, tables: list[Table], kind: str, own_target: float = 0.5, varied: bool = True
    ) -> None:
        self.tables, self.kind, self.own_target, self.varied = tables, kind, own_target, varied
        self.targets = [
            np.flatnonzero(t.is_target & ((t.n_levels > MAX_CLASSES) | (kind == "classification")))
            for t in tables
        ]
        self.weight = np.array([t.weight for t in tables])
        self.weight *= [len(targets) > 0 for targets in self.targets]
        self.n_rows = np.array([len(t.values) for t in tables])
        self.n_columns = np.array([t.values.shape[1] - 1 for t in tables])

    def widths(self, n_support: int | None) -> np.ndarray:
        """Columns of each table; with `n_support`, with indicators, and 0 without words."""
        if n_support is None:
            return self.n_columns
        most = min(MAX_INDICATORS, n_support // 2)
        own = [np.minimum(t.n_levels[t.is_words] - 1, most) for t in self.tables]
        columns = zip(self.n_columns, own, strict=True)
        # Without the widest, which may be the target.
        return np.array([n + w.clip(0).sum() - w.max() if len(w) else 0 for n, w in columns])

    def draw_columns(
        self, rng: np.random.Generator, n_rows: int, n_support: int | None = None
    ) -> int:
        """Draw a number of columns: all of a table in most cases."""
        n_columns = self.widths(n_support)
        chance = self.weight * (self.n_rows >= n_rows) * (n_columns > 0)
        n = min(MAX_COLUMNS, n_columns[rng.choice(len(chance), p=chance / chance.sum())])
        return int(n if rng.random() < 0.6 else np.exp(rng.uniform(0, np.log(n + 1))))

    def draw(
        self, rng: np.random.Generator, b: int, n: int, d: int, n_support: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw tasks: rows (b, n, d), and labels or targets (b, n).

        With `n_support`, tables have words, and each has indicators in the place of its code:
        those that a prediction chooses by the first rows, which are the support rows.
        """
        n_columns = self.widths(n_support)
        chance = self.weight * (self.n_rows >= n) * (n_columns >= d)
        # Tables of about d columns are most frequent.
        chance = chance * d / np.maximum(n_columns, d)
        chosen = rng.choice(len(chance), b, p=chance / chance.sum())
        parts = [self._draw_one(rng, int(i), n, d, n_support) for i in chosen]
        x, y = (np.stack(part) for part in zip(*parts, strict=True))
        return torch.from_numpy(x), torch.from_numpy(y)

    def _draw_one(
        self, rng: np.random.Generator, i: int, n: int, d: int, n_support: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        table, targets = self.tables[i], self.targets[i]
        last = table.values.shape[1] - 1
        target = last
        is_own = table.has_target and last in targets and rng.random() < self.own_target
        if not is_own:
            target = int(rng.choice(targets))
        others = np.delete(np.arange(last + 1), target)
        columns = rng.permutation(others)[:d]
        pool = rng.choice(len(table.values), min(len(table.values), 4 * n), replace=False)
        y = table.values[pool, target]
        if self.kind == "classification":
            y = to_classes(rng, y, int(table.n_levels[target]), n)
            rows = balanced_rows(rng, y, n)
        else:
            rows = np.arange(n)
            if self.varied and rng.random() < 0.3:
                y = warp(rng, y)
        x, is_words = table.values[pool[rows]][:, columns], table.is_words[columns]
        if self.varied:
            x = vary(rng, x, table.n_levels[columns], is_words)
        return x if n_support is None else to_indicators(x, is_words, n_support, d), y[rows]


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


def to_indicators(x: np.ndarray, is_words: np.ndarray, n_support: int, d: int) -> np.ndarray:
    """Replace words by indicators, as a prediction does; then cut to d columns, or repeat some."""
    parts, width = [], 0
    for column, has_words in zip(x.T, is_words, strict=True):
        part = column[:, None]
        chosen = choose_indicators(part[:n_support].astype(float), [0]) if has_words else None
        if chosen is not None:
            part = chosen(torch.from_numpy(part)).numpy()
        parts.append(part)
        width += part.shape[1]
        if width >= d:
            break
    return np.hstack(parts)[:, np.arange(d) % width]


def vary(
    rng: np.random.Generator, x: np.ndarray, n_levels: np.ndarray, is_words: np.ndarray
) -> np.ndarray:
    """Flip half of the columns; in some tasks warp them, code them anew or remove values."""
    d = x.shape[1]
    x = x * rng.choice(np.array([-1.0, 1.0], dtype=x.dtype), d)
    if rng.random() < 0.3:
        some = rng.random(d) < 0.5
        x[:, some] = warp(rng, x[:, some])
    codes, anew = (n_levels > 2) & (n_levels <= MAX_CODES), rng.random()
    if anew < 0.5:
        # Words have no order more often than numbers.
        for j in np.flatnonzero(is_words | codes if anew < 0.3 else is_words):
            known = ~np.isnan(x[:, j])
            levels, code = np.unique(x[known, j], return_inverse=True)
            x[known, j] = rng.permutation(len(levels))[code]
    if rng.random() < 0.1:
        x[rng.random(x.shape) < 0.5 * rng.random(d) ** 2] = np.nan
    return x
