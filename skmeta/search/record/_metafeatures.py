"""Meta-features: a few numbers that say what kind of data set it is.

They are recorded with each search, and tell past data sets apart in reports. All are simple or
statistical in the sense of Rivolli et al. (2022), "Meta-features for meta-learning", and cost
milliseconds. Weighing past searches by how much their data resembles the present one in them was
tried on six classifiers, and made searches neither better nor worse.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target

__all__ = ["metafeatures"]

_MAX_ROWS = 1000
_MAX_COLUMNS = 100


def metafeatures(X: Any, y: Any = None) -> dict[str, float]:
    """Return the meta-features of a data set.

    Parameters
    ----------
    X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
        Columns that are not numbers count as categorical. Statistics are of at most 1,000 rows
        and 100 columns, evenly spaced.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None

    Returns
    -------
    dict of str -> float
        What cannot be computed is left out. Counts of rows and columns are decimal logarithms.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> found = metafeatures(*load_iris(return_X_y=True))
    >>> round(found["log_n_samples"], 2), found["n_classes"], round(found["class_entropy"], 2)
    (2.18, 3.0, 1.0)
    """
    found = _of_target(y)
    shape = getattr(X, "shape", None) or np.shape(np.asarray(X, dtype=object))
    if len(shape) == 0 or shape[0] == 0:
        return found
    n_features = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    found["log_n_samples"] = float(np.log10(shape[0]))
    if len(shape) > 1 and n_features:
        found["log_n_features"] = float(np.log10(n_features))
        found["log_rows_per_column"] = found["log_n_samples"] - found["log_n_features"]
        found.update(_of_columns(X))
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _of_target(y: Any) -> dict[str, float]:
    if y is None:
        return {}
    try:
        kind = type_of_target(y)
    except (TypeError, ValueError):
        return {}
    values = np.asarray(y)
    if kind in ("binary", "multiclass"):
        _, counts = np.unique(values.astype(str), return_counts=True)
        share = counts / counts.sum()
        entropy = -(share * np.log(share)).sum() / max(np.log(len(share)), 1e-12)
        return {
            "n_classes": float(len(share)),
            "class_entropy": float(entropy),
            "smallest_class": float(share.min()),
        }
    if values.ndim == 1 and values.dtype.kind in "iuf" and len(values) > 2:
        return {"target_skewness": _standardised_moment(values[:, None].astype(float), 3)[0]}
    return {}


def _of_columns(X: Any) -> dict[str, float]:
    columns, share_categorical, share_missing = _numbers(X)
    found = {"share_categorical": share_categorical, "share_missing": share_missing}
    varying = columns[:, np.nanstd(columns, axis=0) > 0] if columns.size else columns
    if varying.shape[1] == 0 or len(varying) < 4:
        return found
    filled = np.where(np.isnan(varying), np.nanmean(varying, axis=0), varying)
    found["mean_abs_skewness"] = float(np.mean(np.abs(_standardised_moment(filled, 3))))
    found["mean_kurtosis"] = float(np.mean(_standardised_moment(filled, 4)))
    found["share_zero"] = float(np.mean(filled == 0))
    if filled.shape[1] > 1:
        correlations = np.corrcoef(filled, rowvar=False)[np.triu_indices(filled.shape[1], 1)]
        found["mean_abs_correlation"] = float(np.nanmean(np.abs(correlations)))
    return found


def _numbers(X: Any) -> tuple[NDArray[np.float64], float, float]:
    """Return some numeric cells, the share of categorical columns and of missing cells."""
    rows = _evenly(X.shape[0] if hasattr(X, "shape") else len(X), _MAX_ROWS)
    if sp.issparse(X):
        block = X.tocsr()[rows]
        return block[:, _evenly(block.shape[1], _MAX_COLUMNS)].toarray().astype(float), 0.0, 0.0
    if hasattr(X, "iloc"):
        parts = [X.iloc[rows, i].to_numpy() for i in _evenly(X.shape[1], _MAX_COLUMNS)]
    else:
        array = np.asarray(X)
        array = array[rows].reshape(len(rows), -1)
        parts = [array[:, i] for i in _evenly(array.shape[1], _MAX_COLUMNS)]
    numeric, n_missing = [], 0
    for part in parts:
        try:
            numbers = part.astype(np.float64)
        except (TypeError, ValueError):
            n_missing += sum(value is None or value != value for value in part.tolist())
        else:
            numbers[~np.isfinite(numbers)] = np.nan
            n_missing += int(np.isnan(numbers).sum())
            if not np.isnan(numbers).all():
                numeric.append(numbers)
    stacked = np.stack(numeric, axis=1) if numeric else np.empty((len(rows), 0))
    n_cells = max(len(parts) * len(rows), 1)
    return stacked, 1 - len(numeric) / max(len(parts), 1), n_missing / n_cells


def _evenly(n: int, at_most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, at_most)).astype(np.int64))


def _standardised_moment(columns: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    centred = columns - columns.mean(axis=0)
    scale = np.maximum(centred.std(axis=0), 1e-300)
    # Bounded, so that one outlier does not swamp what other columns say.
    moments: NDArray[np.float64] = np.mean((centred / scale) ** order, axis=0)
    return np.clip(moments, -100, 100)
