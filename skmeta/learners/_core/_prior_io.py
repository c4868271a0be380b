"""Write a learner's state as a prior, and read it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from skmeta._backend import Scaler, State, state_to_numpy, state_to_torch
from skmeta._sklearn_compat import parameter_names
from skmeta._training import declarations, learner_name, option_class, settings_by_role
from skmeta._validation import quote_some
from skmeta.backbones import build_backbone, check_backbone, check_weights
from skmeta.exceptions import PriorError
from skmeta.learners._core._session import Session
from skmeta.learners._core._settings import read_settings
from skmeta.priors import MetaPrior, is_of_rows

# The setting of a prior that says in which views predictions are averaged; no learner reads it.
VIEWS = "test_time_augment"


def write_prior(
    session: Session, state: State, *, provenance: Mapping[str, Any], **fields: Any
) -> MetaPrior:
    """Make a prior of the state of a learner in a session.

    `provenance` says where the state comes from, and in ``columns`` how data frames are encoded
    (see `FrameEncoder`); `fields` are other fields of the prior.
    """
    learner, context = session.algorithm.settings, session.context
    settings = dict(settings_by_role(learner, "prior"))
    if "head_init" in settings:
        settings["head_init"] = context.head
    if "n_train_steps" in settings:
        settings["n_train_steps"] = cast(Any, session.algorithm).n_trained_steps
    if session.changes:
        settings[VIEWS] = list(session.changes)
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
    rows: Mapping[str, np.ndarray] = MappingProxyType({}),
    **fields: Any,
) -> MetaPrior:
    """Make a prior of a learner's state; `fields` are other fields of the prior.

    `rows` are the tensors that describe the rows of the meta-training.
    """
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    scale = {f"scaler.{n}": np.asarray(v) for n, v in scaler._asdict().items()}
    return MetaPrior._create(
        state_to_numpy(state) | scale | dict(rows),
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
    tensors = {n: v for n, v in prior.tensors.items() if not is_of_rows(n)}
    return state_to_torch(tensors, device, dtype)


def read_prior(
    prior: MetaPrior,
    learner_class: type,
    *,
    classes: Sequence[int],
    device: str | torch.device,
    precision: str,
    input_shape: tuple[int, ...] = (),
    learner_precision: str | None = None,
    test_time_augment: Any = None,
    **overrides: Any,
) -> tuple[Session, State]:
    """Make a learner and its state of a prior, or raise a PriorError if its parts do not fit.

    `classes` is the row of each output in a learned head; `input_shape` is needed if the prior
    takes rows of any shape; `learner_precision` is that of a network of the learner's own (default
    float32); `test_time_augment` is by default what the prior was meta-trained for; `overrides`
    replace settings.
    """
    if prior.needs_module:
        raise PriorError(
            f"The prior was trained with a module of yours, {prior.backbone}. Load it with "
            "MetaPrior.load(path, module=...) and a module of the same architecture."
        )
    settings, declared = dict(prior.learner_params), declarations(learner_class)
    views = settings.pop(VIEWS, [])
    for name, value in settings.items():
        kind = option_class(declared.get(name))
        if kind is not None and isinstance(value, Mapping):
            settings[name] = kind(**value)
    known = set(parameter_names(learner_class))
    # Priors of earlier versions keep sizes of tasks, and of heads and cells that are fixed now.
    earlier = ("n_shot", "n_query", "n_heads", "cell_width")
    settings = {n: v for n, v in settings.items() if n in known or n not in earlier}
    unknown = sorted(settings.keys() - known)
    if unknown:
        raise PriorError(
            f"{prior!r} has the setting {unknown[0]!r}, but {learner_class.__name__} has no such "
            "parameter. Meta-train it anew, or use the version of the learner that wrote it."
        )
    learner: Any = learner_class(**(settings | overrides))
    algorithm = learner.algorithm(learner)
    # A learner without head_init has one kind of head.
    names_kind = prior.trained_on_kind or "classes"
    head = str(settings.get("head_init") or algorithm.resolve_head(prior.kind, names_kind))
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
    """Raise a PriorError if the prior is of another kind than the tasks, or has other features."""
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
    """Load the weights of a prior into a network in place; its backbone must be the same."""
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
    """Replace drawn tensors by those that a prior has in the same shape.

    `class_tensor` names the tensor with a row per class. A PriorError is raised if the prior has
    rows for other classes than `classes`.
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
    """Add the classes or groups that the initial prior has seen to those of this meta-training.

    A shipped prior, given by its name, has seen none.
    """
    if not isinstance(prior, MetaPrior):
        return names
    if prior.trained_on is None or prior.trained_on_kind != names_kind:
        return names
    seen = np.asarray(prior.trained_on)
    return np.concatenate([names, seen[~np.isin(seen, names)]])
