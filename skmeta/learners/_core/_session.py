"""An algorithm at work on a device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmeta._backend import (
    NETWORK_PRECISIONS,
    Execution,
    Network,
    Ranks,
    Rows,
    Scaler,
    State,
    TaskTensors,
    TensorAdapter,
    make_views,
    resolve_device,
    resolve_test_time_augment,
)
from skmeta.learners._core._algorithm import Algorithm, Context
from skmeta.tasks import TaskBatch, check_ways

# Names of what the adaptation changed in one of several views.
_VIEW = re.compile(r"view\d+\.")


@dataclass(frozen=True)
class Session:
    """The algorithm of a learner at work on a device.

    `changes` names the views of test-time augmentation.
    """

    algorithm: Algorithm
    context: Context
    adapter: TensorAdapter
    scaler: Scaler
    changes: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        learner: Any,
        module: torch.nn.Module,
        input_shape: tuple[int, ...],
        scaler: Scaler,
        *,
        kind: str,
        head: str,
        classes: Sequence[int],
        device: str | torch.device,
        precision: str,
        own_precision: str | None = None,
        test_time_augment: Any = "auto",
    ) -> Session:
        """Put a network, which maps (n_rows, *input_shape) to (n_rows, n_features), on a device.

        `classes` is the row of each output in a learned head. With ``"bfloat16"`` only products of
        the network have that precision, and tensors have float32. `own_precision` is that of a
        network of the learner's own. For views see :func:`resolve_test_time_augment`.
        """
        augment, changes = getattr(learner, "augment", None), []
        if test_time_augment and (test_time_augment != "auto" or augment is not None):
            changes = resolve_test_time_augment(test_time_augment, augment)
        where, dtype = resolve_device(device), NETWORK_PRECISIONS[precision]
        # Buffers of a module, such as random features, have the precision of its rows.
        network = Network(module.to(dtype), input_shape, where, precision == "bfloat16")
        adapter = TensorAdapter(input_shape, scaler, where, dtype)
        context = Context(
            network,
            kind,
            head,
            torch.as_tensor(list(classes), device=adapter.device),
            transductive=getattr(learner, "transductive", False),
            dtype=NETWORK_PRECISIONS[own_precision or precision],
        )
        return cls(learner.algorithm(learner), context, adapter, scaler, tuple(changes))

    @cached_property
    def views(self) -> tuple[Any, ...]:
        """Views of a new task that predictions are averaged over."""
        return make_views(self.changes, self.adapter.input_shape)

    def for_tasks(self, tasks: TaskBatch) -> Session:
        """Return the session for tasks, which all have one number of classes."""
        n_classes = tasks.n_classes
        if n_classes is None or n_classes == self.context.n_outputs:
            return self
        context = replace(self.context, classes=self.context.classes[:n_classes])
        return replace(self, context=context)

    def draw_state(self, seed: int) -> State:
        """Draw the learner's initial state on the device."""
        generator = torch.Generator().manual_seed(seed)
        state = self.algorithm.init_state(self.context, generator)
        return {n: v.to(self.adapter.device, self.adapter.dtype) for n, v in state.items()}

    def adapt(self, state: State, support: Rows, start: State | None = None) -> State:
        """Learn a new task in all views, from `start` if an earlier call returned it.

        With several views the state holds the prior and, under names that begin with ``view0.``,
        ``view1.``, ..., what the adaptation changed or added in each.
        """
        starts = [None] * len(self.views) if start is None else self.states_of_views(start)
        states = [
            self.algorithm.adapt(self.context, state, support._replace(x=view(support.x)), at)
            for view, at in zip(self.views, starts, strict=True)
        ]
        return _join(state, states)

    def prepare(self, adapted: State) -> State:
        """Compute once what each :meth:`forward` of an adapted state would compute again."""
        states = [self.algorithm.prepare(self.context, s) for s in self.states_of_views(adapted)]
        return _join(_without_views(adapted), states)

    def forward(self, adapted: State, x: Tensor) -> Tensor:
        """Predict logits, or standardised targets, (n_rows, n_outputs) as means over views.

        With several views, logits are means of log-probabilities.
        """
        pairs = zip(self.states_of_views(adapted), self.views, strict=True)
        return self.mean_of_views(
            [self.algorithm.forward(self.context, state, view(x)) for state, view in pairs]
        )

    def predict_distribution(
        self, adapted: State, x: Tensor, levels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predict means (n_rows,), standard deviations (n_rows,) and quantiles (n_rows, n_levels).

        They are in units of the targets, and means over all views. Only learners that have
        ``predict_distribution`` can.
        """
        algorithm: Any = self.algorithm
        at = torch.as_tensor(levels, dtype=x.dtype, device=x.device)
        pairs = zip(self.states_of_views(adapted), self.views, strict=True)
        by_view = [
            algorithm.predict_distribution(self.context, state, view(x), at)
            for state, view in pairs
        ]
        mean, std, quantiles = (torch.stack(each).mean(0) for each in zip(*by_view, strict=True))
        to_units = self.adapter.targets
        # A difference of two predictions does not depend on the centre of the targets.
        spread = to_units(std) - to_units(torch.zeros_like(std))
        in_units = to_units(mean), spread, to_units(quantiles)
        first, second, third = (values.astype(np.float64, copy=False) for values in in_units)
        return first, second, third

    def mean_of_views(self, outputs: list[Tensor]) -> Tensor:
        """Average the outputs (n_rows, n_outputs) of views."""
        if len(outputs) == 1:
            return outputs[0]
        if self.context.kind == "classification":
            outputs = [each.log_softmax(1) for each in outputs]
        return torch.stack(outputs).mean(0)

    def states_of_views(self, adapted: State) -> list[State]:
        """Return the adapted state of each view, as the learner's own methods take it."""
        if len(self.views) == 1:
            return [adapted]
        prior, states = _without_views(adapted), []
        for k in range(len(self.views)):
            prefix = f"view{k}."
            own = {n.removeprefix(prefix): v for n, v in adapted.items() if n.startswith(prefix)}
            states.append(prior | own)
        return states

    def outputs(self, state: State, task: TaskTensors) -> Tensor:
        """Adapt to a task and predict its query set in all views: (n_query, n_outputs)."""
        return self.forward(self.adapt(state, task.support), task.query.x)


def _join(prior: State, states: Sequence[State]) -> State:
    """Join the states of all views: that of a single view as it is, and changes from the prior."""
    if len(states) == 1:
        return states[0]
    return prior | {
        f"view{k}.{name}": value
        for k, state in enumerate(states)
        for name, value in state.items()
        if value is not prior.get(name)
    }


def _without_views(adapted: State) -> State:
    return {n: v for n, v in adapted.items() if not _VIEW.match(n)}


# Fewer meta-iterations than this do not make up for the time that recording takes.
WORTH_RECORDING = 500


def make_execution(session: Session, settings: Any, ranks: Ranks | None = None) -> Execution:
    """Decide how the tasks of a meta-training are computed."""
    network = session.context.network
    fewest, most = check_ways(settings.n_way)
    # A task runs forward and backward through support and query set: about three passes per row.
    rows = (np.max(settings.n_shot) + settings.n_query) * max(session.context.n_outputs, 1)
    # Each inner step keeps the values of the support set, and its derivatives about as many.
    n_passes = 1 + 2 * settings.n_inner_steps
    n_values = n_passes * rows * network.n_kept
    execution: Execution = settings.execution.open(
        network,
        session.adapter.device,
        3.0 * float(rows) * network.n_flops,
        bytes_per_task=float(n_values * session.adapter.dtype.itemsize),
        # Each number of classes has a recording of its own.
        record=settings.n_iterations >= WORTH_RECORDING * (most - fewest + 1),
        ranks=ranks,
    )
    return execution
