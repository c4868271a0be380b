"""Where meta-training of an InContextLearner starts: a prior, and a pooled model of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from skmeta.backend import Rows, Scaler, State, TaskTensors, TensorAdapter, to_numpy
from skmeta.exceptions import PriorError
from skmeta.learners._core import Context, TaskSource
from skmeta.learners.hierarchical import estimate_mixed_model
from skmeta.learners.in_context._binned import binned_loss
from skmeta.learners.in_context._mixture import (
    TEMPERATURES,
    estimate_weight,
    mixed_bin_log_probability,
    mixed_class_log_probability,
    name_mixed_model,
    temper_bins,
    temper_classes,
)
from skmeta.learners.in_context._pooled_model import fit_mixed_model
from skmeta.learners.in_context._support import (
    average_bins,
    bin_origin,
    class_log_probability,
    to_support_units,
)
from skmeta.priors import MetaPrior, load_table_prior
from skmeta.tasks import GroupEpisodes
from skmeta.training import start_deadline

# Number of tasks that set the initial weight of the mixed-effects model, and the least number of
# each half if time is short.
_N_TASKS, _FEWEST_TASKS = 64, 4
# Shares of a limited time after which the estimates from the two halves of the tasks end, with
# their comparisons, and that from all tasks.
_ENDS_OF_HALVES, _END = (0.2, 0.4), 0.6

Comparison = tuple[Tensor, Tensor, Tensor, Tensor]
"""Log probabilities of query targets by the transformer at each temperature (m, t) and by the
model (m,), log K (m,) and weights (m,)."""


def weights_of_prior(
    given: MetaPrior | str, learner: str, kind: str, state: Mapping[str, Tensor]
) -> State:
    """Return the weights of a prior, which replace the drawn ones.

    Parameters
    ----------
    given : MetaPrior or "tabular"
        The prior, or the name of the one that ships.
    learner : str
        Name of the learner that starts from it.
    kind : {"classification", "regression"}
        Kind of its tasks.
    state : mapping of str to Tensor
        The drawn state.

    Returns
    -------
    dict of Tensor
        A state with the names and shapes of ``state``.

    Raises
    ------
    PriorError
        If the prior is of another learner, kind or size.
    """
    prior = load_table_prior(kind) if isinstance(given, str) else given
    if prior.learner != learner or prior.kind != kind:
        raise PriorError(
            f"Meta-training of an {learner} on {kind} tasks cannot start from {prior!r}. Give a "
            "prior of the same learner and kind."
        )
    for name, value in state.items():
        found = prior.tensors[name].shape if name in prior.tensors else None
        if found != tuple(value.shape):
            params = prior.learner_params
            sizes = {n: params.get(n) for n in ("width", "n_layers", "n_heads", "cell_width")}
            raise PriorError(
                f"The prior's {name!r} has shape {found}, but the learner's has "
                f"{tuple(value.shape)}. Set {sizes} and the backbone as the prior has them."
            )
    return {n: torch.tensor(prior.tensors[n]).to(v.dtype) for n, v in state.items()}


def compare_on_query(
    context: Context, adapted: State, outputs: Tensor, task: TaskTensors
) -> Comparison:
    """Compare the mixed-effects model with the transformer on the query set of a task.

    Parameters
    ----------
    context : Context
        Kind and classes of the task.
    adapted : dict of Tensor
        The adapted state.
    outputs : Tensor of shape (e, m, o)
        Outputs of the transformer for the query rows.
    task : TaskTensors
        The task.

    Returns
    -------
    tuple of Tensor
        See :data:`Comparison`.
    """
    query = task.query
    if context.kind == "classification":
        own, at = class_log_probability(adapted, outputs), query.y[:, None]
        each = [temper_classes(own, t).gather(1, at)[:, 0] for t in TEMPERATURES]
        of_model = mixed_class_log_probability(context, adapted, query.x).gather(1, at)[:, 0]
    else:
        origin, scale = bin_origin(adapted, query.x), adapted["memory.scale"]
        target, own = to_support_units(adapted, query).double(), average_bins(outputs).double()
        each = [-binned_loss(temper_bins(own, t), target) for t in TEMPERATURES]
        bins = mixed_bin_log_probability(adapted, query.x, origin, scale)
        of_model = -binned_loss(bins, target)
    log_rows = torch.log(task.support.w.sum()).expand_as(query.w)
    return torch.stack(each, 1).double(), of_model.double(), log_rows, query.w


def add_mixed_model(
    context: Context,
    adapter: TensorAdapter,
    scaler: Scaler,
    state: State,
    source: TaskSource,
    rng: np.random.Generator,
    compare: Callable[[State, TaskTensors], Comparison],
) -> State:
    """Estimate the mixed-effects model of a family of tasks, and its weight in predictions.

    Parameters
    ----------
    context : Context
        Network, kind and head of the tasks.
    adapter : TensorAdapter
        Brings rows to the device.
    scaler : Scaler
        The standardisation that ``adapter`` applies.
    state : dict of Tensor
        The state to begin with.
    source : TaskSource
        The rows.
    rng : numpy.random.Generator
        Draws the tasks that set the weight.
    compare : callable
        Predicts the query set of a task with the transformer and with the model of a state.

    Returns
    -------
    dict of Tensor
        The state, with a model if the tasks are groups of rows of a table.
    """
    sampler = source.sampler
    if not isinstance(sampler, GroupEpisodes) or len(adapter.input_shape) != 1:
        return state
    assert source.groups is not None
    table = adapter.upload(source.X)
    x = np.nan_to_num(to_numpy(adapter.inputs(table).double()))
    z = np.column_stack([np.ones(len(x)), x])
    if context.kind == "classification":
        assert sampler.classes is not None
        y, n_classes = np.searchsorted(sampler.classes, source.y), context.n_outputs
    else:
        y, n_classes = (source.y - scaler.y_mean) / scaler.y_scale, 0
        state = state | _on(adapter, fit_mixed_model(x, y, source.groups))
    codes = np.unique(source.groups, return_inverse=True)[1]

    def estimate(
        rows: np.ndarray, effects: str, end: float, c: float = 1.0, t: float = 1.0
    ) -> State:
        tasks = np.unique(codes[rows], return_inverse=True)[1]
        deadline = start_deadline(share=end)
        is_over = None if deadline is None else deadline.is_over
        model = estimate_mixed_model(
            z[rows], y[rows], tasks, n_classes, effects=effects, is_over=is_over
        )
        return state | _on(adapter, name_mixed_model(model, c, t))

    drawn = [sampler.sample(rng) for _ in range(_N_TASKS)]
    side = rng.permutation(codes.max() + 1) % 2
    found: list[Comparison] = []
    for part in (0, 1):
        tasks = [task for task in drawn if side[codes[task.support[0]]] == part]
        others = np.flatnonzero(side[codes] != part)
        if not tasks or len(others) == 0:
            continue
        # Half of the tasks say little about correlations, and one form of effects is faster.
        half = estimate(others, "slopes", _ENDS_OF_HALVES[part])
        tensors = adapter.tasks(table, tasks)
        deadline = start_deadline(share=_ENDS_OF_HALVES[part])
        with torch.no_grad():
            for k in range(len(tasks)):
                if k >= _FEWEST_TASKS and deadline is not None and deadline.is_over():
                    break
                task = TaskTensors(*(Rows(*(of[k] for of in rows)) for rows in tensors))
                found.append(compare(half, task))
    if not found:
        return estimate(np.arange(len(codes)), "auto", _END)
    arrays = (to_numpy(torch.cat(parts)) for parts in zip(*found, strict=True))
    return estimate(np.arange(len(codes)), "auto", _END, *estimate_weight(*arrays))


def _on(adapter: TensorAdapter, state: State) -> State:
    return {name: value.to(adapter.device, adapter.dtype) for name, value in state.items()}
