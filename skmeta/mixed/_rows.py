"""Effects of groups integrated out of the likelihood of rows, for one factor or several.

Notation as in `_evidence`. :class:`OneFactor` computes each group on its own, in batches;
:class:`SeveralFactors` solves the equations of `_sparse`. With u = Lambda^-1 b, and Y = M^-1
Lambda'Z'WX, blocks of Z'V^-1 (Z, X, y - X m) are Lambda^-T (I - M^-1) Lambda^-1, Lambda^-T Y and
Lambda^-T u.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._families import Family, Normal
from skmeta.mixed._likelihood import (
    ClassRows,
    Mode,
    RowSums,
    find_mode,
    gaussian_mode,
    third_derivatives,
    transposed,
)
from skmeta.mixed._sparse import Blocks, Pattern, System, sums

# Newton's method for the modes of groups stops at a step of this size. What the last step changes
# is added to first order, so the error is its square.
_TOLERANCE = 1e-3
# A mode is not found if the last step is larger.
LAST_STEP = 0.1
# The same for several factors, where nothing is added; its number of steps, and of halvings.
_PRECISE, _MOST_STEPS, _MOST_HALVINGS = 1e-7, 50, 12
# Step of differences in the parameters of a likelihood.
_STEP = 1e-4


class Moved(NamedTuple):
    """How the log determinants change through the modes.

    Attributes
    ----------
    value : float
        What the last Newton step changes.
    on_mean : ndarray of shape (j q,)
        Derivatives in m.
    on_factors : list of ndarray
        Derivatives in S of each factor.
    on_family : ndarray
        Derivatives in the parameters of the likelihood.
    """

    value: float
    on_mean: np.ndarray
    on_factors: list[np.ndarray]
    on_family: np.ndarray


# ------------------------------------------------------------------------------------ one factor


class OneFactor:
    """Rows of the groups of one factor; all coefficients may differ between groups.

    Scores and weights at the last parameters are kept: the next modes of classes are predicted from
    them.

    Parameters
    ----------
    batches : list of RowSums or of ClassRows
        Rows of the groups.
    """

    def __init__(self, batches: list[RowSums] | list[ClassRows]) -> None:
        self.batches: list[Any] = list(batches)
        self.tolerance = _TOLERANCE
        self.is_normal = isinstance(batches[0], RowSums)
        # Decrease of minus the log likelihood that ends the optimisation.
        self.precise = 1e-5 if self.is_normal else 1e-3
        self._last: list[tuple[np.ndarray, ...]] | None = None

    @property
    def family_start(self) -> np.ndarray:
        """Start of the parameters of the likelihood: the logarithm of the noise."""
        return Normal().parameters if self.is_normal else np.zeros(0)

    def mean_start(self, n_predictors: int) -> np.ndarray:
        """Return intercepts (j,) that give each class its share of the rows."""
        if self.is_normal:
            return np.zeros(1)
        counts = np.sum([(rows.w[..., None] * rows.p).sum((0, 1)) for rows in self.batches], 0)
        share = np.log((counts + 0.5) / (counts + 0.5).sum())
        return np.asarray(share[1:] - share[0] if n_predictors == 1 else share - share.mean())

    def integrate(
        self, mean: np.ndarray, shapes: list[CovarianceShape], parts: list[np.ndarray],
        on_family: np.ndarray,
    ) -> _OneIntegrated:
        """Integrate the effects out, at m and the parameters of the covariance."""
        factor = shapes[0].root(parts[0])
        modes = self._modes(mean, factor, on_family)
        marginals = [_marginal(mode, factor) for mode in modes]
        if all(mode.largest < LAST_STEP for mode in modes):
            both = zip(modes, marginals, strict=True)
            self._last = [(mean, factor, mode.score, part.weights) for mode, part in both]
        return _OneIntegrated(self, shapes[0], parts[0], factor, modes, marginals)

    def effects(
        self, mean: np.ndarray, shapes: list[CovarianceShape], parts: list[np.ndarray],
        on_family: np.ndarray,
    ) -> list[np.ndarray]:
        """Return the effects (G, j, q) of the groups, in the order of the batches."""
        shape, factor = shapes[0], shapes[0].root(parts[0])
        modes = self._modes(mean, factor, on_family)
        effects = np.concatenate([mode.u @ factor.T for mode in modes])
        return [effects.reshape(-1, shape.n_predictors, len(shape.varies))]

    def _modes(self, mean: np.ndarray, factor: np.ndarray, on_family: np.ndarray) -> list[Mode]:
        if self.is_normal:
            noise = np.exp(on_family[0])
            return [gaussian_mode(rows, mean, factor, noise) for rows in self.batches]
        modes = []
        for k, rows in enumerate(self.batches):
            u = np.zeros((len(rows.z), factor.shape[1]))
            if self._last is not None:
                # To first order, scores change by -W (dm + dS s).
                last_mean, last_factor, score, weights = self._last[k]
                moved = (score @ factor) @ factor.T - (score @ last_factor) @ last_factor.T
                change = (weights @ (mean - last_mean + moved)[..., None])[..., 0]
                u = (score - change) @ factor
            modes.append(find_mode(rows, mean, factor, u, tolerance=self.tolerance))
        return modes


class _Marginal(NamedTuple):
    """What the likelihood with b integrated out needs."""

    weights: np.ndarray  # W (g, j q, j q)
    root_inverse: np.ndarray  # inverse of root, with M = root root'
    half: np.ndarray  # root^-1 L'
    x: np.ndarray  # root^-1 L'A
    log_det: float  # sum of log det M / 2


def _marginal(mode: Mode, factor: np.ndarray) -> _Marginal:
    root = np.linalg.cholesky(mode.precision)
    root_inverse = np.linalg.inv(root)
    half = root_inverse @ factor.T
    x = half @ mode.information
    weights = mode.information - transposed(x) @ x
    return _Marginal(weights, root_inverse, half, x, log_det(root))


def log_det(root: np.ndarray) -> float:
    """Return half the log determinants, summed, of matrices with Cholesky factors (..., k, k)."""
    return float(np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum())


class _OneIntegrated:
    """The effects of one factor, integrated out."""

    def __init__(
        self,
        rows: OneFactor,
        shape: CovarianceShape,
        parameters: np.ndarray,
        factor: np.ndarray,
        modes: list[Mode],
        marginals: list[_Marginal],
    ) -> None:
        self.rows, self.shape, self.parameters, self.factor = rows, shape, parameters, factor
        self.modes, self.marginals = modes, marginals
        self.largest = max(float(mode.largest) for mode in modes)
        self.joint = float(sum(mode.joint.sum() for mode in modes))
        self.log_det = sum(part.log_det for part in marginals)
        self.score = np.asarray(sum(mode.score.sum(0) for mode in modes))
        self.whole = np.asarray(sum(part.weights.sum(0) for part in marginals))
        self.scale = np.asarray(sum(np.diagonal(mode.information.sum(0)) for mode in modes))
        outer = sum(mode.score.T @ mode.score for mode in modes)
        self.on_factors = [np.asarray(0.5 * (self.whole - outer))]
        n_rows = rows.batches[0].n_rows.sum() if rows.is_normal else 0.0
        self.n_rows = float(n_rows)

    def along(self) -> float:
        """Return the derivative in the logarithm of a scale of all effects."""
        return float(((self.factor.T @ self.on_factors[0]).T * self.factor).sum())

    def removed(self, inverse: np.ndarray) -> list[np.ndarray]:
        """Return sums over groups of Z'V^-1 X inverse X'V^-1 Z."""
        total = np.zeros_like(self.whole)
        for part in self.marginals:
            turned = (part.weights @ inverse).transpose(1, 0, 2).reshape(len(inverse), -1)
            total += turned @ part.weights.reshape(-1, len(inverse))
        return [total]

    def moved(self, inverse: np.ndarray) -> Moved | None:
        """Return how the log determinants change through the modes; None in a regression.

        With K = I - C A and C = L M^-1 L', a change dA of the information changes the log
        determinants of M and H by tr(Q dA), where Q = C + K H^-1 K' is the covariance of m + b.
        """
        if self.rows.is_normal:
            return None
        value, on_mean, on_factor = 0.0, np.zeros(len(inverse)), np.zeros_like(inverse)
        each = zip(self.rows.batches, self.modes, self.marginals, strict=True)
        for rows, mode, part in each:
            half, x = part.half, part.x
            left = inverse - transposed(half) @ (x @ inverse)
            covariance = transposed(half) @ half + left - (left @ transposed(x)) @ half
            v = np.asarray(third_derivatives(rows, mode.proba, covariance))
            value += 0.5 * float((v * mode.late).sum())
            moved = v - (transposed(x) @ (half @ v[..., None]))[..., 0]
            on_mean += 0.5 * moved.sum(0)
            crossed = moved.T @ mode.score
            on_factor += 0.25 * (crossed + crossed.T)
        return Moved(value, on_mean, [on_factor], np.zeros(0))

    def on_family(self) -> np.ndarray:
        """Return nothing: classes have no parameters."""
        return np.zeros(0)

    def curvature(self, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return second derivatives in the parameters of the covariance, and in these and m.

        Those of the noise are part of the parameters, as expected ones.
        """
        j, q = self.shape.n_predictors, len(self.shape.varies)
        own: np.ndarray | float = 0.0
        mixed: np.ndarray | float = 0.0
        for mode, part in zip(self.modes, self.marginals, strict=True):
            one = self.shape.curvature(
                self.parameters, part.weights.reshape(-1, j, q, j, q), mode.score.reshape(-1, j, q)
            )
            own, mixed = own + one[0], mixed + one[1]
        own, mixed = np.asarray(own), np.asarray(mixed)
        if not self.rows.is_normal:
            return own, mixed
        on_noise = self._noise_curvature()
        n = len(own)
        whole = np.zeros((n + 1, n + 1))
        whole[:n, :n] = own
        whole[n, :n] = whole[:n, n] = on_noise[:n]
        whole[n, n] = on_noise[-1]
        return whole, np.column_stack([mixed, on_noise[n:-1]])

    def _noise_curvature(self) -> np.ndarray:
        """Return second derivatives in log sigma, those in S as expected: in S, m, log sigma."""
        mode, part, factor = self.modes[0], self.marginals[0], self.factor
        # M^-1 L'A, and Z'V^-2 Z sigma^2 and Z'V^-2 (y - Z m) sigma^2 summed over the groups.
        pulled = transposed(part.root_inverse) @ part.x
        along = part.weights @ factor
        twice = part.weights.sum(0) - (along @ pulled).sum(0)
        on_mean = (mode.score - (along @ mode.u[..., None])[..., 0]).sum(0)
        m_inverse = transposed(part.root_inverse) @ part.root_inverse
        n_free = self.n_rows - part.root_inverse.shape[0] * factor.shape[1]
        n_free += float((m_inverse**2).sum())
        on_shape = self.shape.gradient(self.parameters, twice[None])
        return np.concatenate([on_shape, 2 * on_mean, [2 * n_free]])


