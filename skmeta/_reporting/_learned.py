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

from skmeta._reporting._sample import MANY_SHARE, Sample

# A further column leaves this share to those that are there, or does not enter.
MIN_LEFT = 1e-3
# What was learned enters if it correlates with what is left by so many standard errors.
_CALLED_FOR = 2.0
# Folds, and how many there are of more rows than are few.
_N_FOLDS, _FEW_FOLDS, _FEW_ROWS = 5, 3, 1_000


@dataclass(frozen=True)
class Learned:
    """Functions of W, learned without the rows of each fold."""

    smooth: Any  # makes smooth functions of W
    folds: list[list[Any]]  # models of each fold: of smooth functions, and trees
    used: np.ndarray  # columns of their predictions
    scale: np.ndarray

    def __call__(self, W: np.ndarray) -> np.ndarray:
        """Return values (n, l) of new rows."""
        parts = self.smooth.transform(W), W
        values = np.mean([_predictions(models, *parts) for models in self.folds], 0)
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
    if W.shape[1] == 0 or n < 5 * _N_FOLDS:
        return None, None
    has_trees = n > _FEW_ROWS
    n_folds = min(_FEW_FOLDS if has_trees else _N_FOLDS, int(first.max()) + 1)
    folds = np.random.default_rng(0).permutation(first.max() + 1)[first] % n_folds
    smooth, models = _smooth(W), []
    Z, values = smooth.transform(W), np.zeros((n, targets.shape[1] * (1 + has_trees)))
    for fold in range(n_folds):
        out, kept = folds == fold, folds != fold
        models.append(_fitted(Z[kept], W[kept], targets[kept], weight[kept], has_trees))
        values[out] = _predictions(models[-1], Z[out], W[out])
        # What is left out shifts the level of the rest the other way.
        values[out] -= np.average(values[out], axis=0, weights=weight[out])
    targets = np.tile(targets, (1, values.shape[1] // targets.shape[1]))
    products = weight[:, None] * values * targets
    by_group = np.stack([np.bincount(first, one) for one in products.T], 1)
    scale = values.std(0)
    called = (scale > 1e-9) & (by_group.sum(0) > _CALLED_FOR * np.sqrt((by_group**2).sum(0)))
    used = np.array([t for t in np.flatnonzero(called) if left_by(linear, values[:, t]) > MIN_LEFT])
    if not len(used):
        return None, None
    return values[:, used] / scale[used], Learned(smooth, models, used, scale[used])


def _smooth(W: np.ndarray) -> Any:
    """Return a transformer of columns to splines of each, and to products of pairs if few."""
    parts = [SplineTransformer(5, extrapolation="constant")]
    if W.shape[1] ** 2 < 2 * MANY_SHARE * len(W):
        parts.append(PolynomialFeatures(2, interaction_only=True, include_bias=False))
    return make_pipeline(make_union(*parts), StandardScaler()).fit(W)


def _fitted(
    Z: np.ndarray, W: np.ndarray, targets: np.ndarray, weight: np.ndarray, has_trees: bool
) -> list[Any]:
    """Return models of targets (n, t): of smooth functions (n, z), and trees."""
    ridge = RidgeCV(np.logspace(-1, 5, 7), alpha_per_target=True)
    models = [ridge.fit(Z, targets, weight)]
    if has_trees:
        trees = HistGradientBoostingRegressor(
            max_iter=40, learning_rate=0.15, max_leaf_nodes=6, early_stopping=False, random_state=0
        )
        # Without weights, which take trees of histograms much longer.
        models.append(MultiOutputRegressor(trees).fit(W, targets))
    return models


def _predictions(models: list[Any], Z: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Return the predictions (n, ...) of all models."""
    return np.hstack([model.predict(at) for model, at in zip(models, (Z, W), strict=False)])
