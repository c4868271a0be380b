"""Mixed-effects models as functions on arrays: fit, condition on rows of groups, predict."""

from skmeta._mixed._conditioned import Conditioned, ConditionedGroups, Prior
from skmeta._mixed._covariance import CovarianceShape
from skmeta._mixed._each_class import EachClass, EachConditioned
from skmeta._mixed._evidence import Evidence
from skmeta._mixed._families import (
    Classes,
    Family,
    NegativeBinomial,
    Normal,
    Ordered,
    Poisson,
    normal_nodes,
)
from skmeta._mixed._model import EFFECTS, MixedModel, fit, fit_groups, varies_within

__all__ = []
