"""Estimators that can stop early, alone or as the last step of a pipeline."""

from typing import Any, NamedTuple

from skmeta.search.early_stopping._adapter import Adapter
from skmeta.search.early_stopping._catboost import CatBoost
from skmeta.search.early_stopping._lightgbm import LightGBM
from skmeta.search.early_stopping._sklearn import HistGradientBoosting
from skmeta.search.early_stopping._xgboost import XGBoost

# Package and class -> adapter. Classes are known by name, so that no package is imported.
_ADAPTERS: dict[tuple[str, str], Adapter] = {
    ("lightgbm", "LGBMModel"): LightGBM(),
    ("xgboost", "XGBModel"): XGBoost(),
    ("catboost", "CatBoost"): CatBoost(),
    ("sklearn", "HistGradientBoostingClassifier"): HistGradientBoosting(),
    ("sklearn", "HistGradientBoostingRegressor"): HistGradientBoosting(),
}
KNOWN_ESTIMATORS = (
    "estimators of LightGBM, XGBoost and CatBoost, and HistGradientBoosting of scikit-learn, alone "
    "or as the last step of a pipeline"
)


class Predictor(NamedTuple):
    """The estimator that predicts: the last step of a pipeline, or the estimator itself.

    Attributes
    ----------
    estimator : estimator
    prefix : str
        Prefix of its parameters in those of the whole, such as ``"clf__"``.
    pipelines : list of Pipeline
        The pipelines that it is the last step of, the outermost one first.
    adapter : Adapter or None
        None if it cannot stop early.
    """

    estimator: Any
    prefix: str
    pipelines: list[Any]
    adapter: Adapter | None

    @property
    def rounds_name(self) -> str:
        """Return the name of its number of rounds, among the parameters of the whole."""
        assert self.adapter is not None
        return self.prefix + self.adapter.rounds_name(self.estimator)


def find_predictor(estimator: Any) -> Predictor:
    """Return the part of an estimator that predicts.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    Predictor
    """
    prefix, pipelines = "", []
    while isinstance(getattr(estimator, "steps", None), list) and estimator.steps:
        pipelines.append(estimator)
        name, estimator = estimator.steps[-1][:2]
        prefix += f"{name}__"
    return Predictor(estimator, prefix, pipelines, _adapter_of(type(estimator)))


def _adapter_of(kind: type) -> Adapter | None:
    names = [(base.__module__.partition(".")[0], base.__name__) for base in kind.__mro__]
    return next((_ADAPTERS[name] for name in names if name in _ADAPTERS), None)
