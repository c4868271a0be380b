"""Functions of columns that are learned without the rows they are applied to.

Notation: n rows, columns W (n, d), t targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer, StandardScaler

from skmeta.reporting._sample import MANY_SHARE, Sample

# A further column leaves this share to those that are there, or does not enter.
MIN_LEFT = 1e-3
# What was learned enters if it correlates with what is left by so many standard errors.
_CALLED_FOR = 2.0
# Folds, and how many there are of more rows than are few.
_N_FOLDS, _FEW_FOLDS, _FEW_ROWS = 5, 3, 1_000


@dataclass(frozen=True)
class Learned:
    """Functions of W, learned without the rows of each fold."""

    models: list[Any]
    used: np.ndarray  # of the targets of the models
    scale: np.ndarray

    def __call__(self, W: np.ndarray) -> np.ndarray:
        """Return values (n, l) of new rows."""
        values = np.mean([model.predict(W)[:, self.used] for model in self.models], 0)
        return np.asarray(values / self.scale)


def left_by(others: np.ndarray, column: np.ndarray) -> float:
    """Return the share of the variance of a column (n,) that others (n, d) leave."""
    Z = np.hstack([np.ones((len(others), 1)), others])
    left = column - Z @ np.linalg.lstsq(Z, column, rcond=None)[0]
    return float(left.var() / max(column.var(), 1e-300))


def learn(
    W: np.ndarray, linear: np.ndarray, targets: np.ndarray, weight: np.ndarray, sample: Sample
) -> tuple[np.ndarray | None, Learned | None]:
    """Return predictions (n, l), of groups held out, of those targets that they correlate with.

    They are no linear combinations of columns (n, q).
    """
    n, first = len(W), sample.codes[:, 0] if sample.has_groups else np.arange(len(W))
    n_folds = min(_N_FOLDS if n <= _FEW_ROWS else _FEW_FOLDS, int(first.max()) + 1)
    if W.shape[1] == 0 or n < 5 * _N_FOLDS:
        return None, None
    folds = np.random.default_rng(0).permutation(first.max() + 1)[first] % n_folds
    values, models = np.zeros_like(targets), []
    for fold in range(n_folds):
        kept, out = folds != fold, folds == fold
        model = _smoother(n, W.shape[1])
        model.fit(W[kept], targets[kept], ridgecv__sample_weight=weight[kept])
        values[out] = model.predict(W[out])
        # What is left out shifts the level of the rest the other way.
        values[out] -= np.average(values[out], axis=0, weights=weight[out])
        models.append(model)
    products = weight[:, None] * values * targets
    by_group = np.stack([np.bincount(first, one) for one in products.T], 1)
    scale = values.std(0)
    called = (scale > 1e-9) & (by_group.sum(0) > _CALLED_FOR * np.sqrt((by_group**2).sum(0)))
    used = np.array([t for t in np.flatnonzero(called) if left_by(linear, values[:, t]) > MIN_LEFT])
    if not len(used):
        return None, None
    return values[:, used] / scale[used], Learned(models, used, scale[used])


def _smoother(n: int, d: int) -> Any:
    """Return a smooth function of each of d columns, and of pairs of them where there are few."""
    parts = [SplineTransformer(5, extrapolation="constant")]
    if d * d < 2 * MANY_SHARE * n:
        parts.append(PolynomialFeatures(2, interaction_only=True, include_bias=False))
    ridge = RidgeCV(np.logspace(-1, 5, 7), alpha_per_target=True)
    return make_pipeline(make_union(*parts), StandardScaler(), ridge)
