"""Groups in time: curves and processes of groups, and their mixture."""

from skmeta.grouped.longitudinal._model import Longitudinal, fit_longitudinal
from skmeta.grouped.longitudinal._seasons import Calendar, learn_calendar
from skmeta.grouped.longitudinal._trees import fit_class_lags

__all__ = [
    "Calendar",
    "Longitudinal",
    "fit_class_lags",
    "fit_longitudinal",
    "learn_calendar",
]
