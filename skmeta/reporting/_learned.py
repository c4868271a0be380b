"""Functions of columns that are learned without the rows they are applied to.

Notation: n rows, columns W (n, d).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

# A further column leaves this share to those that are there, or does not enter.
MIN_LEFT = 1e-3
# What was learned enters if it correlates with what is left by so many standard errors.
_CALLED_FOR = 2.0
# Folds, and how many there are of more rows than are few.
N_FOLDS, _FEW_FOLDS, _FEW_ROWS = 5, 3, 1_000


@dataclass(frozen=True)
class Learned:
    """A function of W, learned without the rows of each fold."""

    models: list[Any]
    shift: float
    scale: float

    def __call__(self, W: np.ndarray) -> np.ndarray:
        """Return values (n,) of new rows."""
        values = np.mean([model.predict(W) for model in self.models], 0)
        return np.asarray((values - self.shift) / self.scale)


def left_by(others: np.ndarray, column: np.ndarray) -> float:
    """Return the share of the variance of a column (n,) that others (n, d) leave."""
    Z = np.hstack([np.ones((len(others), 1)), others])
    left = column - Z @ np.linalg.lstsq(Z, column, rcond=None)[0]
    return float(left.var() / max(column.var(), 1e-300))


def group_means(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return means (L,) of values (n,) by level."""
    return np.bincount(codes, values) / np.maximum(np.bincount(codes), 1)


def learn_one(
    make: Callable[[], Any],
    W: np.ndarray,
    linear: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    folds: np.ndarray,
    codes: np.ndarray,
) -> Iterator[tuple[np.ndarray, Learned]]:
    """Yield predictions of a target (n,) for rows held out, if they correlate with it."""
    values, models = np.zeros(len(W)), []
    for fold in range(folds.max() + 1):
        kept, out = folds != fold, folds == fold
        model = make()
        _fit(model, W[kept], target[kept], weight[kept])
        values[out] = model.predict(W[out])
        # What is left out shifts the level of the rest the other way.
        values[out] -= np.average(values[out], weights=weight[out])
        models.append(model)
    by_group = np.bincount(
        codes if codes.max() > 0 else np.arange(len(W)), weight * values * target
    )
    spread = np.sqrt((by_group**2).sum())
    if (
        values.std() > 1e-9
        and by_group.sum() > _CALLED_FOR * spread
        and left_by(linear, values) > MIN_LEFT
    ):
        whole = np.mean([model.predict(W) for model in models], 0)
        yield values / values.std(), Learned(models, float(whole.mean()), float(values.std()))


def _fit(model: Any, W: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
    last = f"{model.steps[-1][0]}__sample_weight" if hasattr(model, "steps") else "sample_weight"
    model.fit(W, y, **({last: weight} if np.ptp(weight) else {}))


def folds_of_groups(codes: np.ndarray) -> np.ndarray:
    """Return folds (n,) of whole groups; of rows without groups."""
    first = codes[:, 0] if codes[:, 0].max() > 0 else np.arange(len(codes))
    n_folds = min(N_FOLDS if len(codes) <= _FEW_ROWS else _FEW_FOLDS, int(first.max()) + 1)
    return np.asarray(np.random.default_rng(0).permutation(first.max() + 1)[first] % n_folds)


def learners(n: int, is_weighted: bool) -> list[Callable[[], Any]]:
    """Return makers of models for n rows."""

    def splines() -> Any:
        steps = SplineTransformer(5, extrapolation="constant"), StandardScaler()
        return make_pipeline(*steps, RidgeCV(np.logspace(-1, 5, 13)))

    def boosting() -> Any:
        if is_weighted:  # Histograms of weighted rows take much longer.
            return GradientBoostingRegressor(
                n_estimators=40, learning_rate=0.15, subsample=0.5, max_features=0.7, random_state=0
            )
        return HistGradientBoostingRegressor(
            max_iter=60, max_leaf_nodes=6, early_stopping=False, random_state=0
        )

    return [splines if n <= _FEW_ROWS else boosting]
