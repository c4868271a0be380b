"""Devices and precision; convert NumPy arrays to tensors and back, as no other module does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta._backend._execution import channels_last
from skmeta._backend._ranks import local_gpu
from skmeta._torch_compat import apply_function
from skmeta._warnings import warn_caller
from skmeta.exceptions import SkmetaWarning
from skmeta.tasks import TaskBatch

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
# Of networks: with bfloat16 only the products of a network are computed in it.
NETWORK_PRECISIONS = {**PRECISIONS, "bfloat16": torch.float32}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Convert a device argument to an available device, or raise a ValueError.

    ``"auto"`` takes a GPU if there is one, the CPU otherwise. A process that ``torchrun`` started
    takes its own of several GPUs.
    """
    if device == "auto":
        return local_gpu() if torch.cuda.is_available() else torch.device("cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"device={str(device)!r} is not available here: {why}. "
            "Use device='auto' or device='cpu'."
        ) from error
    return resolved


def here_or_cpu(device: str | torch.device) -> str | torch.device:
    """Return the device of an unpickled estimator, or warn and return ``"cpu"``."""
    try:
        resolve_device(device)
    except ValueError:
        warn_caller(
            f"The estimator was saved with device={str(device)!r}, which is not available here. "
            "Now device='cpu': it predicts on the CPU.",
            SkmetaWarning,
        )
        return "cpu"
    return device


class Rows(NamedTuple):
    """Rows of one set of a task.

    x (n_rows, *input_shape) are standardised inputs, y (n_rows,) class positions (int64) or
    standardised targets, w (n_rows,) sample weights, where 0 marks padding.
    """

    x: Tensor
    y: Tensor
    w: Tensor


class TaskTensors(NamedTuple):
    """Support and query set of one task, on the device."""

    support: Rows
    query: Rows


class Scaler(NamedTuple):
    """Mean and scale of features (n_features,) or () and of targets () in meta-training.

    They are 0 and 1 where nothing is standardised.
    """

    x_mean: np.ndarray
    x_scale: np.ndarray
    y_mean: np.ndarray
    y_scale: np.ndarray


class TensorAdapter:
    """Standardise rows, put them on a device, and reshape each to `input_shape` for the network."""

    def __init__(
        self, input_shape: tuple[int, ...], scaler: Scaler, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.input_shape: tuple[int, ...] = tuple(input_shape)
        self.device = device
        self.dtype = dtype
        # Copies, because torch warns about read-only arrays, such as those of a prior.
        self._x = tuple(torch.tensor(v, dtype=torch.float64) for v in scaler[:2])
        self._x_in: dict[torch.dtype, tuple[Tensor, ...]] = {}
        # The learner of tables standardises by the support set.
        self._changes_x = bool((scaler.x_mean != 0).any() or (scaler.x_scale != 1).any())
        self._y_mean, self._y_scale = float(scaler.y_mean), float(scaler.y_scale)

    def upload(self, X: np.ndarray) -> Tensor:
        """Put a table (n_samples, n_features) on the device, in its own precision."""
        return torch.from_numpy(np.require(X, requirements=["C", "W"])).to(self.device)

    def inputs(self, rows: Tensor) -> Tensor:
        """Standardise and reshape rows (n_rows, n_features) of an uploaded table."""
        if not self._changes_x:
            return channels_last(rows.to(self.dtype).reshape(-1, *self.input_shape))
        # Rounded afterwards: a column of times or coordinates is far from zero, but not wide.
        dtype = self.dtype
        if rows.is_floating_point():
            dtype = torch.promote_types(rows.dtype, dtype)
        if dtype not in self._x_in:
            self._x_in[dtype] = tuple(v.to(dtype).to(self.device) for v in self._x)
        mean, scale = self._x_in[dtype]
        x = (rows.to(dtype) - mean) / scale
        return channels_last(x.to(self.dtype).reshape(-1, *self.input_shape))

    def rows(self, X: Tensor, y: np.ndarray, w: np.ndarray) -> Rows:
        """Make one set of a task from rows of an uploaded table."""
        if y.dtype.kind == "f":
            target = torch.as_tensor((y - self._y_mean) / self._y_scale, dtype=self.dtype)
        else:
            target = torch.as_tensor(y, dtype=torch.int64)
        weight = torch.as_tensor(w, dtype=self.dtype)
        return Rows(self.inputs(X), target.to(self.device), weight.to(self.device))

    def tasks(self, table: Tensor, batch: TaskBatch) -> TaskTensors:
        """Gather tasks of one shape from an uploaded table, stacked along axis 0."""
        # The support sets of all tasks, and then the query sets: one gathering for both.
        at, y, w = (np.concatenate(each, axis=None) for each in zip(*_by_side(batch), strict=True))
        rows = self.rows(table[torch.from_numpy(at).to(self.device)], y, w)
        sides, n = [], len(batch.support)
        for part in zip(
            *(x.split([batch.support.size, batch.query.size]) for x in rows), strict=True
        ):
            # Not `unflatten`, which is slow for small tasks.
            sides.append(Rows(*(x.view(n, len(x) // n, *x.shape[1:]) for x in part)))
        return TaskTensors(*sides)

    def targets(self, predicted: Tensor) -> np.ndarray:
        """Convert standardised predictions to the units of the targets."""
        return to_numpy(predicted) * self._y_scale + self._y_mean


def _by_side(batch: TaskBatch) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    support = batch.support, batch.y_support, batch.w_support
    return support, (batch.query, batch.y_query, batch.w_query)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """Copy a tensor on any device to a NumPy array."""
    return np.array(tensor.detach().cpu().numpy())


def state_to_numpy(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Copy a state to NumPy arrays of the same names."""
    return {name: to_numpy(value) for name, value in state.items()}


def state_to_torch(
    state: Mapping[str, Any], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Copy a state of arrays to tensors of the same names on a device."""
    return {
        name: torch.tensor(np.asarray(value), dtype=dtype, device=device)
        for name, value in state.items()
    }


def call_numpy(function: Callable[..., Any], *tensors: Tensor) -> tuple[Tensor, ...]:
    """Call a function that returns a tuple of arrays with arrays; no gradient goes through it.

    Under :func:`torch.func.vmap`, it is called for one task after the other.
    """
    results: tuple[Tensor, ...] = apply_function(_NumpyCall, function, *tensors)
    return results


class _NumpyCall(torch.autograd.Function):
    @staticmethod
    def forward(function: Callable[..., Any], *tensors: Tensor) -> tuple[Tensor, ...]:
        results = function(*map(to_numpy, tensors))
        return tuple(torch.from_numpy(np.array(r)).to(tensors[0].device) for r in results)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        raise NotImplementedError("No gradient goes through a function of arrays.")

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, function: Callable[..., Any], *tensors: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        n, pairs = info.batch_size, zip(tensors, in_dims[1:], strict=True)
        tasks = (x.expand(n, *x.shape) if dim is None else x.movedim(dim, 0) for x, dim in pairs)

        def call_each(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
            results = [function(*task) for task in zip(*arrays, strict=True)]
            return tuple(np.stack(parts) for parts in zip(*results, strict=True))

        stacked = call_numpy(call_each, *tasks)
        return stacked, (0,) * len(stacked)