# -------------------------------------------------------------------------------- several factors


class SeveralFactors:
    """Rows of the levels of several factors, sorted by descending number of levels.

    Parameters
    ----------
    X : ndarray of shape (n, q)
        Rows with a leading 1.
    y, w : ndarray of shape (n,)
        Targets, and weights as numbers of repetitions.
    codes : ndarray of shape (n, F), int64
        Levels; -1 for none.
    sizes : list of int
        Numbers of levels.
    columns : list of ndarray of int64
        Of each factor, the columns whose coefficients differ between its levels.
    family : Family
        The likelihood.
    """

    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        w: np.ndarray,
        codes: np.ndarray,
        sizes: list[int],
        columns: list[np.ndarray],
        family: Family,
    ) -> None:
        self.X, self.y, self.w, self.family = X, y, w, family
        self.j, self.is_normal, self.precise = family.n_predictors, isinstance(family, Normal), 1e-5
        known = codes >= 0
        self.codes = np.where(known, codes, 0)
        self.z = [X[:, used] * known[:, f, None] for f, used in enumerate(columns)]
        self.pattern = Pattern(self.codes, sizes)
        self.family_start = family.parameters
        self._b = [np.zeros((size, self.j * z.shape[1])) for size, z in zip(sizes, self.z, strict=True)]
        self._gram: tuple[Blocks, list[np.ndarray], np.ndarray] | None = None
        if family.is_quadratic:
            self._gram = self._products(np.ones((len(X), 1, 1)))

    def mean_start(self, n_predictors: int) -> np.ndarray:
        """Return intercepts (j,)."""
        return self.family.start(self.y, self.w)

    def integrate(
        self, mean: np.ndarray, shapes: list[CovarianceShape], parts: list[np.ndarray],
        on_family: np.ndarray,
    ) -> _SeveralIntegrated:
        """Integrate the effects out, at m and the parameters of the covariances."""
        each = zip(shapes, parts, strict=True)
        roots = [shape.cholesky(parameters) for shape, parameters in each]
        return _SeveralIntegrated(self, shapes, parts, self.solve(mean, roots, on_family))

    def effects(
        self, mean: np.ndarray, shapes: list[CovarianceShape], parts: list[np.ndarray],
        on_family: np.ndarray,
    ) -> list[np.ndarray]:
        """Return the effects (L_f, j, q_f) of the levels of each factor."""
        each = zip(shapes, parts, strict=True)
        roots = [shape.cholesky(parameters) for shape, parameters in each]
        found = self.solve(mean, roots, on_family)
        return [
            (u @ root.T).reshape(len(u), self.j, -1)
            for u, root in zip(found.u, roots, strict=True)
        ]

    def solve(
        self, mean: np.ndarray, roots: list[np.ndarray], on_family: np.ndarray
    ) -> Solution:
        """Find the modes of the effects by Newton's method with halved steps.

        Parameters
        ----------
        mean : ndarray of shape (j q,)
            m.
        roots : list of ndarray of shape (j q_f, j q_f)
            Roots of the covariances.
        on_family : ndarray
            Parameters of the likelihood.
        """
        family, n_steps = self.family.at(on_family), 1 if self.family.is_quadratic else _MOST_STEPS
        fixed = self.X @ mean.reshape(self.j, -1).T
        u = [np.zeros_like(b) for b in self._b]
        if n_steps > 1 and all(np.diagonal(root).all() for root in roots):
            u = [np.linalg.solve(root, b.T).T for root, b in zip(roots, self._b, strict=True)]
        eta = fixed + self.predictor(u, roots)
        now, at_mean = self._joint(family, eta, u), np.zeros_like(fixed) + fixed
        if not now >= self._joint(family, at_mean, [0 * one for one in u]):
            u, eta = [0 * one for one in u], at_mean
            now = self._joint(family, eta, u)
        for _ in range(n_steps):
            system, *products = self._system(family, eta, roots)
            score = self.on_levels(self.w[:, None] * family.score(self.y, eta))
            gradient = [s @ root - one for s, root, one in zip(score, roots, u, strict=True)]
            step = [one[..., 0] for one in system.solve([g[..., None] for g in gradient])]
            change, size = self.predictor(step, roots), 1.0
            largest = float(abs(change).max(initial=0.0))
            for _ in range(_MOST_HALVINGS):
                tried = [one + size * move for one, move in zip(u, step, strict=True)]
                value = self._joint(family, eta + size * change, tried)
                if value >= now - 1e-10 * abs(now) or self.family.is_quadratic:
                    u, eta, now = tried, eta + size * change, value
                    break
                size /= 2
            else:
                break
            if largest < _PRECISE:
                break
        if not self.family.is_quadratic:
            system, *products = self._system(family, eta, roots)
        self._b = [one @ root.T for one, root in zip(u, roots, strict=True)]
        return Solution(family, roots, u, eta, now, system, *products)

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
            (f, g): sums(_outer(weights, self.z[f], self.z[g]), one.of_rows, len(one.first))
            for (f, g), one in pairs.items()
        }
        across = [
            sums(_outer(weights, z, self.X), self.codes[:, f], self.pattern.sizes[f])
            for f, z in enumerate(self.z)
        ]
        q = self.X.shape[1]
        turned = weights.transpose(1, 2, 0)
        own = np.einsum("abn,nk,nl->akbl", turned, self.X, self.X, optimize=True)
        return blocks, across, own.reshape(self.j * q, self.j * q)

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
            sums(values[:, :, None] * z[:, None], self.codes[:, f], self.pattern.sizes[f]).reshape(
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
    return whole.reshape(len(left), j * left.shape[1], j * right.shape[1])


class Solution(NamedTuple):
    """Modes of the effects of several factors.

    Attributes
    ----------
    family : Family
        The likelihood.
    roots : list of ndarray of shape (K_f, K_f)
        Lambda.
    u : list of ndarray of shape (L_f, K_f)
        Modes.
    eta : ndarray of shape (n, j)
        Linear predictors.
    joint : float
        Log likelihood plus log prior of u.
    system : System
        M.
    across : list of ndarray of shape (L_f, K_f, j q)
        Lambda'Z'WX.
    own : ndarray of shape (j q, j q)
        X'WX.
    """

    family: Family
    roots: list[np.ndarray]
    u: list[np.ndarray]
    eta: np.ndarray
    joint: float
    system: System
    across: list[np.ndarray]
    own: np.ndarray

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
        """Return covariances (n, j, j) of linear predictors, with those of m.

        Parameters
        ----------
        X : ndarray of shape (n, q)
            Rows.
        z : list of ndarray of shape (n, q_f)
            Their columns by factor; 0 for levels that are not known.
        codes : ndarray of shape (n, F), int64
            Their levels.
        solved : list of ndarray
            Y.
        inverse : ndarray of shape (j q, j q)
            Covariance of m.
        """
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


class _SeveralIntegrated:
    """The effects of several factors, integrated out."""

    largest = 0.0

    def __init__(
        self,
        rows: SeveralFactors,
        shapes: list[CovarianceShape],
        parameters: list[np.ndarray],
        found: Solution,
    ) -> None:
        self.rows, self.shapes, self.parameters, self.found = rows, shapes, parameters, found
        self.solved = found.system.solve(found.across)
        self.joint, self.log_det = found.joint, found.system.log_det
        self.n_rows = float(rows.w.sum())
        self.left = rows.w[:, None] * found.family.score(rows.y, found.eta)
        self.score = (self.left.T @ rows.X).ravel()
        self.whole, self.scale = found.whole(self.solved), np.diagonal(found.own)
        self.inverses = [
            solve_triangular(root, np.eye(len(root)), lower=True) for root in found.roots
        ]
        self.on_factors = [
            0.5 * back.T @ self._difference(f) @ back for f, back in enumerate(self.inverses)
        ]

    def _difference(self, f: int) -> np.ndarray:
        """Return the sum over levels of I - M^-1 - u u'."""
        u = self.found.u[f]
        inner = (np.eye(u.shape[1]) - self.found.system.diagonal(f)).sum(0)
        return np.asarray(inner - u.T @ u)

    def along(self) -> float:
        """Return the derivative in the logarithm of a scale of all effects."""
        return 0.5 * sum(float(np.trace(self._difference(f))) for f in range(len(self.inverses)))

    def removed(self, inverse: np.ndarray) -> list[np.ndarray]:
        """Return sums over levels of Z'V^-1 X inverse X'V^-1 Z, by factor."""
        removed = []
        for y, back in zip(self.solved, self.inverses, strict=True):
            left, right = (one.transpose(1, 0, 2).reshape(y.shape[1], -1) for one in (y @ inverse, y))
            removed.append(back.T @ (left @ right.T) @ back)
        return removed

    def moved(self, inverse: np.ndarray) -> Moved | None:
        """Return how the log determinants change through the modes; None in a regression."""
        rows, found, family = self.rows, self.found, self.found.family
        if rows.is_normal:
            return None
        covariance = found.row_covariance(rows.X, rows.z, rows.codes, self.solved, inverse)
        v = rows.w[:, None] * family.third(rows.y, found.eta, covariance)
        pulled = self._pull(v)
        on_mean = 0.5 * ((v.T @ rows.X).ravel() - self._against(pulled))
        on_factors = []
        for one, u, back in zip(pulled, found.u, self.inverses, strict=True):
            crossed = back.T @ (one.T @ u) @ back
            on_factors.append(0.25 * (crossed + crossed.T))
        on_family = []
        for change in self._family_changes():
            direct = 0.5 * float((rows.w * (change.curvature * covariance).sum((1, 2))).sum())
            score = rows.on_levels(rows.w[:, None] * change.score)
            each = zip(score, found.roots, pulled, strict=True)
            through = 0.5 * sum(float(((s @ root) * one).sum()) for s, root, one in each)
            on_family.append(direct + through)
        return Moved(0.0, on_mean, on_factors, np.array(on_family))

    def _pull(self, v: np.ndarray) -> list[np.ndarray]:
        """Return M^-1 Lambda'Z'v (L_f, K_f) of rows v (n, j), by factor."""
        each = zip(self.rows.on_levels(v), self.found.roots, strict=True)
        solved = self.found.system.solve([(one @ root)[..., None] for one, root in each])
        return [one[..., 0] for one in solved]

    def _against(self, pulled: list[np.ndarray]) -> np.ndarray:
        """Return X'WZ Lambda v (j q,) of effects v."""
        each = zip(self.found.across, pulled, strict=True)
        return np.asarray(sum(np.einsum("lkc,lk->c", a, one) for a, one in each))

    def _family_changes(self) -> list[_Change]:
        """Return derivatives of the likelihood in each of its parameters."""
        family, y, eta = self.found.family, self.rows.y, self.found.eta
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
        return np.array([float(self.rows.w @ one.log) for one in self._family_changes()])

    def curvature(self, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return second derivatives in the parameters of the covariances, and in these and m.

        Those of a restricted likelihood are the average information: with a change V' of the
        covariance V of the targets, (V'V^-1 r)' P (V'V^-1 r) / 2 (Gilmour et al., 1995). The
        parameters of the likelihood come last.
        """
        rows, found, n = self.rows, self.found, sum(len(part) for part in self.parameters)
        if rows.is_normal:
            # The change of V in log sigma is 2 sigma^2 I.
            along, sign = [2 * self.left], 1.0
            direct = 2 * found.family.noise**2 * float((along[0] * self.left / rows.w[:, None]).sum())
            direct = np.array([[direct]])
        else:
            changes, sign = self._family_changes(), -1.0
            along = [rows.w[:, None] * one.score for one in changes]
            direct = np.diag([-float(rows.w @ one.second) for one in changes])
        moves = self._moves()
        scores = [np.stack(of, 2) for of in zip(*map(rows.on_levels, along), strict=True)]
        scores = scores or [np.zeros((*u.shape, 0)) for u in found.u]
        each = zip(scores, found.roots, strict=True)
        right = [root.T @ one for one, root in each]
        both = [np.concatenate(pair, 2) for pair in zip(moves, right, strict=True)]
        solved = found.system.solve(both)
        moved, pulled = _flat(moves), _flat([one[:, :, n:] for one in solved])
        crossed = sign * moved.T @ pulled
        own = moved.T @ (moved - _flat([one[:, :, :n] for one in solved]))
        on_family = direct - _flat(right).T @ pulled
        own = np.block([[own, crossed], [crossed.T, on_family]])
        mixed = [_flat(self.solved).T @ moved]
        against = _flat(found.across).T @ pulled
        mixed += [sign * ((one.T @ rows.X).ravel()[:, None] - against[:, [k]]) for k, one in enumerate(along)]
        mixed = np.hstack(mixed)
        n = n + len(along) if rows.is_normal else n
        own[:n, :n] = 0.5 * (own + mixed.T @ inverse @ mixed)[:n, :n]
        return own, mixed

    def _moves(self) -> list[np.ndarray]:
        """Return Lambda^-1 S' Z'V^-1 (y - X m) (L_f, K_f, p) for each parameter, by factor."""
        n, start, moves = sum(len(part) for part in self.parameters), 0, []
        each = zip(self.shapes, self.parameters, self.found.u, self.inverses, strict=True)
        for shape, parameters, u, back in each:
            scores = (u @ back).reshape(len(u), shape.n_predictors, -1)
            moves.append(np.zeros((*u.shape, n)))
            moves[-1][:, :, start : start + len(parameters)] = back @ shape.moves(parameters, scores)
            start += len(parameters)
        return moves


def _flat(blocks: list[np.ndarray]) -> np.ndarray:
    """Return the rows (width, c) of blocks (L_f, K_f, c)."""
    return np.concatenate([one.reshape(len(one) * one.shape[1], one.shape[2]) for one in blocks])


class _Change(NamedTuple):
    """Derivatives of the log likelihood of rows in a parameter; the last one is the second."""

    log: np.ndarray
    score: np.ndarray
    curvature: np.ndarray
    second: np.ndarray


def _rows_of_factor(z: np.ndarray, root: np.ndarray, j: int) -> np.ndarray:
    """Return rows (n, j, K_f) of Z Lambda of their levels."""
    each = root.reshape(j, z.shape[1], -1)
    return np.einsum("nq,jqk->njk", z, each)
