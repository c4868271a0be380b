"""The ``prior`` argument of an estimator, a prior, a learner or a name; and the prior's classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from skmeta._validation import quote_some, suggest
from skmeta._warnings import warn_caller
from skmeta.exceptions import PriorError, SkmetaError, UnusedDataWarning
from skmeta.learners import LEARNERS, AutoLearner, MetaLearner
from skmeta.priors import MetaPrior, load_table_prior


def resolve_prior(prior: Any, kind: str) -> MetaPrior:
    """Return the prior that an argument of an estimator stands for, by default that for tables."""
    if prior is None or (isinstance(prior, str) and prior == "tabular"):
        return load_table_prior(kind)
    if isinstance(prior, MetaPrior):
        return prior
    if isinstance(prior, MetaLearner | AutoLearner):
        return _prior_of_learner(prior)
    if isinstance(prior, type) and issubclass(prior, MetaLearner | AutoLearner):
        raise ValueError(
            f"prior={prior.__name__} is a class. Make a learner of it, {prior.__name__}(), call "
            "fit first, then pass the learner or its prior_."
        )
    if isinstance(prior, str):
        hint = suggest(prior, ["tabular"]) or " A file is read by MetaPrior.load."
        raise ValueError(f"prior={prior!r} is not 'tabular'.{hint}")
    raise TypeError(
        "prior must be a MetaPrior, a fitted meta-learner, 'tabular' or None, got "
        f"{prior!r} of type {type(prior).__name__}."
    )


def peek_prior(prior: Any, kind: str) -> MetaPrior | None:
    """Return the prior that an argument stands for; None if it is wrong or cannot be read."""
    try:
        return resolve_prior(prior, kind)
    except (OSError, SkmetaError, TypeError, ValueError):
        return None  # `fit` raises the error; the tags of an estimator must not.


def is_fitted_learner(prior: Any) -> bool:
    """Whether an argument is a learner that has a prior."""
    return isinstance(prior, MetaLearner | AutoLearner) and "prior_" in vars(prior)


def check_prior(prior: MetaPrior, kind: str, estimator: str) -> None:
    """Raise a PriorError if the prior is of another kind of tasks, or its learner is unknown."""
    if prior.kind != kind:
        other = {
            "classification": "MetaFewShotClassifier",
            "regression": "MetaFewShotRegressor",
            "policy": "skmeta.policy.MetaPolicy",
        }[prior.kind]
        raise PriorError(
            f"{estimator} needs a prior for {kind}, but {prior!r} is one for {prior.kind}. "
            f"Use {other}."
        )
    if prior.learner not in LEARNERS:
        raise PriorError(
            f"The prior was learned by {prior.learner}, which is not among the learners "
            f"known here: {', '.join(sorted(LEARNERS))}. Import the module that defines it."
        )


def warn_of_images(shape: tuple[int, ...]) -> None:
    """Warn that a prior for tables reads images of this shape, and is no way to learn them."""
    warn_caller(
        f"X has rows of shape {shape[1:]}, which are images, but the prior is for tables. It "
        "treats pixels as columns, and reads only some of them. Meta-train a prior on images, such "
        "as ProtoNet(backbone='conv4'), take drawn weights, such as FineTuning(backbone='conv4')."
        "initial_prior(X), or pass rows of shape (n_samples, n_features) to silence this warning.",
        UnusedDataWarning,
    )


def family_classes(prior: MetaPrior) -> np.ndarray | None:
    """Return the classes that all tasks of a prior have, if any; a new task may lack some."""
    rows = prior.tensors.get(LEARNERS[prior.learner].algorithm.class_tensor, ())
    if prior.classes is None or len(rows) != len(prior.classes):
        return None
    return prior.classes


def head_rows(prior: MetaPrior, labels: np.ndarray | None) -> list[int]:
    """Return each output's row in a prior's learned head; -1, or a PriorError, if it has none.

    `labels` is None for a regression. The error is for priors that take only their own classes.
    """
    if labels is None:
        return [0]
    if prior.classes is None:
        return list(range(len(labels)))
    known = {label: k for k, label in enumerate(prior.classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in known]
    is_limited = not LEARNERS[prior.learner].algorithm.takes_other_classes
    if unknown and is_limited and family_classes(prior) is not None:
        raise PriorError(
            f"{prior.learner} learned tasks that share the classes {quote_some(prior.classes)}, "
            f"but y has {quote_some(unknown)}. Pass rows of these classes, or a prior that takes "
            "any: prior='tabular', or one of a learner with head_init='shared'."
        )
    return [known.get(label, -1) for label in labels.tolist()]


def _prior_of_learner(learner: MetaLearner | AutoLearner) -> MetaPrior:
    if not is_fitted_learner(learner):
        raise ValueError(
            f"prior={type(learner).__name__}(...) is a learner that is not fitted. Call fit "
            "first, then pass the learner or its prior_."
        )
    prior: MetaPrior = vars(learner)["prior_"]
    return prior
