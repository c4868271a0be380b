"""The residual network of the few-shot literature, for colour images of 32 to 84 pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from skmeta.backbones._images import check_image_shape
from skmeta.backbones._normalization import EpisodeBatchNorm
from skmeta.backbones._pooling import halve
from skmeta.exceptions import BackboneError

_SLOPE = 0.1  # of the leaky ReLU, for negative values
_N_CONVOLUTIONS = 3  # of a block


class ResidualBlock(nn.Module):
    """Three 3x3 convolutions beside a 1x1 convolution, then halving of the resolution.

    Each convolution is followed by a batch normalisation. The leaky ReLU comes after the first two,
    and after the sum.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        widths = [in_channels, *[out_channels] * _N_CONVOLUTIONS]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(widths[k], out_channels, 3, padding=1, bias=False)
            for k in range(_N_CONVOLUTIONS)
        )
        self.norms = nn.ModuleList(EpisodeBatchNorm(out_channels) for _ in range(_N_CONVOLUTIONS))
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.shortcut_norm = EpisodeBatchNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_samples, in_channels, height, width) to half the height and width."""
        out = x
        for convolve, norm in zip(self.convolutions[:-1], self.norms[:-1], strict=True):
            out = F.leaky_relu(norm(convolve(out)), _SLOPE)
        out = self.norms[-1](self.convolutions[-1](out))
        # The maximum commutes with the leaky ReLU, which then sees a quarter of the values.
        return F.leaky_relu(halve(out + self.shortcut_norm(self.shortcut(x))), _SLOPE)


class _Mean(nn.Module):
    """Mean over the pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((-2, -1))


def resnet12(
    input_shape: tuple[int, ...], *, widths: Sequence[int] = (64, 160, 320, 640)
) -> nn.Module:
    """Build the 12-layer residual network of Lee et al. (2019), without its dropout.

    It has 12.4 million weights with the default widths, a hundred times those of ``conv4``. It is
    made for prototypical networks and first-order learners. Gradients of second order through it
    take much memory.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width) of an image.
    widths : sequence of int, default=(64, 160, 320, 640)
        Channels of each block. A block halves the resolution.

    Returns
    -------
    torch.nn.Module
        Maps (n_samples, channels, height, width) to (n_samples, n_features), where ``n_features``
        is the last width: features are means over the pixels.

    Raises
    ------
    BackboneError
        If the input is not an image, or too small for the number of blocks.

    References
    ----------
    Lee, Maji, Ravichandran and Soatto (2019), Meta-learning with differentiable convex
    optimization, section 4.1. Oreshkin, Rodriguez and Lacoste (2018), TADAM: task dependent
    adaptive metric for improved few-shot learning.

    Examples
    --------
    >>> import torch
    >>> from skmeta.backbones import resnet12
    >>> resnet12((3, 32, 32), widths=(8, 16, 24, 32))(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 32])
    """
    check_image_shape("resnet12", input_shape)
    if len(widths) == 0 or any(width < 1 for width in widths):
        raise BackboneError(
            f"widths must be one positive number or more, got {tuple(widths)}. Pass the channels "
            "of each block, such as (64, 160, 320, 640)."
        )
    if min(input_shape[1:]) < 2 ** len(widths):
        raise BackboneError(
            f"Backbone 'resnet12' halves the image {len(widths)} times, but "
            f"input_shape={input_shape} is smaller than {2 ** len(widths)} pixels on a side. Pass "
            "fewer widths, or use backbone='conv4'."
        )
    channels = [input_shape[0], *widths]
    blocks = [ResidualBlock(channels[k], channels[k + 1]) for k in range(len(widths))]
    return nn.Sequential(*blocks, _Mean())
