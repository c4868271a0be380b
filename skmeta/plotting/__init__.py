"""Displays: compute a record first, then draw it with matplotlib."""

from skmeta.plotting._adaptation import AdaptationDisplay
from skmeta.plotting._episode import EpisodeDisplay
from skmeta.plotting._group_trajectories import GroupTrajectoryDisplay
from skmeta.plotting._groups import GroupEffectsDisplay
from skmeta.plotting._learning_curve import LearningCurveDisplay
from skmeta.search.report import SearchDisplay

__all__ = [
    "AdaptationDisplay",
    "EpisodeDisplay",
    "GroupEffectsDisplay",
    "GroupTrajectoryDisplay",
    "LearningCurveDisplay",
    "SearchDisplay",
]
