"""Write a learner's state as a prior, and read it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from skmeta._sklearn_compat import parameter_names
from skmeta.backbones import build_backbone, check_backbone
from skmeta.backend import State, resolve_test_time_augment, state_to_numpy, state_to_torch
from skmeta.exceptions import PriorMismatchError
from skmeta.learners._core._algorithm import REMOVED, Algorithm
from skmeta.learners._core._session import Session
from skmeta.learners._core._start import check_weights, scaler_of
from skmeta.priors import MetaPrior

# Parameters of the run and the machine rather than of the algorithm; a prior does not keep them.
RUN_PARAMETERS = frozenset(
    {
        *("backbone", "backbone_params", "input_shape", "prior"),
        *("n_iterations", "meta_batch_size", "meta_lr", "meta_optimizer", "schedule", "clip_norm"),
        *("label_noise", "augment", "superclass"),
        *("validation_fraction", "n_validation_tasks", "evaluate_every", "patience"),
        *("device", "precision", "execution", "chunk_size", "n_jobs"),
        *("checkpoint", "verbose", "random_state"),
    }
)


def write_prior(
    session: Session,
    state: State,
    *,
    n_features: int | None,
    feature_names: Sequence[str] | None,
    classes: np.ndarray | None = None,
    trained_on: np.ndarray | None = None,
    trained_on_kind: str | None = None,
    columns: Sequence[Mapping[str, Any]] | None = None,
    **provenance: Any,
) -> MetaPrior:
    """Make a prior of a learner's state.

    Parameters
    ----------
    session : Session
        Learner, network and standardisation.
    state : dict of Tensor
        The learner's state.
    n_features, feature_names, classes, trained_on, trained_on_kind
        As :class:`~skmeta.priors.MetaPrior` takes them.
    columns : sequence of mapping, optional
        How the columns of data frames are encoded; see :func:`frame_encoder`.
    **provenance
        Where the state comes from.

    Returns
    -------
    MetaPrior
        The prior.
    """
    learner, context = session.learner, session.context
    params = learner.get_params(deep=False)
    settings = {n: v for n, v in params.items() if n not in RUN_PARAMETERS}
    if "head_init" in settings:
        settings["head_init"] = context.head
    settings["test_time_augment"] = resolve_test_time_augment(
        learner.test_time_augment, learner.augment
    )
    own = isinstance(learner.backbone, torch.nn.Module)
    scaler = {f"scaler.{n}": np.asarray(v) for n, v in session.scaler._asdict().items()}
    versions: dict[str, Any] = {"torch": torch.__version__, "numpy": np.__version__}
    if columns is not None:
        versions["columns"] = columns
    return MetaPrior(
        state_to_numpy(state) | scaler,
        learner=type(learner).__name__,
        learner_params=settings,
        backbone=type(learner.backbone).__qualname__ if own else learner.backbone,
        backbone_params=learner.backbone_params or {},
        kind=context.kind,
        n_features_in=n_features,
        feature_names_in=None if feature_names is None else list(feature_names),
        input_shape=context.network.input_shape,
        classes=classes,
        trained_on=trained_on,
        trained_on_kind=trained_on_kind,
        provenance=provenance | versions,
        module=learner.backbone if own else None,
    )


def read_prior(
    prior: MetaPrior,
    learner_class: type[Algorithm],
    *,
    classes: Sequence[int],
    device: str | torch.device,
    precision: str,
    input_shape: tuple[int, ...] = (),
    learner_precision: str | None = None,
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
        Value of the learner's own ``precision``, if it computes in a lower precision than its
        rows have.
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
    PriorMismatchError
        If the prior needs a module that is missing, or another one than that given, or has
        learned rows for fewer classes, or if its tensors are not those of the backbone it names.
    """
    if prior.needs_module:
        raise PriorMismatchError(
            f"The prior was trained with a module of yours, {prior.backbone}. Load it with "
            "MetaPrior.load(path, module=...) and a module of the same architecture."
        )
    names = parameter_names(learner_class)
    settings = {n: v for n, v in prior.learner_params.items() if n in names or n not in REMOVED}
    if learner_precision is not None:
        settings["precision"] = learner_precision
    learner = learner_class(**(settings | overrides))
    # A learner without head_init has one kind of head.
    names_kind = prior.trained_on_kind or "classes"
    head = str(settings.get("head_init", learner.resolve_head(prior.kind, names_kind)))
    shape = input_shape if prior.input_shape is None else tuple(prior.input_shape)
    if prior.module is None:
        _check_named(prior, shape)
    backbone = prior.module if prior.module is not None else str(prior.backbone)
    module = build_backbone(backbone, shape, dict(prior.backbone_params))
    session = Session.begin(
        learner,
        module,
        shape,
        scaler_of(prior),
        kind=prior.kind,
        head=head,
        classes=classes,
        device=device,
        precision=precision,
    )
    weights = session.context.network.initial_weights()
    check_weights({n: tuple(v.shape) for n, v in weights.items()}, prior)
    if head == "learned" and max(classes) >= len(prior.tensors["head.weight"]):
        raise PriorMismatchError(
            f"The task has {len(classes)} classes, but the prior's head has learned rows for "
            f"{len(prior.tensors['head.weight'])}. Meta-train with head_init='shared', which takes "
            "any number of classes."
        )
    return session, dict(_state_of(prior, session.adapter.device, session.adapter.dtype))


@lru_cache(maxsize=2)
def _state_of(prior: MetaPrior, device: torch.device, dtype: torch.dtype) -> State:
    """The state of a prior. It is cached for the next task: the methods of learners are pure."""
    tensors = {n: v for n, v in prior.tensors.items() if not n.startswith("scaler.")}
    return state_to_torch(tensors, device, dtype)


@lru_cache(maxsize=4)
def _check_named(prior: MetaPrior, shape: tuple[int, ...]) -> None:
    """Check the backbone that a prior names, once for each prior and shape of rows."""
    check_backbone(str(prior.backbone), shape, dict(prior.backbone_params), prior.tensors)


def classes_in_common(prior: MetaPrior, learner_class: type[Algorithm]) -> np.ndarray | None:
    """Return the classes that all tasks of a prior have in common, if it has parameters for each.

    A new task may then lack some of them.

    Parameters
    ----------
    prior : MetaPrior
        The prior.
    learner_class : type
        Its algorithm.

    Returns
    -------
    ndarray or None
        None if a task may have any classes.
    """
    rows = prior.tensors.get(learner_class.class_tensor, ())
    if prior.classes is None or len(rows) != len(prior.classes):
        return None
    return prior.classes
