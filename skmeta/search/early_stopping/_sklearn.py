"""Early stopping of scikit-learn's gradient boosting."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier

from skmeta.search.early_stopping._adapter import Adapter, HeldRows

# Since scikit-learn 1.7.
_TAKES_ROWS = "X_val" in signature(HistGradientBoostingClassifier.fit).parameters


class HistGradientBoosting(Adapter):
    """``HistGradientBoostingClassifier`` and ``HistGradientBoostingRegressor``.

    They keep the rounds without improvement. The number of rounds includes them, so that the
    refitted model is as large as those that were scored.
    """

    rounds_names = ("max_iter",)
    patience_names = ("n_iter_no_change",)
    draws_rows = not _TAKES_ROWS

    def fit(
        self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Mapping[str, Any]
    ) -> float:
        estimator.set_params(early_stopping=True, n_iter_no_change=self.patience(estimator))
        given = dict(params)
        if not self.draws_rows:
            given |= {"X_val": held.X, "y_val": held.y}
            if held.sample_weight is not None:
                given["sample_weight_val"] = held.sample_weight
        estimator.fit(X, y, **given)
        return float(estimator.n_iter_)

    def without(self, estimator: Any) -> dict[str, Any]:
        return {"early_stopping": False}


class GradientBoosting(Adapter):
    """``GradientBoostingClassifier`` and ``GradientBoostingRegressor``.

    They draw the rows themselves, and keep the rounds without improvement.
    """

    rounds_names = ("n_estimators",)
    patience_names = ("n_iter_no_change",)
    draws_rows = True

    def fit(
        self, estimator: Any, X: Any, y: Any, held: HeldRows, params: Mapping[str, Any]
    ) -> float:
        estimator.set_params(n_iter_no_change=self.patience(estimator))
        estimator.fit(X, y, **params)
        return float(estimator.n_estimators_)

    def without(self, estimator: Any) -> dict[str, Any]:
        return self.set_to_none(estimator, self.patience_names)
