"""Mixed-effects models as functions on arrays: fit, condition on rows of groups, predict."""

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._crossed import CrossedFit, fit_crossed
from skmeta.mixed._forms import EFFECTS
from skmeta.mixed._logistic import ClassRows, find_mode, mean_probabilities, moments
from skmeta.mixed._model import MixedModel, fit
from skmeta.mixed._noise import effect_scales, noise_levels

__all__ = []
