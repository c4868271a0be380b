"""Where meta-training of an InContextLearner starts: a prior, and a pooled model of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from skmeta.backend import Rows, Scaler, State, TaskTensors, TensorAdapter, to_numpy
from skmeta.exceptions import PriorMismatchError
from skmeta.learners._core import Context, TaskSource
from skmeta.learners.in_context._binned import binned_loss
from skmeta.learners.in_context._pooled_model import (
    fit_class_model,
    fit_mixed_model,
    fit_mixture_share,
    fit_opinion_pool_weights,
)
from skmeta.priors import MetaPrior, load_table_prior
from skmeta.tasks import GroupEpisodes

# Number of tasks that set the initial weight of the pooled model.
_N_TASKS = 64
# Names of parameters that priors of version 0.1 lack.
_LINE = "table.line."

Predictions = tuple[Tensor, Tensor, Tensor, Tensor]
"""Log probabilities of query rows by the network and the pooled model, targets and weights."""


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
        A state with the names and shapes of ``state``, without those that a prior of version
        0.1 lacks.

    Raises
    ------
    PriorMismatchError
        If the prior is of another learner, kind or size.
    """
    prior = load_table_prior(kind) if isinstance(given, str) else given
    if prior.learner != learner or prior.kind != kind:
        raise PriorMismatchError(
            f"Meta-training of an {learner} on {kind} tasks cannot start from {prior!r}. Give a "
            "prior of the same learner and kind."
        )
    if not any(name.startswith(_LINE) for name in prior.tensors):
        # A prior of version 0.1 goes on without a linear model.
        state = {n: v for n, v in state.items() if not n.startswith(_LINE)}
    for name, value in state.items():
        found = prior.tensors[name].shape if name in prior.tensors else None
        if found != tuple(value.shape):
            params = prior.learner_params
            sizes = {n: params.get(n) for n in ("width", "n_layers", "n_heads", "cell_width")}
            raise PriorMismatchError(
                f"The prior's {name!r} has shape {found}, but the learner's has "
                f"{tuple(value.shape)}. Set {sizes} and the backbone as the prior has them."
            )
    return {n: torch.tensor(prior.tensors[n]).to(v.dtype) for n, v in state.items()}


def add_pooled_model(
    context: Context,
    adapter: TensorAdapter,
    scaler: Scaler,
    state: State,
    source: TaskSource,
    rng: np.random.Generator,
    predict: Callable[[State, TaskTensors], Predictions],
) -> State:
    """Fit the pooled model of a family of tasks, and choose its weight in predictions.

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
    predict : callable
        Predicts the query set of a task with a state.

    Returns
    -------
    dict of Tensor
        The state, with a pooled model if the tasks are groups of rows of a table.
    """
    sampler = source.sampler
    if not isinstance(sampler, GroupEpisodes) or len(adapter.input_shape) != 1:
        return state
    assert source.groups is not None
    table = adapter.upload(source.X)
    x = to_numpy(adapter.inputs(table).double())
    if context.kind == "classification":
        assert sampler.classes is not None
        positions = np.searchsorted(sampler.classes, source.y)
        pooled = fit_class_model(x, positions, context.n_outputs)
    else:
        y = (source.y - scaler.y_mean) / scaler.y_scale
        pooled = fit_mixed_model(x, y, source.groups)
    state = state | {n: v.to(adapter.device, adapter.dtype) for n, v in pooled.items()}
    tasks = adapter.tasks(table, [sampler.sample(rng) for _ in range(_N_TASKS)])
    each = (
        TaskTensors(*(Rows(*(part[k] for part in side)) for side in tasks)) for k in range(_N_TASKS)
    )
    with torch.no_grad():
        predicted = [predict(state, task) for task in each]
    own, of_pooled, y, w = (torch.cat(parts) for parts in zip(*predicted, strict=True))
    if context.kind == "classification":
        weights = fit_opinion_pool_weights(*(to_numpy(v) for v in (own, of_pooled, y, w)))
        return state | {"family.powers": weights.to(adapter.device, adapter.dtype)}
    gain = binned_loss(own, y) - binned_loss(of_pooled, y)
    return state | {"family.share": fit_mixture_share(gain, w)}
