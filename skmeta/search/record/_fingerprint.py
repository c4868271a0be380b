"""Fingerprints of data sets: digests and sketches, which hold no data.

Notation: n rows, d columns; h (n,) one 64-bit hash per row. For each of k fixed permutations of
the 64-bit numbers, the sketch holds the smallest permuted h. The share of equal entries of two
sketches estimates the Jaccard similarity of the two sets of rows (Broder 1997, "On the resemblance
and containment of documents").

The *digest* is equal for equal values, whatever holds them. The *identity* is equal only if nothing
that an estimator can see differs: types, names, categories, shapes, the index, and which columns
are targets.
"""

import hashlib
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from os import PathLike
from typing import Any, NamedTuple
from uuid import UUID

import joblib
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmeta._columns import frame_columns, is_data_frame

_N_PERMUTATIONS = 64
# Odd multipliers permute the numbers modulo 2^64.
_MULTIPLIERS = np.random.default_rng(20_17).integers(
    0, 2**63, size=_N_PERMUTATIONS, dtype=np.uint64
) * np.uint64(2) + np.uint64(1)
_EXACT = 2**53  # integers up to this number are floats too
# Objects whose text says all.
_TEXTUAL = (bool, int, float, complex, date, time, timedelta, Decimal, Fraction, UUID, np.generic)


class DataFingerprint(NamedTuple):
    """Digest of a data set and MinHash sketch of its rows; empty if they cannot be computed."""

    digest: str
    sketch: tuple[int, ...]


def fingerprint_data(X: Any, y: Any = None) -> DataFingerprint:
    """Compute the digest of a data set and the sketch of its rows."""
    try:
        parts = [_column_hashes(part) for part in (X, y) if part is not None]
        columns = [column for part in parts for column in part]
        rows = _row_hashes(columns)
    except (TypeError, ValueError):  # ragged lists, and objects that NumPy does not understand
        return DataFingerprint(_object_digest((X, y)), ())
    sizes = len(rows), [len(part) for part in parts], _shape(X)[2:]
    digest = hashlib.sha256(repr(sizes).encode())
    for column in columns:
        digest.update(np.ascontiguousarray(column).tobytes())
    # 31 bits of each minimum suffice, and fit a signed 32-bit integer of any database.
    smallest = [(rows * m).min() >> np.uint64(33) for m in _MULTIPLIERS if len(rows)]
    return DataFingerprint(digest.hexdigest()[:24], tuple(map(int, smallest)))


def identify_data(digest: str, X: Any, y: Any = None) -> tuple[str, list[str]]:
    """Return a text that differs from that of all other data sets, and what it does not see."""
    try:
        form = repr([_form(X), _form(y)])
    except Exception:  # containers of any package may raise anything
        form = _object_digest((X, y))
    if not digest or not form:  # of what cannot be compared, nothing is known to be the same
        return f"unknown {secrets.token_hex(16)}", ["the data can be neither compared nor pickled"]
    unseen = ["the data are paths of files"] if _first_is_a_path(X) else []
    form = hashlib.sha256(form.encode("utf-8", "backslashreplace")).hexdigest()
    return f"{digest} {form}", unseen


def _first_is_a_path(X: Any) -> bool:
    """Return whether the first cell of the data is the path of a file."""
    with suppress(Exception):  # containers of any package may raise anything
        cell = np.asarray(X[:1] if not is_data_frame(X) else X.iloc[:1], dtype=object).flat[0]
        return isinstance(cell, str | PathLike) and bool(cell) and os.path.isfile(cell)
    return False


def sketch_similarity(one: Sequence[int], other: Sequence[int]) -> float:
    """Estimate the Jaccard similarity of two sets of rows to 0.0625; 0.0 if one is empty."""
    if not one or len(one) != len(other):
        return 0.0
    return float(np.mean(np.asarray(one) == np.asarray(other)))


# -- values ----------------------------------------------------------------------------------------


