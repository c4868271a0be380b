"""Settings of the inner loop that are fixed, or learned by the meta-gradient.

A learned setting is a part of the state. It is named ``inner_lr`` or, if each tensor has its own,
``inner_lr.<tensor>``. The first axis of its values is the step, and has length 1 if all steps share
one value.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skmeta._backend import State

# By setting: what may have a value of its own.
UNITS = {
    "inner_lr": ("scalar", "step", "tensor", "tensor and step", "weight", "weight and step"),
    "weight_decay": ("scalar", "step", "tensor", "tensor and step", "weight", "weight and step"),
    "label_smoothing": ("scalar",),
}


def check_units(learn: dict[str, str], kind: str) -> None:
    """Raise an error if a setting cannot be learned, or not by such a unit."""
    for name, unit in learn.items():
        if name not in UNITS:
            raise ValueError(
                f"learn has {name!r}, which is not a setting of the inner loop. Settings that can "
                f"be learned are {', '.join(map(repr, UNITS))}."
            )
        if unit not in UNITS[name]:
            raise ValueError(
                f"learn[{name!r}] must be {' or '.join(map(repr, UNITS[name]))}: what has a value "
                f"of its own. Got {unit!r}."
            )
        if name == "label_smoothing" and kind != "classification":
            raise ValueError(
                f"learn has 'label_smoothing', but the tasks are of {kind}. Leave it out."
            )


def initial_values(name: str, unit: str, start: float, tensors: State, n_steps: int) -> State:
    """Return the values of a learned setting where they start."""
    steps = n_steps if unit.endswith("step") else 1
    if unit in ("scalar", "step"):
        return {name: torch.full((steps,), start)}
    shapes = {n: v.shape if unit.startswith("weight") else () for n, v in tensors.items()}
    return {f"{name}.{n}": torch.full((steps, *shape), start) for n, shape in shapes.items()}


def value_at(
    state: State, name: str, tensor: str, step: int, fixed: float, rows: Tensor | None
) -> Any:
    """Return the value of a setting for a tensor at a step; `fixed` if it is not learned.

    Steps beyond those of the meta-training take the last value. `rows` (k,) are the rows of a
    learned head that a task has.
    """
    values = state.get(f"{name}.{tensor}", state.get(name))
    if values is None:
        return fixed
    value = at_step(values, step)
    if rows is None or value.ndim == 0 or not tensor.startswith("head."):
        return value
    return value.index_select(0, rows)


def at_step(values: Tensor, step: int) -> Tensor:
    """Return the values (steps, ...) of a step, or the last ones."""
    return values[min(step, len(values) - 1)]
