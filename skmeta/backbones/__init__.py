"""Networks that turn a row into features."""

from skmeta.backbones._build import BACKBONES, build_backbone, identity, n_output_features
from skmeta.backbones._conv4 import conv4
from skmeta.backbones._mlp import mlp
from skmeta.backbones._normalization import EpisodeBatchNorm, convert_batch_norm

__all__ = [
    "BACKBONES",
    "EpisodeBatchNorm",
    "build_backbone",
    "conv4",
    "convert_batch_norm",
    "identity",
    "mlp",
    "n_output_features",
]
