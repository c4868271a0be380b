"""Mixed-effects models as functions on arrays: fit, condition on rows of groups, predict."""

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._each_class import EachClass, EachConditioned
from skmeta.mixed._evidence import Evidence
from skmeta.mixed._factors import ConditionedFactors, FactorModel, fit_factors
from skmeta.mixed._families import Classes, Family, NegativeBinomial, Normal, Ordered, Poisson
from skmeta.mixed._groups import ConditionedGroups, group_statistics
from skmeta.mixed._likelihood import (
    ClassRows,
    RowSums,
    class_moments,
    find_mode,
    gaussian_mode,
    mean_probabilities,
    module_of,
    predict_targets,
    root_of_covariance,
)
from skmeta.mixed._model import EFFECTS, MixedModel, fit, varies_within
from skmeta.mixed._one_factor import OneFactor

__all__ = []
