"""Estimators that can stop early: one adapter per library, and the predictor of a pipeline."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar, NamedTuple

from sklearn.ensemble import HistGradientBoostingClassifier

from skmeta._optional import import_optional

# Rounds without improvement after which fits stop, unless the estimator has its own number. As in
# Grinsztajn, Oyallon & Varoquaux (2022), "Why do tree-based models still outperform deep learning
# on typical tabular data?", Appendix.
_PATIENCE = 20
# Most rounds of an estimator whose number of rounds is the default of its class.
_MAX_ROUNDS = 1000


Params = Mapping[str, Any]


class HeldRows(NamedTuple):
    """Rows on which early stopping computes the loss."""

    X: Any
    y: Any
    sample_weight: Any


class Adapter(ABC):
    """How the estimators of one library stop early."""

    rounds_names: ClassVar[tuple[str, ...]]  # of the number of rounds, the usual one first
    patience_names: ClassVar[tuple[str, ...]]  # of the rounds without improvement

    @abstractmethod
    def fit(self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Params) -> float:
        """Fit until the loss on held rows stops improving, and return the number of rounds."""

    def without(self, estimator: Any) -> dict[str, Any]:
        """Return the parameters to set, so that the estimator makes all of its rounds."""
        params = estimator.get_params()
        return {name: None for name in self.patience_names if params.get(name) is not None}

    def obstacle(self, estimator: Any) -> str | None:
        """Return why this estimator cannot stop early; None if it can."""
        return None

    def rounds_name(self, estimator: Any) -> str:
        """Return the name under which an estimator has its number of rounds."""
        set_names = [n for n in self.rounds_names if estimator.get_params().get(n) is not None]
        return set_names[0] if set_names else self.rounds_names[0]

    def round_limit(self, estimator: Any) -> int:
        """Return the largest number of rounds: the estimator's own, or 1,000 if it has none."""
        name = self.rounds_name(estimator)
        own = estimator.get_params().get(name)
        declared = signature(type(estimator)).parameters.get(name)
        is_default = own is None or (declared is not None and own == declared.default)
        return _MAX_ROUNDS if is_default else int(own)

    def patience(self, estimator: Any) -> int:
        """Return the number of rounds without improvement after which fits stop."""
        params = estimator.get_params()
        own = [params[n] for n in self.patience_names if params.get(n) is not None]
        return int(own[0]) if own else _PATIENCE


_CATBOOST_COLUMNS = ("cat_features", "text_features", "embedding_features")


class CatBoost(Adapter):
    """CatBoost's ``CatBoostClassifier`` and ``CatBoostRegressor``."""

    rounds_names = ("iterations", "n_estimators", "num_boost_round", "num_trees")
    patience_names = ("early_stopping_rounds", "od_wait")

    def fit(self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Params) -> float:
        eval_set: Any = (held.X, held.y)
        if held.sample_weight is not None:
            own = {**estimator.get_params(), **params}
            eval_set = import_optional("catboost", "boosting").Pool(
                held.X,
                held.y,
                weight=held.sample_weight,
                **{name: own[name] for name in _CATBOOST_COLUMNS if own.get(name) is not None},
            )
        # Parameters of fit have precedence over those of the estimator.
        given = {**params, "eval_set": eval_set, "use_best_model": True}
        estimator.fit(X, y, early_stopping_rounds=self.patience(estimator), **given)
        return float(estimator.tree_count_)

    def without(self, estimator: Any) -> dict[str, Any]:
        # Without held rows, CatBoost does not look for overfitting.
        return {"use_best_model": False} if estimator.get_params().get("use_best_model") else {}


