"""Write a learner's state as a prior, and read it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from skmeta._sklearn_compat import parameter_names
from skmeta._validation import quote_some
from skmeta.backbones import build_backbone, check_backbone, check_weights
from skmeta.backend import Scaler, State, state_to_numpy, state_to_torch
from skmeta.exceptions import PriorError
from skmeta.learners._core._algorithm import Algorithm
from skmeta.learners._core._session import Session, read_settings
from skmeta.priors import MetaPrior
from skmeta.training import declarations, learner_name, option_class, settings_by_role

# The setting of a prior that says in which views predictions are averaged; no learner reads it.
_VIEWS = "test_time_augment"


def write_prior(
    session: Session, state: State, *, provenance: Mapping[str, Any], **fields: Any
) -> MetaPrior:
    """Make a prior of a learner's state.

    Parameters
    ----------
    session : Session
        Learner, network and standardisation.
    state : dict of Tensor
        The learner's state.
    provenance : mapping
        Where the state comes from; ``columns`` says how data frames are encoded, see
        :func:`frame_encoder`.
    **fields
        Other fields of the prior.

    Returns
    -------
    MetaPrior
        The prior.
    """
    learner, context = session.learner, session.context
    settings = dict(settings_by_role(learner, "prior"))
    if "head_init" in settings:
        settings["head_init"] = context.head
    if session.changes:
        settings[_VIEWS] = list(session.changes)
    named = read_settings(learner)
    own = isinstance(named.backbone, torch.nn.Module)
    return make_prior(
        learner,
        session.scaler,
        state,
        provenance=provenance,
        learner_params=settings,
        backbone=type(named.backbone).__qualname__ if own else named.backbone,
        backbone_params=named.backbone_params or {},
        kind=context.kind,
        input_shape=context.network.input_shape,
        module=named.backbone if own else None,
        **fields,
    )


def make_prior(
    learner: Any,
    scaler: Scaler,
    state: State,
    *,
    provenance: Mapping[str, Any],
    **fields: Any,
) -> MetaPrior:
    """Make a prior of a learner's state.

    Parameters
    ----------
    learner : object
        The learner.
    scaler : Scaler
        Its standardisation.
    state : dict of Tensor
        Its state.
    provenance : mapping
        Where the state comes from.
    **fields
        Other fields of the prior.

    Returns
    -------
    MetaPrior
        The prior.
    """
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    return MetaPrior(
        state_to_numpy(state) | {f"scaler.{n}": np.asarray(v) for n, v in scaler._asdict().items()},
        learner=learner_name(type(learner)),
        provenance=dict(provenance) | versions,
        **fields,
    )


def scaler_of(prior: MetaPrior) -> Scaler:
    """Return the standardisation of a prior's features and targets."""
    return Scaler(*(prior.tensors[f"scaler.{n}"] for n in Scaler._fields))


@lru_cache(maxsize=2)
def state_of(prior: MetaPrior, device: torch.device, dtype: torch.dtype) -> State:
    """The state of a prior. It is cached for the next task: the methods of learners are pure."""
    tensors = {n: v for n, v in prior.tensors.items() if not n.startswith("scaler.")}
    return state_to_torch(tensors, device, dtype)


