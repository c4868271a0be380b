"""Digest of a data set and MinHash sketch of its rows: they identify data without holding any.

Notation: n rows, d columns; h (n,) one 64-bit hash per row. For each of k fixed permutations of
the 64-bit numbers, the sketch holds the smallest permuted h. The share of equal entries of two
sketches estimates the Jaccard similarity of the two sets of rows (Broder 1997, "On the resemblance
and containment of documents").
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import joblib
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_N_PERMUTATIONS = 64
# Odd multipliers permute the numbers modulo 2^64.
_MULTIPLIERS = np.random.default_rng(20_17).integers(
    0, 2**63, size=_N_PERMUTATIONS, dtype=np.uint64
) * np.uint64(2) + np.uint64(1)


class DataFingerprint(NamedTuple):
    """Digest of a data set and the sketch of its rows.

    Attributes
    ----------
    digest : str
        Equal for equal X and y with rows and columns in the same order; empty if the data can be
        neither hashed nor pickled.
    sketch : tuple of int
        MinHash of the rows; empty if the rows cannot be hashed.
    """

    digest: str
    sketch: tuple[int, ...]


def fingerprint_data(X: Any, y: Any = None) -> DataFingerprint:
    """Compute the digest of a data set and the sketch of its rows.

    Parameters
    ----------
    X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None

    Returns
    -------
    DataFingerprint

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> whole, part = fingerprint_data(X), fingerprint_data(X[:80])
    >>> whole.digest == part.digest, sketch_similarity(whole.sketch, part.sketch) > 0.5
    (False, True)
    """
    try:
        columns = [*_column_hashes(X), *(_column_hashes(y) if y is not None else [])]
        rows = _row_hashes(columns)
    except (TypeError, ValueError):  # ragged lists, and objects that NumPy does not understand
        return DataFingerprint(_object_digest((X, y)), ())
    digest = hashlib.sha256(repr((len(rows), len(columns))).encode())
    for column in columns:
        digest.update(np.ascontiguousarray(column).tobytes())
    return DataFingerprint(digest.hexdigest()[:24], _sketch(rows))


def sketch_similarity(one: Sequence[int], other: Sequence[int]) -> float:
    """Estimate the Jaccard similarity of two sets of rows.

    Parameters
    ----------
    one, other : sequence of int
        Sketches that `fingerprint_data` returned.

    Returns
    -------
    float
        Between 0 and 1, with a standard deviation of at most 0.0625; 0.0 if a sketch is empty.
    """
    if not one or len(one) != len(other):
        return 0.0
    return float(np.mean(np.asarray(one) == np.asarray(other)))


def _sketch(rows: NDArray[np.uint64]) -> tuple[int, ...]:
    if len(rows) == 0:
        return ()
    # 31 bits of each minimum suffice, and fit a signed 32-bit integer of any database.
    return tuple(int((rows * m).min() >> np.uint64(33)) for m in _MULTIPLIERS)


def _row_hashes(columns: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    # The sum does not depend on the order of columns.
    total = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        total += _mix(column)
    return _mix(total)


def _column_hashes(X: Any) -> list[NDArray[np.uint64]]:
    if sp.issparse(X):
        return _sparse_hashes(X.tocsr())
    if hasattr(X, "columns") and hasattr(X, "iloc"):  # pandas: columns differ in type
        return [_hashes(X.iloc[:, i].to_numpy()) for i in range(X.shape[1])]
    if hasattr(X, "get_columns"):  # polars
        return [_hashes(column.to_numpy()) for column in X.get_columns()]
    if hasattr(X, "to_numpy"):  # a series
        array = X.to_numpy()
    else:
        array = np.asarray(X, dtype=object if _is_texts(X) else None)
    if array.ndim == 0:
        raise TypeError("a scalar has no rows")
    array = array.reshape(len(array), -1)
    return [_hashes(array[:, i]) for i in range(array.shape[1])]


def _is_texts(X: Any) -> bool:
    return isinstance(X, (list, tuple)) and all(isinstance(text, str) for text in X)


def _sparse_hashes(X: Any) -> list[NDArray[np.uint64]]:
    # One hash per row: the sum over its stored values, each hashed with its column.
    cells = _mix(_hashes(X.data) ^ _mix(X.indices.astype(np.uint64)))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(cells, dtype=np.uint64)])
    return [sums[X.indptr[1:]] - sums[X.indptr[:-1]]]


def _hashes(values: NDArray[Any]) -> NDArray[np.uint64]:
    if values.dtype.kind in "biuf":
        return (values.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    if values.dtype.kind in "mM":
        return values.astype(np.int64).view(np.uint64)
    # An array of strings would give each of them the length of the longest text.
    texts = values.tolist() if values.dtype.kind in "OUS" else values.astype(str).tolist()
    codes: dict[str, int] = {}
    hashes = np.empty(len(texts), np.uint64)
    for row, value in enumerate(texts):
        text = _as_text(value)
        if text not in codes:
            digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
            codes[text] = int.from_bytes(digest, "little")
        hashes[row] = codes[text]
    return hashes


def _as_text(value: Any) -> str:
    if isinstance(value, (list, tuple, np.ndarray)):
        raise ValueError("a sequence has no text that is sure to be whole")
    text = value.decode("ascii") if isinstance(value, bytes) else str(value)
    return text.rstrip("\0")  # as in an array of strings


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # The finaliser of splitmix64 (Steele, Lea & Flood 2014).
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _object_digest(value: Any) -> str:
    try:
        return str(joblib.hash(value))[:24]
    except Exception:  # pickling runs code of the object, which may raise anything
        return ""
