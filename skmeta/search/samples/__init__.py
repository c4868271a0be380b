"""Samples of a large table: which rows and how many candidates, and what they say of all rows."""

from skmeta.search.samples._carried_prior import CarriedPrior as CarriedPrior
from skmeta.search.samples._carried_prior import carry_over as carry_over
from skmeta.search.samples._plan import SamplePlan as SamplePlan
from skmeta.search.samples._rows import rank_by_rows as rank_by_rows
from skmeta.search.samples._rows import sample_folds as sample_folds
