"""Estimators that learn a new task from a few rows."""

from skmeta.few_shot._classifier import MetaFewShotClassifier
from skmeta.few_shot._regressor import MetaFewShotRegressor

__all__ = ["MetaFewShotClassifier", "MetaFewShotRegressor"]
