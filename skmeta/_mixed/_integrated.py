"""The effects of several factors, integrated out: derivatives of the marginal likelihood.

Notation as in `_evidence` and `_modes`.

References: Gilmour, Thompson and Cullis (1995), Average information REML: an efficient algorithm
for variance parameter estimation in linear mixed models.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from skmeta._mixed._covariance import CovarianceShape
from skmeta._mixed._families import Normal
from skmeta._mixed._modes import FactorRows, Solution
from skmeta._mixed._system import flat

# Step of differences in the parameters of a likelihood.
_STEP = 1e-4
# Entries of an array over levels and pairs of parameters.
_MOST = 4_000_000


class Moved(NamedTuple):
    """How the log determinants change through the modes: the value, and its derivatives."""

    value: float  # what the last Newton step changes
    on_mean: np.ndarray  # in m (j q,)
    on_factors: list[np.ndarray]  # in S of each factor
    on_family: np.ndarray


class Integrated:
    """The effects of several factors, integrated out."""

    def __init__(
        self,
        rows: FactorRows,
        shapes: list[CovarianceShape],
        parameters: list[np.ndarray],
        solution: Solution,
    ) -> None:
        self.rows, self.shapes, self.parameters, self.solution = rows, shapes, parameters, solution
        self.solved = solution.system.solve(solution.across)
        self.joint, self.log_det = solution.joint, solution.system.log_det
        self.score, self.largest = solution.score, solution.largest
        self.n_rows = float(rows.w.sum())
        self.is_exact = len(shapes) == 1 and shapes[0].rank > 0  # see `curvature`
        self.whole, self.scale = solution.whole(self.solved), np.diagonal(solution.own)
        self.inverses = [
            solve_triangular(root, np.eye(len(root)), lower=True) for root in solution.roots
        ]
        self.on_factors = [
            0.5 * back.T @ self._difference(f) @ back for f, back in enumerate(self.inverses)
        ]

    def _difference(self, f: int) -> np.ndarray:
        """Return the sum over levels of I - M^-1 - u u'."""
        u = self.solution.u[f]
        inner = (np.eye(u.shape[1]) - self.solution.system.diagonal(f)).sum(0)
        return np.asarray(inner - u.T @ u)

    def along(self) -> float:
        """Return the derivative in the logarithm of a scale of all effects."""
        return 0.5 * sum(float(np.trace(self._difference(f))) for f in range(len(self.inverses)))

    def removed(self, inverse: np.ndarray) -> list[np.ndarray]:
        """Return sums over levels of Z'V^-1 X inverse X'V^-1 Z, by factor."""
        removed = []
        for y, back in zip(self.solved, self.inverses, strict=True):
            left, right = (
                one.transpose(1, 0, 2).reshape(y.shape[1], -1) for one in (y @ inverse, y)
            )
            removed.append(back.T @ (left @ right.T) @ back)
        return removed

    def moved(self, inverse: np.ndarray) -> Moved | None:
        """Return how the log determinants change through the modes; None in a regression."""
        rows, solution, family = self.rows, self.solution, self.solution.family
        if rows.is_normal:
            return None
        covariance = solution.row_covariance(rows.levels, self.solved, inverse)
        v = rows.w[:, None] * family.third(rows.y, solution.eta, covariance)
        value = 0.5 * float((v * solution.late).sum())
        pulled = self._pull(v)
        on_mean = 0.5 * ((v.T @ rows.X).ravel() - self._against(pulled))
        on_factors = []
        for one, u, back in zip(pulled, solution.u, self.inverses, strict=True):
            crossed = back.T @ (one.T @ u) @ back
            on_factors.append(0.25 * (crossed + crossed.T))
        on_family = []
        for change in self._family_changes:
            direct = 0.5 * float((rows.w * (change.curvature * covariance).sum((1, 2))).sum())
            score = rows.on_levels(rows.w[:, None] * change.score)
            each = zip(score, solution.roots, pulled, strict=True)
            through = 0.5 * sum(float(((s @ root) * one).sum()) for s, root, one in each)
            on_family.append(direct + through)
        return Moved(value, on_mean, on_factors, np.array(on_family))

    def _pull(self, v: np.ndarray) -> list[np.ndarray]:
        """Return M^-1 Lambda'Z'v (L_f, K_f) of rows v (n, j), by factor."""
        each = zip(self.rows.on_levels(v), self.solution.roots, strict=True)
        solved = self.solution.system.solve([(one @ root)[..., None] for one, root in each])
        return [one[..., 0] for one in solved]

    def _against(self, pulled: list[np.ndarray]) -> np.ndarray:
        """Return X'WZ Lambda v (j q,) of effects v."""
        each = zip(self.solution.across, pulled, strict=True)
        return np.asarray(sum(np.einsum("lkc,lk->c", a, one) for a, one in each))

    @cached_property
    def _family_changes(self) -> list[_Change]:
        """Return derivatives of the likelihood in each of its parameters."""
        family, y = self.solution.family, self.rows.y
        eta = self.solution.eta + self.solution.late
        at, changes = family.parameters, []
        for step in _STEP * np.eye(len(at)):
            above, below = family.at(at + step), family.at(at - step)
            now, up, down = (one.log(y, eta) for one in (family, above, below))
            changes.append(
                _Change(
                    (up - down) / (2 * _STEP),
                    (above.score(y, eta) - below.score(y, eta)) / (2 * _STEP),
                    (above.curvature(y, eta) - below.curvature(y, eta)) / (2 * _STEP),
                    (up - 2 * now + down) / _STEP**2,
                )
            )
        return changes

    def on_family(self) -> np.ndarray:
        """Return derivatives of the joint log likelihood in the parameters of the likelihood."""
        return np.array([float(self.rows.w @ one.log) for one in self._family_changes])

    def curvature(self, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return second derivatives in the parameters of the covariances, and in these and m.

        They are the average information: with changes V' and V'' of the covariance V of the targets
        in two parameters, (V'V^-1 r)' P (V''V^-1 r) / 2 (Gilmour et al., 1995). That is far from
        the Hessian where correlations are estimated. With those of one factor, they are
        r'V^-1 V'V^-1 V''V^-1 r - tr(V^-1 V'V^-1 V'') / 2; if factors crossed, the trace would be a
        sum over pairs of levels. The parameters of the likelihood come last.
        """
        rows, solution, n = self.rows, self.solution, sum(len(part) for part in self.parameters)
        moves = self._moves()
        if isinstance(solution.family, Normal):
            # The change of V in log sigma is 2 sigma^2 I.
            right, sign = [2 * u[..., None] for u in solution.u], 1.0
            on_x = 2 * solution.score[:, None]
            direct = np.array([[4 * solution.square]])
        else:
            changes, sign = self._family_changes, -1.0
            along = [rows.w[:, None] * one.score for one in changes]
            direct = np.diag([-float(rows.w @ one.second) for one in changes])
            on_x = np.reshape([(one.T @ rows.X).ravel() for one in along], (-1, len(inverse))).T
            scores = [np.stack(of, 2) for of in zip(*map(rows.on_levels, along), strict=True)]
            scores = scores or [np.zeros((*u.shape, 0)) for u in solution.u]
            right = [root.T @ one for one, root in zip(scores, solution.roots, strict=True)]
        each = zip(moves, right, solution.across, strict=True)
        half = solution.system.half([np.concatenate(parts, 2) for parts in each])
        ends = n, n + right[0].shape[2]
        own, crossed, mixed, on_family, against, _ = (
            part
            for k, row in enumerate(np.split(half.T @ half, ends))
            for part in np.split(row, ends, axis=1)[k:]
        )
        moved = flat(moves)
        crossed, against = sign * crossed, sign * (on_x - against.T)
        own = np.block([[moved.T @ moved - own, crossed], [crossed.T, direct - on_family]])
        mixed = np.hstack([mixed.T, against])
        n = n + 1 if rows.is_normal else n
        if self.is_exact:
            own[:n, :n] -= 0.5 * self._traces()
        else:
            own[:n, :n] = 0.5 * (own + mixed.T @ inverse @ mixed)[:n, :n]
        return own, mixed

    def _traces(self) -> np.ndarray:
        """Return tr(V^-1 V'V^-1 V'') of one factor, with those in log sigma of a regression."""
        shape, parameters = self.shapes[0], self.parameters[0]
        a, b = (self.inverses[0] @ one for one in shape.sides(parameters))
        within = self.solution.system.diagonal(0)
        n_levels, width = within.shape[:2]
        traces = np.zeros((shape.n_parameters, shape.n_parameters))
        n_parts = 1 + n_levels * len(traces) ** 2 // _MOST
        for part in np.array_split(np.eye(width) - within, n_parts):
            on_a, on_b = part @ a, part @ b
            mixed = a.T @ on_b
            traces += 2 * ((a.T @ on_a) * (b.T @ on_b) + mixed * mixed.swapaxes(1, 2)).sum(0)
        if not self.rows.is_normal:
            return traces
        squares = (within @ within).sum(0)
        on_noise = 4 * (a * ((within.sum(0) - squares) @ b)).sum(0)
        n_free = self.n_rows - n_levels * width + np.trace(squares)
        return np.block([[traces, on_noise[:, None]], [on_noise, np.array([[4 * n_free]])]])

    def _moves(self) -> list[np.ndarray]:
        """Return Lambda^-1 S' Z'V^-1 (y - X m) (L_f, K_f, p) for each parameter, by factor."""
        n, start, moves = sum(len(part) for part in self.parameters), 0, []
        each = zip(self.shapes, self.parameters, self.solution.u, self.inverses, strict=True)
        for shape, parameters, u, back in each:
            a, b = shape.sides(parameters)
            scores, n_own = u @ back, len(parameters)
            moves.append(np.zeros((*u.shape, n)))
            moves[-1][:, :, start : start + n_own] = (back @ a) * (scores @ b)[:, None]
            moves[-1][:, :, start : start + n_own] += (back @ b) * (scores @ a)[:, None]
            start += n_own
        return moves


class _Change(NamedTuple):
    """Derivatives of the log likelihood of rows in a parameter; the last one is the second."""

    log: np.ndarray
    score: np.ndarray
    curvature: np.ndarray
    second: np.ndarray
