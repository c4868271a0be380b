"""Estimators of a whole table whose rows belong to groups: known groups and new ones."""

from skmeta.grouped._classifier import GroupedClassifier
from skmeta.grouped._model import FittedModel
from skmeta.grouped._regressor import GroupedRegressor

__all__ = ["GroupedClassifier", "GroupedRegressor"]
