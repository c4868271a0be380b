"""Rows of the levels of factors: products, the modes of the effects, and their covariances.

Notation as in `_evidence` and `_system`: K_f = j q_f effects of a level of factor f, and Lambda is
the root of their covariance. With u = Lambda^-1 b and Y = M^-1 Lambda'Z'WX, the blocks of Z'V^-1
(Z, X, y - X m) are Lambda^-T (I - M^-1) Lambda^-1, Lambda^-T Y and Lambda^-T u.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skmeta._mixed._families import Family, Normal
from skmeta._mixed._system import Blocks, Pattern, System, sums, transposed

# The change of a linear predictor in the last step of Newton's method. What that step changes is
# added to first order, so the error is its square. A larger last step has not found the mode.
_TOLERANCE, LAST_STEP = 1e-2, 0.1
_MAX_STEPS, _MAX_HALVINGS = 50, 12
# Groups computed together: largest ratio of the numbers of rows of two of them.
_SIZE_RATIO = 1.5
# Values of one array, to bound the memory.
_MAX_VALUES = 2**22


# Groups (g,) and their rows (g, n).
Batch = tuple[np.ndarray, np.ndarray]


class Products(NamedTuple):
    """Products of rows with weights W: with a factor's effects by level, and of the columns."""

    blocks: Blocks  # Z'WZ by pair of factors
    across: list[np.ndarray]  # Z'WX (L_f, K_f, j q) by factor
    own: np.ndarray  # X'WX (j q, j q)


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
        self.X, self.y, self.w, self.family, self.columns = X, y, w, family, columns
        self.offset = np.zeros((len(X), 1)) if offset is None else offset[:, None]
        self.j, self.is_normal, self.precise = family.n_predictors, isinstance(family, Normal), 1e-5
        self.tolerance = _TOLERANCE
        self.levels = RowsOfLevels(X, codes, columns)
        self.codes, self.z = self.levels.codes, self.levels.z
        self.pattern = Pattern(self.codes, sizes)
        # Z_f' (L_f q_f, n) of a linear predictor.
        self._z_turned = [
            _by_level(z, at, size) for z, at, size in zip(self.z, self.codes.T, sizes, strict=True)
        ]
        self._last: tuple[np.ndarray, Solution] | None = None
        if family.is_quadratic:
            # Of [Z X y]: no evaluation passes over the rows.
            target = y[:, None] - self.offset
            self._products = self._multiply(np.ones((len(X), 1, 1)), np.hstack([X, target]))

    def mean_start(self) -> np.ndarray:
        """Return intercepts (j,)."""
        shift = np.average(self.offset[:, 0], weights=self.w)
        return self.family.start(self.y, self.w) - shift

    def solve(self, mean: np.ndarray, roots: list[np.ndarray], on_family: np.ndarray) -> Solution:
        """Find the modes, given m (j q,) and the roots Lambda: in one step if y is normal."""
        family = self.family.at(on_family)
        if family.is_quadratic:
            return self._solve_normal(family, mean, roots)
        solution = self._find_modes(family, mean, roots)
        if solution.largest < LAST_STEP:
            self._last = mean, solution
        return solution

    def _solve_normal(self, family: Family, mean: np.ndarray, roots: list[np.ndarray]) -> Solution:
        unit = float(family.curvature(self.y[:1], self.offset[:1])[0, 0, 0])
        blocks, across, own = self._products
        system = self._system({at: unit * one for at, one in blocks.items()}, roots)
        residual = np.append(-mean, 1.0)
        sides = [unit * root.T @ one for root, one in zip(roots, across, strict=True)]
        gradient = [side @ residual for side in sides]
        u = [one[..., 0] for one in system.solve([g[..., None] for g in gradient])]
        along, at_mean = _dot(u, gradient), unit * float(residual @ own @ residual)
        score = unit * (own[:-1] @ residual)
        across = [side[..., :-1] for side in sides]
        return Solution(
            *(family, roots, u, system, across, unit * own[:-1, :-1]),
            joint=0.5 * (along - at_mean + float(self.w.sum()) * np.log(unit)),
            score=score - _against(across, u),
            square=at_mean - along - _dot(u, u),
        )

    def _find_modes(self, family: Family, mean: np.ndarray, roots: list[np.ndarray]) -> Solution:
        """Find the modes by Newton's method with halved steps, from predicted ones."""
        fixed = self.X @ mean.reshape(self.j, -1).T + self.offset
        u = self._predicted(mean, roots)
        eta = fixed + self.predictor(u, roots)
        now = self._joint(family, eta, u)
        far = ~(now >= self._joint(family, fixed, [0 * one for one in u]))
        if far.any():
            u = [np.where(far[:, None], 0.0, one) for one in u]
            eta = fixed + self.predictor(u, roots)
            now = self._joint(family, eta, u)
        for _ in range(_MAX_STEPS):
            row_score = self.w[:, None] * family.score(self.y, eta)
            products = self._multiply(family.curvature(self.y, eta), self.X)
            system = self._system(products.blocks, roots)
            gradient = [
                s @ root - one
                for s, root, one in zip(self.on_levels(row_score), roots, u, strict=True)
            ]
            step = [one[..., 0] for one in system.solve([g[..., None] for g in gradient])]
            change = self.predictor(step, roots)
            largest = float(abs(change).max(initial=0.0))
            if largest < self.tolerance:
                break
            size = np.ones(len(now))
            for _ in range(_MAX_HALVINGS):
                tried = [one + size[:, None] * move for one, move in zip(u, step, strict=True)]
                tried_eta = eta + size[self._part_of_row, None] * change
                values = self._joint(family, tried_eta, tried)
                is_worse = ~(values >= now - 1e-10 * abs(now))
                if not is_worse.any():
                    u, eta, now = tried, tried_eta, values
                    break
                size[is_worse] /= 2
            else:
                break
        across = [root.T @ one for root, one in zip(roots, products.across, strict=True)]
        return Solution(
            *(family, roots, [one + move for one, move in zip(u, step, strict=True)], system),
            *(across, products.own),
            joint=float(now.sum()) + 0.5 * _dot(step, gradient),
            score=(row_score.T @ self.X).ravel() - _against(across, step),
            eta=eta,
            late=change,
            largest=largest,
        )

    def average(self, solution: Solution, n_steps: int) -> Solution:
        """Return the normal distribution closest to that of the effects, from Laplace's.

        There, scores and curvatures are averages over the distribution (Opper and Archambeau, 2009,
        section 2). The whole change of M would overshoot where the likelihood is almost flat.
        """
        y, family, roots, u = self.y, solution.family, solution.roots, solution.u
        eta = solution.eta + solution.late
        fixed, curvature = eta - self.predictor(u, roots), family.curvature(y, eta)
        unknown = [np.zeros((*one.shape, len(solution.own))) for one in u]
        for _ in range(n_steps):
            covariance = solution.row_covariance(self.levels, unknown, 0 * solution.own)
            score, averaged = family.averages(y, eta, covariance)
            curvature = 0.5 * (curvature + averaged)
            blocks = self._multiply(curvature, self.X).blocks
            solution = solution._replace(system=self._system(blocks, roots))
            each = zip(self.on_levels(self.w[:, None] * score), roots, u, strict=True)
            step = solution.system.solve([(s @ root - one)[..., None] for s, root, one in each])
            u = [one + move[..., 0] for one, move in zip(u, step, strict=True)]
            eta = fixed + self.predictor(u, roots)
        return solution._replace(u=u)

    def _predicted(self, mean: np.ndarray, roots: list[np.ndarray]) -> list[np.ndarray]:
        """Return modes to first order from the last ones.

        Scores s = Z'V^-1 (y - X m) change by -Z'V^-1 (X dm + Z dS s), and b = S s.
        """
        if self._last is None:
            sizes = zip(self.pattern.sizes, roots, strict=True)
            return [np.zeros((size, root.shape[1])) for size, root in sizes]
        last_mean, last = self._last
        inverses = [np.linalg.inv(root) for root in last.roots]
        scores = [one @ back for one, back in zip(last.u, inverses, strict=True)]
        moved = [
            (s @ (new @ new.T - old @ old.T)) @ back.T
            for s, new, old, back in zip(scores, roots, last.roots, inverses, strict=True)
        ]
        shift = mean - last_mean
        right = [m - a @ shift for m, a in zip(moved, last.across, strict=True)]
        solved = last.system.solve([one[..., None] for one in right])
        each = zip(last.u, moved, solved, inverses, roots, strict=True)
        return [(one - m + s[..., 0]) @ back @ root for one, m, s, back, root in each]

    @property
    def _part_of_row(self) -> np.ndarray:
        """Rows of the same part (n,) take a step together: levels of one factor are apart."""
        return self.codes[:, 0] * (len(self.z) == 1)

    def _joint(self, family: Family, eta: np.ndarray, u: list[np.ndarray]) -> np.ndarray:
        """Return the log likelihood plus the log prior of u, by part of the rows."""
        log = self.w * family.log(self.y, eta)
        if len(u) > 1:
            return np.array([log.sum() - 0.5 * _dot(u, u)])
        by_level = np.bincount(self.codes[:, 0], log, minlength=len(u[0]))
        return np.asarray(by_level - 0.5 * (u[0] ** 2).sum(1))

    def _system(self, blocks: Blocks, roots: list[np.ndarray]) -> System:
        """Return M, given Z'WZ."""
        blocks = {(f, g): roots[f].T @ one @ roots[g] for (f, g), one in blocks.items()}
        for f, root in enumerate(roots):
            blocks[f, f] += np.eye(root.shape[1])
        return System(self.pattern, blocks)

    def _multiply(self, curvature: np.ndarray, right: np.ndarray) -> Products:
        """Return products with weights (n, j, j), and with columns (n, p), X the first of them."""
        (n, p), j = right.shape, self.j
        weights = self.w[:, None, None] * curvature
        across = [np.zeros((z.shape[0], j * j * p)) for z in self._z_turned]
        own, step = np.zeros((p, j * j * p)), max(1, 4 * _MAX_VALUES // (j * j * p))
        for part in (slice(k, k + step) for k in range(0, n, step)):
            weighted = (weights[part, :, :, None] * right[part, None, None]).reshape(-1, j * j * p)
            own += right[part].T @ weighted
            for total, z in zip(across, self._z_turned, strict=True):
                total += (z if step >= n else z[:, part]) @ weighted
        across = [
            _by_predictor(one.reshape(size, -1, j, j, p))
            for one, size in zip(across, self.pattern.sizes, strict=True)
        ]
        blocks: Blocks = {}
        for (f, g), pairs in self.pattern.pairs.items():
            if f == g:
                blocks[f, f] = across[f][:, :, column_positions(self.columns[f], p, j)]
            else:
                blocks[f, g] = sums(_outer(weights, self.z[f], self.z[g]), pairs.adding)
        return Products(blocks, across, _by_predictor(own.reshape(1, p, j, j, p))[0])

    def predictor(self, u: list[np.ndarray], roots: list[np.ndarray]) -> np.ndarray:
        """Return Z Lambda u (n, j)."""
        total = np.zeros((len(self.X), self.j))
        for one, root, z in zip(u, roots, self._z_turned, strict=True):
            b = (one @ root.T).reshape(len(one), self.j, -1)
            total += z.T @ transposed(b).reshape(-1, self.j)
        return total

    def on_levels(self, values: np.ndarray) -> list[np.ndarray]:
        """Return Z'v (L_f, j q_f) of rows v (n, j), by factor."""
        each = zip(self._z_turned, self.pattern.sizes, strict=True)
        parts = [(z @ values).reshape(size, -1, self.j) for z, size in each]
        return [transposed(one).reshape(len(one), -1) for one in parts]


def _by_level(z: np.ndarray, levels: np.ndarray, size: int) -> sparse.csc_array:
    """Return the matrix (L q, n) with the columns (n, q) of each row at its level (n,)."""
    n, q = z.shape
    places = levels[:, None] * q + np.arange(q)
    return sparse.csc_array((z.ravel(), places.ravel(), q * np.arange(n + 1)), shape=(size * q, n))


def _by_predictor(products: np.ndarray) -> np.ndarray:
    """Return products (L, j a, j b) from those (L, a, j, j, b)."""
    size, a, j, _, b = products.shape
    return products.transpose(0, 2, 1, 3, 4).reshape(size, j * a, j * b)


def _outer(weights: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return products (n, j a, j b) of rows (n, a) and (n, b), with weights (n, j, j)."""
    j = weights.shape[1]
    whole = weights[:, :, None, :, None] * left[:, None, :, None, None] * right[:, None, None, None]
    return np.asarray(whole.reshape(len(left), j * left.shape[1], j * right.shape[1]))


def _dot(left: list[np.ndarray], right: list[np.ndarray]) -> float:
    return sum(float((a * b).sum()) for a, b in zip(left, right, strict=True))


def _against(across: list[np.ndarray], v: list[np.ndarray]) -> np.ndarray:
    """Return X'WZ Lambda v (j q,) of effects v (L_f, K_f), by factor."""
    each = zip(across, v, strict=True)
    return np.asarray(sum(a.reshape(-1, a.shape[2]).T @ one.ravel() for a, one in each))


class Solution(NamedTuple):
    """Modes u (L_f, K_f) of the effects, with roots Lambda (K_f, K_f).

    M, Lambda'Z'WX and X'WX are those before the last step; the rest is after it.
    """

    family: Family
    roots: list[np.ndarray]
    u: list[np.ndarray]
    system: System  # M
    across: list[np.ndarray]  # Lambda'Z'WX (L_f, K_f, j q)
    own: np.ndarray  # X'WX
    joint: float  # log likelihood plus log prior of u
    score: np.ndarray  # derivative (j q,) of the log likelihood in m
    square: float = 0.0  # of a regression, the squared residuals over the variance of the noise
    eta: np.ndarray = np.empty((0, 1))  # linear predictors (n, j) before the last step
    late: np.ndarray = np.empty((0, 1))  # their change in the last step
    largest: float = 0.0  # the largest change

    def whole(self, solved: list[np.ndarray]) -> np.ndarray:
        """Return X'V^-1 X (j q, j q), given Y."""
        each, size = zip(self.across, solved, strict=True), len(self.own)
        removed = sum(a.reshape(-1, size).T @ y.reshape(-1, size) for a, y in each)
        return np.asarray(self.own - removed)

    def row_covariance(
        self, rows: RowsOfLevels, solved: list[np.ndarray], inverse: np.ndarray
    ) -> np.ndarray:
        """Return covariances (n, j, j) of linear predictors, given the covariance `inverse` of m.

        They are forms of the blocks of the joint covariance of m and the effects: `inverse`,
        -Lambda Y inverse, and Lambda (M^-1 + Y inverse Y') Lambda'.
        """
        X, z, (n, q) = rows.X, rows.z, rows.X.shape
        j = len(self.own) // q
        total, step = np.empty((n, j, j)), max(1, _MAX_VALUES // (j * j * q))
        turned = inverse.reshape(j, q, j, q).transpose(1, 0, 2, 3).reshape(q, -1)
        for k in range(0, n, step):
            own = X[k : k + step]
            half = (own @ turned).reshape(-1, j, j, q)
            total[k : k + step] = np.einsum("ncdq,nq->ncd", half, own)
        for (f, g), (at, to, batches) in rows.pairs.items():
            root, blocks = self.roots[f], self.system.inverse(f, g, at, to)
            along = solved[f][at] @ inverse
            blocks = root @ (blocks + along @ transposed(solved[g][to])) @ self.roots[g].T
            if f != g:
                part = _forms(z[f], 2 * blocks, z[g], batches)
            else:
                with_mean = -2 * root @ along
                with_mean[:, :, column_positions(rows.columns[f], q, j)] += blocks
                part = _forms(z[f], with_mean, X, batches)
            total += 0.5 * (part + transposed(part))
        return total


class RowsOfLevels:
    """Rows X (n, q) with codes (n, F), -1 for none, to which `columns` of the factors apply."""

    def __init__(self, X: np.ndarray, codes: np.ndarray, columns: list[np.ndarray]) -> None:
        self.X, self.columns, known = X, columns, codes >= 0
        self.codes = np.where(known, codes, 0)
        self.z = [
            X if known[:, f].all() and len(used) == X.shape[1] else X[:, used] * known[:, f, None]
            for f, used in enumerate(columns)
        ]

    @cached_property
    def pairs(self) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray, list[Batch]]]:
        """By factors f <= g: the pairs of levels that occur, and rows of each pair in batches."""
        pairs = {}
        for f in range(len(self.z)):
            for g in range(f, len(self.z)):
                stride = int(self.codes[:, g].max(initial=0)) + 1
                keys = self.codes[:, f] * stride + self.codes[:, g]
                keys, place = np.unique(self.codes[:, f] if f == g else keys, return_inverse=True)
                levels = (keys, keys) if f == g else np.divmod(keys, stride)
                pairs[f, g] = (*levels, list(batches_of_groups(place)))
        return pairs


def column_positions(used: np.ndarray, q: int, j: int) -> np.ndarray:
    """Return positions (j k,) of columns (k,) among all of j predictors with q columns each."""
    return np.asarray((q * np.arange(j)[:, None] + used).ravel())


def _forms(
    left: np.ndarray, blocks: np.ndarray, right: np.ndarray, batches: list[Batch]
) -> np.ndarray:
    """Return forms (n, j, j) of rows (n, a) and (n, b) with blocks (P, j a, j b), in batches."""
    (n, a), b = left.shape, right.shape[1]
    j = blocks.shape[1] // a
    turned = blocks.reshape(-1, j, a, j, b).transpose(0, 2, 1, 3, 4).reshape(-1, a, j * j * b)
    forms, most = np.empty((n, j, j)), max(1, _MAX_VALUES // (j * j * b))
    for groups, rows in batches:
        step = max(1, most // max(rows.shape[1], a))
        for k in range(0, len(groups), step):
            part, at = groups[k : k + step], rows[k : k + step]
            given = right[at]
            along = (given if left is right else left[at]) @ turned[part]
            along = np.einsum("gmkb,gmb->gmk", along.reshape(*at.shape, j * j, b), given)
            forms[at] = along.reshape(*at.shape, j, j)
    return forms


def batches_of_groups(codes: np.ndarray) -> Iterator[Batch]:
    """Yield groups (g,) of similar size and their rows (g, n), padded by repeating the first."""
    sizes = np.bincount(codes)
    order, starts = np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes
    by_size = np.argsort(sizes, kind="stable")
    by_size = by_size[np.searchsorted(sizes[by_size], 1) :]
    sorted_sizes, first = sizes[by_size], 0
    while first < len(by_size):
        longest = int(_SIZE_RATIO * sorted_sizes[first]) + 1
        last = int(np.searchsorted(sorted_sizes, longest, side="right"))
        groups = by_size[first:last]
        position = np.arange(int(sorted_sizes[last - 1]))
        position = np.where(position < sizes[groups, None], position, 0)
        yield groups, order[starts[groups, None] + position]
        first = last
