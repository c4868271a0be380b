"""The prior for any table: its forward pass, in NumPy."""

from skmeta.tabular.table_prior._prior import ConditionedPrior, Distribution, TablePrior

__all__ = []
