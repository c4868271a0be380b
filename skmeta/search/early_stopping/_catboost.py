"""Early stopping of CatBoost's estimators."""

from collections.abc import Mapping
from typing import Any

from skmeta._optional import import_optional
from skmeta.search.early_stopping._adapter import Adapter, HeldRows

_FEATURES = ("cat_features", "text_features", "embedding_features")


class CatBoost(Adapter):
    """CatBoost's ``CatBoostClassifier`` and ``CatBoostRegressor``."""

    rounds_names = ("iterations", "n_estimators", "num_boost_round", "num_trees")
    patience_names = ("early_stopping_rounds", "od_wait")

    def fit(
        self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Mapping[str, Any]
    ) -> float:
        eval_set: Any = (held.X, held.y)
        if held.sample_weight is not None:
            own = {**estimator.get_params(), **params}
            eval_set = import_optional("catboost", "boosting").Pool(
                held.X,
                held.y,
                weight=held.sample_weight,
                **{name: own[name] for name in _FEATURES if own.get(name) is not None},
            )
        # What is given to fit has precedence over the estimator's own.
        given = {**params, "eval_set": eval_set, "use_best_model": True}
        estimator.fit(X, y, early_stopping_rounds=self.patience(estimator), **given)
        return float(estimator.tree_count_)

    def without(self, estimator: Any) -> dict[str, Any]:
        # Without held rows, CatBoost does not look for overfitting.
        return {"use_best_model": False} if estimator.get_params().get("use_best_model") else {}
