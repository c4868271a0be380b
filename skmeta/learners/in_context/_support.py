"""Convert support sets to inputs of the transformer, and its outputs to predictions.

Notation: n support rows, m query rows, d columns, c classes, e views of an ensemble, o outputs of
the transformer.

A state holds the parameters of the transformer under ``table.*``, and its memory of a support set
under ``memory.of.*``. Under ``memory.*``, it holds the ``columns`` (e, k) of each view. For
classifications it holds ``codes`` (e, c) of the classes, ``present`` (e, 10), which codes occur in
a view, and ``seen`` (c,), which classes have rows. For regressions it holds ``location`` and
``scale`` of the targets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skmeta.backend import Rows, State
from skmeta.exceptions import PriorError
from skmeta.learners.in_context._binned import binned_moments, binned_quantiles
from skmeta.learners.in_context._cells import N_CODES
from skmeta.learners.in_context._encoders import Memory
from skmeta.learners.in_context._views import (
    Views,
    add_components,
    choose_views,
    fit_components,
    location_and_scale,
)
from skmeta.priors import MetaPrior

# Prefixes of the transformer's parameters and memory in a state.
_PARAMETER, _MEMORY = "table.", "memory.of."
# Tensors of the memory with this prefix are computed from the rows, and keep their precision.
_EXACT = "column."
_NEVER = -1e9
_LOADINGS = "memory.component.loadings"
# The least log probability of a view that counts.
_MIN_LOG_PROBABILITY = -20.0

Value = TypeVar("Value")


def stored_parameters(network: nn.Module) -> State:
    """Return the parameters of a transformer by their names in a state, detached."""
    return {_PARAMETER + n: p.detach() for n, p in network.named_parameters()}


def module_parameters(state: Mapping[str, Value]) -> dict[str, Value]:
    """Return the transformer's parameters in a state or a prior, by the module's names."""
    return _named(state, _PARAMETER)


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


def store_memory(memory: Memory) -> State:
    """Return a transformer's memory under its names in a state."""
    return {_MEMORY + name: value for name, value in memory.items()}


def read_memory(state: State, dtype: torch.dtype) -> Memory:
    """Return the memory that a state holds, for a transformer of a precision."""
    memory = {
        name: value if name.startswith(_EXACT) else value.to(dtype)
        for name, value in _named(state, _MEMORY).items()
    }
    return memory | {"slots": memory["slots"].long()}


def _named(state: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}


class Support(NamedTuple):
    """A support set as input of the transformer.

    x (e, n, k), y (e, n) and w (e, n), with e = 1 if all views have the same rows; int64 `slots`
    (e, k) of the columns; `kept`, what predictions need in addition to the transformer's memory.
    """

    x: Tensor
    y: Tensor
    w: Tensor
    slots: Tensor
    kept: State


def view_support(rows: Rows, n_classes: int, n_estimators: int | str, max_rows: int) -> Support:
    """Choose the views of a support set (n, d), and convert it to them.

    `n_classes` is 0 for a regression; `n_estimators` is as for :func:`n_views`.
    """
    components = fit_components(rows.x, rows.w)
    n_components = components["loadings"].shape[1] if components else 0
    views = choose_views(*rows, n_classes, n_estimators, max_rows, n_components)
    support = _convert(views, rows._replace(x=add_components(components, rows.x)), n_classes)
    more = {f"component.{n}": v for n, v in components.items()}
    return support._replace(kept=support.kept | more)


def _convert(views: Views, rows: Rows, n_classes: int) -> Support:
    x, w = select_columns(rows.x[views.rows], views.columns), rows.w[views.rows]
    kept: State = {"columns": views.columns}
    if n_classes == 0:
        y, more = _standardise(rows)
        return Support(x, y[views.rows], w, views.slots, kept | more)
    if n_classes > N_CODES:
        # Each view has its own table, because its codes are those of other classes.
        x, w = (part.expand(len(views.codes), *part.shape[1:]) for part in (x, w))
    y = views.codes.gather(1, rows.y[views.rows].expand(len(views.codes), -1))
    codes = torch.arange(N_CODES, device=y.device)
    present = ((y[:, :, None] == codes) & (w > 0)[:, :, None]).any(1)
    has_weight = (rows.w > 0).to(w.dtype)
    seen = torch.zeros(n_classes, dtype=w.dtype, device=w.device)
    seen = seen.scatter_add(0, rows.y, has_weight) > 0
    kept |= {"codes": views.codes, "present": present, "seen": seen}
    return Support(x, y, w, views.slots, kept)


