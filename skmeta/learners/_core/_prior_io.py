"""A learner's state, written down as a prior and brought back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skmeta.backbones import build_backbone
from skmeta.backend import (
    PRECISIONS,
    Network,
    Scaler,
    State,
    TensorAdapter,
    resolve_device,
    state_to_numpy,
    state_to_torch,
)
from skmeta.exceptions import PriorMismatchError
from skmeta.learners._core._context import Context
from skmeta.priors import MetaPrior

if TYPE_CHECKING:
    from skmeta.learners._core._base import MetaLearner

# Parameters of the run and the machine rather than of the algorithm; a prior does not keep them.
RUN_PARAMETERS = frozenset(
    {
        *("backbone", "backbone_params", "input_shape", "prior"),
        *("n_iterations", "meta_batch_size", "meta_lr", "meta_optimizer", "schedule", "clip_norm"),
        "label_noise",
        *("validation_fraction", "n_validation_tasks", "evaluate_every", "patience"),
        *("device", "precision", "execution", "chunk_size", "n_jobs"),
        *("checkpoint", "verbose", "random_state"),
    }
)


@dataclass(frozen=True)
class Session:
    """A learner at work on a device.

    Attributes
    ----------
    learner : MetaLearner
        Settings of the algorithm.
    context : Context
        Its network, kind and head.
    adapter : TensorAdapter
        Brings rows to the device.
    scaler : Scaler
        The standardisation that ``adapter`` applies.
    """

    learner: MetaLearner
    context: Context
    adapter: TensorAdapter
    scaler: Scaler

    @classmethod
    def begin(
        cls,
        learner: MetaLearner,
        module: torch.nn.Module,
        input_shape: tuple[int, ...],
        scaler: Scaler,
        *,
        kind: str,
        head: str,
        classes: Sequence[int],
        device: str | torch.device,
        precision: str,
    ) -> Session:
        """Put a network on a device.

        Parameters
        ----------
        learner : MetaLearner
            Settings of the algorithm.
        module : torch.nn.Module
            Maps (n_rows, *input_shape) to (n_rows, n_features).
        input_shape : tuple of int
            Shape of one row.
        scaler : Scaler
            Standardisation of features and targets.
        kind : {"classification", "regression"}
            What the tasks are.
        head : {"shared", "zeros", "prototype", "learned"}
            What a task's head starts from.
        classes : sequence of int of length n_outputs
            Row of each output in a learned head.
        device : str or torch.device
            Where to compute.
        precision : {"float32", "float64"}
            Precision of the tensors.

        Returns
        -------
        Session
            The learner at work.

        Raises
        ------
        DeviceError
            If the device is not there.
        """
        where, dtype = resolve_device(device), PRECISIONS[precision]
        network = Network(module, input_shape, where)
        context = Context(network, kind, head, torch.as_tensor(list(classes), device=where))
        return cls(learner, context, TensorAdapter(input_shape, scaler, where, dtype), scaler)

    def draw_state(self, seed: int) -> State:
        """Draw the learner's initial state.

        Parameters
        ----------
        seed : int
            Of the generator that draws it.

        Returns
        -------
        dict of Tensor
            The state, on the device.
        """
        generator = torch.Generator().manual_seed(seed)
        state = self.learner.init_state(self.context, generator)
        return {n: v.to(self.adapter.device, self.adapter.dtype) for n, v in state.items()}


def resolve_head(learner: MetaLearner, kind: str, names_kind: str) -> str:
    """What the head of a new task starts from, if the learner leaves it open."""
    head = learner.head_init
    if kind == "regression":
        # One output, which means the same in every task.
        return "zeros" if head == "zeros" else "learned"
    if head == "auto":
        return learner.default_head if names_kind == "classes" else "learned"
    return head


def write_prior(
    session: Session,
    state: State,
    *,
    n_features: int | None,
    feature_names: Sequence[str] | None,
    classes: np.ndarray | None = None,
    trained_on: np.ndarray | None = None,
    trained_on_kind: str | None = None,
    **provenance: Any,
) -> MetaPrior:
    """Write down what a learner knows.

    Parameters
    ----------
    session : Session
        Learner, network and standardisation.
    state : dict of Tensor
        The learner's state.
    n_features, feature_names, classes, trained_on, trained_on_kind
        As :class:`~skmeta.priors.MetaPrior` takes them.
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
    own = isinstance(learner.backbone, torch.nn.Module)
    scaler = {f"scaler.{n}": np.asarray(v) for n, v in session.scaler._asdict().items()}
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    return MetaPrior(
        state_to_numpy(state) | scaler,
        learner=type(learner).__name__,
        learner_params=settings | {"head_init": context.head},
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
    learner_class: type[MetaLearner],
    *,
    classes: Sequence[int],
    device: str | torch.device,
    precision: str,
    input_shape: tuple[int, ...] = (),
    learner_precision: str | None = None,
    **overrides: Any,
) -> tuple[Session, State]:
    """Bring a prior back to life.

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
        Shape of one row, for a prior that takes rows of any.
    learner_precision : {"float32", "float64"}, optional
        What the learner's own ``precision`` is set to, for one that computes in less than its
        rows come in.
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
        learned rows for fewer classes.
    """
    if prior.needs_module:
        raise PriorMismatchError(
            f"The prior was trained with a module of yours, {prior.backbone}. Load it with "
            "MetaPrior.load(path, module=...) and a module of the same architecture."
        )
    settings = dict(prior.learner_params)
    head = str(settings.pop("head_init"))
    if "head_init" in learner_class._get_param_names():
        settings["head_init"] = head
    if learner_precision is not None:
        settings["precision"] = learner_precision
    shape = input_shape if prior.input_shape is None else tuple(prior.input_shape)
    backbone = prior.module if prior.module is not None else str(prior.backbone)
    module = build_backbone(backbone, shape, dict(prior.backbone_params))
    session = Session.begin(
        learner_class(**(settings | overrides)),
        module,
        shape,
        Scaler(*(prior.tensors[f"scaler.{n}"] for n in Scaler._fields)),
        kind=prior.kind,
        head=head,
        classes=classes,
        device=device,
        precision=precision,
    )
    _check_weights(session.context.network, prior.tensors)
    if head == "learned" and max(classes) >= len(prior.tensors["head.weight"]):
        raise PriorMismatchError(
            f"The task has {len(classes)} classes, but the prior's head has learned rows for "
            f"{len(prior.tensors['head.weight'])}. Meta-train with head_init='shared', which takes "
            "any number of classes."
        )
    return session, dict(_state_of(prior, session.adapter.device, session.adapter.dtype))


@lru_cache(maxsize=2)
def _state_of(prior: MetaPrior, device: torch.device, dtype: torch.dtype) -> State:
    """The state of a prior, kept for the next task, as the methods of learners are pure."""
    tensors = {n: v for n, v in prior.tensors.items() if not n.startswith("scaler.")}
    return state_to_torch(tensors, device, dtype)


def _check_weights(network: Network, tensors: Mapping[str, np.ndarray]) -> None:
    expected = {n: tuple(v.shape) for n, v in network.initial_weights().items()}
    found = {n: v.shape for n, v in tensors.items() if n.startswith("body.")}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise PriorMismatchError(
                f"The backbone does not have the prior's weights: {name!r} has shape "
                f"{expected.get(name)} in the module, {found.get(name)} in the prior. Give a "
                "module of the architecture that the prior was trained with."
            )
