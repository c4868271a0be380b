"""The equations of the effects of several factors: block-sparse, with levels eliminated in turn.

Notation: F factors, sorted by descending number of levels; factor f has L_f levels of K_f effects.
M is the information on all effects plus the identity. Its blocks (K_f, K_g) belong to pairs of
levels that occur in a row together: arrays (pairs, K_f, K_g) by (f, g) with f <= g.

A factor is a leaf if each of its levels occurs with one level of each later factor only, as those
of an inner factor of nested ones do. Leaves are eliminated first, which adds no block. So is the
next factor, with the most levels of those left; what then remains is dense.

References: Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using
lme4, section 5; Erisman and Tinney (1975), On computing certain elements of the inverse of a sparse
matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import cho_solve, cholesky, solve_triangular

# Values of one array, to bound the memory.
_MAX_VALUES = 2**22
# The diagonal of the inverse is computed for all levels if this many times as many are asked.
_FEW = 2
# From this share of entries on, blocks between levels are multiplied as a dense matrix.
_DENSE_SHARE = 0.05

# From this many blocks on, their roots are inverted row by row, all together.
_FEW_BLOCKS = 150

Blocks = dict[tuple[int, int], np.ndarray]


class Pairs(NamedTuple):
    """Levels (p,) of two factors that occur together."""

    first: np.ndarray
    second: np.ndarray
    pair_of_row: np.ndarray  # position of the pair of each row
    adding: sparse.csc_array  # (p, n), see `adding`


class Pattern:
    """Which levels occur together in codes (n, F), with descending numbers L_f of levels."""

    def __init__(self, codes: np.ndarray, sizes: list[int]) -> None:
        self.codes, self.sizes, n_factors = codes, sizes, len(sizes)
        self.pairs = {
            (f, g): self._pairs(f, g) for f in range(n_factors) for g in range(f, n_factors)
        }
        present = [len(np.unique(column)) for column in codes.T]
        is_leaf = [
            all(len(self.pairs[f, g].first) == present[f] for g in range(f + 1, n_factors))
            for f in range(n_factors)
        ]
        self.n_leaves = is_leaf.index(False) if False in is_leaf else n_factors
        # A row of each level of a leaf; those of levels without rows do not matter.
        self.rows = [np.zeros(size, np.int64) for size in sizes]
        for f, rows in enumerate(self.rows):
            rows[codes[:, f]] = np.arange(len(codes))

    def _pairs(self, f: int, g: int) -> Pairs:
        if f == g:
            levels = np.arange(self.sizes[f])
            level_of_row = self.codes[:, f]
            return Pairs(levels, levels, level_of_row, adding(level_of_row, self.sizes[f]))
        keys = self.codes[:, f] * self.sizes[g] + self.codes[:, g]
        unique, pair_of_row = np.unique(keys, return_inverse=True)
        parts = pair_of_row, adding(pair_of_row, len(unique))
        return Pairs(*np.divmod(unique, self.sizes[g]), *parts)


def transposed(blocks: np.ndarray) -> np.ndarray:
    """Swap the last two axes."""
    return blocks.swapaxes(-1, -2)


def adding(positions: np.ndarray, size: int) -> sparse.csc_array:
    """Return a matrix (size, n) that adds values which share a position (n,)."""
    parts = np.ones(len(positions)), positions, np.arange(len(positions) + 1)
    return sparse.csc_array(parts, shape=(size, len(positions)))


def sums(values: np.ndarray, matrix: sparse.csc_array) -> np.ndarray:
    """Return sums (size, ...) of values (n, ...) by a matrix of `adding`."""
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    return np.asarray(matrix @ flat).reshape(matrix.shape[0], *values.shape[1:])


def flat(blocks: list[np.ndarray]) -> np.ndarray:
    """Return the rows (width, c) of blocks (L_f, K_f, c)."""
    return np.concatenate([one.reshape(len(one) * one.shape[1], one.shape[2]) for one in blocks])


def _inverse_of_triangular(roots: np.ndarray) -> np.ndarray:
    """Return the inverses of lower triangular matrices (L, K, K)."""
    if len(roots) < _FEW_BLOCKS:
        return np.linalg.inv(roots)
    inverse, scale = np.zeros_like(roots), 1 / np.diagonal(roots, axis1=1, axis2=2)
    for k in range(roots.shape[1]):
        row = -(roots[:, None, k, :k] @ inverse[:, :k, :k])[:, 0]
        inverse[:, k, :k], inverse[:, k, k] = scale[:, k, None] * row, scale[:, k]
    return inverse


class _Leaf(NamedTuple):
    """A factor that was eliminated: the inverse of the root of its blocks, times those across."""

    inverse: np.ndarray  # (L_f, K_f, K_f)
    across: dict[int, np.ndarray]  # by later factor g, (L_f, K_f, K_g)
    parents: dict[int, np.ndarray]  # by later factor g, (L_f,)


class System:
    """M, factorised: solve equations, its log determinant, and blocks of its inverse."""

    def __init__(self, pattern: Pattern, blocks: Blocks) -> None:
        blocks, n_factors = dict(blocks), len(pattern.sizes)
        self.widths = [blocks[f, f].shape[1] for f in range(n_factors)]
        self.sizes, self.log_det = pattern.sizes, 0.0
        self.leaves = [self._eliminate(f, pattern, blocks) for f in range(pattern.n_leaves)]
        self.core = pattern.n_leaves
        self._diagonals: dict[int, np.ndarray] = {}
        if self.core == n_factors:
            return
        core, rest = self.core, range(self.core + 1, n_factors)
        self._inverse = self._inverse_root(blocks[core, core])
        ends = np.cumsum([self.sizes[g] * self.widths[g] for g in rest])
        self._start = dict(zip(rest, [0, *ends[:-1].tolist()], strict=True))
        self._across = self._join(pattern, blocks, int(ends[-1]))
        whole = np.zeros((int(ends[-1]), int(ends[-1])))
        for g in rest:
            for h in range(g, n_factors):
                at = self._places(g, pattern.pairs[g, h].first)[:, :, None]
                to = self._places(h, pattern.pairs[g, h].second)[:, None]
                whole[at, to] = blocks[g, h]
                whole[transposed(to), transposed(at)] = transposed(blocks[g, h])
        if self._across.nnz > _DENSE_SHARE * np.prod(self._across.shape):
            dense = self._across.toarray()
            whole -= dense.T @ dense
        else:
            whole -= (self._across.T @ self._across).toarray()
        self._root = cholesky(whole, lower=True, overwrite_a=True, check_finite=False)
        self.log_det += float(np.log(np.diag(self._root)).sum())
        self._rest: np.ndarray | None = None

    def _inverse_root(self, blocks: np.ndarray) -> np.ndarray:
        root = np.linalg.cholesky(blocks)
        self.log_det += float(np.log(np.diagonal(root, axis1=1, axis2=2)).sum())
        return _inverse_of_triangular(root)

    def _eliminate(self, f: int, pattern: Pattern, blocks: Blocks) -> _Leaf:
        """Eliminate a leaf, which changes the blocks of later factors."""
        inverse, later = self._inverse_root(blocks[f, f]), range(f + 1, len(self.sizes))
        across, parents = {}, {}
        for g in later:
            pairs = pattern.pairs[f, g]
            across[g] = np.zeros((self.sizes[f], self.widths[f], self.widths[g]))
            across[g][pairs.first] = inverse[pairs.first] @ blocks[f, g]
            parents[g] = np.zeros(self.sizes[f], np.int64)
            parents[g][pairs.first] = pairs.second
        for g in later:
            for h in range(g, len(self.sizes)):
                at = pattern.pairs[g, h].pair_of_row[pattern.rows[f]]
                change = sums(transposed(across[g]) @ across[h], adding(at, len(blocks[g, h])))
                blocks[g, h] = blocks[g, h] - change
        return _Leaf(inverse, across, parents)

    def _places(self, g: int, levels: np.ndarray) -> np.ndarray:
        """Return positions (p, K_g) of levels (p,) in what remains."""
        width = self.widths[g]
        return np.asarray(self._start[g] + levels[:, None] * width + np.arange(width))

    def _join(self, pattern: Pattern, blocks: Blocks, size: int) -> sparse.csr_array:
        """Return root^-1 times the blocks between the core factor and the rest."""
        width, parts = self.widths[self.core], []
        for g in self._start:
            pairs = pattern.pairs[self.core, g]
            values = self._inverse[pairs.first] @ blocks[self.core, g]
            rows = pairs.first[:, None] * width + np.arange(width)
            columns = self._places(g, pairs.second)
            rows, columns = np.broadcast_arrays(rows[:, :, None], columns[:, None])
            parts.append((values.ravel(), rows.ravel(), columns.ravel()))
        values, rows, columns = (np.concatenate(of) for of in zip(*parts, strict=True))
        shape = self.sizes[self.core] * width, size
        return sparse.csr_array(sparse.coo_array((values, (rows, columns)), shape=shape))

    # ------------------------------------------------------------------------------ equations

    def solve(self, right: list[np.ndarray]) -> list[np.ndarray]:
        """Solve M x = right, by factor (L_f, K_f, c)."""
        right = self._forward(right)
        if self.core < len(self.sizes):
            rest = self._triangular(self._joined(right), "T")
            left = right[self.core] - (self._across @ rest).reshape(right[self.core].shape)
            right[self.core] = transposed(self._inverse) @ left
            self._divide(rest, right)
        for f, leaf in reversed(list(enumerate(self.leaves))):
            for g, across in leaf.across.items():
                right[f] = right[f] - across @ right[g][leaf.parents[g]]
            right[f] = transposed(leaf.inverse) @ right[f]
        return right

    def half(self, right: list[np.ndarray]) -> np.ndarray:
        """Return H (width, c) with H'H = right' M^-1 right."""
        return flat(self._forward(right))

    def _forward(self, right: list[np.ndarray]) -> list[np.ndarray]:
        """Multiply by the inverse of the root of M."""
        right = list(right)
        for f, leaf in enumerate(self.leaves):
            right[f] = leaf.inverse @ right[f]
            for g, across in leaf.across.items():
                matrix = adding(leaf.parents[g], self.sizes[g])
                right[g] = right[g] - sums(transposed(across) @ right[f], matrix)
        if self.core < len(self.sizes):
            right[self.core] = self._inverse @ right[self.core]
            rest = self._joined(right) - self._across.T @ flat([right[self.core]])
            self._divide(self._triangular(rest, "N"), right)
        return right

    def _triangular(self, rest: np.ndarray, trans: str) -> np.ndarray:
        parts = {"lower": True, "trans": trans, "check_finite": False}
        return np.asarray(solve_triangular(self._root, rest, **parts))

    def _joined(self, right: list[np.ndarray]) -> np.ndarray:
        return flat([right[g] for g in self._start])

    def _divide(self, rest: np.ndarray, right: list[np.ndarray]) -> None:
        for g, start in self._start.items():
            stop = start + self.sizes[g] * self.widths[g]
            right[g] = rest[start:stop].reshape(right[g].shape)

    # ------------------------------------------------------------------------------ the inverse

    def diagonal(self, f: int) -> np.ndarray:
        """Return the blocks (L_f, K_f, K_f) of M^-1 of the levels of a factor."""
        if f not in self._diagonals:
            levels = np.arange(self.sizes[f])
            self._diagonals[f] = self._own(f, levels)
        return self._diagonals[f]

    def inverse(self, f: int, g: int, at: np.ndarray, to: np.ndarray) -> np.ndarray:
        """Return blocks (p, K_f, K_g) of M^-1 for levels `at` and `to` (p,) of factors f and g."""
        if f > g:
            return np.asarray(transposed(self.inverse(g, f, to, at)))
        if (
            f == g
            and f == self.core
            and f not in self._diagonals
            and _FEW * len(at) < self.sizes[f]
        ):
            return self._between(f, at, to)
        if f == g and f <= self.core:
            blocks, others = self.diagonal(f)[at], np.flatnonzero(at != to)
            if len(others):
                blocks[others] = self._between(f, at[others], to[others])
            return np.asarray(blocks)
        if f < self.core:
            leaf, total = self.leaves[f], np.zeros(())
            for h, across in leaf.across.items():
                total = total + across[at] @ self.inverse(h, g, leaf.parents[h][at], to)
            return np.asarray(-transposed(leaf.inverse[at]) @ total)
        if f > self.core:
            columns = self._places(g, to)[:, None]
            return np.asarray(self.rest[self._places(f, at)[:, :, None], columns])
        blocks = np.empty((len(at), self.widths[f], self.widths[g]))
        local = np.arange(self.widths[f])[:, None]
        for rows, place, along in self._along(at):
            columns = self._places(g, to[rows])[:, None]
            block = along[place[:, None, None], local, columns]
            blocks[rows] = -transposed(self._inverse[at[rows]]) @ block
        return blocks

    @property
    def rest(self) -> np.ndarray:
        """The inverse of what remains, which is part of M^-1."""
        if self._rest is None:
            eye = np.eye(len(self._root))
            self._rest = cho_solve((self._root, True), eye, overwrite_b=True, check_finite=False)
        return self._rest

    def _along(self, at: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield positions of levels (p,) of the core factor, and places in rows of E M^-1."""
        levels, places = np.unique(at, return_inverse=True)
        width, rest, order = self.widths[self.core], self.rest, np.argsort(places, kind="stable")
        step = max(1, _MAX_VALUES // (width * len(rest)))
        for start in range(0, len(levels), step):
            own = levels[start : start + step]
            first, last = np.searchsorted(places[order], [start, start + step])
            rows = (own[:, None] * width + np.arange(width)).ravel()
            along = (self._across[rows] @ rest).reshape(len(own), width, -1)
            yield order[first:last], places[order[first:last]] - start, along

    def _own(self, f: int, levels: np.ndarray) -> np.ndarray:
        """Return the blocks (L_f, K_f, K_f) of M^-1 of all levels of a factor."""
        if f > self.core:
            return self.inverse(f, f, levels, levels)
        width = self.widths[f]
        if f < self.core:
            root = self.leaves[f].inverse
            if self.leaves[f].across:
                return self._between(f, levels, levels)
            return np.asarray(transposed(root) @ root)
        inner = np.empty((len(levels), width, width))
        for rows, _, along in self._along(levels):
            across = self._across[rows[0] * width : (rows[-1] + 1) * width]
            if width == 1:
                inner[rows, 0, 0] = across.multiply(along[:, 0]).sum(1)
            else:
                inner[rows] = along @ transposed(across.toarray().reshape(len(rows), width, -1))
        inner += np.eye(width)
        return np.asarray(transposed(self._inverse) @ inner @ self._inverse)

    def _between(self, f: int, at: np.ndarray, to: np.ndarray) -> np.ndarray:
        """Return blocks (p, K_f, K_f) of M^-1 of pairs of levels of a factor."""
        width = self.widths[f]
        if f == self.core:
            root, inner = self._inverse, np.empty((len(at), width, width))
            for rows, place, along in self._along(at):
                other = to[rows, None] * width + np.arange(width)
                dense = self._across[other.ravel()].toarray().reshape(len(rows), width, -1)
                inner[rows] = along[place] @ transposed(dense)
        else:
            root = self.leaves[f].inverse
            inner = np.zeros((len(at), width, width))
            across, parents = self.leaves[f].across, self.leaves[f].parents
            for g, one in across.items():
                for h, other in across.items():
                    blocks = self.inverse(g, h, parents[g][at], parents[h][to])
                    inner += one[at] @ blocks @ transposed(other[to])
        inner[at == to] += np.eye(width)
        return np.asarray(transposed(root[at]) @ inner @ root[to])
