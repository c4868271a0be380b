"""Early stopping of XGBoost's estimators."""

from collections.abc import Mapping
from typing import Any

from skmeta.search.early_stopping._adapter import Adapter, HeldRows


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

    def fit(
        self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Mapping[str, Any]
    ) -> float:
        estimator.set_params(early_stopping_rounds=self.patience(estimator))
        given = {"verbose": False, **params, "eval_set": [(held.X, held.y)]}
        if held.sample_weight is not None:
            given["sample_weight_eval_set"] = [held.sample_weight]
        estimator.fit(X, y, **given)
        return float(estimator.best_iteration + 1)

    def without(self, estimator: Any) -> dict[str, Any]:
        return self.set_to_none(estimator, self.patience_names)
