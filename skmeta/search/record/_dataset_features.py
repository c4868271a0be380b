"""Features of a data set, by which a prior finds the past data sets that are like it.

Notation (symbol, shape, meaning):

X       (n, d)           a sample of the rows: numbers, imputed and standardised
Y       (n, k)           an indicator of each class, or the standardised target
K       (n, n)           Gaussian kernel of the rows

Besides sizes and moments there are *landmarks*: cross-validated scores of simple models on a few
hundred rows (Pfahringer, Bensusan and Giraud-Carrier, 2000, "Meta-learning by landmarking various
learning algorithms"). Trees see up to two thousand rows too, because few rows do not separate
noise from detail that a larger model would learn. All features are aggregates, which reveal no row.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from skmeta._columns import frame_columns, has_categories, is_data_frame

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_MAX_ROWS, _MAX_TREE_ROWS, _MAX_COLUMNS, _MAX_CLASSES, _N_FOLDS = 300, 2000, 60, 50, 3
_FEW_VALUES = 10
_NEIGHBOURS = (1, 5, 20)
_PENALTIES = (1e-4, 1e-1, 1e1)  # of ridge regression, per row
_KERNELS = ((0.3, 1e-2), (3.0, 1e-2), (0.3, 1.0))  # inverse squared width times d, and penalty
_N_RANDOM_TREES = 8
_TINY, _DIGITS = 1e-12, 10


def dataset_features(X: Any, y: Any, *, is_classification: bool) -> dict[str, float]:
    """Return finite features of a data set by name, from at most 2,000 rows and 60 columns.

    It is empty if X is not a table of numbers and categories, or y not one column of several
    values.
    """
    try:
        with np.errstate(all="ignore"):  # kernels underflow
            return _features(X, y, is_classification)
    except (TypeError, ValueError, IndexError):  # texts, images, ragged lists, several targets
        return {}


def _features(X: Any, y: Any, is_classification: bool) -> dict[str, float]:
    target = _as_numbers(y, is_classification)
    if len(target) != (X.shape[0] if hasattr(X, "shape") else len(X)):
        raise ValueError("X and y differ in length")
    rows, folds = _sample(target, is_classification, _MAX_ROWS)
    values, is_category, n_columns = _table(X, rows)
    columns, features = _column_features(values, is_category)
    features["log_rows"] = np.log(len(target))
    features["log_columns"] = np.log(n_columns)
    features["log_rows_per_column"] = np.log(len(target) / n_columns)
    features |= _class_features(target) if is_classification else _target_features(target)
    features |= _landmarks(columns, target[rows], folds, is_classification)
    if len(target) > _MAX_ROWS:
        rows, folds = _sample(target, is_classification, _MAX_TREE_ROWS)
        columns, _ = _standardise(_table(X, rows)[0])
    features |= _tree_skills(columns, target[rows], folds, is_classification)
    return {name: float(value) for name, value in features.items()}


# -- a sample of the table -------------------------------------------------------------------------


def _as_numbers(y: Any, is_classification: bool) -> Array:
    """Return the targets, classes as 0, 1, ...; a ValueError if there is nothing to predict."""
    target = np.asarray(y)
    if target.ndim != 1 or target.dtype.kind == "c" or len(target) < 2 * _N_FOLDS:
        raise ValueError("not one column of real targets")
    if is_classification:
        target = _codes(target)
    else:
        target = target.astype(np.float64)
        # Rounded, so that the unit of the target does not decide ties between splits of a tree.
        target = np.round((target - target.mean()) / max(target.std(), _TINY), _DIGITS)
    if not np.isfinite(target).all() or not np.ptp(target):
        raise ValueError("targets are missing, or all are equal")
    return target


def _codes(labels: NDArray[Any]) -> Array:
    return np.unique(labels, return_inverse=True)[1].astype(np.float64)


def _sample(target: Array, is_classification: bool, n_max: int) -> tuple[Rows, Rows]:
    """Return at most `n_max` rows and their folds, both stratified by the target."""
    shuffled = np.random.default_rng(0).permutation(len(target))
    if is_classification:
        counts = np.bincount(target.astype(np.intp))
        frequent = np.argsort(-counts, kind="stable")[:_MAX_CLASSES]
        shuffled = shuffled[np.isin(target[shuffled], frequent)]
    order = shuffled[np.argsort(target[shuffled], kind="stable")]
    chosen = np.linspace(0, len(order) - 1, min(len(order), n_max)).astype(np.intp)
    return order[chosen], np.arange(len(chosen)) % _N_FOLDS


def _table(X: Any, rows: Rows) -> tuple[Array, NDArray[np.bool_], int]:
    """Return rows with NaN for gaps, which columns are categories, and how many there are."""
    if is_data_frame(X):
        frame = frame_columns(X)
        n_columns = len(frame)
        chosen = [frame[i] for i in _some_columns(n_columns)]
        is_category = np.array([has_categories(column) for column in chosen])
        cells = [np.array(column.to_numpy()[rows], dtype=object) for column in chosen]
    else:
        table: Any = X.tocsr()[rows] if sp.issparse(X) else np.asarray(X)[rows]
        if table.ndim != 2 or table.dtype.kind == "c" or not table.shape[1]:
            raise ValueError("not a table of real numbers or categories")
        n_columns = table.shape[1]
        values: Any = table[:, _some_columns(n_columns)]
        values = values.toarray() if sp.issparse(X) else values
        if values.dtype.kind in "biuf":
            values = values.astype(np.float64)
            values[~np.isfinite(values)] = np.nan
            return values, np.zeros(values.shape[1], dtype=bool), n_columns
        cells = list(values.T)
        is_category = np.array([any(isinstance(v, str) for v in column) for column in cells])
    encoded = [
        _codes(np.array([str(value) for value in column]))
        if category
        else np.array([_number(value) for value in column])
        for column, category in zip(cells, is_category, strict=True)
    ]
    return np.column_stack(encoded), is_category, n_columns


def _some_columns(n_columns: int) -> Rows:
    return np.sort(np.random.default_rng(0).permutation(n_columns)[:_MAX_COLUMNS])


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):  # missing, or a time
        return float("nan")
    return number if np.isfinite(number) else float("nan")


# -- sizes and moments -----------------------------------------------------------------------------


def _class_features(target: Array) -> dict[str, Any]:
    shares = np.bincount(target.astype(np.intp)) / len(target)
    return {
        "log_classes": np.log(len(shares)),
        "class_entropy": -(shares * np.log(shares)).sum() / np.log(len(shares)),
        "log_smallest_class": np.log(shares.min()),
        "largest_class": shares.max(),
    }


def _target_features(target: Array) -> dict[str, Any]:
    low, median, high = np.quantile(target, [0.05, 0.5, 0.95])
    spread = max(high - low, 1e-6 * np.ptp(target))
    return {
        "target_asymmetry": (high + low - 2 * median) / spread,
        "log_target_range": np.log(np.ptp(target) / spread),
        "target_distinct": len(np.unique(target)) / len(target),
    }


def _standardise(values: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return the columns that vary, imputed and standardised, and which vary."""
    is_missing = np.isnan(values)
    mean = np.where(is_missing, 0.0, values / np.maximum((~is_missing).sum(0), 1)).sum(0)
    centred = np.where(is_missing, 0.0, values - mean)
    largest = np.abs(centred).max(0)
    varies = largest > _TINY * np.abs(mean)
    X = centred[:, varies] / largest[varies]  # first, as squares of large numbers overflow
    return X / np.sqrt((X * X).mean(0)), varies


