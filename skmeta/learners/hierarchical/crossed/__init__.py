"""Mixed-effects models with several grouping factors, nested or crossed."""

from skmeta.learners.hierarchical.crossed._fit import CrossedFit, fit_crossed

__all__ = ["CrossedFit", "fit_crossed"]
