"""Devices and precision; convert NumPy arrays to tensors and back, as no other module does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta._warnings import warn_caller
from skmeta.backend._execution import channels_last
from skmeta.backend._ranks import local_gpu
from skmeta.exceptions import SkmetaWarning
from skmeta.tasks import Task

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
# Of networks: with bfloat16 only the products of a network are computed in it.
NETWORK_PRECISIONS = {**PRECISIONS, "bfloat16": torch.float32}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Convert a device argument to an available device.

    Parameters
    ----------
    device : str or torch.device, default="auto"
        ``"auto"`` takes a GPU if there is one (of several, a process that ``torchrun`` started
        takes its own), the CPU otherwise.

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    ValueError
        If the device is unknown or not available.
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
    """Return the device of an estimator that was unpickled, or ``"cpu"`` if it is not there.

    Parameters
    ----------
    device : str or torch.device
        The parameter of the estimator.

    Returns
    -------
    str or torch.device
        The same, or ``"cpu"``.

    Warns
    -----
    SkmetaWarning
        If the device is not there.
    """
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

    Attributes
    ----------
    x : Tensor of shape (n_rows, *input_shape)
        Standardised inputs.
    y : Tensor of shape (n_rows,)
        Class positions (int64), or standardised targets.
    w : Tensor of shape (n_rows,)
        Sample weights; 0 marks padding.
    """

    x: Tensor
    y: Tensor
    w: Tensor


class TaskTensors(NamedTuple):
    """Support and query set of one task, on the device."""

    support: Rows
    query: Rows


class Scaler(NamedTuple):
    """Centre and scale of features and targets, from the meta-training rows.

    Attributes
    ----------
    x_mean, x_scale : ndarray of shape (n_features,) or ()
        Mean and scale of the features; 0 and 1 for features that are not standardised.
    y_mean, y_scale : ndarray of shape ()
        Mean and scale of the targets; 0 and 1 for a classification.
    """

    x_mean: np.ndarray
    x_scale: np.ndarray
    y_mean: np.ndarray
    y_scale: np.ndarray


class TensorAdapter:
    """Standardise rows, put them on a device, and reshape them for the network.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one row.
    scaler : Scaler
        Standardisation.
    device : torch.device
        Device of the tensors.
    dtype : torch.dtype
        Precision of the tensors.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        scaler: Scaler,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.input_shape = tuple(input_shape)
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

    def tasks(self, table: Tensor, tasks: Sequence[Task]) -> TaskTensors:
        """Gather tasks of one shape from an uploaded table, stacked along axis 0."""
        parts = []
        for side in ("support", "query"):
            at, y, w = (
                np.concatenate([getattr(t, name) for t in tasks])
                for name in (side, f"y_{side}", f"w_{side}")
            )
            rows = self.rows(table[torch.as_tensor(at, device=self.device)], y, w)
            n = len(tasks)  # Not `unflatten`, which is slow for small tasks.
            parts.append(Rows(*(x.view(n, len(x) // n, *x.shape[1:]) for x in rows)))
        return TaskTensors(*parts)

    def targets(self, predicted: Tensor) -> np.ndarray:
        """Convert standardised predictions to the units of the targets."""
        return to_numpy(predicted) * self._y_scale + self._y_mean


def to_numpy(tensor: Tensor) -> np.ndarray:
    """Copy a tensor to a NumPy array.

    Parameters
    ----------
    tensor : Tensor
        On any device.

    Returns
    -------
    ndarray
        A copy.
    """
    return np.array(tensor.detach().cpu().numpy())


def state_to_numpy(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Copy a state to NumPy arrays.

    Parameters
    ----------
    state : mapping of str to Tensor
        Named tensors.

    Returns
    -------
    dict of str to ndarray
        Copies, by the same names.
    """
    return {name: to_numpy(value) for name, value in state.items()}


def state_to_torch(
    state: Mapping[str, Any], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Copy a state of arrays to a device.

    Parameters
    ----------
    state : mapping of str to array-like
        Named arrays.
    device : torch.device
        Where to copy them.
    dtype : torch.dtype
        Precision of the tensors.

    Returns
    -------
    dict of str to Tensor
        Copies, by the same names.
    """
    return {
        name: torch.tensor(np.asarray(value), dtype=dtype, device=device)
        for name, value in state.items()
    }
