"""Early stopping of boosting, on rows of each fold's own training part."""

from skmeta.search.early_stopping._folds import (
    check_early_stopping,
    check_held_rows,
    hold_out,
    limit_rounds,
    refit_params,
    rounds_columns,
    stop_early,
)
