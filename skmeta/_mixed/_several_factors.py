"""Rows of the levels of several factors: the modes of their effects, and covariances.

Notation as in `_evidence` and `_sparse`: K_f = j q_f effects of a level of factor f, and Lambda is
the root of their covariance. With u = Lambda^-1 b and Y = M^-1 Lambda'Z'WX, the blocks of Z'V^-1
(Z, X, y - X m) are Lambda^-T (I - M^-1) Lambda^-1, Lambda^-T Y and Lambda^-T u.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skmeta._mixed._families import Family, Normal
from skmeta._mixed._likelihood import transposed
from skmeta._mixed._sparse import Blocks, Pattern, System, sums

# The largest change of a linear predictor that ends Newton's method, whose error is its square, and
# its numbers of steps and of halvings of a step.
_TOLERANCE, _MAX_STEPS, _MAX_HALVINGS = 1e-5, 50, 12


class FactorRows:
    """Rows (n, q) with levels (n, F), -1 for none; `columns` differ between a factor's levels."""

    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        w: np.ndarray,
        codes: np.ndarray,
        sizes: list[int],
        columns: list[np.ndarray],
        family: Family,
        offset: np.ndarray | None = None,
    ) -> None:
        self.X, self.y, self.w, self.family = X, y, w, family
        self.offset = np.zeros((len(X), 1)) if offset is None else offset[:, None]
        self.j, self.is_normal, self.precise = family.n_predictors, isinstance(family, Normal), 1e-5
        known = codes >= 0
        self.codes = np.where(known, codes, 0)
        self.z = [X[:, used] * known[:, f, None] for f, used in enumerate(columns)]
        self.pattern = Pattern(self.codes, sizes)
        self.family_start = family.parameters
        self._b = [
            np.zeros((size, self.j * z.shape[1])) for size, z in zip(sizes, self.z, strict=True)
        ]
        self._gram: tuple[Blocks, list[np.ndarray], np.ndarray] | None = None
        if family.is_quadratic:
            self._gram = self._products(np.ones((len(X), 1, 1)))

    def mean_start(self, n_predictors: int) -> np.ndarray:
        """Return intercepts (j,)."""
        shift = np.average(self.offset[:, 0], weights=self.w)
        return self.family.start(self.y, self.w) - shift

    def solve(self, mean: np.ndarray, roots: list[np.ndarray], on_family: np.ndarray) -> Solution:
        """Find the modes by Newton's method with halved steps, from m (j q,) and the roots."""
        family, n_steps = self.family.at(on_family), 1 if self.family.is_quadratic else _MAX_STEPS
        fixed = self.X @ mean.reshape(self.j, -1).T + self.offset
        u = [np.zeros_like(b) for b in self._b]
        if n_steps > 1 and all(np.diagonal(root).all() for root in roots):
            u = [np.linalg.solve(root, b.T).T for root, b in zip(roots, self._b, strict=True)]
        eta = fixed + self.predictor(u, roots)
        now, at_mean = self._joint(family, eta, u), np.zeros_like(fixed) + fixed
        if not now >= self._joint(family, at_mean, [0 * one for one in u]):
            u, eta = [0 * one for one in u], at_mean
            now = self._joint(family, eta, u)
        for _ in range(n_steps):
            parts = self._system(family, eta, roots)
            score = self.on_levels(self.w[:, None] * family.score(self.y, eta))
            gradient = [s @ root - one for s, root, one in zip(score, roots, u, strict=True)]
            step = [one[..., 0] for one in parts[0].solve([g[..., None] for g in gradient])]
            change, size = self.predictor(step, roots), 1.0
            largest = float(abs(change).max(initial=0.0))
            for _ in range(_MAX_HALVINGS):
                tried = [one + size * move for one, move in zip(u, step, strict=True)]
                value = self._joint(family, eta + size * change, tried)
                if value >= now - 1e-10 * abs(now) or self.family.is_quadratic:
                    u, eta, now = tried, eta + size * change, value
                    break
                size /= 2
            else:
                break
            if largest < _TOLERANCE:
                break
        if not self.family.is_quadratic:
            parts = self._system(family, eta, roots)
        self._b = [one @ root.T for one, root in zip(u, roots, strict=True)]
        return Solution(family, roots, u, eta, now, *parts)

    def _joint(self, family: Family, eta: np.ndarray, u: list[np.ndarray]) -> float:
        penalty = sum(float((one**2).sum()) for one in u)
        return float(self.w @ family.log(self.y, eta)) - 0.5 * penalty

    def _system(
        self, family: Family, eta: np.ndarray, roots: list[np.ndarray]
    ) -> tuple[System, list[np.ndarray], np.ndarray]:
        """Return M, Lambda'Z'WX by factor, and X'WX."""
        if self._gram is not None:
            unit = family.curvature(self.y[:1], eta[:1])[0, 0, 0]
            blocks, across, own = self._gram
            blocks = {at: unit * block for at, block in blocks.items()}
            across, own = [unit * one for one in across], unit * own
        else:
            blocks, across, own = self._products(family.curvature(self.y, eta))
        for f, g in blocks:
            blocks[f, g] = roots[f].T @ blocks[f, g] @ roots[g]
            if f == g:
                blocks[f, g] = blocks[f, g] + np.eye(blocks[f, g].shape[1])
        across = [root.T @ one for root, one in zip(roots, across, strict=True)]
        return System(self.pattern, blocks), across, own

    def _products(self, curvature: np.ndarray) -> tuple[Blocks, list[np.ndarray], np.ndarray]:
        """Return blocks of Z'WZ, Z'WX by factor, and X'WX."""
        weights, pairs = self.w[:, None, None] * curvature, self.pattern.pairs
        blocks = {
            (f, g): sums(_outer(weights, self.z[f], self.z[g]), one.adding)
            for (f, g), one in pairs.items()
        }
        across = [
            sums(_outer(weights, z, self.X), pairs[f, f].adding) for f, z in enumerate(self.z)
        ]
        q = self.X.shape[1]
        own = (weights.transpose(1, 2, 0)[:, :, None] * self.X.T) @ self.X
        return blocks, across, own.swapaxes(1, 2).reshape(self.j * q, self.j * q)

    def predictor(self, u: list[np.ndarray], roots: list[np.ndarray]) -> np.ndarray:
        """Return Z Lambda u (n, j)."""
        total = np.zeros((len(self.X), self.j))
        for f, (one, root, z) in enumerate(zip(u, roots, self.z, strict=True)):
            b = (one @ root.T).reshape(len(one), self.j, -1)
            total += (b[self.codes[:, f]] * z[:, None]).sum(2)
        return total

    def on_levels(self, values: np.ndarray) -> list[np.ndarray]:
        """Return Z'v (L_f, j q_f) of rows v (n, j), by factor."""
        return [
            sums(values[:, :, None] * z[:, None], self.pattern.pairs[f, f].adding).reshape(
                self.pattern.sizes[f], -1
            )
            for f, z in enumerate(self.z)
        ]


