"""Groups in time: curves and processes of groups, and their mixture."""

from skmeta.grouped.longitudinal._model import Longitudinal, fit_longitudinal
from skmeta.grouped.longitudinal._seasons import Calendar, learn_calendar

__all__ = [
    "Calendar",
    "Longitudinal",
    "fit_longitudinal",
    "learn_calendar",
]
