"""A mixed-effects model: fit it to groups, condition it on their rows, predict.

Notation: n rows, q coefficients (the first is the intercept), G groups, j linear predictors (one of
a regression or of two classes, else one for each class), c classes. Z (n, q) are rows with a
leading 1 and standardised columns, codes (n,) their groups, from 0 on. Coefficients of a group are
drawn from N(m, S), targets from N(Z b, sigma^2); of two classes, Z b is the logit of the second.

References: Laird and Ware (1982), Random-effects models for longitudinal data; Breslow and Clayton
(1993), Approximate inference in generalized linear mixed models; Bates, Maechler, Bolker and Walker
(2015), Fitting linear mixed-effects models using lme4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from skmeta._mixed._covariance import RATE_AND_START, CovarianceShape
from skmeta._mixed._evidence import Evidence, MeanSums
from skmeta._mixed._groups import ConditionedGroups, batches_of_groups, group_statistics
from skmeta._mixed._likelihood import ClassRows, RowSums
from skmeta._mixed._one_factor import OneFactor

EFFECTS = ("auto", "intercept", "slopes", "correlated")
# A column is constant within groups if less than this share of its variance is within groups.
_CONSTANT = 1e-8
# Added to the diagonal of a covariance before its Cholesky factor is computed.
_JITTER = 1e-10
# The fit of twice as many groups, or more, starts from that of this many.
_ENOUGH_GROUPS = 400
# The covariance is estimated from this many groups at most; the mean of a regression from all.
_MAX_GROUPS = 5_000


@dataclass(frozen=True)
class MixedModel:
    """A fitted mixed-effects model, an immutable value. Another fit can start from `parameters`."""

    n_classes: int  # 0 for a regression
    mean: np.ndarray  # m (j, q)
    covariance: np.ndarray  # S (j, q, q)
    mean_covariance: np.ndarray  # of the estimate of m, (j, q, q), for each predictor separately
    noise: float  # sigma; 1 for a classification
    shape: CovarianceShape  # form of S
    parameters: np.ndarray

    @property
    def factor(self) -> np.ndarray:
        """Cholesky factors (j, q, q) of the covariance of coefficients, with that of m."""
        whole = self.covariance + self.mean_covariance
        return np.linalg.cholesky(whole + _JITTER * np.eye(whole.shape[-1]))

    def condition(
        self, z: np.ndarray, y: np.ndarray, w: np.ndarray, codes: np.ndarray
    ) -> ConditionedGroups:
        """Condition on rows z (n, q) of groups, to predict other rows of these or of new groups."""
        y = y.astype(np.int64) if self.n_classes else y
        prior = self.mean.ravel(), np.asarray(block_diag(*self.factor)), self.noise
        return ConditionedGroups(self.n_classes, *prior, z, y, w, codes)


def fit(
    z: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    n_classes: int = 0,
    *,
    effects: str = "auto",
    rank: int = 2,
    shrinkage: float = 1.0,
    pooled: np.ndarray | None = None,
    start: MixedModel | None = None,
) -> MixedModel:
    """Estimate the distribution of coefficients over groups by marginal likelihood.

    The settings are those of :class:`~skmeta.learners.HierarchicalLinear`. Coefficients that are
    `pooled` (q,), or whose columns are constant within groups, do not differ. A rough optimum is
    found near `start`, a model of the same columns and settings. The order of rows changes
    roundings, and where groups are many, that of groups says which of them are used.
    """
    order = np.argsort(codes, kind="stable")
    z, y, codes = z[order], y[order], codes[order]
    codes = np.cumsum(np.diff(codes, prepend=codes[:1]) != 0)
    y = y.astype(np.int64) if n_classes else y
    if start is None:
        varies = varies_within(z, codes)
        if pooled is not None:
            varies &= ~pooled
        shape, parameters = _shape_of(varies, n_classes, effects, rank, shrinkage), None
    else:
        shape, parameters = start.shape, start.parameters
    n_groups, coarse = int(codes.max()) + 1, start is not None

    def evidence_of(groups: np.ndarray) -> Evidence:
        first, last = np.searchsorted(codes, groups), np.searchsorted(codes, groups, "right")
        rows = np.concatenate([np.arange(*pair) for pair in zip(first, last, strict=True)])
        own = np.searchsorted(groups, codes[rows])
        return Evidence(OneFactor(_batches(z[rows], y[rows], own, n_classes)), [shape])

    def at_most(n: int) -> np.ndarray:
        return np.unique(np.linspace(0, n_groups - 1, min(n, n_groups)).round().astype(int))

    if parameters is None and n_groups >= 2 * _ENOUGH_GROUPS:
        part = evidence_of(at_most(_ENOUGH_GROUPS))
        parameters, coarse = part.maximise(part.start()), True
    evidence = evidence_of(at_most(_MAX_GROUPS))
    parameters = evidence.start() if parameters is None else parameters
    parameters = evidence.maximise(parameters, coarse)
    sums = MeanSums.of([evidence], parameters)
    if n_groups > _MAX_GROUPS and not n_classes:
        # Given the covariance, the mean of all groups is a Newton step away.
        chunks = np.array_split(np.arange(n_groups), n_groups // _MAX_GROUPS + 1)
        sums = MeanSums.of(map(evidence_of, chunks), parameters)
        parameters = evidence.step_of_mean(parameters, sums)
    return MixedModel(
        n_classes,
        evidence.mean(parameters),
        shape.covariance(parameters),
        evidence.mean_covariance(parameters, sums),
        1.0 if n_classes else float(np.exp(parameters[-1])),
        shape,
        parameters,
    )


def _shape_of(
    varies: np.ndarray, n_classes: int, effects: str, rank: int, shrinkage: float
) -> CovarianceShape:
    """Return the form of the covariance; ``"auto"`` is correlated for regressions."""
    if effects == "intercept":
        varies[1:] = False
    is_correlated = effects == "correlated" or (effects == "auto" and not n_classes)
    n_predictors = 1 if n_classes <= 2 else n_classes
    rank = rank if is_correlated and varies[1:].any() else 0
    rate, start = RATE_AND_START[n_classes > 0]
    return CovarianceShape(varies, n_predictors, rank, shrinkage * rate, start)


def _batches(
    z: np.ndarray, y: np.ndarray, codes: np.ndarray, n_classes: int
) -> list[RowSums] | list[ClassRows]:
    """Return sums over the rows of each group, or rows of classes in batches of groups."""
    if not n_classes:
        return [group_statistics(z, y, codes, int(codes.max()) + 1)]
    indicators = np.eye(n_classes)
    batches = batches_of_groups(codes, z.shape[1] * n_classes)
    return [ClassRows(z[rows], indicators[y[rows]], mask) for _, rows, mask in batches]


def varies_within(z: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return which coefficients may differ: those of columns that vary within groups."""
    sizes = np.bincount(codes)
    within = np.empty(z.shape[1])
    for k, column in enumerate(z.T):
        means = np.bincount(codes, column) / sizes
        within[k] = np.mean((column - means[codes]) ** 2)
    varies = within > _CONSTANT * np.maximum(z.var(0), 1e-12)
    varies[0] = True
    return np.asarray(varies)