def _column_features(values: Array, is_category: NDArray[np.bool_]) -> tuple[Array, dict[str, Any]]:
    """Return the standardised columns that vary, and features of all."""
    X, varies = _standardise(values)
    n_distinct = np.array([len(np.unique(column)) for column in values.T])
    features: dict[str, Any] = {
        "missing": np.isnan(values).mean(),
        "categories": is_category.mean(),
        "few_valued": (n_distinct <= _FEW_VALUES).mean(),
        "binary": (n_distinct <= 2).mean(),
        "constant": 1 - varies.mean(),
        "log_tail": 0.0,
        "first_component": 1.0,
        "effective_rank": 0.0,
    }
    if X.shape[1]:
        shares = np.linalg.svd(X, compute_uv=False) ** 2
        shares /= shares.sum()
        entropy = -(shares * np.log(np.maximum(shares, _TINY))).sum()
        features["log_tail"] = np.log((X**4).mean(0)).mean()
        features["first_component"] = shares[0]
        features["effective_rank"] = np.exp(entropy) / X.shape[1]
    return X, features


# -- landmarks -------------------------------------------------------------------------------------


class _Fold(NamedTuple):
    """Rows to learn from and rows to predict, with their squared distances."""

    X: Array
    Y: Array
    X_test: Array
    within: Array  # distances of the rows to learn from
    between: Array  # those of the rows to predict, (n_test, n_train)


def _landmarks(X: Array, target: Array, folds: Rows, is_classification: bool) -> dict[str, Any]:
    """Return the mean score (0 by chance, 1 without error), and each model's difference from it."""
    Y = _indicators(target, is_classification)
    if not X.shape[1]:
        X = np.zeros((len(X), 1))
    squares = (X * X).sum(1)
    distances = np.maximum(squares[:, None] + squares - 2 * X @ X.T, 0)
    predicted: dict[str, Array] = {}
    for k in range(_N_FOLDS):
        train, test = np.flatnonzero(folds != k), np.flatnonzero(folds == k)
        within, between = distances[np.ix_(train, train)], distances[np.ix_(test, train)]
        fold = _Fold(X[train], Y[train], X[test], within, between)
        for name, values in _predictions(fold, is_classification):
            predicted.setdefault(name, np.empty_like(Y))[test] = values
    score = _balanced_accuracy if is_classification else _r2
    scores = {name: score(Y, values) for name, values in predicted.items()}
    mean = float(np.mean([*scores.values()]))
    return {"mean_score": mean} | {f"score_{name}": s - mean for name, s in scores.items()}


