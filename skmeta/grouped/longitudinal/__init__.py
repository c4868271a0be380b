"""Groups in time: curves and processes of groups, and their mixture by the time ahead."""

from skmeta.grouped.longitudinal._class_lags import fit_class_lags
from skmeta.grouped.longitudinal._model import Longitudinal, fit_longitudinal
from skmeta.grouped.longitudinal._rows import TimedRows
from skmeta.grouped.longitudinal._times import rising_columns, warn_of_time

__all__ = [
    "Longitudinal",
    "TimedRows",
    "fit_class_lags",
    "fit_longitudinal",
    "rising_columns",
    "warn_of_time",
]
