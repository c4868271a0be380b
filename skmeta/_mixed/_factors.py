"""Mixed-effects models with several grouping factors, nested or crossed.

Notation: n rows, q fixed coefficients (the first is the intercept), F factors, j linear predictors.
X (n, q) are rows with a leading 1 and standardised columns. ``codes`` (n, F) are the levels of each
row; -1 is a level that is not known: its effects are 0, with their covariance over levels. Levels
of a factor that is nested in another one are numbered throughout, not within. Coefficients of some
columns differ between the levels of factor f by effects that are drawn from N(0, S_f).

References: Bates, Maechler, Bolker and Walker (2015), Fitting linear mixed-effects models using
lme4; Breslow and Clayton (1993), Approximate inference in generalized linear mixed models.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg import block_diag

from skmeta._mixed._covariance import LOG_SCALE_BOUNDS, RATE_AND_START, CovarianceShape
from skmeta._mixed._evidence import Evidence
from skmeta._mixed._families import Family, Normal
from skmeta._mixed._integrated import SeveralFactors

# The fit of twice as many rows, or more, starts from that of so many.
_ENOUGH_ROWS = 10_000
# Values of one array of rows, to bound the memory.
_MAX_VALUES = 2**20
# Least information on a parameter of a covariance.
_MIN_INFORMATION = 0.05
# The logarithm of a deviation is at its bound if it is no farther away.
_AT_BOUND = 1.0


@dataclass(frozen=True)
class FactorModel:
    """A fitted model, an immutable value. Another fit can start from its `parameters`."""

    family: Family
    mean: np.ndarray  # fixed coefficients (j, q)
    mean_prior: np.ndarray  # precision (j q,) of their prior
    columns: tuple[np.ndarray, ...]  # by factor, those whose coefficients differ
    covariances: tuple[np.ndarray, ...]  # S_f (j, q_f, q_f)
    shapes: tuple[CovarianceShape, ...]
    parameters: np.ndarray  # those of the covariances come first, in the order of the factors
    log_likelihood: float  # marginal, or restricted
    # Covariance (p, p) of the estimates of the covariances' parameters, then of the likelihood's;
    # 0 for those at a bound.
    uncertainty: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def noise(self) -> float:
        """Standard deviation of the noise of a regression; 1 for other targets."""
        return self.family.noise if isinstance(self.family, Normal) else 1.0

    @property
    def deviations(self) -> list[np.ndarray]:
        """Standard deviations (j, q_f) of the coefficients over the levels of each factor."""
        return [np.sqrt(np.diagonal(one, axis1=1, axis2=2)) for one in self.covariances]

    def moved(self, step: np.ndarray) -> FactorModel:
        """Return the model after a step (p,) of the parameters that `uncertainty` is of."""
        n = sum(shape.n_parameters for shape in self.shapes)
        given = self.parameters.copy()
        given[:n] += step[:n]
        ends = np.cumsum([0, *(shape.n_parameters for shape in self.shapes)])
        covariances = tuple(
            shape.covariance(given[start:end])
            for shape, start, end in zip(self.shapes, ends, ends[1:], strict=False)
        )
        family = self.family.at(self.family.parameters + step[n:])
        return replace(self, family=family, covariances=covariances, parameters=given)

    def log_likelihoods(
        self,
        steps: np.ndarray,
        X: np.ndarray,
        y: np.ndarray,
        codes: np.ndarray,
        w: np.ndarray,
        offset: np.ndarray,
    ) -> np.ndarray:
        """Return restricted log likelihoods (k,) of rows after steps (k, p), see `moved`."""
        order, rows = _sorted_rows(X, y, w, codes, list(self.columns), self.family, offset)
        evidence = Evidence(rows, [self.shapes[f] for f in order], X.shape[1], True)
        ends = np.cumsum([0, *(shape.n_parameters for shape in self.shapes)])
        parameters_by_factor = [np.arange(ends[f], ends[f + 1]) for f in order]
        places = np.concatenate([*parameters_by_factor, np.arange(ends[-1], len(self.parameters))])
        each = [self.moved(step).parameters[places] for step in steps]
        return np.array([evidence.log_likelihood(at) for at in each])

    def condition(
        self,
        X: np.ndarray,
        y: np.ndarray,
        codes: np.ndarray,
        w: np.ndarray | None = None,
        mean_covariance: np.ndarray | None = None,
        offset: np.ndarray | None = None,
    ) -> ConditionedFactors:
        """Return the effects given rows, whose levels may be new; estimates stay as they are.

        `mean_covariance` (j q, j q), of the fixed coefficients, is needed if other rows estimated
        them.
        """
        w = np.ones(len(X)) if w is None else w
        return ConditionedFactors(self, X, y, w, codes, mean_covariance, offset)


def fit_factors(
    X: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    family: Family | None = None,
    *,
    columns: list[np.ndarray] | None = None,
    w: np.ndarray | None = None,
    rank: int = 0,
    shrinkage: float = 0.0,
    is_restricted: bool = True,
    tolerance: float = 1e-5,
    start: FactorModel | None = None,
    offset: np.ndarray | None = None,
) -> FactorModel:
    """Estimate a mixed-effects model by its marginal likelihood.

    Targets (n,) are standardised, class positions or counts, weights (n,) numbers of repetitions.
    `columns` are, by factor, those whose coefficients differ: by default the intercepts. With
    `is_restricted`, the fixed coefficients are integrated out. `start` has the same columns and
    factors. An `offset` (n,) is added to the linear predictors of the rows.
    """
    family = Normal() if family is None else family
    columns = [np.array([0])] * codes.shape[1] if columns is None else columns
    rate, first = RATE_AND_START[not isinstance(family, Normal)]
    shapes = [
        CovarianceShape(
            np.ones(len(used), bool),
            family.n_predictors,
            min(rank, len(used)) if len(used) > 1 else 0,
            shrinkage * rate,
            first,
        )
        for used in columns
    ]
    w, is_coarse = np.ones(len(X)) if w is None else w, start is not None
    if start is None and len(X) >= 2 * _ENOUGH_ROWS:
        sampled = _some_levels(codes, _ENOUGH_ROWS)
        own_codes = np.column_stack([_renumbered(column) for column in codes[sampled].T])
        start = fit_factors(
            *(X[sampled], y[sampled], own_codes, family),
            columns=columns,
            w=w[sampled],
            rank=rank,
            shrinkage=shrinkage,
            is_restricted=is_restricted,
            tolerance=tolerance,
            offset=None if offset is None else offset[sampled],
        )
    order, rows = _sorted_rows(X, y, w, codes, columns, family, offset)
    own, rows.precise = [shapes[f] for f in order], tolerance
    evidence = Evidence(rows, own, X.shape[1], is_restricted)
    # The factors of the start may have another order.
    ends = np.cumsum([0, *(shape.n_parameters for shape in shapes)])
    places = np.concatenate([np.arange(ends[f], ends[f + 1]) for f in order])
    at = evidence.start()
    if start is not None:
        at = np.concatenate([start.parameters[places], start.parameters[ends[-1] :]])
    at = evidence.maximise(at, coarse=is_coarse)
    parts, given = evidence.split(at), at.copy()
    given[places] = at[: ends[-1]]
    covariances: list[np.ndarray] = [np.zeros(0)] * len(order)
    for place, f in enumerate(order):
        covariances[f] = own[place].covariance(parts[place])
    return FactorModel(
        family.at(at[evidence.family]),
        evidence.mean(at),
        evidence.precision(at),
        tuple(columns),
        tuple(covariances),
        tuple(shapes),
        given,
        evidence.log_likelihood(at),
        _uncertainty(evidence, at, np.r_[np.argsort(places), np.r_[: len(at)][evidence.family]]),
    )


def _uncertainty(evidence: Evidence, at: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the covariance of the estimates of parameters at these places; 0 at a bound."""
    curvature = evidence.evaluate(at).curvature()[np.ix_(places, places)]
    free = np.flatnonzero(at[places] > LOG_SCALE_BOUNDS[0] + _AT_BOUND)
    values, vectors = np.linalg.eigh(curvature[np.ix_(free, free)])
    whole = np.zeros_like(curvature)
    whole[np.ix_(free, free)] = (vectors / np.maximum(values, _MIN_INFORMATION)) @ vectors.T
    return np.asarray(whole)


