"""The transformer of a state: its weights, those of a prior to start from, and calls of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from skmeta.backend import State
from skmeta.exceptions import PriorError
from skmeta.learners.in_context._cells import N_CODES, N_SLOTS
from skmeta.learners.in_context._encoders import Memory
from skmeta.learners.in_context._transformer import TableTransformer
from skmeta.priors import MetaPrior, load_table_prior

# Prefixes of the names of a transformer's parameters, and of its memory, in a state.
_PARAMETER, _MEMORY = "table.", "memory.of."
# Tensors with this prefix are computed from the rows, and keep the precision of the rows.
_EXACT = "column."
_local = threading.local()

Value = TypeVar("Value")


class Sizes(NamedTuple):
    """Sizes of a transformer, as :class:`~skmeta.learners.InContextLearner` takes them."""

    width: int
    n_layers: int
    n_heads: int
    cell_width: int


def make_network(kind: str, sizes: Sizes) -> TableTransformer:
    """Build a transformer without drawing its weights.

    Parameters
    ----------
    kind : {"classification", "regression"}
        What the tasks are.
    sizes : Sizes
        Its sizes.

    Returns
    -------
    TableTransformer
        With a slot for each of 10 classes, or a bin for each part of a target's range.
    """
    n_labels = N_CODES if kind == "classification" else None
    return TableTransformer(n_labels, **sizes._asdict(), n_slots=N_SLOTS)


def call_network(
    kind: str, sizes: Sizes, dtype: torch.dtype, state: Mapping[str, Tensor], *args: Any, **kw: Any
) -> Any:
    """Call a transformer with the weights of a state.

    Parameters
    ----------
    kind : {"classification", "regression"}
        What the tasks are.
    sizes : Sizes
        Sizes of the transformer.
    dtype : torch.dtype
        Precision of the weights.
    state : mapping of str to Tensor
        Has the weights, by names that begin with ``table.``.
    *args, **kw
        For :meth:`TableTransformer.forward`.

    Returns
    -------
    Tensor or dict of Tensor
        What the transformer returns.
    """
    # A call sets the weights of the module, so each thread needs its own module.
    modules = _local.__dict__.setdefault("modules", {})
    key = kind, sizes
    if key not in modules:
        # In another thread, because modules cannot draw weights under vmap.
        with ThreadPoolExecutor(1) as elsewhere:
            modules[key] = elsewhere.submit(_empty_network, *key).result()
    weights = {n: v.to(dtype) for n, v in module_parameters(state).items()}
    return torch.func.functional_call(modules[key], weights, args, kw)


def _empty_network(kind: str, sizes: Sizes) -> TableTransformer:
    with torch.device("meta"):
        return make_network(kind, sizes)


def stored_parameters(network: TableTransformer) -> State:
    """Return the parameters of a transformer by their names in a state, detached."""
    return {_PARAMETER + n: p.detach() for n, p in network.named_parameters()}


def module_parameters(state: Mapping[str, Value]) -> dict[str, Value]:
    """Return the transformer's parameters in a state or a prior, by the module's names."""
    return {
        name.removeprefix(_PARAMETER): value
        for name, value in state.items()
        if name.startswith(_PARAMETER)
    }


def store_memory(memory: Memory) -> State:
    """Return a transformer's memory under its names in a state."""
    return {_MEMORY + name: value for name, value in memory.items()}


def read_memory(state: Mapping[str, Tensor], dtype: torch.dtype) -> Memory:
    """Return the memory that a state holds, ready for the transformer.

    Parameters
    ----------
    state : mapping of str to Tensor
        Adapted state.
    dtype : torch.dtype
        Precision of the transformer.

    Returns
    -------
    dict of Tensor
        The memory.
    """
    memory = {}
    for name, value in state.items():
        if name.startswith(_MEMORY):
            name = name.removeprefix(_MEMORY)
            memory[name] = value if name.startswith(_EXACT) else value.to(dtype)
    memory["slots"] = memory["slots"].long()
    return memory


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
        shape = prior.tensors[name].shape if name in prior.tensors else None
        if shape != tuple(value.shape):
            params = prior.learner_params
            sizes = {n: params.get(n) for n in ("width", "n_layers", "n_heads", "cell_width")}
            raise PriorError(
                f"The prior's {name!r} has shape {shape}, but the learner's has "
                f"{tuple(value.shape)}. Set {sizes} and the backbone as the prior has them."
            )
    return {n: torch.tensor(prior.tensors[n]).to(v.dtype) for n, v in state.items()}
