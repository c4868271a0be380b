"""Early stopping of boosting, on rows of each fold's own training part."""

from skmeta.search.early_stopping._fit import hold_out, stop_early
from skmeta.search.early_stopping._plan import (
    check_early_stopping,
    check_held_rows,
    limit_rounds,
    refit_params,
    rounds_columns,
    without_default_rounds,
)