def _some_levels(codes: np.ndarray, n_rows: int) -> np.ndarray:
    """Return about so many rows: those of levels, evenly spaced, of the factor with the most."""
    column = codes[:, int(codes.max(0).argmax())]
    n_levels = int(column.max()) + 1
    n_kept = max(n_levels * n_rows // len(codes), 2)
    kept = np.linspace(0, n_levels - 1, n_kept).round().astype(int)
    return np.flatnonzero(np.isin(column, kept))


def _renumbered(column: np.ndarray) -> np.ndarray:
    """Return levels (n,) numbered from 0 on without gaps; -1 stays."""
    known, codes = column >= 0, np.full(len(column), -1)
    codes[known] = np.unique(column[known], return_inverse=True)[1]
    return codes


def _sorted_rows(
    X: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    codes: np.ndarray,
    columns: list[np.ndarray],
    family: Family,
    offset: np.ndarray | None = None,
) -> tuple[list[int], SeveralFactors]:
    """Return the factors by descending number of levels, and the rows with factors so sorted."""
    sizes = [int(column.max(initial=0)) + 1 for column in codes.T]
    order = sorted(range(len(sizes)), key=lambda f: -sizes[f])
    used = [columns[f] for f in order]
    parts = codes[:, order], [sizes[f] for f in order], used, family
    return order, SeveralFactors(X, y, w, *parts, offset)


class ConditionedFactors:
    """Effects of levels, given rows (n, q); a regression's fixed coefficients follow them, too."""

    def __init__(
        self,
        model: FactorModel,
        X: np.ndarray,
        y: np.ndarray,
        w: np.ndarray,
        codes: np.ndarray,
        mean_covariance: np.ndarray | None = None,
        offset: np.ndarray | None = None,
    ) -> None:
        if not len(X):
            # One row that counts for nothing, of no level.
            X, w, offset = np.zeros((1, X.shape[1])), np.zeros(1), None
            y, codes = np.zeros(1, y.dtype), np.full((1, codes.shape[1]), -1)
        self.model = model
        parts = list(model.columns), model.family, offset
        self.order, rows = _sorted_rows(X, y, w, codes, *parts)
        self.sizes, mean = rows.pattern.sizes, model.mean.ravel()
        roots = [np.asarray(block_diag(*map(_root, model.covariances[f]))) for f in self.order]
        solution = rows.solve(mean, roots, model.family.parameters)
        self._solved, prior = solution.system.solve(solution.across), np.diag(model.mean_prior)
        if mean_covariance is None:
            mean_covariance = np.linalg.inv(solution.whole(self._solved) + prior)
        self._inverse = self.mean_covariance = mean_covariance
        if model.family.is_quadratic:
            left = rows.w[:, None] * solution.family.score(rows.y, solution.eta)
            step = self._inverse @ ((left.T @ rows.X).ravel() - prior @ mean)
            u = [one - y @ step for one, y in zip(solution.u, self._solved, strict=True)]
            mean, solution = mean + step, solution._replace(u=u)
        self.mean = mean.reshape(model.mean.shape)
        self._solution = solution._replace(eta=solution.eta[:1])

    @property
    def effects(self) -> list[np.ndarray]:
        """Effects (L_f, j, q_f) of the levels of each factor: their conditional means."""
        solution, j = self._solution, len(self.mean)
        each = [u @ root.T for u, root in zip(solution.u, solution.roots, strict=True)]
        return [
            each[self.order.index(f)].reshape(-1, j, len(self.model.columns[f]))
            for f in range(len(each))
        ]

    def effect_std(self, f: int) -> np.ndarray:
        """Return conditional standard deviations (L_f, j, q_f) of the effects of a factor."""
        solution, at, j = self._solution, self.order.index(f), len(self.mean)
        root = solution.roots[at]
        half = root @ self._solved[at]
        variance = ((root @ solution.system.diagonal(at)) * root).sum(2)
        variance = variance + ((half @ self._inverse) * half).sum(2)
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
        given = np.where(known, given, 0)
        z, eta, between = [], X @ self.mean.T, np.zeros((len(X), j, j))
        for at, f in enumerate(self.order):
            own = X[:, self.model.columns[f]]
            new, covariance = np.flatnonzero(~known[:, at]), self.model.covariances[f]
            spread = np.einsum("nq,jqp,np->nj", own[new], covariance, own[new])
            between[new] += spread[:, :, None] * np.eye(j)
            z.append(own * known[:, [at]])
            b = (solution.u[at] @ solution.roots[at].T).reshape(self.sizes[at], j, -1)
            eta += (b[given[:, at]] * z[-1][:, None]).sum(2)
        parts = X, z, given, self._solved, self._inverse
        return eta, between + solution.row_covariance(*parts)

    def predict(self, X: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means (m,) and standard deviations (m,) of targets, or probabilities and zeros."""
        eta, covariance = self.moments(X, codes)
        family = self.model.family
        if isinstance(family, Normal):
            return eta[:, 0], np.sqrt(covariance[:, 0, 0] + family.noise**2)
        return family.averaged(eta, covariance), np.zeros(len(X))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return a square root (q, q) of a covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
