"""Boosted trees beside the prior, for tables of 200 rows and more.

A prior for any table was meta-trained on few rows. With many, trees find what it does not, such as
interactions of several columns. A prediction is then the mixture (1 - s) p + s q of the prior's p
and the trees' q. Held-out rows, which both predict from the others, tell the share s: a quarter of
the rows, or of a large table about a thousand. It is the mean of its posterior distribution,
because few rows do not tell a share of 1, with which trees are too sure of themselves.

References: Breiman (1996), Stacked regressions; here with one fold. Efron (1981), Nonparametric
standard errors and confidence intervals (exponential tilting).

Notation: n rows, c classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from scipy.special import ndtr, softmax
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from skmeta.few_shot._support import SupportSet
from skmeta.learners.in_context import divide_rows, location_and_scale, relative_weight

_LEAST_ROWS = 200
# Held out is one of so many folds; of a large table, about a thousand rows.
_N_FOLDS, _ROWS_OF_FOLD = 4, 1000
_SHARES = np.linspace(0, 1, 21)
_LEAST_PROBABILITY, _LEAST_ERROR = 1e-7, 1e-9
# Chosen on the development sets of benchmarks/small_tables.py; a class has trees of its own.
_MOST_TREES, _ROUNDS, _MOST_CLASSES = 1000, 100, 20
_SETTINGS: dict[str, Any] = {"min_samples_leaf": 10, "early_stopping": False, "random_state": 0}
# Levels of the quantiles that describe a distribution: those of 4.5 standard deviations of a normal
# distribution on either side. In such units, the largest tilt and the narrowest part.
LEVELS = ndtr(np.linspace(-4.5, 4.5, 201))
_LARGEST_TILT, _NARROWEST = 60.0, 1e-3
# Weights that are whole numbers repeat their rows, up to so many times in the mean.
_MOST_REPETITIONS = 10

Model: TypeAlias = HistGradientBoostingClassifier | HistGradientBoostingRegressor


class BoostedTrees(NamedTuple):
    """Boosted trees of a task.

    Attributes
    ----------
    model : HistGradientBoostingClassifier or HistGradientBoostingRegressor
        The trees; of a regression, for standardised targets.
    location, scale : float
        Mean and standard deviation of the targets; 0 and 1 for a classification.
    n_classes : int
        c; 0 for a regression.
    share : float
        s, between 0 and 1.
    spread : float
        Root mean squared error of the mixture on held-out rows, over that of the prior, but at
        most 1; 1 for a classification.
    """

    model: Model
    n_classes: int
    location: float = 0.0
    scale: float = 1.0
    share: float = 0.0
    spread: float = 1.0

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the trees' probabilities (n, c), or their predictions (n,)."""
        if not self.n_classes:
            return np.asarray(self.location + self.scale * self.model.predict(X))
        # Held-out rows may be all rows of a class.
        found = np.zeros((len(X), self.n_classes))
        found[:, self.model.classes_] = self.model.predict_proba(X)
        return found

    def mix(self, own: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Mix the prior's predictions, of the same shape, with those of the trees."""
        return np.asarray((1 - self.share) * own + self.share * self.predict(X))


def fit_trees(
    support: SupportSet, n_classes: int, predict: Callable[[SupportSet, np.ndarray], np.ndarray]
) -> BoostedTrees | None:
    """Fit boosted trees, and find their share.

    Parameters
    ----------
    support : SupportSet
        The rows of a table.
    n_classes : int
        c; 0 for a regression.
    predict : callable
        Takes a support set and rows, and returns the prior's probabilities or means of these rows.

    Returns
    -------
    BoostedTrees or None
        None if there are too few rows, or more than 20 classes.
    """
    X, y, weight = SupportSet(*(part[support.weight > 0] for part in support))
    w = relative_weight(torch.from_numpy(weight))
    if w.sum() < _LEAST_ROWS or n_classes > _MOST_CLASSES:
        return None
    support, weight = SupportSet(X, y, w.numpy()), w.numpy()
    labels = torch.from_numpy(y if n_classes else np.zeros(len(y))).long()
    n_folds = max(_N_FOLDS, len(y) // _ROWS_OF_FOLD)
    rows = torch.from_numpy(X).double()
    fold = divide_rows(rows, labels, w, max(1, n_classes), n_folds).numpy()
    kept, held = np.flatnonzero(fold > 0), np.flatnonzero(fold == 0)
    if len(held) == 0 or len(np.unique(y[kept])) < 2:
        return None
    part = SupportSet(*(v[kept] for v in support))
    trees = _fit(part, n_classes)
    own, other = predict(part, X[held]), trees.predict(X[held])
    shares = _SHARES.reshape(-1, *[1] * own.ndim)
    mixed, n_held = (1 - shares) * own + shares * other, weight[held].sum()
    if n_classes:
        loss = -np.log(np.maximum(mixed[:, np.arange(len(held)), y[held]], _LEAST_PROBABILITY))
        share = softmax(-loss @ weight[held]) @ _SHARES
        return _fit(support, n_classes)._replace(share=float(share))
    squared = ((mixed - y[held]) / trees.scale) ** 2 @ weight[held] / n_held + _LEAST_ERROR
    share = softmax(-0.5 * n_held * np.log(squared)) @ _SHARES
    spread = np.sqrt(np.interp(share, _SHARES, squared) / squared[0])
    return _fit(support, n_classes)._replace(share=float(share), spread=min(1.0, float(spread)))


def _fit(support: SupportSet, n_classes: int) -> BoostedTrees:
    X, y, weight = support
    sample_weight: np.ndarray | None = weight
    location, scale = 0.0, 1.0
    if not n_classes:
        units = location_and_scale(torch.from_numpy(y), torch.from_numpy(weight))
        location, scale = (float(unit) for unit in units)
        y = (y - location) / scale
    if (weight == np.round(weight)).all() and weight.mean() <= _MOST_REPETITIONS:
        # A leaf counts rows, so that a weight has to be as many rows. Bins are found faster, too.
        times = weight.astype(int)
        X, y, sample_weight = X.repeat(times, 0), y.repeat(times), None
    rounds = min(_ROUNDS, _MOST_TREES // max(1, n_classes))
    kind = HistGradientBoostingClassifier if n_classes else HistGradientBoostingRegressor
    model = kind(max_iter=rounds, **_SETTINGS).fit(X, y, sample_weight=sample_weight)
    return BoostedTrees(model, n_classes, location, scale)


def reshape_distributions(
    quantiles: np.ndarray, mean: np.ndarray, spread: float, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give distributions other means and another spread.

    Densities are raised to the power 1 / spread^2 and multiplied by exp(t y), where t gives the
    mean (exponential tilting). A normal distribution moves and becomes narrower, but a value that
    many targets have, such as 0, stays where it is.

    Parameters
    ----------
    quantiles : ndarray of shape (n, 201)
        The quantiles at ``LEVELS``.
    mean : ndarray of shape (n,)
        The means to be.
    spread : float
        Factor of the standard deviation of a normal distribution.
    levels : ndarray of shape (q,)
        Levels of the returned quantiles.

    Returns
    -------
    std : ndarray of shape (n,)
        Standard deviations.
    quantiles : ndarray of shape (n, q)
        Quantiles at `levels`.
    """
    centre = quantiles.mean(1, keepdims=True)
    # Not the standard deviation: squares of extreme targets overflow.
    unit = (quantiles[:, -1:] - quantiles[:, :1]) / 9
    unit[unit == 0] = 1.0
    at, target = (quantiles - centre) / unit, (mean[:, None] - centre) / unit
    width, middle = np.diff(at, axis=1), (at[:, 1:] + at[:, :-1]) / 2
    log_width = np.log(np.maximum(width, _NARROWEST))
    log_share = log_width + spread**-2 * (np.log(np.diff(LEVELS)) - log_width)
    high = np.full_like(target, _LARGEST_TILT * spread**-2)
    low = -high
    for _ in range(40):  # bisection
        tilt = (low + high) / 2
        share = softmax(log_share + tilt * middle, axis=1)
        is_above = (share * middle).sum(1, keepdims=True) > target
        low, high = np.where(is_above, low, tilt), np.where(is_above, tilt, high)
    # A mean beyond all quantiles cannot be reached by a tilt.
    at, middle = (v + target - (share * middle).sum(1, keepdims=True) for v in (at, middle))
    variance = (share * ((middle - target) ** 2 + width**2 / 12)).sum(1)
    below = np.pad(share.cumsum(1), ((0, 0), (1, 0)))
    found = [np.interp(levels, p, v) for p, v in zip(below, at, strict=True)]
    return unit[:, 0] * np.sqrt(variance), centre + unit * np.array(found)
