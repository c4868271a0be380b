"""Classes of a task and of the tasks that a prior was learned from, and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from skmeta._validation import quote, quote_some
from skmeta.exceptions import PriorError
from skmeta.learners import LEARNERS
from skmeta.priors import MetaPrior


def family_classes(prior: MetaPrior) -> np.ndarray | None:
    """Return the classes that a prior's tasks have in common, if it has parameters for each.

    A new task may then lack some of them.

    Parameters
    ----------
    prior : MetaPrior
        The prior.

    Returns
    -------
    ndarray of shape (n_classes,) or None
        Their labels; None if a task may have any classes.
    """
    rows = prior.tensors.get(LEARNERS[prior.learner].class_tensor, ())
    if prior.classes is None or len(rows) != len(prior.classes):
        return None
    return prior.classes


def head_rows(prior: MetaPrior, labels: np.ndarray | None) -> list[int]:
    """Return the row of each output in the learned head of a prior.

    Parameters
    ----------
    prior : MetaPrior
        The prior.
    labels : ndarray of shape (n_classes,) or None
        Labels of the classes; None for a regression, which has one output.

    Returns
    -------
    list of int of length n_outputs
        -1 for a class that the prior does not know.

    Raises
    ------
    PriorError
        If the prior takes no other classes than its own.
    """
    if labels is None:
        return [0]
    if prior.classes is None:
        return list(range(len(labels)))
    known = {label: k for k, label in enumerate(prior.classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in known]
    is_limited = not LEARNERS[prior.learner].takes_other_classes
    if unknown and is_limited and family_classes(prior) is not None:
        raise PriorError(
            f"{prior.learner} learned tasks that share the classes {quote_some(prior.classes)}, "
            f"but y has {quote_some(unknown)}. Pass rows of these classes, or a prior that takes "
            "any: prior='tabular', or one of a learner with head_init='shared'."
        )
    return [known.get(label, -1) for label in labels.tolist()]


def class_positions(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the position of each label among the sorted labels of the classes.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels.
    labels : ndarray of shape (n_classes,)
        Sorted labels of the classes.

    Returns
    -------
    ndarray of int of shape (n_samples,)
        Positions.

    Raises
    ------
    ValueError
        If a label is not among those of the classes.
    """
    positions = np.searchsorted(labels, y).clip(max=len(labels) - 1)
    unknown = labels[positions] != y
    if unknown.any():
        raise ValueError(
            f"y has labels that are not among the classes: {quote_some(np.unique(y[unknown]))}. "
            "Name them in the first call of partial_fit, or fit anew."
        )
    return positions.astype(np.int64, copy=False)


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
