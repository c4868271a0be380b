"""Devices and precision, which are resolved once, when a fit begins."""

from __future__ import annotations

import torch

from skmeta.backend._ranks import local_device
from skmeta.exceptions import DeviceError

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Convert a device argument to an available device.

    Parameters
    ----------
    device : str or torch.device, default="auto"
        ``"auto"`` takes a GPU if there is one, the CPU otherwise. Processes that ``torchrun``
        started take a GPU each.

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    DeviceError
        If the device is unknown or not available.
    """
    if device == "auto":
        return local_device() if torch.cuda.is_available() else torch.device("cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(
            f"device={str(device)!r} is not available here: {str(error).splitlines()[0]} "
            "Use device='auto' or device='cpu'."
        ) from error
    return resolved