class LightGBM(Adapter):
    """LightGBM's ``LGBMClassifier``, ``LGBMRegressor`` and ``LGBMRanker``."""

    rounds_names = ("n_estimators",)
    patience_names = (
        *("early_stopping_round", "early_stopping_rounds", "early_stopping"),
        "n_iter_no_change",
    )

    def obstacle(self, estimator: Any) -> str | None:
        if estimator.get_params().get("boosting_type") == "dart":
            return "boosting_type='dart' changes earlier rounds later, so that it never stops early"
        return None

    def fit(self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Params) -> float:
        callback = import_optional("lightgbm", "boosting").early_stopping(
            self.patience(estimator), first_metric_only=True, verbose=False
        )
        # LightGBM makes another callback of its own parameter.
        estimator.set_params(**self.without(estimator))
        given = {**params, "callbacks": [*(params.get("callbacks") or ()), callback]}
        # Version 4.7 has other names for the rows of an eval_set.
        if "eval_X" in signature(estimator.fit).parameters:
            given |= {"eval_X": held.X, "eval_y": held.y}
        else:
            given["eval_set"] = [(held.X, held.y)]
        if held.sample_weight is not None:
            given["eval_sample_weight"] = [held.sample_weight]
        estimator.fit(X, y, **given)
        return float(estimator.best_iteration_ or estimator.n_estimators_)


# Since scikit-learn 1.7.
TAKES_ROWS = "X_val" in signature(HistGradientBoostingClassifier.fit).parameters


class HistGradientBoosting(Adapter):
    """scikit-learn's histogram-based boosting; the number of rounds includes those without gain."""

    rounds_names = ("max_iter",)
    patience_names = ("n_iter_no_change",)

    def obstacle(self, estimator: Any) -> str | None:
        return None if TAKES_ROWS else "it takes held rows from scikit-learn 1.7 on"

    def fit(self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Params) -> float:
        estimator.set_params(early_stopping=True, n_iter_no_change=self.patience(estimator))
        given = {**params, "X_val": held.X, "y_val": held.y}
        if held.sample_weight is not None:
            given["sample_weight_val"] = held.sample_weight
        estimator.fit(X, y, **given)
        return float(estimator.n_iter_)

    def without(self, estimator: Any) -> dict[str, Any]:
        return {"early_stopping": False}


class XGBoost(Adapter):
    """XGBoost's ``XGBClassifier`` and ``XGBRegressor``."""

    rounds_names = ("n_estimators",)
    patience_names = ("early_stopping_rounds",)

    def obstacle(self, estimator: Any) -> str | None:
        if type(estimator).__name__.startswith("XGBRF"):
            return "a random forest has no rounds that build on each other"
        if estimator.get_params().get("booster") == "gblinear":
            return "booster='gblinear' cannot return to its best round"
        return None

    def fit(self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Params) -> float:
        estimator.set_params(early_stopping_rounds=self.patience(estimator))
        given = {"verbose": False, **params, "eval_set": [(held.X, held.y)]}
        if held.sample_weight is not None:
            given["sample_weight_eval_set"] = [held.sample_weight]
        estimator.fit(X, y, **given)
        return float(estimator.best_iteration + 1)


# Package and class -> adapter. Classes are known by name, so that no package is imported.
_ADAPTERS: dict[tuple[str, str], Adapter] = {
    ("lightgbm", "LGBMModel"): LightGBM(),
    ("xgboost", "XGBModel"): XGBoost(),
    ("catboost", "CatBoost"): CatBoost(),
    ("sklearn", "HistGradientBoostingClassifier"): HistGradientBoosting(),
    ("sklearn", "HistGradientBoostingRegressor"): HistGradientBoosting(),
}


class Predictor(NamedTuple):
    """The estimator that predicts: the last step of pipelines (outermost first), or the whole."""

    estimator: Any
    prefix: str  # of its parameters, such as "clf__"
    pipelines: list[Any]
    adapter: Adapter | None  # None if it cannot stop early

    @property
    def rounds_name(self) -> str:
        """Return the name of its number of rounds, among the parameters of the whole."""
        assert self.adapter is not None
        return self.prefix + self.adapter.rounds_name(self.estimator)


def find_predictor(estimator: Any) -> Predictor:
    """Return the part of an estimator that predicts."""
    prefix, pipelines = "", []
    while isinstance(getattr(estimator, "steps", None), list) and estimator.steps:
        pipelines.append(estimator)
        name, estimator = estimator.steps[-1][:2]
        prefix += f"{name}__"
    names = [(base.__module__.partition(".")[0], base.__name__) for base in type(estimator).__mro__]
    adapters = [_ADAPTERS[name] for name in names if name in _ADAPTERS]
    return Predictor(estimator, prefix, pipelines, next(iter(adapters), None))
