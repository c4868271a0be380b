"""Convert tasks to inputs of the transformer, and the weights of priors to its own.

Views and whatever else has no gradient are computed in NumPy, as the shipped priors do.

Notation: n support rows, m query rows, d columns, c classes, e views, t tables: one if all views
show the same cells, e otherwise; k rows and d' columns of a view.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from skmeta._backend import Rows, State, call_numpy
from skmeta._tabular import WeightedRows
from skmeta._tabular.table_prior import ViewedRows, count_views
from skmeta.exceptions import PriorError
from skmeta.priors import MetaPrior

# Prefix of the transformer's parameters in a state.
_PARAMETER = "table."

Value = TypeVar("Value")


def stored_parameters(network: nn.Module) -> State:
    """Return the parameters of a transformer by their names in a state, detached."""
    return {_PARAMETER + n: p.detach() for n, p in network.named_parameters()}


def module_parameters(state: Mapping[str, Value]) -> dict[str, Value]:
    """Return the transformer's parameters in a state or a prior, by the module's names."""
    prefix = _PARAMETER
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}


def weights_of_prior(
    prior: MetaPrior, learner: str, kind: str, sizes: Mapping[str, int], state: State
) -> State:
    """Return the weights of a prior with the names and shapes of a drawn state.

    `learner`, `kind` and `sizes` (of the transformer) must be those of the prior.
    """
    if prior.learner != learner or prior.kind != kind:
        raise PriorError(
            f"Meta-training of an {learner} on {kind} tasks cannot start from {prior!r}. Give a "
            "prior of the same learner and kind."
        )
    for name, value in state.items():
        shape = prior.tensors[name].shape if name in prior.tensors else None
        if shape != tuple(value.shape):
            needed = {n: prior.learner_params.get(n) for n in sizes}
            raise PriorError(
                f"The prior's {name!r} has shape {shape}, but the learner's has "
                f"{tuple(value.shape)}. Set {needed} and the backbone as the prior has them."
            )
    return {n: torch.tensor(prior.tensors[n]).to(v.dtype) for n, v in state.items()}


class ViewedTask(NamedTuple):
    """A task as the views of its support set show it."""

    x: Tensor  # (t, k, d')
    y: Tensor  # (e, k)
    w: Tensor  # (t, k)
    slots: Tensor  # (e, d') of the columns
    query: Tensor  # (t, m, d')
    # As in `ViewedRows`.
    codes: Tensor
    present: Tensor
    seen: Tensor
    location: Tensor
    scale: Tensor
    is_constant: Tensor


def view_task(
    support: Rows, query: Tensor, n_classes: int, n_views: int | str, max_rows: int
) -> ViewedTask:
    """Choose the views of a task; `n_classes` is 0 for a regression."""
    n, d = len(support.x), support.x[0].numel()
    # Tasks of a batch have as many views, though not as many rows with a weight.
    view = partial(_view, n_classes, count_views(n_views, n, d, n_classes, max_rows), max_rows)
    return ViewedTask(*call_numpy(view, *support, query))


def _view(
    n_classes: int,
    e: int,
    max_rows: int,
    x: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    query: np.ndarray,
) -> tuple[Any, ...]:
    x, query = (part.reshape(len(part), -1).astype(float) for part in (x, query))
    y, known = y.astype(int if n_classes else float), np.flatnonzero(w > 0)
    rows = WeightedRows(x, y, w.astype(float))
    support = ViewedRows.choose(rows.take(known), n_classes, e, max_rows)
    views = support.views
    # All tasks of a batch have the same number of rows; those without a weight are not read.
    n_missing = min(len(x), max_rows) - views.rows.shape[1]
    padding = np.tile(np.flatnonzero(w <= 0)[:n_missing], (len(views.rows), 1))
    at = np.concatenate([known[views.rows], padding], 1)
    labels = np.zeros((e, len(x)), support.labels.dtype)
    labels[:, known] = support.labels
    tables = range(e) if len(x) > max_rows else [k for k, *_ in support.tables()]
    shown = [(at[k % len(at)], views.columns[k % len(views.columns)]) for k in tables]
    x, query = views.widen(x), views.widen(query)
    y = np.take_along_axis(labels, np.broadcast_to(at, (e, at.shape[1])), 1)
    return (
        np.stack([x[np.ix_(*cells)] for cells in shown]).astype(w.dtype),
        y if n_classes else y.astype(w.dtype),
        np.stack([rows.weight[places] for places, _ in shown]).astype(w.dtype),
        views.slots,
        np.stack([query[:, columns] for _, columns in shown]).astype(w.dtype),
        views.codes,
        support.present,
        support.seen,
        np.asarray(support.location, w.dtype),
        np.asarray(support.scale, w.dtype),
        support.is_constant,
    )
