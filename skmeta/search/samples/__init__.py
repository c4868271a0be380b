"""Samples of a large table: which rows, how many candidates, and what they say of all rows."""

from skmeta.search.samples._carried_prior import CarriedPrior, carry_over
from skmeta.search.samples._plan import SamplePlan
from skmeta.search.samples._rows import rank_by_rows, sample_folds
