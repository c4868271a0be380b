"""A multi-layer perceptron for tables."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


# An optimizer step changes a factor this many times as much as a weight: columns of noise then
# fade within some hundred iterations. Larger rates lose on tables of pixels and other equal units.
_FACTOR_RATE = 5.0


class _Skip(nn.Module):
    """The input, times a learned factor for each feature, beside the last hidden layer."""

    def __init__(self, layers: nn.Module, n_features: int) -> None:
        super().__init__()
        self.layers, self.change = layers, nn.Parameter(torch.zeros(n_features))

    def forward(self, x: Tensor) -> Tensor:
        factor = 1 + _FACTOR_RATE * self.change
        return torch.cat([x.flatten(1) * factor, self.layers(x)], 1)


def mlp(
    input_shape: tuple[int, ...],
    *,
    hidden: Sequence[int] = (40, 40),
    activation: str = "relu",
    skip: bool = False,
) -> nn.Module:
    """Build a multi-layer perceptron; the learner puts a linear head on its last hidden layer.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one row; it is flattened.
    hidden : sequence of int, default=(40, 40)
        Width of each hidden layer: two of 40 in Finn et al. (2017), section 5.1.
    activation : {"relu", "tanh", "gelu", "silu"}, default="relu"
        Applied after each layer.
    skip : bool, default=False
        Whether the input is among the features, each times a learned factor that starts at 1.

    Returns
    -------
    torch.nn.Module
        Maps (n_samples, *input_shape) to (n_samples, hidden[-1]), or with the input, too.

    Raises
    ------
    ValueError
        If ``hidden`` is empty or ``activation`` unknown.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}.")
    if len(hidden) == 0 or min(hidden) < 1:
        raise ValueError(f"hidden must be one positive width or more, got {tuple(hidden)}.")
    n_features = 1
    for size in input_shape:
        n_features *= size
    n_inputs = n_features
    layers: list[nn.Module] = [nn.Flatten()]
    for width in hidden:
        layers += [nn.Linear(n_features, width), ACTIVATIONS[activation]()]
        n_features = width
    network = nn.Sequential(*layers)
    return _Skip(network, n_inputs) if skip else network
