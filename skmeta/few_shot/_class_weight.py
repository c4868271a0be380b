"""Weights of classes: factors of their prior probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from skmeta._validation import quote, quote_some


def check_class_weight(class_weight: Any, labels: np.ndarray) -> None:
    """Check the weights of a dict.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        Weights by label.
    labels : ndarray of shape (n_classes,)
        Labels of the classes.

    Raises
    ------
    ValueError
        If a label is unknown, or a weight is not a finite number above 0.
    """
    if not isinstance(class_weight, Mapping):
        return
    known = labels.tolist()
    for label, weight in class_weight.items():
        if label not in known:
            raise ValueError(
                f"class_weight has a weight of {quote(label)}, but the classes are "
                f"{quote_some(labels)}. Leave it out."
            )
        if not (isinstance(weight, Real) and 0 < float(weight) < np.inf):
            raise ValueError(
                f"class_weight is {weight!r} for {quote(label)}, but a weight is a finite number "
                "above 0. Leave the class out for weight 1."
            )


def class_weights(
    class_weight: Any, labels: np.ndarray, y: np.ndarray, sample_weight: np.ndarray
) -> np.ndarray:
    """Return the weight of each class.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        Weights by label; one over the frequency of the class; or 1.
    labels : ndarray of shape (n_classes,)
        Labels of the classes.
    y : ndarray of shape (n_samples,)
        Class positions of the rows.
    sample_weight : ndarray of shape (n_samples,)
        Weights of the rows: numbers of repetitions.

    Returns
    -------
    ndarray of shape (n_classes,)
        Weights; 1 for a class without rows or without an entry.
    """
    weights = np.ones(len(labels))
    if isinstance(class_weight, Mapping):
        for label, weight in class_weight.items():
            weights[labels == label] = weight
    elif class_weight == "balanced":
        size = np.bincount(y, sample_weight, len(labels))
        has_rows = size > 0
        weights[has_rows] = size.sum() / (has_rows.sum() * size[has_rows])
    return weights
