"""Early stopping of LightGBM's estimators."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from skmeta._optional import import_optional
from skmeta.search.early_stopping._adapter import Adapter, HeldRows


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

    def fit(
        self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Mapping[str, Any]
    ) -> float:
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

    def without(self, estimator: Any) -> dict[str, Any]:
        return self.set_to_none(estimator, self.patience_names)
