"""Classes of a task, and of the tasks that a prior was learned from."""

from __future__ import annotations

import numpy as np

from skmeta._validation import quote_some
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
