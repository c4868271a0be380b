"""What tells whether two searches are on the same data: numbers that hold no row.

Notation: n rows, d columns; h (n,) one 64-bit hash per row of X, with numbers rounded to single
precision; f1, f2: how many rows' values occur once, and twice.

The *digest* is equal for equal values, whatever holds them. The *sketch* is f1, f2 and the smallest
h of rows that occur once. Two samples of one distribution have at most about 2 sqrt(f2 f2') such
rows in common by chance: the expected number is sum l^2 exp(-2 l) over values that are expected l
times, and that of f2 is sum l^2 exp(-l) / 2. Where more are in common, rows are.

The *columns* are n and, for each column, its mean and deviation and its correlation with the
target. Halves of a table have no row in common, but their columns are alike; see `are_siblings`.
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import joblib
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.stats import norm

from skmeta._columns import frame_columns, is_data_frame, mix_bits

Array = NDArray[np.float64]

_N_HASHES = 256
_MIN_SHARE, _MIN_ROWS = 0.02, 2  # of rows in common
_N_DEVIATIONS = 3.0  # by which rows in common exceed their number by chance
# Of siblings: differences of their numbers of rows, and how often halves are not recognised.
_MAX_DIFFERENCE, _MAX_RELATIVE_DIFFERENCE = 10, 0.05
_SIGNIFICANCE = 1e-3
_MAX_COLUMNS, _MAX_ROWS = 60, 20_000  # of which means are computed
_EXACT = 2**53  # integers up to this number are floats too
# Objects whose text says all.
_TEXTUAL = (bool, int, float, complex, date, time, timedelta, Decimal, Fraction, UUID, np.generic)


class DataFingerprint(NamedTuple):
    """Digest, sketch and columns of a data set; empty if they cannot be computed."""

    digest: str
    sketch: tuple[int, ...] = ()
    columns: tuple[float, ...] = ()


def fingerprint_data(X: Any, y: Any = None) -> DataFingerprint:
    """Compute the digest of a data set, the sketch of its rows and what is kept of its columns."""
    try:
        parts = [_columns(part) for part in (X, y) if part is not None]
        hashed = [[_hashes(column) for column in part] for part in parts]
    except (TypeError, ValueError):  # ragged lists, and objects that NumPy does not understand
        return DataFingerprint(_object_digest((X, y)))
    sizes = len(hashed[0][0]), [len(part) for part in parts], _shape(X)[2:]
    digest = hashlib.sha256(repr(sizes).encode())
    for column in (column for part in hashed for column in part):
        digest.update(np.ascontiguousarray(column).tobytes())
    pairs = [[*zip(*part, strict=True)] for part in zip(parts, hashed, strict=True)]
    with np.errstate(all="ignore"):  # numbers that single precision does not hold
        sketch = _sketch(pairs[0])
        columns = _column_moments(pairs[0], None if y is None else pairs[1][0])
    return DataFingerprint(digest.hexdigest()[:24], sketch, columns)


# -- rows in common --------------------------------------------------------------------------------


def share_rows(one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether two data sets have more rows in common than by chance, by their sketches."""
    if len(one) <= 2 or len(other) <= 2:
        return False
    limit = min(sketch[-1] if len(sketch) - 2 < sketch[0] else math.inf for sketch in (one, other))
    seen = [{h for h in sketch[2:] if h <= limit} for sketch in (one, other)]
    least, n_common = min(map(len, seen)), len(seen[0] & seen[1])
    share = max(len(seen[0]) / one[0], len(seen[1]) / other[0])
    by_chance = 2 * share * math.sqrt(one[1] * other[1])
    return n_common >= max(_MIN_ROWS, _MIN_SHARE * least) and (
        n_common > by_chance + _N_DEVIATIONS * math.sqrt(by_chance)
    )


def _sketch(columns: Sequence[tuple[Any, NDArray[np.uint64]]]) -> tuple[int, ...]:
    # The sum does not depend on the order of columns.
    rows = np.zeros(len(columns[0][1]), dtype=np.uint64)
    for values, exact in columns:
        numbers = _as_numbers(values)
        rows += mix_bits(exact if numbers is None else _hashes(numbers.astype(np.float32)))
    values, counts = np.unique(mix_bits(rows), return_counts=True)
    # 53 bits suffice, and are exact in any reader of JSON.
    smallest = values[counts == 1][:_N_HASHES] >> np.uint64(11)
    return (int((counts == 1).sum()), int((counts == 2).sum()), *map(int, smallest))


# -- halves of one table ---------------------------------------------------------------------------


