"""An algorithm at work on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmeta.backbones import build_backbone
from skmeta.backend import (
    NETWORK_PRECISIONS,
    Execution,
    Network,
    Scaler,
    State,
    TaskTensors,
    TensorAdapter,
    check_bfloat16,
    resolve_device,
)
from skmeta.learners._core._algorithm import Algorithm
from skmeta.learners._core._context import Context
from skmeta.learners._core._inputs import fit_scaler
from skmeta.learners._core._start import load_weights, scaler_of


@dataclass(frozen=True)
class Session:
    """A learner at work on a device.

    Attributes
    ----------
    learner : Algorithm
        Settings of the algorithm.
    context : Context
        Its network, kind and head.
    adapter : TensorAdapter
        Brings rows to the device.
    scaler : Scaler
        The standardisation that ``adapter`` applies.
    """

    learner: Algorithm
    context: Context
    adapter: TensorAdapter
    scaler: Scaler

    @classmethod
    def begin(
        cls,
        learner: Algorithm,
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
        learner : Algorithm
            Settings of the algorithm.
        module : torch.nn.Module
            Maps (n_rows, *input_shape) to (n_rows, n_features).
        input_shape : tuple of int
            Shape of one row.
        scaler : Scaler
            Standardisation of features and targets.
        kind : {"classification", "regression"}
            What the tasks are.
        head : {"none", "shared", "zeros", "prototype", "learned"}
            What a task's linear head starts from.
        classes : sequence of int of length n_outputs
            Row of each output in a learned head.
        device : str or torch.device
            Where to compute.
        precision : {"float32", "float64", "bfloat16"}
            Precision of the tensors; with ``"bfloat16"`` that of the network's products, and the
            tensors have float32.

        Returns
        -------
        Session
            The learner at work.

        Raises
        ------
        DeviceError
            If the device is not there, or does not compute in bfloat16.
        """
        where, dtype = resolve_device(device), NETWORK_PRECISIONS[precision]
        in_bfloat16 = precision == "bfloat16"
        if in_bfloat16:
            check_bfloat16(where)
        # Buffers of a module, such as random features, have the precision of its rows.
        network = Network(module.to(dtype), input_shape, where, in_bfloat16)
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

    def outputs(self, state: State, task: TaskTensors) -> Tensor:
        """Adapt to the support set of a task and predict its query set.

        Parameters
        ----------
        state : dict of Tensor
            The prior.
        task : TaskTensors
            The task.

        Returns
        -------
        Tensor of shape (n_query, n_outputs)
            Logits, or standardised predictions.
        """
        adapted = self.learner.adapt(self.context, state, task.support)
        return self.learner.forward(self.context, adapted, task.query.x)


def start_session(
    learner: Algorithm,
    rng: np.random.Generator,
    X: np.ndarray,
    y: Any,
    n_outputs: int,
    input_shape: tuple[int, ...],
    kind: str,
    names_kind: str,
    sample_weight: np.ndarray | None = None,
) -> tuple[Session, int]:
    seed = int(rng.integers(2**63))
    targets = np.asarray(y, dtype=np.float64) if kind == "regression" else None
    generator = torch.Generator().manual_seed(seed)
    module = build_backbone(learner.backbone, input_shape, learner.backbone_params, generator)
    prior = learner.starting_prior()
    if prior is None:
        scaler = fit_scaler(learner.standardize, X, targets, input_shape, sample_weight)
    else:
        load_weights(module, prior)
        scaler = scaler_of(prior)
    session = Session.begin(
        learner,
        module,
        input_shape,
        scaler,
        kind=kind,
        head=learner.resolve_head(kind, names_kind),
        classes=range(n_outputs),
        device=learner.device,
        precision=learner.precision,
    )
    return session, seed + 1


# Fewer meta-iterations than this do not make up for the time that recording takes.
WORTH_RECORDING = 500


def make_execution(learner: Algorithm, session: Session) -> Execution:
    # A task runs forward and backward through support and query set: about three passes per row.
    rows = (np.max(learner.n_shot) + learner.n_query) * max(session.context.n_outputs, 1)
    # Each inner step keeps the values of the support set, and its derivatives about as many.
    n_passes = 1 + 2 * getattr(learner, "n_inner_steps", 0)
    n_values = n_passes * rows * session.context.network.n_kept
    return Execution(
        learner.execution,
        device=session.adapter.device,
        flops_per_task=3.0 * float(rows) * session.context.network.n_flops,
        n_jobs=learner.n_jobs,
        chunk_size=learner.chunk_size,
        bytes_per_task=float(n_values * session.adapter.dtype.itemsize),
        record=learner.n_iterations >= WORTH_RECORDING,
    )
