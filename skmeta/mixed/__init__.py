"""Mixed-effects models as functions on arrays: fit, condition on rows of groups, predict."""

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._levels import effect_scales, noise_levels
from skmeta.mixed._model import MixedModel, fit
from skmeta.mixed._structure import EFFECTS
from skmeta.mixed.crossed import CrossedFit, fit_crossed

__all__ = []
