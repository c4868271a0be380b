"""What classifiers of all rooms ask of their classes: an order, and weights."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from skmeta._validation import quote, quote_some


def rank_classes(y: Any, labels: np.ndarray, kind: str) -> np.ndarray | None:
    """Return the number (c,) of each sorted label in the order of the classes; None without one."""
    if kind == "nominal" or len(labels) < 3:
        return None
    dtype: Any = getattr(y, "dtype", None)
    if dtype is None and getattr(y, "shape", (0, 0))[1:] == (1,):  # A frame of one column.
        dtype = y.dtypes.iloc[0]
    if getattr(dtype, "ordered", False):
        place = {label: k for k, label in enumerate(np.asarray(dtype.categories).tolist())}
        return np.argsort(np.argsort([place[label] for label in labels.tolist()]))
    if kind == "auto":
        return None
    if labels.dtype.kind not in "biuf":
        raise ValueError(
            f"target_kind='ordered' needs classes whose order is known, but y has the labels "
            f"{quote_some(labels)}. Pass numbers, or pandas' ordered categories: "
            "pd.Series(y, dtype=pd.CategoricalDtype(levels, ordered=True))."
        )
    return np.arange(len(labels))


def check_class_weight(class_weight: Any, labels: np.ndarray) -> None:
    """Raise an error if weights by label have an unknown label, or are not finite and above 0."""
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
    """Return the weight (c,) of each class: 1 if it has no rows (n,) or no entry."""
    weights = np.ones(len(labels))
    if isinstance(class_weight, Mapping):
        for label, weight in class_weight.items():
            weights[labels == label] = weight
    elif class_weight == "balanced":
        size = np.bincount(y, sample_weight, len(labels))
        has_rows = size > 0
        weights[has_rows] = size.sum() / (has_rows.sum() * size[has_rows])
    return weights
