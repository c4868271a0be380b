"""The prior for any table: its forward pass, in NumPy."""

from skmeta.tabular.table_prior._prior import ConditionedPrior, Distribution, TablePrior
from skmeta.tabular.table_prior._views import n_views

__all__ = []