def _outer(weights: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return products (n, j a, j b) of rows (n, a) and (n, b), with weights (n, j, j)."""
    j = weights.shape[1]
    if j == 1:
        return np.asarray((weights[:, 0] * left)[:, :, None] * right[:, None])
    whole = weights[:, :, None, :, None] * left[:, None, :, None, None] * right[:, None, None, None]
    return np.asarray(whole.reshape(len(left), j * left.shape[1], j * right.shape[1]))


class Solution(NamedTuple):
    """Modes u (L_f, K_f) of the effects of several factors, with roots Lambda (K_f, K_f)."""

    family: Family
    roots: list[np.ndarray]
    u: list[np.ndarray]
    eta: np.ndarray  # linear predictors (n, j)
    joint: float  # log likelihood plus log prior of u
    system: System  # M
    across: list[np.ndarray]  # Lambda'Z'WX (L_f, K_f, j q)
    own: np.ndarray  # X'WX

    def whole(self, solved: list[np.ndarray]) -> np.ndarray:
        """Return X'V^-1 X (j q, j q), given Y."""
        each = zip(self.across, solved, strict=True)
        size = len(self.own)
        removed = sum(a.reshape(-1, size).T @ y.reshape(-1, size) for a, y in each)
        return np.asarray(self.own - removed)

    def row_covariance(
        self,
        X: np.ndarray,
        z: list[np.ndarray],
        codes: np.ndarray,
        solved: list[np.ndarray],
        inverse: np.ndarray,
    ) -> np.ndarray:
        """Return covariances (n, j, j) of predictors from each factor's columns z (n, q_f)."""
        (n, q), j = X.shape, self.eta.shape[1]
        vectors = [_rows_of_factor(*pair, j) for pair in zip(z, self.roots, strict=True)]
        total, left = np.zeros((n, j, j)), np.zeros((n, j, j * q))
        for a in range(j):
            left[:, a, a * q : (a + 1) * q] = X
        for f, one in enumerate(vectors):
            left -= one @ solved[f][codes[:, f]]
            for g in range(f, len(vectors)):
                blocks = self.system.inverse(f, g, codes[:, f], codes[:, g])
                part = one @ blocks @ transposed(vectors[g])
                total += part if f == g else part + transposed(part)
        return np.asarray(total + left @ inverse @ transposed(left))


def _rows_of_factor(z: np.ndarray, root: np.ndarray, j: int) -> np.ndarray:
    """Return rows (n, j, K_f) of Z Lambda of their levels."""
    each = root.reshape(j, z.shape[1], -1)
    return np.asarray(np.einsum("nq,jqk->njk", z, each))