def _predictions(fold: _Fold, is_classification: bool) -> Iterator[tuple[str, Array]]:
    """Yield name and predictions of each model, of shape (n_test, k)."""
    nearest = np.argsort(fold.between, axis=1, kind="stable")
    for k in _NEIGHBOURS:
        yield f"neighbours_{k}", fold.Y[nearest[:, :k]].mean(1)
    for i, values in enumerate(_ridge(fold)):
        yield f"ridge_{i}", values
    mean, d = fold.Y.mean(0), fold.X.shape[1]
    for i, (gamma, penalty) in enumerate(_KERNELS):
        K = np.exp(-gamma / d * fold.within) + penalty * np.eye(len(fold.X))
        weights = np.linalg.solve(K, fold.Y - mean)
        yield f"kernel_{i}", mean + np.exp(-gamma / d * fold.between) @ weights
    if is_classification:
        yield "bayes", _naive_bayes(fold)
    yield "stump", _tree(fold, max_depth=1)
    yield "tree", _tree(fold)
    yield "forest", _random_trees(fold, is_classification)


def _ridge(fold: _Fold) -> list[Array]:
    """Return predictions of ridge regression for each penalty, by one decomposition."""
    centre, mean = fold.X.mean(0), fold.Y.mean(0)
    U, s, Vt = np.linalg.svd(fold.X - centre, full_matrices=False)
    projected, rotated = U.T @ (fold.Y - mean), (fold.X_test - centre) @ Vt.T
    shrink = [s / (s * s + penalty * len(fold.X)) for penalty in _PENALTIES]
    return [mean + rotated @ (factor[:, None] * projected) for factor in shrink]


def _naive_bayes(fold: _Fold) -> Array:
    """Return log densities of Gaussian naive Bayes, from which only the class is read."""
    counts = np.maximum(fold.Y.sum(0), _TINY)[:, None]  # a class may have no row in the fold
    mean = fold.Y.T @ fold.X / counts
    variance = np.maximum(fold.Y.T @ fold.X**2 / counts - mean**2, 1e-3)
    squared = fold.X_test**2 @ (1 / variance).T - 2 * fold.X_test @ (mean / variance).T
    constant = (mean**2 / variance + np.log(variance)).sum(1)
    return np.asarray(np.log(counts[:, 0]) - 0.5 * (squared + constant))


def _tree_skills(X: Array, target: Array, folds: Rows, is_classification: bool) -> dict[str, float]:
    """Return skills (1 less relative squared error) of a tree, a small tree and random trees."""
    Y = _indicators(target, is_classification)
    if not X.shape[1]:
        X = np.zeros((len(X), 1))
    test = folds == 0
    nothing = np.empty(0)
    fold = _Fold(X[~test], Y[~test], X[test], nothing, nothing)
    predicted = {
        "tree": _tree(fold),
        "small_tree": _tree(fold, max_leaf_nodes=8),
        "random_trees": _random_trees(fold, is_classification),
    }
    total = max(((Y[test] - fold.Y.mean(0)) ** 2).sum(), _TINY)
    skills = {
        f"skill_{name}": max(1 - float(((Y[test] - values) ** 2).sum() / total), -1.0)
        for name, values in predicted.items()
    }
    return skills | {"skill_size": skills["skill_tree"] - skills["skill_small_tree"]}


def _random_trees(fold: _Fold, is_classification: bool) -> Array:
    settings: dict[str, Any] = {
        "splitter": "random",
        "max_features": "sqrt" if is_classification else None,
    }
    trees = [_tree(fold, seed, **settings) for seed in range(_N_RANDOM_TREES)]
    return np.asarray(np.mean(trees, axis=0))


def _tree(fold: _Fold, seed: int = 0, **settings: Any) -> Array:
    """Return predictions of a tree. Squared errors of indicators are Gini impurities."""
    # Single precision, as scikit-learn converts to. Its checks take as long as growing the tree.
    X, X_test = (np.asarray(rows, dtype=np.float32, order="C") for rows in (fold.X, fold.X_test))
    tree = DecisionTreeRegressor(random_state=seed, **settings).fit(X, fold.Y, check_input=False)
    return np.asarray(tree.predict(X_test, check_input=False).reshape(len(X_test), -1))


def _indicators(target: Array, is_classification: bool) -> Array:
    """Return an indicator of each class, or the standardised target."""
    if is_classification:
        classes = _codes(target).astype(np.intp)
        return np.eye(classes.max() + 1)[classes]
    return np.asarray((target - target.mean())[:, None] / max(target.std(), _TINY))


def _balanced_accuracy(Y: Array, predicted: Array) -> float:
    k = Y.shape[1]
    if k == 1:  # a sample without the rare classes
        return 1.0
    is_right = Y[np.arange(len(Y)), predicted.argmax(1)]
    recall = float((Y.T @ is_right / Y.sum(0)).mean())
    return float((recall - 1 / k) / (1 - 1 / k))


def _r2(Y: Array, predicted: Array) -> float:
    return max(1 - float(((Y - predicted) ** 2).mean()), -1.0)  # Y has variance 1
