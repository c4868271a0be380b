"""The sparse equations of a mixed-effects model with several factors; notation as in `_fit`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import splu

# What is left of M is dense up to this size, or from this share of entries on.
_DENSE_SIZE, _DENSE_SHARE = 1500, 0.2
# Its inverse is computed for variances up to this size.
_INVERSE_SIZE = 4000
# Rows whose variances are computed together.
_CHUNK = 2048


class Layout:
    """Which columns of Z belong to which factor: the largest factor is first."""

    def __init__(
        self, columns: Sequence[np.ndarray], n_levels: Sequence[int], correlated: bool
    ) -> None:
        self.columns, self.n_levels, self.correlated = columns, n_levels, correlated
        widths = [n * len(c) for n, c in zip(n_levels, columns, strict=True)]
        self.order = sorted(range(len(widths)), key=lambda f: -widths[f])
        ends = np.cumsum([widths[f] for f in self.order])
        self.starts = {f: int(e) - widths[f] for f, e in zip(self.order, ends, strict=True)}
        self.width, self.n_first = int(ends[-1]), widths[self.order[0]]

    def design(self, X: np.ndarray, codes: np.ndarray) -> sparse.csr_array:
        """Return Z (n, width), with zeros for levels that are not known."""
        data, at = [], []
        for f in self.order:
            columns = self.columns[f]
            known = codes[:, f] >= 0
            data.append(X[:, columns] * known[:, None])
            level = np.where(known, codes[:, f], 0)[:, None]
            at.append(self.starts[f] + level * len(columns) + np.arange(len(columns)))
        values, indices = np.concatenate(data, 1), np.concatenate(at, 1)
        ends = np.arange(len(X) + 1) * values.shape[1]
        parts = (values.ravel(), indices.ravel(), ends)
        return sparse.csr_array(parts, shape=(len(X), self.width))

    def n_parameters(self, f: int) -> int:
        """Return the number of parameters of T of a factor."""
        p = len(self.columns[f])
        return p * (p + 1) // 2 if self.correlated else p

    def factors(self, at: np.ndarray) -> list[np.ndarray]:
        """Return T (p, p) of each factor."""
        found, start = [], 0
        for f, columns in enumerate(self.columns):
            p, values = len(columns), at[start : start + self.n_parameters(f)]
            start += len(values)
            factor = np.diag(values[:p])
            if self.correlated:
                factor[np.tril_indices(p, -1)] = values[p:]
            found.append(factor)
        return found

    def scaling(self, factors: Sequence[np.ndarray]) -> sparse.csr_array:
        """Return Lambda (width, width)."""
        blocks = [sparse.kron(sparse.eye_array(self.n_levels[f]), factors[f]) for f in self.order]
        return sparse.csr_array(sparse.block_diag(blocks, format="csr"))


class System:
    """M, with its first block eliminated: solve equations, and the log determinant."""

    def __init__(self, m: sparse.csr_array, n_first: int, width_of_block: int) -> None:
        self.n_first = n_first
        p = width_of_block
        blocks = np.zeros((n_first // p, p, p))
        corner = sparse.coo_array(m[:n_first, :n_first])
        rows, columns = corner.coords
        np.add.at(blocks, (rows // p, rows % p, columns % p), corner.data)
        roots = np.linalg.cholesky(blocks)
        inverse = np.linalg.inv(roots)
        positions = np.arange(len(blocks))
        parts = (inverse, positions, np.arange(len(blocks) + 1))
        bsr = sparse.bsr_array(parts, shape=(n_first, n_first))
        self.inverse_root = sparse.csr_array(bsr)
        self.log_det = 2 * float(np.log(np.diagonal(roots, axis1=1, axis2=2)).sum())
        self.across = sparse.csr_array(self.inverse_root @ m[:n_first, n_first:])
        rest = sparse.csr_array(m[n_first:, n_first:] - self.across.T @ self.across)
        size = rest.shape[0]
        self._dense, self._rest = None, None
        if size and (size <= _DENSE_SIZE or rest.nnz > _DENSE_SHARE * size**2):
            self._dense = cho_factor(rest.toarray(), lower=True)
            self.log_det += 2 * float(np.log(np.diag(self._dense[0])).sum())
        elif size:
            self._rest = sparse.csc_array(rest)
            self.log_det += float(np.log(np.abs(self._sparse.U.diagonal())).sum())

    @cached_property
    def _sparse(self) -> Any:
        options = {"SymmetricMode": True}
        return splu(self._rest, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)

    def __getstate__(self) -> dict[str, Any]:
        # A sparse factorisation cannot be pickled, so it is computed again.
        return {name: value for name, value in self.__dict__.items() if name != "_sparse"}

    def rest(self, right: np.ndarray) -> np.ndarray:
        """Solve S x = right."""
        if self._dense is not None:
            return np.asarray(cho_solve(self._dense, right))
        return right if self._rest is None else np.asarray(self._sparse.solve(right))

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solve M x = right (width, k)."""
        first = self.inverse_root @ right[: self.n_first]
        second = self.rest(right[self.n_first :] - self.across.T @ first)
        found = self.inverse_root.T @ (first - self.across @ second)
        return np.concatenate([found, second])

    def quadratic(self, rows: sparse.csr_array) -> np.ndarray:
        """Return the diagonal (m,) of A M^-1 A' for sparse rows A (m, width)."""
        first = sparse.csr_array(rows[:, : self.n_first] @ self.inverse_root.T)
        found = np.asarray(first.multiply(first).sum(1)).ravel()
        second = sparse.csr_array(rows[:, self.n_first :] - first @ self.across)
        for start in range(0, len(found) if second.shape[1] else 0, _CHUNK):
            part = second[start : start + _CHUNK]
            if self._inverse is not None:
                found[start : start + _CHUNK] += part.multiply(part @ self._inverse).sum(1)
                continue
            dense = part.toarray()
            found[start : start + _CHUNK] += (dense * self.rest(dense.T).T).sum(1)
        return found

    @cached_property
    def _inverse(self) -> np.ndarray | None:
        size = self.across.shape[1]
        return self.rest(np.eye(size)) if size <= _INVERSE_SIZE else None