def are_siblings(one: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether data sets may be parts of one table, from what is kept of their columns.

    They have about as many rows, and no mean and no correlation with the target tells them apart.
    """
    if not one or len(one) != len(other):
        return False
    (n, *a), (m, *b) = one, other
    if abs(n - m) > max(_MAX_DIFFERENCE, _MAX_RELATIVE_DIFFERENCE * max(n, m)):
        return False
    (mean, s, r), (other_mean, t, q) = (np.reshape(values, (-1, 3)).T for values in (a, b))
    gap, error = np.abs(mean - other_mean), np.sqrt(s**2 / n + t**2 / m)
    z = [np.where(gap > 0, gap / np.where(error > 0, error, np.finfo(float).tiny), 0.0)]
    z.append(np.abs(np.arctanh(r) - np.arctanh(q)) / math.sqrt(2 / max(min(n, m) - 3, 1)))
    return bool(np.max(z, initial=0.0) < norm.isf(_SIGNIFICANCE / 2 / max(1, np.size(z))))


def _column_moments(
    columns: Sequence[tuple[Any, NDArray[np.uint64]]], target: Any
) -> tuple[float, ...]:
    """Return the number of rows and, of each column, mean, deviation and correlation with y.

    Correlations are of values in a bounded scale, so that no single row decides.
    """
    n = len(columns[0][1])
    chosen = np.sort(np.random.default_rng(0).permutation(len(columns))[:_MAX_COLUMNS])
    rows = slice(None, None, max(1, n // _MAX_ROWS))
    values = [_numbers_of(*columns[k])[rows] for k in chosen]
    y = None if target is None else _numbers_of(*target)[rows]
    moments = [(x.mean(), x.std(), 0.0 if y is None else _correlation(x, y)) for x in values]
    if y is not None:
        moments.append((y.mean(), y.std(), 0.0))
    return (float(n), *(float(f"{value:.7g}") for three in moments for value in three))


def _numbers_of(values: Any, hashed: NDArray[np.uint64]) -> Array:
    """Return finite numbers for a column: its own, or numbers from 0 to 1 for texts."""
    numbers = _as_numbers(values)
    if numbers is None:
        return mix_bits(hashed) / 2.0**64
    return np.where(np.isfinite(numbers), numbers, 0.0)


def _correlation(x: Array, y: Array) -> float:
    bounded = [np.tanh((v - np.median(v)) / max(float(v.std()), 1e-300)) for v in (x, y)]
    a, b = (v - v.mean() for v in bounded)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(a @ b / scale, -0.999, 0.999)) if scale else 0.0


# -- values ----------------------------------------------------------------------------------------


def _columns(X: Any) -> list[Any]:
    """Return the columns; of a sparse matrix, one of hashes."""
    if sp.issparse(X):
        return [_sparse_hashes(X.tocsr())]
    if is_data_frame(X):  # columns differ in type
        return [column.to_numpy() for column in frame_columns(X)]
    array = _as_array(X)
    if array.ndim == 0 or not array.size:
        raise TypeError("it has no values")
    array = array.reshape(len(array), -1)
    return [array[:, i] for i in range(array.shape[1])]


def _as_array(X: Any) -> NDArray[Any]:
    if hasattr(X, "to_numpy"):  # a series
        return np.asarray(X.to_numpy())
    is_texts = isinstance(X, (list, tuple)) and all(isinstance(text, str) for text in X)
    return np.asarray(X, dtype=object if is_texts else None)


def _as_numbers(values: NDArray[Any]) -> Array | None:
    """Return a column of numbers, also of objects; None for other columns."""
    if values.dtype.kind in "biuf" and values.dtype != np.uint64:
        return values.astype(np.float64)
    try:
        return values.astype(np.float64) if values.dtype.kind == "O" else None
    except (TypeError, ValueError):
        return None


def _sparse_hashes(X: Any) -> NDArray[np.uint64]:
    # One hash per row: the sum over its stored values, each hashed with its column.
    cells = mix_bits(_hashes(X.data) ^ mix_bits(X.indices.astype(np.uint64)))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(cells, dtype=np.uint64)])
    return np.asarray(sums[X.indptr[1:]] - sums[X.indptr[:-1]])


def _hashes(values: NDArray[Any]) -> NDArray[np.uint64]:
    kind = values.dtype.kind
    if kind in "biuf" and values.itemsize <= 8:
        hashes = (values.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 becomes 0.0
        if kind in "iu" and values.itemsize == 8 and len(values):
            is_large = (values > _EXACT) | ((values < -_EXACT) if kind == "i" else False)
            if is_large.any():  # neighbours have the same float
                hashes[is_large] = mix_bits(values[is_large].astype(np.uint64))
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


def _object_digest(value: Any) -> str:
    try:
        return str(joblib.hash(value))[:24]
    except Exception:  # pickling runs code of the object, which may raise anything
        return ""


def _shape(X: Any) -> tuple[int, ...]:
    return tuple(X.shape) if hasattr(X, "shape") else ()
