"""The prior that an estimator is given, and what its learner can do.

Learners import torch, so they are imported for priors that need it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skmeta._validation import suggest
from skmeta._warnings import warn_caller
from skmeta.exceptions import PriorError, SkmetaError, UnusedDataWarning
from skmeta.priors import MetaPrior

_IN_CONTEXT = "InContextLearner"
# The setting of a prior that says in which views predictions are averaged; no learner reads it.
VIEWS = "test_time_augment"


class RunSettings(NamedTuple):
    """Parameters of an estimator for the learner of its prior, and overrides of settings."""

    device: Any
    precision: str
    overrides: dict[str, Any]


def resolve_prior(prior: Any, kind: str) -> MetaPrior:
    """Return the prior that an argument of an estimator stands for, by default that for tables."""
    if prior is None or (isinstance(prior, str) and prior == "tabular"):
        return MetaPrior.load_shipped(kind)
    if isinstance(prior, MetaPrior):
        return prior
    if isinstance(prior, str):
        hint = suggest(prior, ["tabular"]) or " A file is read by MetaPrior.load."
        raise ValueError(f"prior={prior!r} is not 'tabular'.{hint}")
    if isinstance(prior, type) and is_learner(prior):
        raise ValueError(
            f"prior={prior.__name__} is a class. Make a learner of it, {prior.__name__}(), call "
            "fit first, then pass the learner or its prior_."
        )
    if is_learner(prior):
        return _prior_of_learner(prior)
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
    return not isinstance(prior, type) and is_learner(prior) and "prior_" in vars(prior)


def is_learner(prior: Any) -> bool:
    """Whether an argument is a learner, or a class of learners."""
    if prior is None or isinstance(prior, str | MetaPrior):
        return False  # Without torch, which learners import.
    from skmeta.learners import AutoLearner, MetaLearner

    kind = prior if isinstance(prior, type) else type(prior)
    return issubclass(kind, MetaLearner | AutoLearner)


def reads_tables(prior: MetaPrior) -> bool:
    """Whether a prior reads the rows of a task as its context, which needs NumPy only."""
    # Views of images are made in torch.
    return prior.learner == _IN_CONTEXT and not prior.learner_params.get(VIEWS)


def is_for_any_table(prior: MetaPrior) -> bool:
    """Return whether models beside the prior take part."""
    return prior.n_features_in is None and reads_tables(prior)


def algorithm_of(prior: MetaPrior) -> Any:
    """Return the algorithm of a prior's learner; None if it is not known."""
    from skmeta.learners import LEARNERS

    return LEARNERS[prior.learner].algorithm if prior.learner in LEARNERS else None


def learners_of_distributions() -> list[str]:
    """Return the names of the learners that predict a distribution of the target."""
    from skmeta.learners import LEARNERS

    return sorted(n for n, c in LEARNERS.items() if hasattr(c.algorithm, "predict_distribution"))


def allows_nan(prior: MetaPrior | None) -> bool:
    """Whether the prior's learner knows what to do where a value is missing."""
    if prior is None or reads_tables(prior):
        return prior is not None
    return bool(getattr(algorithm_of(prior), "allow_nan", False))


def adapts_anew(prior: MetaPrior) -> bool:
    """Whether a pickle of a fitted estimator needs the support set alone."""
    return reads_tables(prior) or algorithm_of(prior).adapts_anew


def check_prior(prior: MetaPrior, kind: str, estimator: str) -> None:
    """Raise a PriorError if the prior is of another kind of tasks, or its learner is unknown."""
    if prior.kind != kind:
        other = {
            "classification": "MetaFewShotClassifier",
            "regression": "MetaFewShotRegressor",
            "policy": "skmeta.policy.MetaPolicy",
            "optimizer": "skmeta.learners.PriorOptimizer",
        }[prior.kind]
        raise PriorError(
            f"{estimator} needs a prior for {kind}, but {prior!r} is one for {prior.kind}. "
            f"Use {other}."
        )
    if not reads_tables(prior) and algorithm_of(prior) is None:
        from skmeta.learners import LEARNERS

        raise PriorError(
            f"The prior was learned by {prior.learner}, which is not among the learners "
            f"known here: {', '.join(sorted(LEARNERS))}. Import the module that defines it."
        )


def check_device(device: Any) -> None:
    """Raise an error unless a device is a string or one of torch, and is there."""
    if not isinstance(device, str) and type(device).__module__ != "torch":
        raise TypeError(f"device must be a str or a torch.device, got {device!r}.")
    if str(device) not in ("auto", "cpu"):
        from skmeta._backend import resolve_device

        resolve_device(device)


def warn_of_images(shape: tuple[int, ...]) -> None:
    """Warn that a prior for tables reads images of this shape, and is no way to learn them."""
    warn_caller(
        f"X has rows of shape {shape[1:]}, which are images, but the prior is for tables. It "
        "treats pixels as columns, and reads only some of them. Meta-train a prior on images, such "
        "as ProtoNet(backbone='conv4'), take random weights, such as FineTuning(backbone='conv4')."
        "initial_prior(X), or pass rows of shape (n_samples, n_features) to silence this warning.",
        UnusedDataWarning,
    )


def family_classes(prior: MetaPrior) -> np.ndarray | None:
    """Return the classes that all tasks of a prior have, if any; a new task may lack some."""
    if prior.classes is None or reads_tables(prior):
        return None
    rows = prior.tensors.get(algorithm_of(prior).class_tensor, ())
    return prior.classes if len(rows) == len(prior.classes) else None


def _prior_of_learner(learner: Any) -> MetaPrior:
    if not is_fitted_learner(learner):
        raise ValueError(
            f"prior={type(learner).__name__}(...) is a learner that is not fitted. Call fit "
            "first, then pass the learner or its prior_."
        )
    prior: MetaPrior = vars(learner)["prior_"]
    return prior
