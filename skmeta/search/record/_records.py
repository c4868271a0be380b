"""Records of searches, and fingerprints of data sets.

Records are what the history, the prior and the search exchange.

A *configuration* describes an estimator by names that do not depend on a pipeline's step names
(``"SVC.C"``); its values are plain: bool, int, float, str or None. Scores are signed so that
greater is better.

The digest of a data set and the MinHash sketch of its rows identify data without holding any.
Notation: n rows, d columns; h (n,) one 64-bit hash per row. For each of k fixed permutations of
the 64-bit numbers, the sketch holds the smallest permuted h. The share of equal entries of two
sketches estimates the Jaccard similarity of the two sets of rows (Broder 1997, "On the resemblance
and containment of documents").
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import joblib
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmeta._columns import frame_columns, is_data_frame

Value = bool | int | float | str | None
Configuration = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class CandidateRecord:
    """One candidate of a search: its parameters, and its scores and times on every fold.

    One without scores is being evaluated by a worker of a shared search.

    Attributes
    ----------
    configuration : dict
        Parameters of the candidate, under names that do not depend on a pipeline's step names.
    key : str
        Digest of the candidate's parameters. Equal keys are equal candidates.
    params : str
        JSON from which the same search rebuilds the candidate; empty if it cannot.
    scores : dict of str -> tuple of float
        Metric -> test score of each fold, as the scorer returned it; NaN if the fold failed.
    train_scores : dict of str -> tuple of float
        The same on the training folds; empty if they were not scored.
    fit_times, score_times : tuple of float
        Seconds of each fold.
    costs : tuple of float
        Seconds of each fold, of its fit and score together, less what other work on the machine
        took; empty if unknown.
    n_test_samples : tuple of int
        Number of test rows of each fold; empty if unknown.
    n_rounds : tuple of float
        Number of boosting rounds that early stopping found on each fold, NaN where it found none;
        empty without early stopping.
    error : str or None
        Last line of the traceback if a fit failed.
    source : str
        Why the candidate was tried: ``"initial design"``, ``"as given"``, ``"prior"``,
        ``"model"``, ``"grid"``, ``"random"`` or ``"added"``.
    predicted_mean_score, predicted_std_score : float
        Mean and standard deviation of the score that the model expected just before the candidate
        was evaluated; NaN where there was no model.
    """

    configuration: Configuration
    key: str
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    params: str = ""
    train_scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    fit_times: tuple[float, ...] = ()
    score_times: tuple[float, ...] = ()
    costs: tuple[float, ...] = ()
    n_test_samples: tuple[int, ...] = ()
    n_rounds: tuple[float, ...] = ()
    error: str | None = None
    source: str = "added"
    # NaN does not equal itself.
    predicted_mean_score: float = field(default=math.nan, compare=False)
    predicted_std_score: float = field(default=math.nan, compare=False)


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """Description of a search: data set, estimator, space and metrics.

    Attributes
    ----------
    fingerprint : str
        Digest of data, estimator, space, cv and scoring. A search with a recorded fingerprint
        resumes.
    dataset : str or None
        Name that the user gave to the data set; None where the user gave none.
    data_digest : str
        Digest of X and y; empty if no data were given.
    data_sketch : tuple of int
        MinHash sketch of the rows, by which near duplicates are found; empty if unknown.
    estimator : str
        Class of the final predictor, such as ``"SVC"``. If the search chooses between several,
        their sorted names joined by ``"|"``.
    signature : str
        Classes of the whole estimator, such as ``"Pipeline(StandardScaler, SVC)"``.
    space : dict of str -> str
        Searched parameter (named as in a configuration) -> its values or distribution, as text;
        ``"added"`` if the candidates were measured elsewhere.
    cv : str
        Text representation of the splitter.
    metrics : dict of str -> int
        Metric -> its sign: 1 if greater is better, as for all scorers of scikit-learn, -1 if
        smaller is better.
    refit_metric : str
        Metric that the search maximises.
    dataset_features : dict of str -> float
        Numbers that describe the data set, for priors; empty if unknown. A search writes them
        when it opens its record, `skmeta.search._open_record`.
    seed : int or None
        Seed from which the candidates follow; None if they were measured elsewhere.
    learned_until : tuple of (str, int) or None
        Position in the history (its identity, and the id of its last candidate) up to which the
        search's prior was learned. A resumed search learns from the same past searches.
    target_scale : float
        Standard deviation of the targets of a regression; 1.0 if it is unknown. A prior divides
        parameters that have the target's unit, such as SVR's ``C``, by it.
    """

    fingerprint: str
    estimator: str
    metrics: Mapping[str, int]
    refit_metric: str
    dataset: str | None = None
    data_digest: str = ""
    data_sketch: tuple[int, ...] = ()
    signature: str = ""
    space: Mapping[str, str] = field(default_factory=dict)
    cv: str = ""
    dataset_features: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    learned_until: tuple[str, int] | None = None
    target_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.target_scale < math.inf:
            raise ValueError(f"target_scale must be positive and finite, got {self.target_scale}")

    @property
    def dataset_label(self) -> str:
        """Return the data set's name, or the first 12 characters of its digest."""
        return self.data_digest[:12] if self.dataset is None else self.dataset


@dataclass(frozen=True, kw_only=True)
class PastSearch:
    """Configurations of a past search, with one score each: what a prior learns from.

    Attributes
    ----------
    dataset : str
        Name of the data set, or the first 12 characters of its digest.
    configurations : tuple of dict
        One per candidate. Parameters that have the target's unit are relative to its standard
        deviation, if a history knows it.
    scores : ndarray of shape (n_candidates,)
        Mean over folds, signed so that greater is better; NaN if the candidate failed.
    metric : str
        Name of the metric.
    estimator : str
        As in `SearchRecord`.
    data_digest, data_sketch, dataset_features
        As in `SearchRecord`.
    n_folds : ndarray of shape (n_candidates,) or None
        Number of folds that each score is the mean of, as a search with racing stops some
        candidates early; None if it is the same for all.
    """

    dataset: str
    configurations: tuple[Configuration, ...]
    scores: NDArray[np.float64]
    metric: str = "score"
    estimator: str = ""
    data_digest: str = ""
    data_sketch: tuple[int, ...] = ()
    dataset_features: Mapping[str, float] = field(default_factory=dict)
    n_folds: NDArray[np.intp] | None = None


@dataclass(frozen=True, kw_only=True)
class RecordedSearch:
    """A search with all of its candidates, as a history holds it.

    Attributes
    ----------
    record : SearchRecord
        Description of the search.
    candidates : tuple of CandidateRecord
        Finished candidates, in the order in which they were recorded.
    started : float
        Seconds since 1970.
    """

    record: SearchRecord
    candidates: tuple[CandidateRecord, ...]
    started: float


# -- fingerprints of data sets ---------------------------------------------------------------------

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
    # 31 bits of each minimum suffice, and fit a signed 32-bit integer of any database.
    smallest = [(rows * m).min() >> np.uint64(33) for m in _MULTIPLIERS if len(rows)]
    return DataFingerprint(digest.hexdigest()[:24], tuple(map(int, smallest)))


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
    if hasattr(X, "to_numpy"):  # a series
        array = X.to_numpy()
    else:
        is_texts = isinstance(X, (list, tuple)) and all(isinstance(text, str) for text in X)
        array = np.asarray(X, dtype=object if is_texts else None)
    if array.ndim == 0:
        raise TypeError("a scalar has no rows")
    array = array.reshape(len(array), -1)
    return [_hashes(array[:, i]) for i in range(array.shape[1])]


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
