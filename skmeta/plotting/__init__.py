"""Displays: compute a record first, then draw it with matplotlib."""

from skmeta.plotting._contrasts import ContrastDisplay
from skmeta.plotting._groups import GroupEffectsDisplay, GroupTrajectoryDisplay
from skmeta.plotting._learners import AdaptationDisplay, LearningCurveDisplay
from skmeta.search.report import SearchDisplay

__all__ = [
    "AdaptationDisplay",
    "ContrastDisplay",
    "GroupEffectsDisplay",
    "GroupTrajectoryDisplay",
    "LearningCurveDisplay",
    "SearchDisplay",
]
