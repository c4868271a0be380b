"""Effects of levels, given rows: moments of linear predictors, and predictions.

Notation as in `_model`.

References: Opper and Archambeau (2009), The variational Gaussian approximation revisited.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag

from skmeta._mixed._families import Family, Normal
from skmeta._mixed._modes import FactorRows, RowsOfLevels

# Values of one array, to bound the memory.
_MAX_VALUES = 2**20
# The change of a linear predictor that ends Newton's method, and steps from Laplace's approximation
# to the normal distribution that is closest to that of the effects of the groups of one column.
_TOLERANCE, _N_STEPS = 1e-5, 2


class Prior(NamedTuple):
    """What effects and fixed coefficients are before rows are given."""

    family: Family
    mean: np.ndarray  # fixed coefficients m (j, q)
    mean_prior: np.ndarray  # precision (j q,) of their prior
    columns: tuple[np.ndarray, ...]  # by factor, those whose coefficients differ
    covariances: tuple[np.ndarray, ...]  # S_f (j, q_f, q_f)


class Prediction(NamedTuple):
    """Means (n,) and standard deviations (n,) of targets, or probabilities (n, c) and zeros."""

    mean: np.ndarray
    std: np.ndarray


def sorted_rows(
    X: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    codes: np.ndarray,
    columns: tuple[np.ndarray, ...],
    family: Family,
    offset: np.ndarray | None = None,
) -> tuple[list[int], FactorRows]:
    """Return the factors by descending number of levels, and the rows, sorted by the first."""
    sizes = [int(column.max(initial=0)) + 1 for column in codes.T]
    order = sorted(range(len(sizes)), key=lambda f: -sizes[f])
    used = [columns[f] for f in order]
    at = np.argsort(codes[:, order[0]], kind="stable")
    parts = codes[at][:, order], [sizes[f] for f in order], used, family
    offset = None if offset is None else offset[at]
    return order, FactorRows(X[at], y[at], w[at], *parts, offset)


class Conditioned:
    """Effects of levels, given rows (n, q); a regression's fixed coefficients follow them, too."""

    def __init__(
        self,
        prior: Prior,
        X: np.ndarray,
        y: np.ndarray,
        w: np.ndarray,
        codes: np.ndarray,
        offset: np.ndarray | None = None,
        *,
        mean_covariance: np.ndarray | None = None,
        n_steps: int = 0,
    ) -> None:
        if not len(X):
            # One row that counts for nothing, of no level.
            X, w, offset = np.zeros((1, X.shape[1])), np.zeros(1), None
            y, codes = np.zeros(1, y.dtype), np.full((1, codes.shape[1]), -1)
        self.prior, family, mean = prior, prior.family, prior.mean.ravel()
        self.order, rows = sorted_rows(X, y, w, codes, prior.columns, family, offset)
        rows.tolerance, self.sizes = _TOLERANCE, rows.pattern.sizes
        roots = [np.asarray(block_diag(*map(_root, prior.covariances[f]))) for f in self.order]
        solution = rows.solve(mean, roots, family.parameters)
        if n_steps and not family.is_quadratic:
            solution = rows.average(solution, n_steps)
        self._solved, precision = solution.system.solve(solution.across), np.diag(prior.mean_prior)
        if mean_covariance is None:
            mean_covariance = np.linalg.inv(solution.whole(self._solved) + precision)
        self.mean_covariance = mean_covariance
        if family.is_quadratic:
            step = mean_covariance @ (solution.score - precision @ mean)
            u = [one - y @ step for one, y in zip(solution.u, self._solved, strict=True)]
            mean, solution = mean + step, solution._replace(u=u)
        self.mean = mean.reshape(prior.mean.shape)
        self._solution = solution._replace(eta=solution.eta[:0], late=solution.late[:0])

    @property
    def effects(self) -> list[np.ndarray]:
        """Effects (L_f, j, q_f) of the levels of each factor: their conditional means."""
        solution, j = self._solution, len(self.mean)
        each = [u @ root.T for u, root in zip(solution.u, solution.roots, strict=True)]
        return [
            each[self.order.index(f)].reshape(-1, j, len(self.prior.columns[f]))
            for f in range(len(each))
        ]

    def effect_std(self, f: int) -> np.ndarray:
        """Return conditional standard deviations (L_f, j, q_f) of the effects of a factor."""
        solution, at, j = self._solution, self.order.index(f), len(self.mean)
        root = solution.roots[at]
        half = root @ self._solved[at]
        variance = ((root @ solution.system.diagonal(at)) * root).sum(2)
        variance = variance + ((half @ self.mean_covariance) * half).sum(2)
        return np.asarray(np.sqrt(variance)).reshape(len(half), j, -1)

    def moments(self, X: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means (m, j) and covariances (m, j, j) of linear predictors; level -1 is new."""
        j = len(self.mean)
        eta, covariance = np.empty((len(X), j)), np.empty((len(X), j, j))
        step = max(1, _MAX_VALUES // (j * j * X.shape[1]))
        for start in range(0, len(X), step):
            part = slice(start, start + step)
            eta[part], covariance[part] = self._moments(X[part], codes[part])
        return eta, covariance

    def _moments(self, X: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        solution, given, j = self._solution, codes[:, self.order], len(self.mean)
        known = (given >= 0) & (given < self.sizes)
        columns = [self.prior.columns[f] for f in self.order]
        rows = RowsOfLevels(X, np.where(known, given, -1), columns)
        eta, between = X @ self.mean.T, np.zeros((len(X), j, j))
        for at, f in enumerate(self.order):
            new, covariance = np.flatnonzero(~known[:, at]), self.prior.covariances[f]
            own = X[np.ix_(new, columns[at])]
            spread = np.einsum("nq,jqp,np->nj", own, covariance, own, optimize=True)
            between[new] += spread[:, :, None] * np.eye(j)
            b = (solution.u[at] @ solution.roots[at].T).reshape(self.sizes[at], j, -1)
            eta += (b[rows.codes[:, at]] * rows.z[at][:, None]).sum(2)
        return eta, between + solution.row_covariance(rows, self._solved, self.mean_covariance)

    def predict(self, X: np.ndarray, codes: np.ndarray) -> Prediction:
        """Predict rows (m, q) with levels (m, F); -1 is a new one."""
        return _predict(self.prior.family, *self.moments(X, codes))


class ConditionedGroups(NamedTuple):
    """Known rows (n, q) of the groups of one column, each apart from the others.

    Coefficients of a group are drawn from N(m, S), where S has the covariance of the estimate of m,
    too. Groups are conditioned on their rows when they are asked for.
    """

    family: Family
    mean: np.ndarray  # m (j, q)
    covariance: np.ndarray  # S (j, q, q)
    X: np.ndarray
    y: np.ndarray
    w: np.ndarray
    codes: np.ndarray  # (n,), or (n, 1)
    offset: np.ndarray | None = None

    def _parts(self, codes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, Conditioned]]:
        """Yield positions of rows (m,) of groups, their levels, and these groups, in parts."""
        j, q = self.mean.shape
        columns, nothing = (np.arange(q),), np.zeros(j * q)
        prior = Prior(self.family, self.mean, nothing, columns, (self.covariance,))
        own = self.codes.ravel()
        groups, level = np.unique(codes.ravel(), return_inverse=True)
        step = max(1, _MAX_VALUES // (j * q) ** 2)
        for first in range(0, len(groups), step):
            part = groups[first : first + step]
            known = np.flatnonzero(np.isin(own, part))
            given = np.searchsorted(part, own[known, None])
            offset = None if self.offset is None else self.offset[known]
            rows = self.X[known], self.y[known], self.w[known], given, offset
            asked = np.flatnonzero((level >= first) & (level < first + step))
            yield (
                asked,
                level[asked, None] - first,
                Conditioned(prior, *rows, mean_covariance=np.diag(nothing), n_steps=_N_STEPS),
            )

    def moments(self, X: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means (m, j) and covariances (m, j, j) of the linear predictors of rows (m, q)."""
        j = len(self.mean)
        eta, covariance = np.empty((len(X), j)), np.empty((len(X), j, j))
        for asked, levels, given in self._parts(codes):
            eta[asked], covariance[asked] = given.moments(X[asked], levels)
        return eta, covariance

    def predict(self, X: np.ndarray, codes: np.ndarray) -> Prediction:
        """Predict rows (m, q) of groups (m,); those of groups without rows from the prior."""
        return _predict(self.family, *self.moments(X, codes))


def _predict(family: Family, eta: np.ndarray, covariance: np.ndarray) -> Prediction:
    if isinstance(family, Normal):
        return Prediction(eta[:, 0], np.sqrt(covariance[:, 0, 0] + family.noise**2))
    return Prediction(family.averaged(eta, covariance), np.zeros(len(eta)))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return a square root (q, q) of a covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
