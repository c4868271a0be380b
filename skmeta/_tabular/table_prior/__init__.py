"""The prior for any table: its forward pass in NumPy, and what is not learned for tensors, too."""

from skmeta._tabular.table_prior._arithmetic import like
from skmeta._tabular.table_prior._binned import N_BINS, bin_edges, binned_moments, binned_quantiles
from skmeta._tabular.table_prior._cells import (
    N_CELL_FEATURES,
    N_CODES,
    N_SLOTS,
    describe_cells,
    measure_columns,
)
from skmeta._tabular.table_prior._experts import (
    EXPERTS,
    N_EXPERTS,
    ExpertSystems,
    cells_of_kernels,
    compare,
    find_relevance,
    predict_experts,
    prepare_experts,
)
from skmeta._tabular.table_prior._linear_model import LinearModel, SupportRows, fit_linear_model
from skmeta._tabular.table_prior._mixture import mix_bins, mix_classes
from skmeta._tabular.table_prior._network import N_HEADS
from skmeta._tabular.table_prior._prior import ConditionedPrior, Distribution, TablePrior
from skmeta._tabular.table_prior._views import ViewedRows, choose_views, count_views

__all__ = []
