"""Networks that turn a row into features."""

from skmeta.backbones._architecture import Architecture
from skmeta.backbones._build import BACKBONES, build_backbone
from skmeta.backbones._cell_network import CellNetwork
from skmeta.backbones._cells import cells
from skmeta.backbones._conv4 import conv4
from skmeta.backbones._mlp import mlp
from skmeta.backbones._normalization import EpisodeBatchNorm
from skmeta.backbones._shapes import check_backbone, check_weights

__all__ = [
    "cells",
    "conv4",
    "mlp",
]
