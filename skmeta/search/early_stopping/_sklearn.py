"""Early stopping of scikit-learn's ``HistGradientBoosting``."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier

from skmeta.search.early_stopping._adapter import Adapter, HeldRows

# Since scikit-learn 1.7.
TAKES_ROWS = "X_val" in signature(HistGradientBoostingClassifier.fit).parameters


class HistGradientBoosting(Adapter):
    """``HistGradientBoostingClassifier`` and ``HistGradientBoostingRegressor``.

    They keep the rounds without improvement. The number of rounds includes them, so that the
    refitted model is as large as those that were scored.
    """

    rounds_names = ("max_iter",)
    patience_names = ("n_iter_no_change",)

    def obstacle(self, estimator: Any) -> str | None:
        return None if TAKES_ROWS else "it takes held rows from scikit-learn 1.7 on"

    def fit(
        self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Mapping[str, Any]
    ) -> float:
        estimator.set_params(early_stopping=True, n_iter_no_change=self.patience(estimator))
        given = {**params, "X_val": held.X, "y_val": held.y}
        if held.sample_weight is not None:
            given["sample_weight_val"] = held.sample_weight
        estimator.fit(X, y, **given)
        return float(estimator.n_iter_)

    def without(self, estimator: Any) -> dict[str, Any]:
        return {"early_stopping": False}
