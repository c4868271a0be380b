"""A mixed-effects model with one or several grouping factors, nested or crossed.

Notation: n rows, q fixed coefficients (the first is the intercept), F factors, j linear predictors
(one of a regression, of counts, of ordered or of two classes, else one for each class). X (n, q)
are rows with a leading 1 and standardised columns. ``codes`` (n, F) are the levels of each row; -1
is a level that is not known: its effects are 0, with their covariance over levels. Levels of a
factor that is nested in another one are numbered throughout, not within. Fixed coefficients are m.
Coefficients of some columns differ between the levels of factor f by effects that are drawn from
N(0, S_f). Of two classes, the linear predictor is the logit of the second.

References: Laird and Ware (1982), Random-effects models for longitudinal data; Breslow and Clayton
(1993), Approximate inference in generalized linear mixed models; Bates, Maechler, Bolker and Walker
(2015), Fitting linear mixed-effects models using lme4.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from skmeta._mixed._conditioned import Conditioned, ConditionedGroups, Prior, sorted_rows
from skmeta._mixed._covariance import LOG_SCALE_BOUNDS, RATE_AND_START, CovarianceShape
from skmeta._mixed._evidence import Evidence
from skmeta._mixed._families import Family, Normal

EFFECTS = ("auto", "intercept", "slopes", "correlated")
# A column is constant within groups if less than this share of its variance is within groups.
_CONSTANT = 1e-8
# Added to the diagonal of a covariance before its Cholesky factor is computed.
_JITTER = 1e-10
# The fit of twice as many rows, or more, starts from that of so many, or, of one factor, of so many
# groups.
_ENOUGH_ROWS, _ENOUGH_GROUPS = 10_000, 400
# Of one factor, the covariance is estimated from this many groups at most, and the mean of a
# regression from this many times as many.
_MAX_GROUPS, _TIMES_FOR_MEAN = 5_000, 10
# Decrease of minus the log likelihood that ends a fit, by whether it has to be exact: that of a
# regression does, but for one with slopes of several factors.
_TOLERANCES = {True: 1e-5, False: 1e-3}
# Slopes differ between levels of several factors if there are no more effects than this of all but
# the largest, and no more products of columns than that of all rows.
_MAX_EFFECTS, _MAX_VALUES = 1500, 2**24
# Least information on a parameter of a covariance.
_MIN_INFORMATION = 0.05
# The logarithm of a deviation is at its bound if it is no farther away.
_AT_BOUND = 1.0


@dataclass(frozen=True)
class MixedModel:
    """A fitted model, an immutable value. Another fit can start from its `parameters`."""

    family: Family
    mean: np.ndarray  # m (j, q)
    mean_covariance: np.ndarray  # of the estimate of m (j q, j q)
    mean_prior: np.ndarray  # precision (j q,) of the prior of m
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

    @property
    def covariance(self) -> np.ndarray:
        """Covariance (j, q, q) of all coefficients over the levels of the first factor."""
        whole = np.zeros((*self.mean.shape, self.mean.shape[1]))
        used = self.columns[0]
        whole[:, used[:, None], used] = self.covariances[0]
        return whole

    @property
    def mean_covariances(self) -> np.ndarray:
        """Covariances (j, q, q) of the estimate of m, of each predictor."""
        j, q = self.mean.shape
        each = np.arange(j)
        return np.asarray(self.mean_covariance.reshape(j, q, j, q)[each, :, each])

    @property
    def factor(self) -> np.ndarray:
        """Cholesky factors (j, q, q) of the covariance of coefficients, with that of m."""
        whole = self.covariance + self.mean_covariances
        return np.linalg.cholesky(whole + _JITTER * np.eye(whole.shape[-1]))

    def moved(self, step: np.ndarray) -> MixedModel:
        """Return the model after a step (p,) of the parameters that `uncertainty` is of."""
        n = sum(shape.n_parameters for shape in self.shapes)
        given = self.parameters.copy()
        given[:n] += step[:n]
        parts = np.split(given, _ends(self.shapes))
        covariances = tuple(s.covariance(part) for s, part in zip(self.shapes, parts, strict=False))
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
        order, rows = sorted_rows(X, y, w, codes, self.columns, self.family, offset)
        evidence = Evidence(rows, [self.shapes[f] for f in order], X.shape[1], True)
        places = _places(self.shapes, order, len(self.parameters))
        each = [self.moved(step).parameters[places] for step in steps]
        return np.array([evidence.log_likelihood(at) for at in each])

    def condition(
        self,
        X: np.ndarray,
        y: np.ndarray,
        codes: np.ndarray,
        w: np.ndarray | None = None,
        offset: np.ndarray | None = None,
    ) -> Conditioned:
        """Return the effects given all rows, whose levels may be new; covariances stay."""
        w = np.ones(len(X)) if w is None else w
        prior = Prior(self.family, self.mean, self.mean_prior, self.columns, self.covariances)
        return Conditioned(prior, X, y, w, codes, offset)

    def condition_groups(
        self,
        X: np.ndarray,
        y: np.ndarray,
        codes: np.ndarray,
        w: np.ndarray,
        offset: np.ndarray | None = None,
    ) -> Conditioned | ConditionedGroups:
        """Condition each group of one factor on its rows alone, and those of several on all."""
        if len(self.columns) > 1:
            return self.condition(X, y, codes, w, offset=offset)
        covariance = self.covariance + self.mean_covariances
        return ConditionedGroups(self.family, self.mean, covariance, X, y, w, codes, offset)


def fit(
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
    start: MixedModel | None = None,
    offset: np.ndarray | None = None,
) -> MixedModel:
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
            len(used),
            family.n_predictors,
            min(rank, len(used)) if len(used) > 1 else 0,
            shrinkage * rate,
            first,
        )
        for used in columns
    ]
    w, is_coarse, n_levels = np.ones(len(X)) if w is None else w, start is not None, codes.max() + 1
    enough = _ENOUGH_GROUPS if codes.shape[1] == 1 else n_levels * _ENOUGH_ROWS // len(X)
    if start is None and n_levels >= 2 * enough:
        sampled = _some_levels(codes, enough)
        own_codes = np.column_stack([_renumbered(column) for column in codes[sampled].T])
        start = fit(
            *(X[sampled], y[sampled], own_codes, family),
            columns=columns,
            w=w[sampled],
            rank=rank,
            shrinkage=shrinkage,
            is_restricted=is_restricted,
            tolerance=tolerance,
            offset=None if offset is None else offset[sampled],
        )
    order, rows = sorted_rows(X, y, w, codes, tuple(columns), family, offset)
    own, rows.precise = [shapes[f] for f in order], tolerance
    evidence = Evidence(rows, own, X.shape[1], is_restricted)
    # The factors of the start may have another order.
    at = evidence.start()
    places = _places(shapes, order, len(at))
    if start is not None:
        at = start.parameters[places]
    at, curvature = evidence.maximise(at, coarse=is_coarse)
    parts, given = evidence.split(at), at.copy()
    given[places] = at
    covariances: list[np.ndarray] = [np.zeros(0)] * len(order)
    for place, f in enumerate(order):
        covariances[f] = own[place].covariance(parts[place])
    n = _ends(shapes)[-1]
    used = np.concatenate([np.argsort(places[:n]), np.arange(len(at))[evidence.family]])
    integral = evidence.integrate(at)
    return MixedModel(
        family.at(at[evidence.family]),
        evidence.mean(at),
        evidence.mean_covariance(at, integral),
        evidence.precision(at),
        tuple(columns),
        tuple(covariances),
        tuple(shapes),
        given,
        evidence.log_likelihood(at, integral),
        _uncertainty(curvature[np.ix_(used, used)], at[used]),
    )


def fit_groups(
    X: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    family: Family | None = None,
    *,
    effects: str = "auto",
    rank: int = 2,
    shrinkage: float = 1.0,
    pooled: np.ndarray | None = None,
    n_pairs: int = 0,
    w: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    is_restricted: bool = True,
    start: MixedModel | None = None,
) -> MixedModel:
    """Estimate the distribution of coefficients over the groups (n,), or over those of F factors.

    The settings are those of :class:`~skmeta.learners.HierarchicalLinear`. Coefficients that are
    `pooled` (q,), or whose columns are constant within groups, do not differ; of the last factors,
    `n_pairs` of them, only intercepts do. A rough optimum is found near `start`, a model of the
    same columns and settings. The order of rows changes roundings, and where groups are many, that
    of groups says which of them are used.
    """
    codes = np.column_stack([_renumbered(column) for column in codes.reshape(len(X), -1).T])
    family = Normal() if family is None else family
    n_groups, is_one, is_normal = int(codes.max()) + 1, codes.shape[1] == 1, family.is_quadratic
    if start is None:
        own = codes[:, : codes.shape[1] - n_pairs]
        columns = _differing(X, own, family, effects, False if pooled is None else pooled)
        columns += [np.array([0])] * n_pairs
    else:
        columns = list(start.columns)
    has_slopes = max(map(len, columns)) > 1
    is_correlated = effects == "correlated" or (effects == "auto" and is_normal)
    w = np.ones(len(X)) if w is None else w
    offset = np.zeros(len(X)) if offset is None else offset
    settings: dict[str, Any] = {
        "columns": columns,
        "rank": rank if is_correlated else 0,
        "shrinkage": shrinkage,
        "is_restricted": is_restricted,
        "tolerance": _TOLERANCES[is_normal and (is_one or not has_slopes)],
    }

    def take(most: int) -> dict[str, Any]:
        """Return the rows of at most so many groups of one factor; of several, all of them."""
        if not is_one or most >= n_groups:
            return {"X": X, "y": y, "codes": codes, "w": w, "offset": offset}
        rows = _some_levels(codes, most)
        own = _renumbered(codes[rows, 0])[:, None]
        return {"X": X[rows], "y": y[rows], "codes": own, "w": w[rows], "offset": offset[rows]}

    model = fit(**take(_MAX_GROUPS), family=family, start=start, **settings)
    if n_groups > _MAX_GROUPS and is_one and is_normal:
        # Given the covariance, the mean of all groups is a Newton step away.
        given = model.condition(**take(_TIMES_FOR_MEAN * _MAX_GROUPS))
        model = replace(model, mean=given.mean, mean_covariance=given.mean_covariance)
    return model


def _differing(
    X: np.ndarray,
    codes: np.ndarray,
    family: Family,
    effects: str,
    pooled: np.ndarray | bool,
) -> list[np.ndarray]:
    """Return the columns whose coefficients differ between the levels of each factor."""
    j, n_factors = family.n_predictors, codes.shape[1]
    q = X.shape[1] - int(np.sum(pooled))
    n_effects = j * q * sum(sorted(codes.max(0) + 1)[:-1])
    is_large = n_effects > _MAX_EFFECTS or len(X) * (j * q) ** 2 > _MAX_VALUES
    is_plain = n_factors > 1 and (is_large or (effects == "auto" and j > 1))
    if effects == "intercept" or is_plain:
        return [np.array([0])] * n_factors
    return [np.flatnonzero(varies_within(X, column) & ~np.asarray(pooled)) for column in codes.T]


def varies_within(X: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return which coefficients may differ: those of columns that vary within groups."""
    sizes = np.bincount(codes)
    within = np.empty(X.shape[1])
    for k, column in enumerate(X.T):
        means = np.bincount(codes, column) / sizes
        within[k] = np.mean((column - means[codes]) ** 2)
    varies = within > _CONSTANT * np.maximum(X.var(0), 1e-12)
    varies[0] = True
    return np.asarray(varies)


