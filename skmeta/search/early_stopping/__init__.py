"""Early stopping of boosting, on rows of each fold's own training part."""

from skmeta.search.early_stopping._fit import stop_early as stop_early
from skmeta.search.early_stopping._held_rows import hold_out as hold_out
from skmeta.search.early_stopping._plan import check_early_stopping as check_early_stopping
from skmeta.search.early_stopping._plan import check_held_rows as check_held_rows
from skmeta.search.early_stopping._plan import limit_rounds as limit_rounds
from skmeta.search.early_stopping._plan import refit_params as refit_params
from skmeta.search.early_stopping._plan import rounds_columns as rounds_columns
from skmeta.search.early_stopping._plan import without_default_rounds as without_default_rounds
