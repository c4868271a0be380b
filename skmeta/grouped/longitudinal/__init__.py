"""Members that know time: curves and processes of groups, their last values, and trees on these."""

from skmeta.grouped.longitudinal._curves import (
    Curve,
    Shape,
    TargetRange,
    fit_curve,
    fit_last_value,
    has_log,
)
from skmeta.grouped.longitudinal._effects import fit_effects
from skmeta.grouped.longitudinal._rows import group_scales
from skmeta.grouped.longitudinal._seasons import Calendar, learn_calendar
from skmeta.grouped.longitudinal._smoothing import fit_smoothing
from skmeta.grouped.longitudinal._trees import fit_lags

__all__ = [
    "Calendar",
    "Curve",
    "Shape",
    "TargetRange",
    "fit_curve",
    "fit_effects",
    "fit_lags",
    "fit_last_value",
    "fit_smoothing",
    "group_scales",
    "has_log",
    "learn_calendar",
]
