"""Boosted trees and forests, for tables of 200 rows and more.

Notation: n rows, c classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skmeta._tabular._ensemble import trees_to_arrays
from skmeta._tabular._rows import WeightedRows, location_and_scale, order_by_content

# Chosen on the development sets of benchmarks/measure/small_tables.py and raw_tables.py. A class
# has trees of its own, so those of classes are fewer and smaller.
_MAX_TREES, MAX_CLASSES = 1000, 20
_SETTINGS: dict[str, Any] = {"min_samples_leaf": 10, "early_stopping": False, "random_state": 0}
_ROUNDS, _CLASS_SETTINGS = 50, {"learning_rate": 0.2, "max_leaf_nodes": 15}
_FOREST: dict[str, Any] = {"n_estimators": 50, "min_samples_leaf": 3, "random_state": 0}


class FittedTrees(NamedTuple):
    """Boosted trees or a random forest of a table; of a regression, for standardised targets."""

    model: Any
    n_classes: int
    location: float = 0.0
    scale: float = 1.0
    columns: np.ndarray | None = None  # order (d,) of the columns in which a forest reads the rows

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the trees' probabilities (n, c), or their predictions (n,)."""
        if not self.n_classes:
            return np.asarray(self.location + self.scale * self.model.predict(X))
        rows = X if self.columns is None else _single_precision(X[:, self.columns])
        # Held-out rows may be all rows of a class.
        proba = np.zeros((len(X), self.n_classes))
        proba[:, self.model.classes_] = self.model.predict_proba(rows)
        return proba


def fit_boosting(table: WeightedRows, n_classes: int) -> FittedTrees:
    """Fit boosted trees to rows of positive weights; no classes for a regression."""
    # Where it is used, as in fits of other trees: predictions do without it.
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    X, y, weight = table
    location, scale = 0.0, 1.0
    if not n_classes:
        location, scale = map(float, location_and_scale(y, weight))
        y = (y - location) / scale
    model: Any = HistGradientBoostingRegressor(**_SETTINGS)
    if n_classes:
        rounds = min(_ROUNDS, _MAX_TREES // n_classes)
        settings = _SETTINGS | _CLASS_SETTINGS
        model = HistGradientBoostingClassifier(max_iter=rounds, **settings)
    model.fit(X, y, sample_weight=_or_none(weight))
    return FittedTrees(trees_to_arrays(model), n_classes, location, scale)


def fit_forest(table: WeightedRows, n_classes: int) -> FittedTrees:
    """Fit a random forest to rows of positive weights."""
    from sklearn.ensemble import RandomForestClassifier

    # The draws of the trees depend on the order of columns and rows.
    columns, rows = order_by_content(table, n_classes)
    X, y, weight = table.take(rows)
    model = RandomForestClassifier(**_FOREST)
    model.fit(_single_precision(X[:, columns]), y, sample_weight=_or_none(weight))
    return FittedTrees(model, n_classes, columns=columns)


def _or_none(weight: np.ndarray) -> np.ndarray | None:
    """Return weights; equal ones are none."""
    return weight if np.ptp(weight) > 0 else None


def _single_precision(X: np.ndarray) -> np.ndarray:
    limit = np.finfo(np.float32).max
    return X.clip(-limit, limit).astype(np.float32)
