"""A sample of a large table: which rows, how many candidates, and what they say of all rows."""

from skmeta.search.samples._carried_prior import CarriedPrior, carry_over
from skmeta.search.samples._rows import (
    SHARE_OF_BUDGET,
    n_on_sample,
    rank_by_rows,
    sample_folds,
    sample_size,
)
