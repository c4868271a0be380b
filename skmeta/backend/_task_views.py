"""Test-time augmentation: a new task of images is learned and predicted in several views.

In a view, all images of the task are mirrored or turned alike. Each view is a task of the same
classes, so their predictions can be averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skmeta.backend._augmentation import as_steps

NAMES = ("mirror", "rotations")


class TaskView(NamedTuple):
    """One way to look at all images of a task.

    Attributes
    ----------
    is_mirrored : bool
        Whether left and right change places.
    n_quarter_turns : int
        Turns by 90 degrees, counter-clockwise, after that.
    """

    is_mirrored: bool = False
    n_quarter_turns: int = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Change images of shape (n_rows, channels, height, width)."""
        if self == TaskView():
            return x
        if self.is_mirrored:
            x = x.flip(-1)
        turned = x.rot90(self.n_quarter_turns, (-2, -1)).permute(0, 2, 3, 1)
        # Channels are stored last, as the backend stores images. This also works within vmap.
        return turned.clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)


def resolve_test_time_augment(value: Any, augment: Any) -> list[str]:
    """Return the changes that ``test_time_augment`` stands for.

    Parameters
    ----------
    value : "auto", str, sequence of str or None
        Value of the parameter. ``"auto"`` takes those that make other classes in meta-training, so
        that the prior knows such tasks.
    augment : str, callable, sequence of these or None
        Changes in meta-training.

    Returns
    -------
    list of str
        Names out of ``"mirror"`` and ``"rotations"``.
    """
    if value is None:
        return []
    if isinstance(value, str) and value == "auto":
        steps = [] if augment is None else as_steps(augment)
        return [name for name in NAMES if any(step == name for step in steps)]
    return [value] if isinstance(value, str) else list(value)


def make_views(names: Sequence[Any], input_shape: tuple[int, ...]) -> tuple[TaskView, ...]:
    """Return all views of a task, the task itself first.

    Parameters
    ----------
    names : sequence of str
        Names out of ``"mirror"`` and ``"rotations"``.
    input_shape : tuple of int
        Shape of one row.

    Returns
    -------
    tuple of TaskView
        One, two, four or eight views.

    Raises
    ------
    ValueError
        If a name is unknown, or rows are no images that can be changed so.
    """
    for name in names:
        if not isinstance(name, str) or name not in NAMES:
            raise ValueError(
                f"test_time_augment={name!r} is unknown. Use 'mirror', 'rotations', a list of "
                "these, or None."
            )
        if len(input_shape) != 3:
            raise ValueError(
                f"test_time_augment={name!r} changes images of shape (channels, height, width), "
                f"but a row has the shape {tuple(input_shape)}. Set test_time_augment=None, or "
                "give the learner an input_shape."
            )
        if name == "rotations" and input_shape[1] != input_shape[2]:
            raise ValueError(
                "test_time_augment='rotations' needs square images, but these have the shape "
                f"{tuple(input_shape)}. Use 'mirror' or None."
            )
    mirrored = (False, True) if "mirror" in names else (False,)
    turns = range(4) if "rotations" in names else range(1)
    return tuple(TaskView(m, n) for m in mirrored for n in turns)
