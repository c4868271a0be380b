"""Early stopping of boosting, on rows of each fold's own training part."""

from skmeta.search.early_stopping._fit import stop_early
from skmeta.search.early_stopping._held_rows import Held, hold_out
from skmeta.search.early_stopping._plan import (
    check_early_stopping,
    check_held_rows,
    limit_rounds,
    without_default_rounds,
)
from skmeta.search.early_stopping._rounds import refit_params, rounds_columns, typical_rounds

__all__ = [
    "Held",
    "check_early_stopping",
    "check_held_rows",
    "hold_out",
    "limit_rounds",
    "refit_params",
    "rounds_columns",
    "stop_early",
    "typical_rounds",
    "without_default_rounds",
]
