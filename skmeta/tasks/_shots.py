"""The number of support rows of a task: a number, or a range to draw it from."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from skmeta._validation import check_count

Shots = int | Sequence[int]


def check_shots(n_shot: Any) -> tuple[int, int]:
    """Return the lowest and the highest number of shots.

    Parameters
    ----------
    n_shot : int or sequence of two ints
        What the user gave.

    Returns
    -------
    low, high : int
        Both are ``n_shot`` if it is a number.

    Raises
    ------
    ValueError
        If it is neither a number of at least 1 nor a range.
    """
    if not isinstance(n_shot, tuple | list):
        n = check_count(n_shot, "n_shot")
        return n, n
    if len(n_shot) != 2:
        raise ValueError(f"n_shot must be a number of rows or a range (low, high), got {n_shot!r}.")
    low, high = (check_count(n, "each end of n_shot") for n in n_shot)
    if low > high:
        raise ValueError(f"n_shot=({low}, {high}) is empty. Give the lower number first.")
    return low, high


def draw_shots(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw a number of shots between two ends, both included; one number needs no draw."""
    return low if low == high else int(rng.integers(low, high + 1))