def _row_hashes(columns: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    # The sum does not depend on the order of columns.
    total = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        total += _mix(column)
    return _mix(total)


def _column_hashes(X: Any) -> list[NDArray[np.uint64]]:
    if sp.issparse(X):
        return _sparse_hashes(X.tocsr())
    if is_data_frame(X):  # columns differ in type
        return [_hashes(column.to_numpy()) for column in frame_columns(X)]
    array = _as_array(X)
    if array.ndim == 0:
        raise TypeError("a scalar has no rows")
    array = array.reshape(len(array), -1)
    return [_hashes(array[:, i]) for i in range(array.shape[1])]


def _as_array(X: Any) -> NDArray[Any]:
    if hasattr(X, "to_numpy"):  # a series
        return np.asarray(X.to_numpy())
    is_texts = isinstance(X, (list, tuple)) and all(isinstance(text, str) for text in X)
    return np.asarray(X, dtype=object if is_texts else None)


def _sparse_hashes(X: Any) -> list[NDArray[np.uint64]]:
    # One hash per row: the sum over its stored values, each hashed with its column.
    cells = _mix(_hashes(X.data) ^ _mix(X.indices.astype(np.uint64)))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(cells, dtype=np.uint64)])
    return [sums[X.indptr[1:]] - sums[X.indptr[:-1]]]


def _hashes(values: NDArray[Any]) -> NDArray[np.uint64]:
    kind = values.dtype.kind
    if kind in "biuf" and values.itemsize <= 8:
        hashes = (values.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 becomes 0.0
        if kind in "iu" and values.itemsize == 8 and len(values):
            is_large = (values > _EXACT) | ((values < -_EXACT) if kind == "i" else False)
            if is_large.any():  # neighbours have the same float
                hashes[is_large] = _mix(values[is_large].astype(np.uint64))
        return hashes
    if kind in "mM":
        return values.astype(np.int64).view(np.uint64)
    # An array of strings would give each of them the length of the longest text.
    texts = values.tolist() if kind in "OUS" else values.astype(str).tolist()
    codes: dict[str, int] = {}
    hashes = np.empty(len(texts), np.uint64)
    for row, value in enumerate(texts):
        text = _as_text(value, is_typed=kind == "O")
        if text not in codes:
            digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
            codes[text] = int.from_bytes(digest, "little")
        hashes[row] = codes[text]
    return hashes


def _as_text(value: Any, *, is_typed: bool) -> str:
    """Return a text of its own for each value; of a text, itself."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        raise ValueError("a sequence has no text that is sure to be whole")
    if isinstance(value, bytes) and not is_typed:
        return value.decode("ascii")
    kind = type(value)
    is_known = value is None or isinstance(value, _TEXTUAL) or kind.__module__.startswith("pandas.")
    text = str(value) if is_known else _object_digest(value)
    if not text:
        raise TypeError(f"a {kind.__name__} can be neither compared nor pickled")
    return f"\0{kind.__name__} {text}"


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


# -- what holds the values -------------------------------------------------------------------------


def _shape(X: Any) -> tuple[int, ...]:
    return tuple(X.shape) if hasattr(X, "shape") else ()


def _form(X: Any) -> Any:
    """Return all that an estimator can see of the data besides plain values."""
    kind = f"{type(X).__module__}.{type(X).__qualname__}"
    if X is None:
        return None
    if sp.issparse(X):
        return kind, X.format, str(X.dtype), X.shape, X.indices.dtype.str
    if type(X) is np.ndarray or isinstance(X, np.memmap):
        return X.dtype.str, X.shape
    if type(X) in (list, tuple):
        return kind, _as_array(X).dtype.str, np.shape(_as_array(X))
    if is_data_frame(X) or hasattr(X, "to_numpy"):
        columns = frame_columns(X) or [X]
        names = [repr(name) for name in X.columns] if is_data_frame(X) else [repr(X.name)]
        types = [(repr(one.dtype), _categories(one.dtype)) for one in columns]
        return kind, X.shape, names, types, _index(X), repr(getattr(X, "attrs", None) or {})
    if hasattr(X, "detach"):
        return kind, str(X.dtype), tuple(X.shape)
    # Of another class, which may hold more than an array.
    digest = _object_digest(X)
    if not digest:
        raise TypeError(f"a {kind} can be neither compared nor pickled")
    return kind, digest


def _categories(dtype: Any) -> Any:
    known = getattr(dtype, "categories", None)
    return None if known is None else (repr(list(known)), bool(getattr(dtype, "ordered", False)))


def _index(X: Any) -> str:
    """Return the labels of the rows as a text; polars has none."""
    index = getattr(X, "index", None)
    if index is None or not hasattr(index, "names"):
        return ""
    is_counted = type(index).__name__ == "RangeIndex"
    return repr((list(index.names), repr(index) if is_counted else _object_digest(index)))