def read_prior(
    prior: MetaPrior,
    learner_class: type[Algorithm],
    *,
    classes: Sequence[int],
    device: str | torch.device,
    precision: str,
    input_shape: tuple[int, ...] = (),
    learner_precision: str | None = None,
    test_time_augment: Any = None,
    **overrides: Any,
) -> tuple[Session, State]:
    """Make a learner and its state of a prior.

    Parameters
    ----------
    prior : MetaPrior
        The prior.
    learner_class : type
        Its algorithm.
    classes : sequence of int of length n_outputs
        Row of each output in a learned head.
    device : str or torch.device
        Where to compute.
    precision : {"float32", "float64"}
        Precision of the adaptation.
    input_shape : tuple of int, default=()
        Shape of one row, for a prior that takes rows of any shape.
    learner_precision : {"float32", "float64"}, optional
        Precision of a network that a learner has of its own; by default float32.
    test_time_augment : "auto", str, sequence of str or None, default=None
        Views of a task; by default those that the prior was meta-trained for.
    **overrides
        Settings of the learner to use instead of the prior's.

    Returns
    -------
    session : Session
        The learner at work.
    state : dict of Tensor
        Its state.

    Raises
    ------
    PriorError
        If the prior needs a module that is missing, or another one than that given, or has
        learned rows for fewer classes, or if its tensors are not those of the backbone it names.
    """
    if prior.needs_module:
        raise PriorError(
            f"The prior was trained with a module of yours, {prior.backbone}. Load it with "
            "MetaPrior.load(path, module=...) and a module of the same architecture."
        )
    settings, declared = dict(prior.learner_params), declarations(learner_class)
    views = settings.pop(_VIEWS, [])
    for name, value in settings.items():
        kind = option_class(declared.get(name))
        if kind is not None and isinstance(value, Mapping):
            settings[name] = kind(**value)
    unknown = sorted(settings.keys() - set(parameter_names(learner_class)))
    if unknown:
        raise PriorError(
            f"{prior!r} has the setting {unknown[0]!r}, but {learner_class.__name__} has no such "
            "parameter. Meta-train it anew, or use the version of the learner that wrote it."
        )
    learner = learner_class(**(settings | overrides))
    # A learner without head_init has one kind of head.
    names_kind = prior.trained_on_kind or "classes"
    head = str(settings.get("head_init", learner.resolve_head(prior.kind, names_kind)))
    shape = input_shape if prior.input_shape is None else tuple(prior.input_shape)
    if prior.module is None:
        _check_named(prior, shape)
    backbone = prior.module if prior.module is not None else str(prior.backbone)
    module = build_backbone(backbone, shape, dict(prior.backbone_params))
    if prior.module is not None:
        _check_module(module, prior)
    session = Session.open(
        learner,
        module,
        shape,
        scaler_of(prior),
        kind=prior.kind,
        head=head,
        classes=classes,
        device=device,
        precision=precision,
        own_precision=learner_precision or "float32",
        test_time_augment=views if test_time_augment is None else test_time_augment,
    )
    if head == "learned" and max(classes) >= len(prior.tensors["head.weight"]):
        raise PriorError(
            f"The task has {len(classes)} classes, but the prior's head has learned rows for "
            f"{len(prior.tensors['head.weight'])}. Meta-train with head_init='shared', which takes "
            "any number of classes."
        )
    return session, dict(state_of(prior, session.adapter.device, session.adapter.dtype))


@lru_cache(maxsize=4)
def _check_named(prior: MetaPrior, shape: tuple[int, ...]) -> None:
    """Check the backbone that a prior names, once for each prior and shape of rows."""
    check_backbone(str(prior.backbone), shape, dict(prior.backbone_params), prior.tensors)


# Where meta-training starts: drawn values, or those of a prior.


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
    PriorError
        If the prior is of another kind or has other features.
    """
    if prior.kind != kind:
        raise PriorError(
            f"Meta-training on {kind} tasks cannot start from {prior!r}, which is for "
            f"{prior.kind}. Give a prior for {kind}."
        )
    if prior.input_shape is None:
        raise PriorError(
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
    PriorError
        If it is another one.
    """
    _check_module(module, prior)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.tensor(prior.tensors[f"body.{name}"]))


def _check_module(module: nn.Module, prior: MetaPrior) -> None:
    shapes = {f"body.{n}": tuple(p.shape) for n, p in module.named_parameters()}
    advice = (
        "Give a module of the architecture that the prior was trained with: it has "
        f"backbone={prior.backbone!r} and backbone_params={dict(prior.backbone_params)}."
    )
    check_weights(shapes, prior.tensors, advice)


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
    PriorError
        If the prior has rows for other classes.
    """
    both = None if classes is None or prior.classes is None else (classes, prior.classes)
    has_rows = class_tensor in state and class_tensor in prior.tensors
    if has_rows and both is not None and not np.array_equal(*both):
        raise PriorError(
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
