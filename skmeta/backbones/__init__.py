"""Networks that turn a row into features."""

from skmeta.backbones._architecture import Architecture as Architecture
from skmeta.backbones._build import BACKBONES as BACKBONES
from skmeta.backbones._build import build_backbone as build_backbone
from skmeta.backbones._cell_network import CellNetwork as CellNetwork
from skmeta.backbones._cells import cells
from skmeta.backbones._conv4 import conv4
from skmeta.backbones._mlp import mlp
from skmeta.backbones._normalization import EpisodeBatchNorm as EpisodeBatchNorm
from skmeta.backbones._shapes import check_backbone as check_backbone
from skmeta.backbones._shapes import check_weights as check_weights

__all__ = [
    "cells",
    "conv4",
    "mlp",
]
