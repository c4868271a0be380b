"""Two ways to draw tasks: from the classes of a table, or from its groups."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skmeta._validation import check_count, check_labels, check_targets, count, quote, quote_some
from skmeta._warnings import warn_caller
from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.tasks._task import Superclass, Task, TaskBatch, stack_tasks, usable_superclasses

Shots = int | Sequence[int]
Ways = int | Sequence[int]


class ClassEpisodes:
    """N-way K-shot classification tasks over the classes of ``y`` (n_samples,).

    A task draws ``n_way`` classes without replacement (out of `classes`, if given), and disjoint
    support and query rows of each: `n_shot` and `n_query`. `n_way` and `n_shot` are numbers, or
    ranges ``(low, high)`` that a number is drawn from. The position of a class is its place in the
    random order, so that it carries no information about the class. With `superclass`, the classes
    of a task are drawn from one superclass, and a superclass in proportion to its classes. `names`
    are the sorted classes, and `n_classes` is the largest `n_way`.

    Vinyals et al. (2016), Matching networks for one shot learning, section 2.2.

    >>> import numpy as np
    >>> from skmeta.tasks import ClassEpisodes
    >>> sampler = ClassEpisodes(np.repeat(["a", "b", "c"], 4), n_way=2, n_shot=1, n_query=3)
    >>> task = sampler.sample(np.random.default_rng(0))
    >>> task.y_support, task.y_query
    (array([0, 1]), array([0, 0, 0, 1, 1, 1]))
    """

    def __init__(
        self,
        y: Any,
        n_way: Ways,
        n_shot: Shots,
        n_query: int,
        *,
        classes: Any = None,
        superclass: Superclass | None = None,
    ) -> None:
        self.n_way = n_way
        self._ways = check_ways(n_way)
        self.n_classes: int = self._ways[1]
        self.n_shot = n_shot
        self._low, self._high = check_shots(n_shot)
        self.n_query: int = check_count(n_query, "n_query")
        names, codes, counts = np.unique(
            check_labels(y, "y"), return_inverse=True, return_counts=True
        )
        rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
        kept = np.arange(len(names)) if classes is None else np.unique(_positions(classes, names))
        self.names: np.ndarray = names[kept]
        self._rows = [rows[k] for k in kept]
        self._layout = _Ragged.of(self._rows)
        self._check_sizes()
        self._within: list[np.ndarray] | None = None
        if superclass is not None:
            owner, usable = usable_superclasses(self.names, superclass, self.n_classes)
            self._within = [np.flatnonzero(owner == k) for k in usable]
            sizes = np.array([len(part) for part in self._within])
            self._shares = sizes / sizes.sum()

    def _check_sizes(self) -> None:
        if len(self.names) < self.n_classes:
            raise EpisodeError(
                f"n_way={self.n_way}, but the number of classes is {len(self.names)}. "
                "Lower n_way, add classes or, if each task is a group of rows, pass groups."
            )
        needed = self._high + self.n_query
        small = [k for k, rows in enumerate(self._rows) if len(rows) < needed]
        if small:
            first, several = small[0], len(small) > 1
            n_rows = count(len(self._rows[first]), "rows")
            in_all = f" In all, {len(small)} classes have too few." if several else ""
            raise EpisodeError(
                f"Class {quote(self.names[first])} has {n_rows}, but "
                f"n_shot={self.n_shot} and n_query={self.n_query} need {needed}.{in_all} "
                f"Lower n_query, or drop the class{'es' if several else ''}."
            )

    def sample_batch(self, rng: np.random.Generator, n_tasks: int) -> TaskBatch:
        """Draw tasks of one shape, as :meth:`sample` does, but together.

        All of them have the same number of classes.
        """
        n_way = draw_from(rng, *self._ways)
        if self._within is None:
            pool = np.full(n_tasks, len(self.names))
            drawn = draw_positions(rng, pool, n_way)
        else:
            within = _Ragged.of(self._within)
            chosen = rng.choice(len(self._within), n_tasks, p=self._shares)
            drawn = within.at(chosen, draw_positions(rng, within.sizes[chosen], n_way))
        n_shot = rng.integers(self._low, self._high, n_tasks, endpoint=True)
        size = self._high + self.n_query
        chosen = drawn.ravel()
        positions = draw_positions(rng, self._layout.sizes[chosen], size)
        rows = self._layout.at(chosen, positions).reshape(n_tasks, n_way, size)
        shot, position = np.arange(self._high), np.arange(n_way)
        turn = np.broadcast_to((shot % n_shot[:, None])[:, None], (n_tasks, n_way, self._high))
        is_drawn = np.broadcast_to((shot < n_shot[:, None])[:, None], turn.shape)
        n_asked = n_way * self.n_query
        return TaskBatch(
            support=np.take_along_axis(rows, turn, 2).reshape(n_tasks, -1),
            query=rows[:, :, self._high :].reshape(n_tasks, -1),
            y_support=np.tile(np.repeat(position, self._high), (n_tasks, 1)),
            y_query=np.tile(np.repeat(position, self.n_query), (n_tasks, 1)),
            w_support=is_drawn.reshape(n_tasks, -1).astype(np.float64),
            w_query=np.ones((n_tasks, n_asked)),
            n_classes=n_way,
        )

    def sample(self, rng: np.random.Generator, n_way: int | None = None) -> Task:
        """Draw one task, with its rows class by class; `n_way` is by default drawn.

        With a range of shots, the shape is that of the largest: the rows drawn are repeated in
        turn, with weight 0.
        """
        n_way = draw_from(rng, *self._ways) if n_way is None else n_way
        pool: Any = len(self.names)
        if self._within is not None:
            pool = self._within[rng.choice(len(self._within), p=self._shares)]
        drawn = rng.choice(pool, n_way, replace=False)
        n_shot = draw_from(rng, self._low, self._high)
        size = self._high + self.n_query
        rows = np.stack([rng.choice(self._rows[k], size, replace=False) for k in drawn])
        position = np.arange(n_way)
        return Task(
            support=rows[:, np.arange(self._high) % n_shot].ravel(),
            query=rows[:, self._high :].ravel(),
            y_support=np.repeat(position, self._high),
            y_query=np.repeat(position, self.n_query),
            w_support=np.tile((np.arange(self._high) < n_shot).astype(np.float64), n_way),
            w_query=np.ones(n_way * self.n_query),
            classes=self.names[drawn],
        )


class GroupEpisodes:
    """Tasks that are groups of rows, such as schools, patients or sensors.

    Every task has the same shape, so that tasks can be stacked. If a group has too few rows, some
    rows of its support set and of its query set are repeated with weight 0. Groups that cannot be
    tasks are left out with a warning; an EpisodeError is raised if there is no other.

    - n_shot: number of support rows; ``(low, high)`` draws it for each task. A class, or group,
      with no more rows than that keeps one for the query set, unless it is the only one.
    - n_query: maximum number of query rows.
    - classes: all labels that `y` may have, None for regression. Every task has as many outputs, in
      sorted order.
    - shots_per: what these count in a classification. ``"class"``: rows of each class that the
      group has. ``"task"``: all rows, drawn at random whatever their classes, so that a support set
      may lack a class, and a group may have a single one.
    - order: times, or anything that can be sorted. The support rows of a group are then its
      earliest, and the query rows those that follow. By default, both are drawn at random.

    `names` are the sorted groups, and `n_classes` is None in a regression.

    >>> import numpy as np
    >>> from skmeta.tasks import GroupEpisodes
    >>> sampler = GroupEpisodes(np.arange(6.0), ["a"] * 4 + ["b"] * 2, n_shot=1, n_query=2)
    >>> task = sampler.episode(1, np.random.default_rng(0))  # "b" has one row for the query set
    >>> print(task.name, task.w_query)
    b [1. 0.]
    """

    def __init__(
        self,
        y: Any,
        groups: Any,
        n_shot: Shots,
        n_query: int,
        *,
        classes: Any = None,
        shots_per: str = "class",
        order: Any = None,
    ) -> None:
        if shots_per not in ("class", "task"):
            raise ValueError(f"shots_per must be 'class' or 'task', got {shots_per!r}.")
        self.n_shot = n_shot
        self._low, self._high = check_shots(n_shot)
        self.n_query: int = check_count(n_query, "n_query")
        groups = check_labels(groups, "groups")
        if classes is None:
            self.classes: np.ndarray | None = None
            self.n_classes: int | None = None
            self._y: np.ndarray = check_targets(y, len(groups))
            stratum = np.zeros(len(groups), dtype=np.int64)
        else:
            self.classes = np.unique(check_labels(classes, "classes"))
            self.n_classes = len(self.classes)
            self._y = stratum = _positions(check_labels(y, "y", len(groups)), self.classes, "y")
        # One stratum for each class if shots are those of a class, else one in all.
        self._is_stratified = classes is not None and shots_per == "class"
        self._stratum = stratum if self._is_stratified else np.zeros_like(stratum)
        self._n_strata = (self.n_classes or 1) if self._is_stratified else 1
        names, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
        pairs, sizes = np.unique(codes * self._n_strata + self._stratum, return_counts=True)
        owner = pairs // self._n_strata
        n_present = np.bincount(owner, minlength=len(names))
        n_usable = np.bincount(owner[sizes >= 2], minlength=len(names))
        fit = (n_present >= 2) & (n_usable >= 1) if self._is_stratified else counts > self._low
        self._report_skipped(names, counts, n_present, fit)
        self._is_ordered = order is not None
        times = np.zeros(len(codes)) if order is None else check_labels(order, "order", len(codes))
        # Sorted by group, and by time within it.
        rows = np.split(np.lexsort((times, codes)), np.cumsum(counts)[:-1])
        self._rows = [rows[k] for k in np.flatnonzero(fit)]
        self._layout = _Ragged.of(self._rows)
        self.names: np.ndarray = names[fit]

    def _report_skipped(
        self, names: np.ndarray, counts: np.ndarray, n_present: np.ndarray, fit: np.ndarray
    ) -> None:
        skipped = np.flatnonzero(~fit)
        if len(skipped) == 0:
            return
        k = skipped[0]
        if not self._is_stratified:
            why = f"has {count(counts[k], 'rows')}, but n_shot={self.n_shot} and a query row need "
            why += f"{self._low + 1}. Lower n_shot, or drop the groups"
        elif n_present[k] < 2:
            why = "has a single class, but a task needs 2. Drop the groups, or merge them"
        else:
            why = "has one row of each class, but the query set needs one more. Drop the groups"
        reason = f"Group {quote(names[k])} {why}"
        if not fit.any():
            raise EpisodeError(f"None of the {len(names)} groups can be a task. {reason}.")
        warn_caller(
            f"{len(skipped)} of {len(names)} groups cannot be tasks and are left out: "
            f"{quote_some(names[skipped])}. {reason} to silence this warning.",
            UnusedDataWarning,
        )

    def sample_batch(self, rng: np.random.Generator, n_tasks: int) -> TaskBatch:
        """Draw tasks, which all have the same shape, as :meth:`sample` does, but together."""
        if self._n_strata > 1:
            return stack_tasks([self.sample(rng) for _ in range(n_tasks)])
        group = rng.integers(len(self.names), size=n_tasks)
        size = self._layout.sizes[group]
        # No more shots than leave a query row.
        most = np.maximum(self._low, np.minimum(self._high, size - 1))
        shots = rng.integers(self._low, most, endpoint=True)[:, None]
        n_drawn = self._high + self.n_query
        positions = np.arange(min(n_drawn, int(size.max())))[None]
        if not self._is_ordered:
            positions = draw_positions(rng, size, n_drawn)
        rows = self._layout.at(group, positions)
        n_asked = np.minimum(self.n_query, size[:, None] - shots)
        shot, ask = np.arange(self._high)[None], np.arange(self.n_query)[None]
        support = np.take_along_axis(rows, shot % shots, 1)
        query = np.take_along_axis(rows, shots + ask % n_asked, 1)
        return TaskBatch(
            support=support,
            query=query,
            y_support=self._y[support],
            y_query=self._y[query],
            w_support=(shot < shots).astype(np.float64),
            w_query=(ask < n_asked).astype(np.float64),
            n_classes=self.n_classes,
        )

    def sample(self, rng: np.random.Generator) -> Task:
        """Draw a group, each with the same probability, and a task from it."""
        return self.episode(int(rng.integers(len(self.names))), rng)

    def episode(self, position: int, rng: np.random.Generator) -> Task:
        """Draw the rows of a task from the group at a position in ``names``."""
        rows = self._rows[position]
        rows = rows if self._is_ordered else rng.permutation(rows)
        rows = rows[np.argsort(self._stratum[rows], kind="stable")]
        stratum = self._stratum[rows]
        first, size = np.unique(stratum, return_index=True, return_counts=True)[1:]
        rank = np.arange(len(rows)) - np.repeat(first, size)
        # No more shots than leave a query row.
        n_shot = draw_from(rng, self._low, max(self._low, min(self._high, int(size.max()) - 1)))
        # A stratum that is too small keeps one row for the query set, if it has two.
        shots = np.where(size > n_shot, n_shot, np.maximum(size - 1, 1))
        asked = rank - np.repeat(shots, size)
        support, w_support = _fill(rows[asked < 0], self._n_strata * self._high)
        query, w_query = _fill(
            rows[(asked >= 0) & (asked < self.n_query)], self._n_strata * self.n_query
        )
        return Task(
            support=support,
            query=query,
            y_support=self._y[support],
            y_query=self._y[query],
            w_support=w_support,
            w_query=w_query,
            classes=self.classes,
            name=self.names[position],
        )


EpisodeSampler = ClassEpisodes | GroupEpisodes
"""Draws tasks from a table: ``sample(rng)``. ``names`` are the classes or groups it draws from."""


class _Ragged(NamedTuple):
    """Rows of several owners, one after another: those of owner k begin at ``starts[k]``."""

    rows: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[np.ndarray]) -> "_Ragged":
        sizes = np.array([len(part) for part in parts])
        return cls(np.concatenate(parts), np.cumsum(sizes) - sizes, sizes)

    def at(self, owners: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the rows (n_owners, n) at positions (n_owners or 1, n) within their owners.

        A position that an owner does not have is that of its last row.
        """
        within = np.minimum(positions, self.sizes[owners, None] - 1)
        rows: np.ndarray = self.rows[self.starts[owners, None] + within]
        return rows


