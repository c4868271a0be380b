"""Put a network on a device, with what brings rows to it."""

from __future__ import annotations

import torch
from torch import nn

from skmeta.backend._adapter import Scaler, TensorAdapter
from skmeta.backend._device import NETWORK_PRECISIONS, check_bfloat16, resolve_device
from skmeta.backend._functional import Network


def open_network(
    module: nn.Module,
    input_shape: tuple[int, ...],
    scaler: Scaler,
    device: str | torch.device,
    precision: str,
) -> tuple[Network, TensorAdapter]:
    """Put a network on a device.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (n_rows, *input_shape) to (n_rows, n_features).
    input_shape : tuple of int
        Shape of one row.
    scaler : Scaler
        Standardisation of features and targets.
    device : str or torch.device
        Where to compute.
    precision : {"float32", "float64", "bfloat16"}
        Precision of the tensors; with ``"bfloat16"`` that of the network's products, and the
        tensors have float32.

    Returns
    -------
    network : Network
        The network.
    adapter : TensorAdapter
        Brings rows to the device.

    Raises
    ------
    ValueError
        If the device is not there, or does not compute in bfloat16.
    """
    where, dtype = resolve_device(device), NETWORK_PRECISIONS[precision]
    in_bfloat16 = precision == "bfloat16"
    if in_bfloat16:
        check_bfloat16(where)
    # Buffers of a module, such as random features, have the precision of its rows.
    network = Network(module.to(dtype), input_shape, where, in_bfloat16)
    return network, TensorAdapter(input_shape, scaler, where, dtype)
