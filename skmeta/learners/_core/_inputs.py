"""The shape of a row, and the standardisation of rows and targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skmeta._columns import FrameEncoder, check_frame, is_data_frame
from skmeta._sklearn_compat import get_feature_names
from skmeta._validation import check_rows
from skmeta.backend import Scaler
from skmeta.exceptions import BackboneError
from skmeta.priors import MetaPrior


def flatten_rows(X: Any, input_shape: tuple[int, ...] | None) -> tuple[Any, tuple[int, ...] | None]:
    """Flatten images (n_samples, channels, height, width) to the rows of a table.

    `input_shape` is the shape of one row, where known; axes of length 1 may be left out.
    """
    if isinstance(X, (list, tuple)) and len(X) and np.ndim(X[0]) > 1:
        X = np.asarray(X)
    shape: tuple[int, ...] = getattr(X, "shape", ())
    known = None if input_shape is None else tuple(input_shape)
    if len(shape) <= 2:
        return X, known
    given = tuple(int(n) for n in shape[1:])
    if known is not None and [n for n in known if n != 1] != [n for n in given if n != 1]:
        raise BackboneError(
            f"X has rows of shape {given}, but input_shape={known}. Give X this shape; "
            "np.moveaxis(X, -1, 1) moves channels from the end to the front."
        )
    return np.asarray(X).reshape(shape[0], -1), known or given


def check_learner_rows(
    learner: Any, X: Any, allow_nan: bool, prior: MetaPrior | None = None, *, reset: bool = True
) -> tuple[np.ndarray, FrameEncoder | None]:
    """Check the rows of all tasks, and encode the columns of a data frame.

    The learner remembers the columns if `reset`. The encoder is that of `prior`, if there is one,
    and None if the rows are numbers already. NaN in an array is an error unless `allow_nan`.
    """
    check_frame(X)
    encoder = None if prior is None else frame_encoder(prior)
    if prior is None and is_data_frame(X):
        encoder = FrameEncoder.learn(X, allow_nan)
    if encoder is not None:
        return encode_rows(learner, encoder, X, reset=reset), encoder
    return check_rows(learner, X, reset=reset, allow_nan=allow_nan), None


@dataclass(frozen=True)
class Table:
    """Rows (n_samples, n_encoded) of all tasks, their columns, and the initial prior.

    `n_features` and `names` describe the columns before they were encoded; the learner takes over
    the network and the standardisation of `start`.
    """

    rows: np.ndarray
    input_shape: tuple[int, ...]
    n_features: int
    names: Any
    encoder: FrameEncoder | None
    start: MetaPrior | None

    @classmethod
    def read(cls, learner: Any, X: Any, settings: Any) -> Table:
        """Read what ``fit`` was given as ``X``."""
        start = None if learner.algorithm.loads_prior else settings.prior
        assert not isinstance(start, str)
        rows, shape = flatten_rows(X, settings.input_shape)
        rows, encoder = check_learner_rows(learner, rows, learner.algorithm.allow_nan, start)
        shape = resolve_input_shape(shape, settings.backbone, rows.shape[1])
        n_features = rows.shape[1] if encoder is None else len(encoder.columns)
        return cls(rows, shape, n_features, get_feature_names(X), encoder, start)

    @property
    def columns(self) -> dict[str, Any]:
        """How the columns are encoded, for the prior; empty if they are numbers already."""
        return {} if self.encoder is None else {"columns": self.encoder.columns}


def frame_encoder(prior: MetaPrior) -> FrameEncoder | None:
    """Return what encodes the data frames of a prior's family; None if its rows are numbers."""
    columns = prior.provenance.get("columns")
    return None if columns is None else FrameEncoder(columns)


def encode_rows(
    estimator: Any,
    encoder: FrameEncoder,
    X: Any,
    *,
    reset: bool,
    when: str = "in the prior's family",
) -> np.ndarray:
    """Encode the rows of a data frame, with its columns checked or remembered by an estimator."""
    if is_data_frame(X):
        # Check names and number of the columns before one is taken for another.
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    rows: np.ndarray = check_array(
        encoder.encode(X, when), ensure_all_finite="allow-nan", estimator=estimator, input_name="X"
    )
    return rows


def resolve_input_shape(
    input_shape: tuple[int, ...] | None, backbone: Any, n_features: int
) -> tuple[int, ...]:
    """Return the shape of one row; without one, a convolution takes square grey images."""
    if input_shape is None:
        side = math.isqrt(n_features)
        is_convolution = isinstance(backbone, str) and backbone == "conv4"
        if is_convolution and side * side == n_features:
            return (1, side, side)
        return (n_features,)
    if math.prod(input_shape) != n_features:
        raise BackboneError(
            f"input_shape={tuple(input_shape)} has {math.prod(input_shape)} values, but X has "
            f"{n_features} features. Make the two agree."
        )
    return tuple(input_shape)


def fit_scaler(
    standardize: bool | str, X: np.ndarray, y: np.ndarray | None, input_shape: tuple[int, ...]
) -> Scaler:
    """Compute the centre and scale of features and targets; constant features keep scale 1.

    With ``"auto"`` tables are standardised, but not images.
    """
    zero, one = np.zeros(()), np.ones(())
    x_mean, x_scale, y_mean, y_scale = zero, one, zero, one
    if standardize is True or (standardize == "auto" and len(input_shape) == 1):
        x_mean, x_scale = _mean_and_scale(X)
    if y is not None and standardize is not False:
        y_mean, y_scale = _mean_and_scale(y)
    return Scaler(x_mean, x_scale, y_mean, y_scale)


def _mean_and_scale(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, dtype=np.float64)
    w = np.where(np.isnan(values), 0.0, 1.0)
    total, values = w.sum(0), np.nan_to_num(values)
    total = np.where(total == 0, 1.0, total)
    # Values whose squares would be infinite, or zero, are measured in units of the largest.
    largest = abs(values).max(0, initial=0.0)
    is_extreme = (largest > 1e100) | ((largest < 1e-100) & (largest > 0))
    unit = np.where(is_extreme, largest, 1.0)
    values = values / unit
    mean = (w * values).sum(0) / total
    scale = np.sqrt((w * (values - mean) ** 2).sum(0) / total) * unit
    mean = mean * unit
    # Rounding can leave a constant column with a tiny scale. It must not be divided by it.
    constant = scale <= 1e-12 * np.abs(mean)
    return np.asarray(mean), np.where(constant, 1.0, scale)
