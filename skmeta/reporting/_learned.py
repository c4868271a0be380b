"""Functions of columns that are learned without the rows they are applied to.

Notation: n rows, columns W (n, d), t targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.multioutput import MultiOutputRegressor
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

    folds: list[list[Any]]  # models of each fold
    used: np.ndarray  # columns of their predictions
    scale: np.ndarray

    def __call__(self, W: np.ndarray) -> np.ndarray:
        """Return values (n, l) of new rows."""
        values = np.mean([_predictions(models, W) for models in self.folds], 0)
        return np.asarray(values[:, self.used] / self.scale)


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
    models, out = [], []
    for fold in range(n_folds):
        kept = folds != fold
        models.append(_fitted(W[kept], targets[kept], weight[kept], n))
        out.append(_predictions(models[-1], W[~kept]))
        # What is left out shifts the level of the rest the other way.
        out[-1] -= np.average(out[-1], axis=0, weights=weight[~kept])
    values = np.concatenate(out)[np.argsort(np.argsort(folds, kind="stable"), kind="stable")]
    targets = np.tile(targets, (1, values.shape[1] // targets.shape[1]))
    products = weight[:, None] * values * targets
    by_group = np.stack([np.bincount(first, one) for one in products.T], 1)
    scale = values.std(0)
    called = (scale > 1e-9) & (by_group.sum(0) > _CALLED_FOR * np.sqrt((by_group**2).sum(0)))
    used = np.array([t for t in np.flatnonzero(called) if left_by(linear, values[:, t]) > MIN_LEFT])
    if not len(used):
        return None, None
    return values[:, used] / scale[used], Learned(models, used, scale[used])


def _fitted(W: np.ndarray, targets: np.ndarray, weight: np.ndarray, n: int) -> list[Any]:
    """Return models of targets (n, t): smooth functions, and trees of more than few rows."""
    parts = [SplineTransformer(5, extrapolation="constant")]
    if W.shape[1] ** 2 < 2 * MANY_SHARE * n:
        parts.append(PolynomialFeatures(2, interaction_only=True, include_bias=False))
    ridge = RidgeCV(np.logspace(-1, 5, 7), alpha_per_target=True)
    smooth = make_pipeline(make_union(*parts), StandardScaler(), ridge)
    smooth.fit(W, targets, ridgecv__sample_weight=weight)
    if n <= _FEW_ROWS:
        return [smooth]
    trees = HistGradientBoostingRegressor(
        max_iter=40, learning_rate=0.15, max_leaf_nodes=6, early_stopping=False, random_state=0
    )
    # Without weights, which take trees of histograms much longer.
    return [smooth, MultiOutputRegressor(trees).fit(W, targets)]


def _predictions(models: list[Any], W: np.ndarray) -> np.ndarray:
    """Return the predictions (n, ...) of all models."""
    return np.hstack([model.predict(W) for model in models])