def _standardise(rows: Rows) -> tuple[Tensor, State]:
    """Return targets (n,) in units of the support set, and these units."""
    location, scale = location_and_scale(rows.y, rows.w)
    is_constant = _are_equal(rows.y, rows.w).to(rows.y.dtype)
    units = {"location": location, "scale": scale, "is_constant": is_constant}
    return (rows.y - location) / scale, units


def _are_equal(y: Tensor, w: Tensor) -> Tensor:
    """Return whether all targets (n,) of positive weight are the same."""
    largest = torch.where(w > 0, y, -math.inf).amax()
    return largest == torch.where(w > 0, y, math.inf).amin()


def view_rows(adapted: State, x: Tensor, e: int) -> Tensor:
    """Return the columns (e, m, k) of rows (m, d) that the views of an adapted state have."""
    rows = add_components(_named(adapted, "memory.component."), x)
    return select_columns(rows.expand(e, -1, -1), adapted["memory.columns"].long())


def select_columns(x: Tensor, columns: Tensor) -> Tensor:
    """Select the columns (e, k) of each view from rows (e, m, d); e may be 1 for either."""
    e = max(len(x), len(columns))
    return x.expand(e, -1, -1).gather(2, columns[:, None, :].expand(e, x.shape[1], -1))


def class_log_probability(adapted: State, outputs: Tensor) -> Tensor:
    """Average outputs (e, m, o) over views: log probabilities (m, c) of classes.

    They are not normalised if there are more than 10 classes.
    """
    codes, present = adapted["memory.codes"].long(), adapted["memory.present"] > 0.5
    code_log_p = F.log_softmax(outputs.masked_fill(~present[:, None], _NEVER), 2)
    e, m, c = outputs.shape[0], outputs.shape[1], codes.shape[1]
    is_seen = adapted["memory.seen"] > 0.5
    if c <= N_CODES:
        class_log_p = code_log_p.gather(2, codes[:, None, :].expand(-1, m, -1))
        if _LOADINGS in adapted:
            # Views have different columns, so that each adds to what the others know.
            logits = class_log_p.clamp_min(_MIN_LOG_PROBABILITY).mean(0)
            return F.log_softmax(logits.masked_fill(~is_seen, _NEVER), 1)
        log_p = torch.logsumexp(class_log_p, 0) - math.log(e)
    else:
        # Each view predicts one digit of a class; a class has log c / log 10 digits. Views are
        # added one at a time, because c may be large.
        total = torch.zeros(m, c, dtype=code_log_p.dtype, device=code_log_p.device)
        for k in range(e):
            total += code_log_p[k].index_select(1, codes[k])
        log_p = total * (math.log(c) / math.log(N_CODES) / e)
    return log_p.masked_fill(~is_seen, _NEVER)


def bin_log_probability(adapted: State, outputs: Tensor) -> Tensor:
    """Average outputs (e, m, o) over views: log probabilities (m, o) of the bins."""
    own = torch.logsumexp(F.log_softmax(outputs, 2), 0) - math.log(len(outputs))
    # If all known targets are equal, nothing says whether others are above or below them.
    mirrored = torch.logaddexp(own, own.flip(-1)) - math.log(2)
    return torch.where(adapted["memory.is_constant"] > 0.5, mirrored, own)


def to_support_units(adapted: State, rows: Rows) -> Tensor:
    """Convert the targets of rows to units of the support set."""
    return (rows.y - adapted["memory.location"]) / adapted["memory.scale"]


def from_support_units(adapted: State, values: Tensor) -> Tensor:
    """Convert values from units of the support set to units of the targets."""
    return values * adapted["memory.scale"] + adapted["memory.location"]


def predict_targets(adapted: State, outputs: Tensor, levels: Tensor | None = None) -> Tensor:
    """Return means (m, 1), then quantiles (m, q) at levels, in units of the targets."""
    dtype = adapted["memory.scale"].dtype
    probability = bin_log_probability(adapted, outputs).exp()
    predicted = binned_moments(probability)[0].to(dtype)[:, None]
    if levels is not None:
        quantiles = binned_quantiles(probability, levels).to(dtype)
        predicted = torch.cat([predicted, quantiles], 1)
    return from_support_units(adapted, predicted)
