"""Mixed-effects models as functions on arrays: fit, condition on rows of groups, predict."""

from skmeta._mixed._covariance import CovarianceShape
from skmeta._mixed._each_class import EachClass, EachConditioned
from skmeta._mixed._evidence import Evidence
from skmeta._mixed._factors import ConditionedFactors, FactorModel, fit_factors
from skmeta._mixed._families import Classes, Family, NegativeBinomial, Normal, Ordered, Poisson
from skmeta._mixed._groups import ConditionedGroups, group_statistics
from skmeta._mixed._likelihood import (
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
from skmeta._mixed._model import EFFECTS, MixedModel, fit, varies_within
from skmeta._mixed._one_factor import OneFactor

__all__ = []
