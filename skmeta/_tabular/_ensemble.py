"""Fitted trees as a few arrays: small in files, and quick for one row.

The estimators that fitted them check and convert each input, which takes longer than one row.

Notation: n rows, d columns, t trees, k outputs, N nodes of all trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from skmeta._sklearn_compat import boosted_nodes, decision_nodes, predict_nodes

# Up to this many rows times trees are predicted at once by NumPy.
_FEW = 20_000


class TreeEnsemble(NamedTuple):
    """The sum of trees, which lead a row from node to node to a leaf; tree i adds to output i % k.

    Nodes are those of scikit-learn's gradient boosting, with positions within a tree. Values that
    are in no known category are missing.
    """

    nodes: np.ndarray  # (N,)
    first: np.ndarray  # first node of each tree, and N (t + 1,)
    sets: np.ndarray  # categories that go left, as bits of uint32 (., 8)
    baseline: np.ndarray  # (k,)
    order: np.ndarray  # columns (d,) as in the trees, categories first
    levels: tuple[np.ndarray, ...] = ()  # known categories, ascending
    classes_: np.ndarray | None = None  # None for a regression

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predict the targets (n,) of rows (n, d)."""
        return self._sums(X)[:, 0]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict the probabilities of classes of rows (n, d)."""
        sums = self._sums(X)
        if sums.shape[1] > 1:
            return np.asarray(softmax(sums, axis=1))
        second = expit(sums)
        return np.hstack([1 - second, second])

    def _sums(self, X: np.ndarray) -> np.ndarray:
        """Return the sums (n, k) of the leaves that rows fall into."""
        X = np.ascontiguousarray(X[:, self.order])
        for k, known in enumerate(self.levels):
            place = np.minimum(np.searchsorted(known, X[:, k]), len(known) - 1)
            X[:, k] = np.where(known[place] == X[:, k], place, np.nan)
        if len(X) * (len(self.first) - 1) > _FEW:
            n_levels = [len(known) for known in self.levels]
            return predict_nodes(self.nodes, self.first, self.sets, n_levels, self.baseline, X)
        leaves, k = self._leaves(X), len(self.baseline)
        leaves = leaves.reshape(len(X), -1, k)
        # One after the other, as scikit-learn adds them.
        start = np.broadcast_to(self.baseline, (len(X), 1, k))
        return np.asarray(np.cumsum(np.concatenate([start, leaves], 1), axis=1)[:, -1])

    def _leaves(self, X: np.ndarray) -> np.ndarray:
        """Return the values (n, t) of the leaves that rows fall into."""
        nodes, first, rows = self.nodes, self.first[:-1], np.arange(len(X))[:, None]
        at = np.tile(first, (len(X), 1))
        while True:
            is_leaf = nodes["is_leaf"][at] != 0
            if is_leaf.all():
                return np.asarray(nodes["value"][at])
            value = X[rows, nodes["feature_idx"][at]]
            goes_left = value <= nodes["num_threshold"][at]
            if len(self.sets):
                is_category = nodes["is_categorical"][at] != 0
                code = np.nan_to_num(np.where(is_category, value, 0.0)).astype(np.uint32)
                chosen = self.sets[np.where(is_category, nodes["bitset_idx"][at], 0), code >> 5]
                goes_left = np.where(is_category, (chosen >> (code & 31)) & 1, goes_left)
            goes_left = np.where(np.isnan(value), nodes["missing_go_to_left"][at], goes_left)
            ways = np.where(goes_left != 0, nodes["left"][at], nodes["right"][at])
            at = np.where(is_leaf, at, first + ways)

    def find_fault(self) -> str | None:
        """Return what is wrong with nodes, which a file may hold; None if nothing is."""
        nodes, sizes = self.nodes, np.diff(self.first)
        n, n_columns = len(nodes), len(self.order)
        bounds = len(self.first) and self.first[0] == 0 and self.first[-1] == n
        fault = "a tree of its TreeEnsemble leads nowhere"
        if not bounds or (sizes < 1).any() or (len(sizes) % len(self.baseline)):
            return fault
        at = np.arange(n) - np.repeat(self.first[:-1], sizes)
        inner = nodes["is_leaf"] == 0
        size = np.repeat(sizes, sizes)[inner]
        ways = [nodes[way][inner].astype(np.int64) for way in ("left", "right")]
        is_below = [(way > at[inner]) & (way < size) for way in ways]
        feature = nodes["feature_idx"][inner]
        used = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
        is_sound = (
            np.all(is_below)
            and ((feature >= 0) & (feature < n_columns)).all()
            and (used < len(self.sets)).all()
            and self.sets.shape[1:] == (8,)
            and all(0 < len(known) <= 256 for known in self.levels)
            and np.isin(self.order, np.arange(n_columns)).all()
            and len(self.levels) <= n_columns
        )
        return None if is_sound else fault


def trees_to_arrays(model: Any) -> TreeEnsemble:
    """Return the trees of a fitted HistGradientBoosting estimator, or of others in ``trees_``."""
    if isinstance(model, TreeEnsemble):
        return model
    return (
        decision_trees_to_arrays(model.trees_)
        if hasattr(model, "trees_")
        else boosting_to_arrays(model)
    )


def boosting_to_arrays(model: Any) -> TreeEnsemble:
    """Return the trees of a fitted HistGradientBoosting estimator."""
    parts = boosted_nodes(model)
    first = np.cumsum([0, *map(len, parts.trees)])
    nodes = np.concatenate(parts.trees)
    starts = np.cumsum([0, *map(len, parts.sets)])[:-1]
    nodes["bitset_idx"] += np.repeat(starts, np.diff(first)).astype(np.uint32)
    return TreeEnsemble(
        _trimmed(nodes),
        first,
        np.concatenate(parts.sets),
        parts.baseline,
        parts.order,
        parts.levels,
        getattr(model, "classes_", None),
    )


def decision_trees_to_arrays(models: Sequence[Any]) -> TreeEnsemble:
    """Return the mean of fitted regression trees."""
    trees = [decision_nodes(model) for model in models]
    nodes = np.concatenate(trees)
    nodes["value"] /= len(trees)
    # They read rows in single precision.
    nodes["num_threshold"] = _single_to_double(nodes["num_threshold"])
    order = np.arange(models[0].n_features_in_)
    first = np.cumsum([0, *map(len, trees)])
    return TreeEnsemble(nodes, first, np.zeros((0, 8), np.uint32), np.zeros(1), order)


def mean_of(ensembles: Sequence[TreeEnsemble]) -> TreeEnsemble:
    """Return the mean of regressions without categories, as one sum."""
    nodes = np.concatenate([each.nodes for each in ensembles])
    nodes["value"] /= len(ensembles)
    sizes = np.concatenate([np.diff(each.first) for each in ensembles])
    baseline = np.mean([each.baseline for each in ensembles], axis=0)
    return ensembles[0]._replace(nodes=nodes, first=np.cumsum([0, *sizes]), baseline=baseline)


def _trimmed(nodes: np.ndarray) -> np.ndarray:
    """Return nodes without what predictions do not need, so that files are small."""
    for name in ("count", "gain", "depth", "bin_threshold"):
        nodes[name] = 0
    leaf = nodes["is_leaf"] != 0
    for name in ("num_threshold", "feature_idx", "missing_go_to_left"):
        nodes[name][leaf] = 0
    nodes["value"][~leaf] = 0
    return nodes


def _single_to_double(threshold: np.ndarray) -> np.ndarray:
    """Return the largest doubles whose single precision is at most a threshold."""
    with np.errstate(over="ignore"):
        low = threshold.astype(np.float32)
        low = np.where(low > threshold, np.nextafter(low, np.float32(-np.inf)), low)
        middle = (low.astype(float) + np.nextafter(low, np.float32(np.inf)).astype(float)) / 2
        is_low = middle.astype(np.float32) <= low
    return np.asarray(np.where(is_low, middle, np.nextafter(middle, -np.inf)))
