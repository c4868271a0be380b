"""The sparse equations of a mixed-effects model with several factors; notation as in `_crossed`."""

from __future__ import annotations

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


class Levels:
    """Columns of Z: those of the factor with the most levels come first."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.order = sorted(range(len(sizes)), key=lambda f: -sizes[f])
        ends = np.cumsum([sizes[f] for f in self.order])
        self.width, self.n_first = int(ends[-1]), int(ends[0])
        parts = zip(self.order, ends.tolist(), strict=True)
        self.slices = {f: slice(end - sizes[f], end) for f, end in parts}

    def indicators(self, codes: np.ndarray) -> sparse.csr_array:
        """Return Z (n, width), with zeros for levels that are not known."""
        known = codes >= 0
        at = np.where(known, codes, 0) + [self.slices[f].start for f in range(len(self.sizes))]
        ends = np.arange(len(codes) + 1) * codes.shape[1]
        parts = known.astype(float).ravel(), at.ravel(), ends
        return sparse.csr_array(parts, shape=(len(codes), self.width))

    def scaling(self, theta: np.ndarray) -> np.ndarray:
        """Return the diagonal (width,) of Lambda."""
        return np.concatenate([np.full(self.sizes[f], theta[f]) for f in self.order])


class System:
    """M, with its diagonal corner eliminated: solve equations, and the log determinant."""

    def __init__(self, m: sparse.csr_array, n_first: int) -> None:
        self.n_first, self.root = n_first, np.sqrt(m.diagonal()[:n_first])
        self.log_det = 2 * float(np.log(self.root).sum())
        self.across = sparse.csr_array(m[:n_first, n_first:].multiply(1 / self.root[:, None]))
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

    def _solve_rest(self, right: np.ndarray) -> np.ndarray:
        if self._dense is not None:
            return np.asarray(cho_solve(self._dense, right))
        return right if self._rest is None else np.asarray(self._sparse.solve(right))

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solve M x = right (width, k)."""
        root = self.root[:, None]
        first = right[: self.n_first] / root
        second = self._solve_rest(right[self.n_first :] - self.across.T @ first)
        return np.concatenate([(first - self.across @ second) / root, second])

    def quadratic(self, rows: sparse.csr_array) -> np.ndarray:
        """Return the diagonal (m,) of A M^-1 A' for sparse rows A (m, width)."""
        first = sparse.csr_array(rows[:, : self.n_first].multiply(1 / self.root))
        diagonal = np.asarray(first.multiply(first).sum(1)).ravel()
        second = sparse.csr_array(rows[:, self.n_first :] - first @ self.across)
        for start in range(0, len(diagonal) if second.shape[1] else 0, _CHUNK):
            part = second[start : start + _CHUNK]
            if self._inverse is not None:
                diagonal[start : start + _CHUNK] += part.multiply(part @ self._inverse).sum(1)
                continue
            dense = part.toarray()
            diagonal[start : start + _CHUNK] += (dense * self._solve_rest(dense.T).T).sum(1)
        return diagonal

    @cached_property
    def _inverse(self) -> np.ndarray | None:
        size = self.across.shape[1]
        return self._solve_rest(np.eye(size)) if size <= _INVERSE_SIZE else None
