"""Models of the score, and the strategy that suggests candidates (ask and tell)."""

from skmeta.search.surrogate._gp import matern as matern
from skmeta.search.surrogate._gp import scale_columns as scale_columns
from skmeta.search.surrogate._interpolation import SurfaceInterpolation as SurfaceInterpolation
from skmeta.search.surrogate._kriging import Factor as Factor
from skmeta.search.surrogate._kriging import krige as krige
from skmeta.search.surrogate._score_model import ScoreModel as ScoreModel
from skmeta.search.surrogate._strategy import SearchStrategy as SearchStrategy
from skmeta.search.surrogate._surfaces import learn_surfaces as learn_surfaces
from skmeta.search.surrogate._surfaces import standardise as standardise
from skmeta.search.surrogate._surfaces import winsorize_scores as winsorize_scores
from skmeta.search.surrogate._threads import with_one_thread as with_one_thread