# Above this number of values for each one drawn, sorting all of them takes longer.
_MAX_SORTED = 16


def draw_positions(rng: np.random.Generator, sizes: np.ndarray, n: int) -> np.ndarray:
    """Draw `n` of the positions below each size without replacement, in random order.

    Returns (n_sizes, n), or fewer columns if no size is `n`. A size below `n` has all its positions
    first.
    """
    drawn = np.zeros((len(sizes), n), dtype=np.int64)
    is_sorted = sizes <= _MAX_SORTED * n
    few = sizes[is_sorted, None]
    if few.size:
        n_keys = int(few.max())
        keys = rng.random((len(few), n_keys))
        keys[np.arange(n_keys) >= few] = 2.0
        order = keys.argsort(1)[:, :n]
        if order.shape[1] < n and len(few) == len(sizes):
            return order
        drawn[is_sorted, : order.shape[1]] = order
    if len(few) < len(sizes):
        drawn[~is_sorted] = _draw_of_many(rng, sizes[~is_sorted], n)
    return drawn


def _draw_of_many(rng: np.random.Generator, sizes: np.ndarray, n: int) -> np.ndarray:
    """Draw by Floyd's algorithm: Bentley and Floyd (1987), A sample of brilliance."""
    drawn = np.empty((len(sizes), n), dtype=np.int64)
    for i in range(n):
        last = sizes - n + i
        position = rng.integers(last, endpoint=True)
        is_taken = (drawn[:, :i] == position[:, None]).any(1)
        drawn[:, i] = np.where(is_taken, last, position)
    return rng.permuted(drawn, axis=1)


