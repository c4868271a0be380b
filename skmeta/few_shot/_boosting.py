"""Boosted trees, for tables of 200 rows and more.

Notation: n rows, c classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from skmeta.few_shot._support import SupportSet
from skmeta.learners.in_context import location_and_scale

# Chosen on the development sets of benchmarks/small_tables.py; a class has trees of its own.
_MOST_TREES, _ROUNDS, MOST_CLASSES = 1000, 100, 20
_SETTINGS: dict[str, Any] = {"min_samples_leaf": 10, "early_stopping": False, "random_state": 0}
# Weights that are whole numbers repeat their rows, up to so many times in the mean.
_MOST_REPETITIONS = 10

Model: TypeAlias = HistGradientBoostingClassifier | HistGradientBoostingRegressor


class BoostedTrees(NamedTuple):
    """Boosted trees of a task.

    Attributes
    ----------
    model : HistGradientBoostingClassifier or HistGradientBoostingRegressor
        The trees; of a regression, for standardised targets.
    n_classes : int
        c; 0 for a regression.
    location, scale : float
        Mean and standard deviation of the targets; 0 and 1 for a classification.
    """

    model: Model
    n_classes: int
    location: float = 0.0
    scale: float = 1.0

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the trees' probabilities (n, c), or their predictions (n,)."""
        if not self.n_classes:
            return np.asarray(self.location + self.scale * self.model.predict(X))
        # Held-out rows may be all rows of a class.
        proba = np.zeros((len(X), self.n_classes))
        proba[:, self.model.classes_] = self.model.predict_proba(X)
        return proba


def fit_trees(support: SupportSet, n_classes: int) -> BoostedTrees:
    """Fit boosted trees.

    Parameters
    ----------
    support : SupportSet
        The rows of a table, of positive weights.
    n_classes : int
        c; 0 for a regression.

    Returns
    -------
    BoostedTrees
        The trees.
    """
    X, y, weight = support
    sample_weight: np.ndarray | None = weight
    location, scale = 0.0, 1.0
    if not n_classes:
        units = location_and_scale(torch.from_numpy(y), torch.from_numpy(weight))
        location, scale = (float(unit) for unit in units)
        y = (y - location) / scale
    if (weight == np.round(weight)).all() and weight.mean() <= _MOST_REPETITIONS:
        # A leaf counts rows, so that a weight has to be as many rows. Bins are proba faster, too.
        times = weight.astype(int)
        X, y, sample_weight = X.repeat(times, 0), y.repeat(times), None
    rounds = min(_ROUNDS, _MOST_TREES // max(1, n_classes))
    kind = HistGradientBoostingClassifier if n_classes else HistGradientBoostingRegressor
    model = kind(max_iter=rounds, **_SETTINGS).fit(X, y, sample_weight=sample_weight)
    return BoostedTrees(model, n_classes, location, scale)
