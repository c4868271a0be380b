"""Rows that a user gives to an estimator, as a table of numbers, and digests of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skmeta._columns._encoder import FrameEncoder
from skmeta._columns._frames import is_data_frame


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
        raise ValueError(
            f"X has rows of shape {given}, but input_shape={known}. Give X this shape; "
            "np.moveaxis(X, -1, 1) moves channels from the end to the front."
        )
    return np.asarray(X).reshape(shape[0], -1), known or given


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


def mix_bits(values: np.ndarray) -> np.ndarray:
    """Return digests (n,) of 64-bit integers (n,): each bit changes all bits of its digest."""
    # The finaliser of splitmix64 (Steele, Lea & Flood 2014).
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
