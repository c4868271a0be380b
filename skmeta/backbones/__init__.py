"""Networks that turn a row into features."""

from skmeta.backbones._architecture import Architecture, Edge
from skmeta.backbones._build import BACKBONES, build_backbone, identity, n_output_features
from skmeta.backbones._cell_network import CellNetwork
from skmeta.backbones._cells import cells, image_cells, table_cells
from skmeta.backbones._conv4 import conv4
from skmeta.backbones._mlp import mlp
from skmeta.backbones._normalization import EpisodeBatchNorm, convert_batch_norm
from skmeta.backbones._table_bars import N_BARS, bar_borders
from skmeta.backbones._table_cells import describe_cells, measure_columns
from skmeta.backbones._table_transformer import TableTransformer

__all__ = [
    "BACKBONES",
    "N_BARS",
    "Architecture",
    "CellNetwork",
    "Edge",
    "EpisodeBatchNorm",
    "TableTransformer",
    "bar_borders",
    "build_backbone",
    "cells",
    "conv4",
    "convert_batch_norm",
    "describe_cells",
    "identity",
    "image_cells",
    "measure_columns",
    "mlp",
    "n_output_features",
    "table_cells",
]
