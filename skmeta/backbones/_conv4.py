"""The four-block convolutional network of the few-shot literature."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skmeta.backbones._layers import EpisodeBatchNorm, halve, moments_of_convolution

# Bytes of the wide maps that are computed at once, before they are halved.
_CACHE = 4 * 2**20


class ConvBlock(nn.Module):
    """3x3 convolution, batch normalisation, ReLU, and 2x2 max-pooling if `pool`.

    The convolution has no bias, since the normalisation would subtract it. If statistics are given,
    the normalisation is folded into the convolution's weights, and the maximum is taken before the
    ReLU (the two commute). This saves most of the memory traffic of the wide maps.
    """

    def __init__(self, in_channels: int, out_channels: int, pool: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.norm = EpisodeBatchNorm(out_channels)
        self.pool = pool
        # Patches of few channels have fewer values than the maps made of them.
        self.measures_patches = 2 * 9 * in_channels <= out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_samples, in_channels, height, width) to half the height and width."""
        # Filters change sign so that the normalisation's scale is positive. It then commutes with
        # the maximum, and is applied to a quarter of the values.
        turn = torch.where(self.norm.weight < 0, -1.0, 1.0).to(x.dtype)
        weight = self.weight * turn[:, None, None, None]
        if self.norm.training and self.measures_patches:
            self.norm.mean, self.norm.var = moments_of_convolution(x, weight)
        elif self.norm.training:
            maps = self._convolve(x, weight)
            self.norm.measure(maps)
            scale, shift = self._scale_and_shift(turn)
            return F.relu(torch.addcmul(shift, self._halve(maps), scale))
        scale, shift = self._scale_and_shift(turn)
        # The shift is added to the halved maps. As a bias of the convolution, its gradient would
        # pass over the large ones.
        weight = weight * scale[..., None]
        parts = [
            F.relu(self._halve(self._convolve(part, weight)) + shift)
            for part in x.split(self._n_images_at_once(x))
        ]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, padding=1)

    def _halve(self, maps: Tensor) -> Tensor:
        return halve(maps) if self.pool else maps

    def _scale_and_shift(self, turn: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.norm.weight * turn * torch.rsqrt(self.norm.var + self.norm.eps)
        shift = self.norm.bias - self.norm.mean * scale
        return scale[:, None, None], shift[:, None, None]

    def _n_images_at_once(self, x: Tensor) -> int:
        """Images whose wide maps fit into a processor's cache."""
        if x.device.type != "cpu" or not self.pool:
            return len(x)
        n_bytes = self.weight.shape[0] * x[0, 0].numel() * x.element_size()
        return max(1, _CACHE // n_bytes)


def conv4(
    input_shape: tuple[int, ...], *, n_channels: int = 64, n_blocks: int | None = None
) -> nn.Module:
    """Build the network of Vinyals et al. (2016), used by MAML and its successors.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width) of an image.
    n_channels : int, default=64
        Filters of each block.
    n_blocks : int, optional
        Number of blocks; by default 4; for images of less than 16 pixels on a side, as many as
        leave two pixels or more.

    Returns
    -------
    torch.nn.Module
        Maps (n_samples, channels, height, width) to (n_samples, n_features).

    Raises
    ------
    ValueError
        If the input is not an image, or too small for the number of blocks.

    References
    ----------
    Vinyals et al. (2016), Matching networks for one shot learning, section 4.1.1.

    Examples
    --------
    >>> import torch
    >>> from skmeta.backbones import conv4
    >>> conv4((1, 28, 28))(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 64])
    """
    if len(input_shape) != 3:
        raise ValueError(
            "Backbone 'conv4' needs images of shape (channels, height, width), but the input has "
            f"shape {input_shape}. Pass input_shape, or use backbone='mlp' for tables."
        )
    most = max(1, min(input_shape[1:]).bit_length() - 1)
    if n_blocks is None:
        # Small images keep 2x2 pixels.
        n_blocks = 4 if most >= 4 else max(1, most - 1)
    if min(input_shape[1:]) < 2**n_blocks:
        raise ValueError(
            f"Backbone 'conv4' halves the image {n_blocks} times, but input_shape={input_shape} "
            f"is smaller than {2**n_blocks} pixels on a side. Images have the shape (channels, "
            f'height, width). If these do, pass backbone_params={{"n_blocks": {most}}}.'
        )
    channels = [input_shape[0], *[n_channels] * n_blocks]
    blocks = [ConvBlock(channels[i], channels[i + 1]) for i in range(n_blocks)]
    return nn.Sequential(*blocks, nn.Flatten())
