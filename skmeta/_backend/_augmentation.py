"""Changes of images: augmentation in meta-training, and views of a new task at test time.

In a view, all images of a task are mirrored or turned alike. Each view is a task of the same
classes, so their predictions can be averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from skmeta._backend._adapter import Rows, TaskTensors
from skmeta._backend._execution import channels_last

# Largest turn in radians, largest entry that is added to the identity, largest shift over the size.
_TURN, _SHEAR, _SHIFT = math.radians(15), 0.15, 0.07

Step = str | Callable[[Tensor], Tensor]

# Changes that make other classes of the images of a class.
NAMES = ("mirror", "rotations")


class Augmentation:
    """Change the images of tasks.

    ``"affine"`` turns, shears, scales and shifts each image. ``"mirror"`` and ``"rotations"``
    mirror and turn the images of a class alike, so that they become those of a new class; without
    `n_classes` (the classes are not new in each task) all images of a task are changed alike. A
    callable takes the images of one task (n_rows, channels, height, width), and returns as many.
    """

    def __init__(
        self,
        augment: Step | Sequence[Step],
        input_shape: tuple[int, ...],
        n_classes: int | None = None,
    ) -> None:
        self._steps = as_steps(augment)
        self._n_classes = n_classes
        for step in self._steps:
            if not callable(step) and step not in ("affine", *NAMES):
                raise ValueError(
                    f"augment={step!r} is unknown. Use 'affine', 'mirror', 'rotations', a function "
                    "of a tensor of images, or a list of these."
                )
            _check_images("augment", step, input_shape)

    def __call__(self, tasks: TaskTensors, seeds: Iterable[int]) -> TaskTensors:
        """Change the images of tasks, stacked along axis 0, with a seed for each task."""
        support, query = tasks
        n_support = support.x.shape[1]
        x = torch.cat([support.x, query.x], 1)
        y = torch.cat([support.y, query.y], 1)
        n_classes = self._n_classes or 1
        generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        for step in self._steps:
            if callable(step):
                x = torch.stack([_call(step, *pair) for pair in zip(x, generators, strict=True)])
            elif step == "affine":
                x = _affine(x, generators)
            else:
                n = 2 if step == "mirror" else 4
                drawn = torch.stack(
                    [torch.randint(n, (n_classes,), generator=g) for g in generators]
                )
                drawn = drawn.to(x.device)
                each = drawn.gather(1, y) if self._n_classes else drawn.expand(y.shape)
                x = (_mirror if step == "mirror" else _rotate)(x, each[..., None, None, None])
        images = x[:, :n_support], x[:, n_support:]
        return TaskTensors(
            *(Rows(_stored(own), *side[1:]) for own, side in zip(images, tasks, strict=True))
        )


def as_steps(augment: Step | Sequence[Step]) -> list[Step]:
    """Return the steps of ``augment`` as a list."""
    return [augment] if isinstance(augment, str) or callable(augment) else list(augment)


def _stored(x: Tensor) -> Tensor:
    stored: Tensor = channels_last(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    return stored


def _mirror(x: Tensor, drawn: Tensor) -> Tensor:
    return torch.where(drawn == 1, x.flip(-1), x)


def _rotate(x: Tensor, drawn: Tensor) -> Tensor:
    turned = x
    for n in (1, 2, 3):
        turned = torch.where(drawn == n, x.rot90(n, (-2, -1)), turned)
    return turned


def _affine(x: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Turn, shear, scale and shift each of the images (n_tasks, n_rows, channels, h, w)."""
    n_rows = x.shape[1]
    drawn = torch.cat([2 * torch.rand(n_rows, 7, generator=g) - 1 for g in generators])
    angle, shear, shift = _TURN * drawn[:, 0], _SHEAR * drawn[:, 1:5], 2 * _SHIFT * drawn[:, 5:]
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1)
    matrix = turn.reshape(-1, 2, 2) @ (torch.eye(2) + shear.reshape(-1, 2, 2))
    theta = torch.cat([matrix, shift[..., None]], 2).to(x.device, x.dtype)
    images = x.flatten(0, 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # What lies outside the image is like its border, whether that is black or white.
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    each: Tensor = moved.unflatten(0, x.shape[:2])
    return each


def _call(step: Callable[[Tensor], Tensor], x: Tensor, generator: torch.Generator) -> Tensor:
    # Functions of others, as those of torchvision, draw from torch's global generators.
    seed = int(torch.randint(2**62, (), generator=generator))
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.random.manual_seed(seed)
        images = step(x)
    if not isinstance(images, Tensor) or images.shape != x.shape:
        what = (
            f"shape {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        )
        raise ValueError(
            f"augment={step!r} must return a tensor of shape {tuple(x.shape)}, as it was given, "
            f"but it returned {what}."
        )
    return images.to(x)


def resolve_test_time_augment(value: Any, augment: Any) -> list[str]:
    """Return the changes of images that ``test_time_augment`` stands for.

    ``"auto"`` takes those of `augment` that make other classes in meta-training, so that the prior
    knows such tasks.
    """
    if value is None:
        return []
    if isinstance(value, str) and value == "auto":
        steps = [] if augment is None else as_steps(augment)
        return [name for name in NAMES if any(step == name for step in steps)]
    return [value] if isinstance(value, str) else list(value)


def make_views(
    names: Sequence[Any], input_shape: tuple[int, ...]
) -> tuple[Callable[[Tensor], Tensor], ...]:
    """Return one, two, four or eight functions of images (n_rows, channels, height, width).

    They make all views of a task, the task itself first.
    """
    for name in names:
        if not isinstance(name, str) or name not in NAMES:
            raise ValueError(
                f"test_time_augment={name!r} is unknown. Use 'mirror', 'rotations', a list of "
                "these, or None."
            )
        _check_images("test_time_augment", name, input_shape)
    mirrored = (False, True) if "mirror" in names else (False,)
    turns = range(4) if "rotations" in names else range(1)
    return tuple(partial(_view, m, n) for m in mirrored for n in turns)


def _view(is_mirrored: bool, n_quarter_turns: int, x: Tensor) -> Tensor:
    """Mirror all images, then turn them counter-clockwise."""
    if not is_mirrored and n_quarter_turns == 0:
        return x
    x = x.flip(-1) if is_mirrored else x
    turned = x.rot90(n_quarter_turns, (-2, -1)).permute(0, 2, 3, 1)
    # Channels are stored last, as the backend stores images. This also works within vmap.
    return turned.clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)


def _check_images(parameter: str, change: Any, input_shape: tuple[int, ...]) -> None:
    """Raise an error if rows of a shape are no images, or none that can be changed so."""
    if len(input_shape) != 3:
        raise ValueError(
            f"{parameter}={change!r} changes images of shape (channels, height, width), but a row "
            f"has the shape {tuple(input_shape)}. Give the learner an input_shape, or set "
            f"{parameter}=None."
        )
    if change == "rotations" and input_shape[1] != input_shape[2]:
        raise ValueError(
            f"{parameter}='rotations' needs square images, but these have the shape "
            f"{tuple(input_shape)}. Use 'mirror' instead."
        )