def _ends(shapes: Any) -> list[int]:
    """Return where the parameters of each factor end."""
    return list(itertools.accumulate(shape.n_parameters for shape in shapes))


def _places(shapes: Any, order: list[int], n: int) -> np.ndarray:
    """Return positions (n,) of parameters, by the order of factors, in those of a model."""
    *parts, rest = np.split(np.arange(n), _ends(shapes))
    return np.concatenate([*(parts[f] for f in order), rest])


def _uncertainty(curvature: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the covariance of the estimates of parameters (p,); 0 at a bound."""
    free = np.flatnonzero(at > LOG_SCALE_BOUNDS[0] + _AT_BOUND)
    values, vectors = np.linalg.eigh(curvature[np.ix_(free, free)])
    whole = np.zeros_like(curvature)
    whole[np.ix_(free, free)] = (vectors / np.maximum(values, _MIN_INFORMATION)) @ vectors.T
    return np.asarray(whole)


def _some_levels(codes: np.ndarray, n_kept: int) -> np.ndarray:
    """Return the rows of at most so many levels, evenly spaced, of the factor with the most."""
    column = codes[:, int(codes.max(0).argmax())]
    kept = np.linspace(0, column.max(), max(n_kept, 2)).round().astype(int)
    return np.flatnonzero(np.isin(column, kept))


def _renumbered(column: np.ndarray) -> np.ndarray:
    """Return levels (n,) numbered from 0 on without gaps; -1 stays."""
    known, codes = column >= 0, np.full(len(column), -1)
    codes[known] = np.unique(column[known], return_inverse=True)[1]
    return codes
