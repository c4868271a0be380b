"""Where meta-training starts: drawn values, or those of a prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from skmeta._validation import quote_some
from skmeta.backend import Scaler, State
from skmeta.exceptions import PriorMismatchError
from skmeta.priors import MetaPrior


def check_start(prior: MetaPrior, kind: str, n_features: int, names: Sequence[str] | None) -> None:
    """Check that meta-training on some tasks can start from a prior.

    Parameters
    ----------
    prior : MetaPrior
        Where it starts.
    kind : {"classification", "regression"}
        Kind of the tasks.
    n_features : int
        Number of their features.
    names : sequence of str or None
        Names of the features.

    Raises
    ------
    PriorMismatchError
        If the prior is of another kind or has other features.
    """
    if prior.kind != kind:
        raise PriorMismatchError(
            f"Meta-training on {kind} tasks cannot start from {prior!r}, which is for "
            f"{prior.kind}. Give a prior for {kind}."
        )
    if prior.input_shape is None:
        raise PriorMismatchError(
            f"{prior!r} takes tables of any width. Only {prior.learner} can go on from it: use "
            "that learner, or a prior that was meta-trained with this backbone."
        )
    prior.check_features(n_features, names)


def load_weights(module: nn.Module, prior: MetaPrior) -> None:
    """Give a network the weights of a prior.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    prior : MetaPrior
        Its backbone must be the same.

    Raises
    ------
    PriorMismatchError
        If it is another one.
    """
    own = {f"body.{n}": p for n, p in module.named_parameters()}
    check_weights({n: tuple(p.shape) for n, p in own.items()}, prior)
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(torch.tensor(prior.tensors[name]))


def check_weights(expected: Mapping[str, tuple[int, ...]], prior: MetaPrior) -> None:
    """Check that a prior has the weights of a network.

    Parameters
    ----------
    expected : mapping of str to tuple of int
        Shapes of the network's weights.
    prior : MetaPrior
        The prior.

    Raises
    ------
    PriorMismatchError
        If its weights have other names or shapes.
    """
    found = {n: tuple(v.shape) for n, v in prior.tensors.items() if n.startswith("body.")}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise PriorMismatchError(
                f"The backbone does not have the prior's weights: {name!r} has shape "
                f"{expected.get(name)} in the module, {found.get(name)} in the prior. Give a "
                "module of the architecture that the prior was trained with: it has "
                f"backbone={prior.backbone!r} and backbone_params={dict(prior.backbone_params)}."
            )


def scaler_of(prior: MetaPrior) -> Scaler:
    """Return the standardisation of a prior's features and targets."""
    return Scaler(*(prior.tensors[f"scaler.{n}"] for n in Scaler._fields))


def take_learned(prior: MetaPrior, state: State, class_tensor: str, classes: Any) -> State:
    """Replace drawn tensors by those that a prior has.

    Parameters
    ----------
    prior : MetaPrior
        Where meta-training starts.
    state : dict of Tensor
        What was drawn.
    class_tensor : str
        Name of the tensor with a row for each class.
    classes : ndarray or None
        The classes, if all tasks have the same.

    Returns
    -------
    dict of Tensor
        Tensors that the prior lacks, or has in another shape, stay as they were drawn.

    Raises
    ------
    PriorMismatchError
        If the prior has rows for other classes.
    """
    both = None if classes is None or prior.classes is None else (classes, prior.classes)
    has_rows = class_tensor in state and class_tensor in prior.tensors
    if has_rows and both is not None and not np.array_equal(*both):
        raise PriorMismatchError(
            f"The tasks have the classes {quote_some(both[0])}, but {prior!r} has parameters for "
            f"{quote_some(both[1])}. Start from a prior for the same classes, or set prior=None."
        )
    learned = {n: v for n, v in prior.tensors.items() if n in state and v.shape == state[n].shape}
    return state | {n: torch.tensor(v).to(state[n]) for n, v in learned.items()}


def with_earlier(prior: Any, names: np.ndarray, names_kind: str) -> np.ndarray:
    """Return the classes or groups that a prior has seen after meta-training went on from another.

    Parameters
    ----------
    prior : MetaPrior, str or None
        Where it started: one that ships, and has seen none, if it is a name.
    names : ndarray
        What it trains on.
    names_kind : {"classes", "groups"}
        What they are.

    Returns
    -------
    ndarray
        These, and those of the prior if it has the same kind.
    """
    if not isinstance(prior, MetaPrior):
        return names
    if prior.trained_on is None or prior.trained_on_kind != names_kind:
        return names
    seen = np.asarray(prior.trained_on)
    return np.concatenate([names, seen[~np.isin(seen, names)]])
