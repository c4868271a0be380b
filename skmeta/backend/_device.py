"""Devices and precision, which are resolved once, when a fit begins."""

from __future__ import annotations

import torch

from skmeta._torch_compat import has_bfloat16_instructions
from skmeta._warnings import warn_caller
from skmeta.exceptions import DeviceWarning

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
# Of networks: with bfloat16 only the products of a network are computed in it.
NETWORK_PRECISIONS = {**PRECISIONS, "bfloat16": torch.float32}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Convert a device argument to an available device.

    Parameters
    ----------
    device : str or torch.device, default="auto"
        ``"auto"`` takes a GPU if there is one, the CPU otherwise.

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
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
    DeviceWarning
        If the device is not there.
    """
    try:
        resolve_device(device)
    except ValueError:
        warn_caller(
            f"The estimator was saved with device={str(device)!r}, which is not available here. "
            "Now device='cpu': it predicts on the CPU.",
            DeviceWarning,
        )
        return "cpu"
    return device


def check_bfloat16(device: torch.device) -> None:
    """Raise an error if a device does not compute in bfloat16.

    Parameters
    ----------
    device : torch.device
        An available device.

    Raises
    ------
    ValueError
        If it has no instructions for it. Emulation would be slower than float32.
    """
    if device.type == "cpu":
        is_able = has_bfloat16_instructions()
        needed = "a processor with AVX-512-BF16 or AMX"
    elif device.type == "cuda":
        with torch.cuda.device(device):
            is_able = torch.cuda.is_bf16_supported(including_emulation=False)
        needed = "a GPU of compute capability 8.0 or more"
    else:
        is_able, needed = False, "a CPU or a CUDA GPU"
    if not is_able:
        raise ValueError(
            f"precision='bfloat16' needs {needed}, which device={str(device)!r} is not. Use "
            "precision='float32'."
        )
