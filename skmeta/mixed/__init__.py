"""Mixed-effects models as functions on arrays: fit, condition on rows of groups, predict."""

from skmeta.mixed._covariance import CovarianceShape as CovarianceShape
from skmeta.mixed._levels import effect_scales as effect_scales
from skmeta.mixed._levels import noise_levels as noise_levels
from skmeta.mixed._model import MixedModel as MixedModel
from skmeta.mixed._model import fit as fit
from skmeta.mixed._structure import EFFECTS as EFFECTS
from skmeta.mixed.crossed import CrossedFit as CrossedFit
from skmeta.mixed.crossed import fit_crossed as fit_crossed

__all__ = []
