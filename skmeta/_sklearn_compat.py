"""Every import of a private name of scikit-learn, in one place."""

from sklearn.base import _fit_context as fit_context
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _warn_or_raise_about_fit_failures as judge_failures
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _get_feature_names as get_feature_names

__all__ = [
    "BaseSearchCV",
    "HasMethods",
    "Interval",
    "Parallel",
    "StrOptions",
    "check_sample_weight",
    "delayed",
    "fit_context",
    "get_feature_names",
    "judge_failures",
]
