"""Mixed-effects models with several grouping factors, nested or crossed."""

from skmeta.mixed.crossed._fit import CrossedFit, fit_crossed

__all__ = ["CrossedFit", "fit_crossed"]
