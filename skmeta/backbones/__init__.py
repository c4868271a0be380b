"""Networks that turn a row into features."""

from skmeta.backbones._architecture import Architecture, describe, resolve_backbone
from skmeta.backbones._build import BACKBONES, build_backbone, check_backbone, check_weights
from skmeta.backbones._cell_network import CellNetwork
from skmeta.backbones._cells import cells
from skmeta.backbones._conv4 import conv4
from skmeta.backbones._layers import EpisodeBatchNorm
from skmeta.backbones._mlp import mlp

__all__ = ["cells", "conv4", "mlp"]