def _fill(rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Repeat rows in turn up to ``size``; repeated rows have weight 0."""
    if len(rows) == size:
        return rows, np.ones(size)
    return np.resize(rows, size), (np.arange(size) < len(rows)).astype(np.float64)


def _positions(labels: Any, names: np.ndarray, where: str = "classes") -> np.ndarray:
    """Return the position of each label in the sorted ``names``."""
    known = {name: k for k, name in enumerate(names.tolist())}
    values = check_labels(labels, where)
    distinct, inverse = np.unique(values, return_inverse=True)
    missing = [label for label in distinct.tolist() if label not in known]
    if missing:
        other = "y" if where == "classes" else "classes"
        raise EpisodeError(
            f"{where} has labels that {other} does not have: {quote_some(missing)}. "
            f"Remove them, or add them to {other}."
        )
    return np.array([known[label] for label in distinct.tolist()], dtype=np.int64)[inverse]


def check_shots(n_shot: Any) -> tuple[int, int]:
    """Return the lowest and highest number of shots, equal unless a range is given."""
    return _check_range(n_shot, "n_shot", "rows", 1)


def check_ways(n_way: Any) -> tuple[int, int]:
    """Return the lowest and highest number of classes of a task, equal unless a range is given."""
    return _check_range(n_way, "n_way", "classes", 2)


def _check_range(value: Any, name: str, what: str, minimum: int) -> tuple[int, int]:
    if not isinstance(value, tuple | list):
        n = check_count(value, name, minimum)
        return n, n
    if len(value) != 2:
        raise ValueError(
            f"{name} must be a number of {what} or a range (low, high), got {value!r}."
        )
    low, high = (check_count(n, f"each end of {name}", minimum) for n in value)
    if low > high:
        raise ValueError(f"{name}=({low}, {high}) is empty. Give the lower number first.")
    return low, high


def draw_from(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw a number between two ends, both included; equal ends need no draw."""
    return low if low == high else int(rng.integers(low, high + 1))
