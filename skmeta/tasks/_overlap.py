"""Warn if an evaluation uses classes or groups that meta-training has seen."""

from typing import Any, Literal

import numpy as np

from skmeta._validation import quote_some
from skmeta._warnings import warn_caller
from skmeta.exceptions import OverlapWarning


def warn_if_reused(prior: Any, labels: np.ndarray, kind: Literal["classes", "groups"]) -> None:
    """Warn if an evaluation uses classes or groups that the prior was trained on.

    Parameters
    ----------
    prior : object or None
        Anything with ``trained_on``, an array of labels or None, and ``trained_on_kind``, which is
        ``"classes"``, ``"groups"`` or None. None is never reused.
    labels : array-like of shape (n_labels,)
        The classes or groups of the evaluation. They may be repeated.
    kind : {"classes", "groups"}
        What ``labels`` are. A prior that was trained on the other kind is not compared.

    Warns
    -----
    OverlapWarning
        Once, naming up to three of the labels in common.

    Examples
    --------
    >>> import warnings
    >>> from types import SimpleNamespace
    >>> prior = SimpleNamespace(trained_on=["cat", "dog"], trained_on_kind="classes")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_if_reused(prior, ["cow", "dog"], "classes")
    >>> caught[0].category.__name__
    'OverlapWarning'
    """
    trained_on = getattr(prior, "trained_on", None)
    if trained_on is None or prior.trained_on_kind != kind:
        return
    # Python's sets: NumPy would turn numbers into strings where the two have different types.
    seen = set(np.asarray(trained_on).tolist())
    evaluated = np.unique(np.asarray(labels)).tolist()
    reused = [label for label in evaluated if label in seen]
    if reused:
        warn_caller(
            f"{len(reused)} of {len(evaluated)} {kind} were used to train the prior: "
            f"{quote_some(reused)}. The scores will be too good for new tasks. "
            "Divide the rows with skmeta.tasks.split_tasks before meta-training.",
            OverlapWarning,
        )
