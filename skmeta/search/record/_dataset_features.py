"""Features of a data set that a prior compares it with past data sets by.

Notation

======  ===============  ====================================================================
symbol  shape            meaning
======  ===============  ====================================================================
X       (n, d)           a sample of the rows; numbers, imputed and standardised
Y       (n, k)           an indicator per class, or the standardised target
K       (n, n)           kernel of the rows
======  ===============  ====================================================================

Besides sizes and moments they are *landmarks*: cross-validated scores of simple models on a few
hundred rows (Pfahringer, Bensusan and Giraud-Carrier, 2000, "Meta-learning by landmarking various
learning algorithms"). All are numbers; no row of the data can be told from them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skmeta._columns import frame_columns, has_categories, is_data_frame, kind_of

__all__ = ["dataset_features"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Predictor = Callable[[Array, Array, Array], list[Array]]

_MAX_ROWS, _MAX_COLUMNS, _N_FOLDS = 300, 100, 3
_MAX_CLASSES = 50  # landmarks of more are of the most frequent ones
_FEW_VALUES = 10
_NEIGHBOURS = (1, 5, 20)
_RIDGES = (1e-4, 1e-1, 1e1)  # penalties per row
_KERNELS = ((0.3, 1e-2), (3.0, 1e-2), (0.3, 1.0))  # squared inverse width times d, penalty
_TREES = (
    {"max_depth": 1},
    {"max_depth": 3},
    {"max_depth": None},
    {"max_depth": None, "min_samples_leaf": 10},
)
_N_TREES = 8  # of the small forest


def dataset_features(X: Any, y: Any, *, is_classification: bool) -> dict[str, float]:
    """Compute what a prior compares data sets by.

    The same data give the same features. The cost does not grow with the number of rows, except
    for what it takes to sort the targets.

    Parameters
    ----------
    X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
        Missing values and categories are allowed.
    y : array-like of shape (n_samples,)
        Classes or numbers.
    is_classification : bool
        Whether `y` holds classes.

    Returns
    -------
    dict of str -> float
        Name of each feature -> its value, which is finite. Empty if X is not a table of numbers
        and categories, or y not one column.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> features = dataset_features(*load_iris(return_X_y=True), is_classification=True)
    >>> features["log_classes"].round(2), features["score_ridge_0"] > 0.5
    (np.float64(1.1), np.True_)
    """
    try:
        target = np.asarray(y)
        n = len(target)
        if target.ndim != 1 or n < 2 * _N_FOLDS or _n_rows(X) != n:
            return {}
        target = _codes(target) if is_classification else target.astype(np.float64)
        if not np.isfinite(target).all() or np.ptp(target) == 0:
            return {}
        rows, folds = _sample(target, is_classification)
        raw, is_category = _numbers(X, rows)
    except (TypeError, ValueError):  # texts, images, ragged lists
        return {}
    features = _sizes(n, _n_columns(X))
    features |= _of_target(target, is_classification)
    X_sample, found = _of_columns(raw, is_category)
    features |= found | _landmarks(X_sample, target[rows], folds, is_classification)
    return {name: float(value) for name, value in features.items()}


# -- rows and columns ------------------------------------------------------------------------------


def _n_rows(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def _n_columns(X: Any) -> int:
    return int(X.shape[1]) if hasattr(X, "shape") else len(X[0])


def _codes(labels: NDArray[Any]) -> Array:
    return np.unique(labels, return_inverse=True)[1].astype(np.float64)


def _sample(target: Array, is_classification: bool) -> tuple[Rows, Rows]:
    """Return some rows, and the fold of each, both stratified by the target."""
    shuffled = np.random.default_rng(0).permutation(len(target))
    if is_classification:
        counts = np.bincount(target.astype(np.intp))
        frequent = np.argsort(-counts, kind="stable")[:_MAX_CLASSES]
        shuffled = shuffled[np.isin(target[shuffled], frequent)]
    order = shuffled[np.argsort(target[shuffled], kind="stable")]
    chosen = np.linspace(0, len(order) - 1, min(len(order), _MAX_ROWS)).astype(np.intp)
    return order[chosen], np.arange(len(chosen)) % _N_FOLDS


def _numbers(X: Any, rows: Rows) -> tuple[Array, NDArray[np.bool_]]:
    """Return some rows as numbers, with NaN for missing values, and which columns are categories."""
    columns = np.arange(_n_columns(X))
    if len(columns) > _MAX_COLUMNS:
        columns = np.sort(np.random.default_rng(0).permutation(len(columns))[:_MAX_COLUMNS])
    if is_data_frame(X):
        frames = frame_columns(X)
        pairs = [_of_frame(frames[i], rows) for i in columns]
        values = np.column_stack([numbers for numbers, _ in pairs])
        return values, np.array([flag for _, flag in pairs])
    if sp.issparse(X):
        values = X.tocsr()[rows][:, columns].toarray().astype(np.float64)
    else:
        values = np.asarray(X)[rows]
        values = values[:, columns].astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    return values, np.zeros(len(columns), dtype=bool)


def _of_frame(column: Any, rows: Rows) -> tuple[Array, bool]:
    is_category = has_categories(column)
    values = column.to_numpy()[rows] if not is_category else np.array(list(column), object)[rows]
    if not is_category and kind_of(column) not in ("bool", "boolean"):
        numbers = np.array([np.nan if v is None else v for v in values.tolist()], np.float64)
        return np.where(np.isfinite(numbers), numbers, np.nan), False
    texts = np.array([str(value) for value in values])
    return _codes(texts), is_category


# -- moments ---------------------------------------------------------------------------------------


def _sizes(n: int, d: int) -> dict[str, Any]:
    return {
        "log_rows": np.log(n),
        "log_columns": np.log(d),
        "log_rows_per_column": np.log(n / d),
    }


def _of_target(target: Array, is_classification: bool) -> dict[str, Any]:
    if is_classification:
        shares = np.bincount(target.astype(np.intp)) / len(target)
        shares = shares[shares > 0]
        return {
            "log_classes": np.log(len(shares)),
            "class_entropy": -(shares * np.log(shares)).sum() / np.log(len(shares)),
            "log_smallest_class": np.log(shares.min()),
            "largest_class": shares.max(),
        }
    low, median, high = np.quantile(target, [0.05, 0.5, 0.95])
    spread = max(high - low, 1e-12 * np.ptp(target))
    return {
        "target_asymmetry": (high + low - 2 * median) / spread,
        "log_target_range": np.log(np.ptp(target) / spread),
        "target_distinct": len(np.unique(target)) / len(target),
    }


def _of_columns(raw: Array, is_category: NDArray[np.bool_]) -> tuple[Array, dict[str, Any]]:
    """Return the columns imputed and standardised, and features of them."""
    is_missing = np.isnan(raw)
    counts = np.maximum((~is_missing).sum(0), 1)
    mean = np.where(is_missing, 0.0, raw).sum(0) / counts
    centred = np.where(is_missing, 0.0, raw - mean)
    scale = np.sqrt((centred**2).mean(0))
    varies = scale > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    X = centred[:, varies] / scale[varies]
    n_distinct = np.array([len(np.unique(column)) for column in raw.T])
    found = {
        "missing": is_missing.mean(),
        "categories": is_category.mean(),
        "few_valued": (n_distinct <= _FEW_VALUES).mean(),
        "binary": (n_distinct <= 2).mean(),
        "constant": 1 - varies.mean(),
        "log_tail": 0.0,
        "first_component": 1.0,
        "effective_rank": 0.0,
    }
    if X.shape[1]:
        found["log_tail"] = np.log(np.mean(X**4, axis=0)).mean()
        spectrum = np.linalg.svd(X, compute_uv=False) ** 2
        shares = spectrum / spectrum.sum()
        entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum()
        found["first_component"] = shares[0]
        found["effective_rank"] = np.exp(entropy) / X.shape[1]
    return X, found


# -- landmarks -------------------------------------------------------------------------------------


def _landmarks(X: Array, target: Array, folds: Rows, is_classification: bool) -> dict[str, Any]:
    """Return cross-validated scores: 0 by chance, 1 without error."""
    if is_classification:
        target = _codes(target)
        Y = np.eye(int(target.max()) + 1)[target.astype(np.intp)]
    else:
        Y = ((target - target.mean()) / target.std())[:, None]
    predicted: dict[str, Array] = {}
    distances = _squared_distances(X)
    for fold in range(_N_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        for name, values in _predict_fold(X, Y, target, distances, train, test, is_classification):
            predicted.setdefault(name, np.empty_like(Y))[test] = values
    score = _balanced_accuracy if is_classification else _r2
    found = {f"score_{name}": score(Y, values) for name, values in predicted.items()}
    return found


def _predict_fold(
    X: Array,
    Y: Array,
    target: Array,
    distances: Array,
    train: Rows,
    test: Rows,
    is_classification: bool,
) -> list[tuple[str, Array]]:
    found = []
    between = distances[np.ix_(test, train)]
    nearest = np.argsort(between, axis=1, kind="stable")
    for k in _NEIGHBOURS:
        found.append((f"neighbours_{k}", Y[train][nearest[:, :k]].mean(1)))
    mean = Y[train].mean(0)
    for i, values in enumerate(_ridge(X[train], Y[train] - mean, X[test])):
        found.append((f"ridge_{i}", mean + values))
    within = distances[np.ix_(train, train)]
    d = max(1, X.shape[1])
    for i, (gamma, penalty) in enumerate(_KERNELS):
        K = np.exp(-gamma / d * within)
        weights = np.linalg.solve(K + penalty * np.eye(len(train)), Y[train] - mean)
        found.append((f"kernel_{i}", mean + np.exp(-gamma / d * between) @ weights))
    if is_classification:
        found.append(("bayes", _naive_bayes(X[train], Y[train], X[test])))
    found += _trees(X, Y, target, train, test, is_classification)
    return found


def _squared_distances(X: Array) -> Array:
    squares = (X * X).sum(1)
    return np.maximum(squares[:, None] + squares - 2 * X @ X.T, 0)


def _ridge(X: Array, Y: Array, X_test: Array) -> list[Array]:
    U, s, Vt = np.linalg.svd(X - X.mean(0), full_matrices=False)
    projected, rotated = U.T @ Y, (X_test - X.mean(0)) @ Vt.T
    shrink = [s / (s * s + penalty * len(X)) for penalty in _RIDGES]
    return [rotated @ (factor[:, None] * projected) for factor in shrink]


def _naive_bayes(X: Array, Y: Array, X_test: Array) -> Array:
    counts = np.maximum(Y.sum(0), 1e-9)[:, None]
    mean = Y.T @ X / counts
    variance = np.maximum(Y.T @ X**2 / counts - mean**2, 1e-3)
    # Of classes without rows the density is that of the others' noise.
    log_density = -0.5 * (
        ((X_test[:, None] - mean) ** 2 / variance).sum(2) + np.log(variance).sum(1)
    ) + np.log(counts[:, 0] / len(X))
    log_density -= log_density.max(1, keepdims=True)
    density = np.exp(log_density)
    return np.asarray(density / density.sum(1, keepdims=True))


def _trees(
    X: Array, Y: Array, target: Array, train: Rows, test: Rows, is_classification: bool
) -> list[tuple[str, Array]]:
    kind = DecisionTreeClassifier if is_classification else DecisionTreeRegressor
    if not X.shape[1]:
        return []
    X32 = X.astype(np.float32)

    def predict(**settings: Any) -> Array:
        tree = kind(random_state=0, **settings).fit(X32[train], Y[train] if False else y_of)
        if not is_classification:
            return np.asarray(tree.predict(X32[test]).reshape(len(test), -1))
        values = np.zeros((len(test), Y.shape[1]))
        values[:, tree.classes_.astype(np.intp)] = tree.predict_proba(X32[test])
        return values

    y_of = target[train] if is_classification else Y[train, 0]
    found = [(f"tree_{i}", predict(**settings)) for i, settings in enumerate(_TREES)]
    forest = np.mean(
        [predict_random(kind, X32, y_of, train, test, seed, Y.shape[1], is_classification) for seed in range(_N_TREES)],
        axis=0,
    )
    return [*found, ("forest", forest)]


def predict_random(kind, X32, y_of, train, test, seed, k, is_classification):
    tree = kind(random_state=seed, splitter="random", max_features=max(1, int(X32.shape[1] ** 0.5)) if is_classification else None).fit(X32[train], y_of)
    if not is_classification:
        return tree.predict(X32[test])[:, None]
    values = np.zeros((len(test), k))
    values[:, tree.classes_.astype(np.intp)] = tree.predict_proba(X32[test])
    return values


def _balanced_accuracy(Y: Array, predicted: Array) -> float:
    k = Y.shape[1]
    is_right = Y[np.arange(len(Y)), predicted.argmax(1)]
    recall = (Y.T @ is_right) / Y.sum(0)
    return float((recall.mean() - 1 / k) / (1 - 1 / k))


def _r2(Y: Array, predicted: Array) -> float:
    residual = ((Y - predicted) ** 2).mean() / Y.var()
    return float(max(1 - residual, -1.0))
