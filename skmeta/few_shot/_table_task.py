"""A task whose rows are the context of a prior for tables: what needs NumPy only."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import softmax

from skmeta._tabular import WeightedRows
from skmeta._tabular.table_prior import ConditionedPrior, TablePrior, count_views
from skmeta._validation import quote_some
from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning
from skmeta.few_shot._priors import VIEWS, RunSettings
from skmeta.priors import MetaPrior

# Sizes that a prior for any table is made for, and what to try beyond. It was compared with other
# estimators on up to 2,000 rows, 784 columns and 26 classes.
_LIMITS = {
    "rows": (1000, "A random forest or HistGradientBoosting learns more from so many rows."),
    "columns": (1000, "LogisticRegression or Ridge is faster, or put TruncatedSVD in front."),
    "classes": (100, "LogisticRegression is faster, or meta-train a ProtoNet on similar classes."),
}
_MAX_CLASSES = 1_000
_MAX_ROWS = 512  # that are predicted at once
# Settings of a task, and the largest value of each.
_SETTINGS = {"max_rows": np.inf, "n_views": 64}


def condition_prior(
    prior: MetaPrior,
    rows: WeightedRows,
    n_classes: int,
    settings: RunSettings,
    nominal: Collection[int] = (),
) -> ConditionedPrior:
    """Return a prior for tables that has read rows, by the settings of an estimator."""
    _check_settings(prior, settings.overrides)
    given = {name: settings.overrides.get(name) for name in _SETTINGS}
    precision = None if settings.precision == "auto" else settings.precision
    return ConditionedPrior(TablePrior(prior, **given), rows, n_classes, nominal, None, precision)


class TableTask:
    """A prior for tables and a support set, which is its context.

    `labels` are the sorted classes, None for a regression; `nominal` columns are indicators in a
    second view; `columns` (d,) are the support set's, in the rows to predict.
    """

    views: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        prior: MetaPrior,
        labels: np.ndarray | None,
        support: WeightedRows,
        settings: RunSettings,
        nominal: tuple[int, ...] = (),
        columns: np.ndarray | None = None,
    ) -> None:
        self.n_classes = 0 if labels is None else len(labels)
        self._prior, self.support, self.nominal, self._columns = prior, support, nominal, columns
        self.context = condition_prior(prior, support, self.n_classes, settings, nominal)

    def check_size(self) -> None:
        """Raise an error or warn if the support set is larger than the prior is made for."""
        (n_rows, n_columns), n_classes = self.support.X.shape, self.n_classes
        if n_classes > _MAX_CLASSES:
            raise ValueError(
                f"y has {n_classes:,} classes, but at most {_MAX_CLASSES:,} are allowed: 500 "
                "classes of 1,000 rows take ten seconds and a gigabyte. Merge rare classes, or use "
                "LogisticRegression."
            )
        # One warning of everything that is larger than the prior was made for.
        messages, prior = [], self.context.prior
        e = count_views(prior.n_views, n_rows, 0, n_classes, prior.max_rows)
        if prior.max_rows * e < n_rows:
            messages.append(
                f"X has {n_rows:,} rows, but the views of the prior have {prior.max_rows * e:,} "
                f"rows in all ({prior.max_rows} each), so that it does not see some rows. Raise "
                "n_views for more views."
            )
        # A prior of a family of tasks was made for the columns and classes that it has.
        if self._prior.n_features_in is None:
            for what, size in (("rows", n_rows), ("columns", n_columns), ("classes", n_classes)):
                limit, alternative = _LIMITS[what]
                if size > limit:
                    messages.append(
                        f"{size:,} {what} are more than the {limit:,} that the prior is made for. "
                        f"{alternative}"
                    )
        if messages:
            warn_caller(
                f"{' '.join(messages)} Pass fewer of them to silence this warning.",
                UnusedDataWarning,
            )

    def adapt(self, start: dict[str, np.ndarray] | None = None) -> Self:
        """Read the support set. It has all rows, so an earlier adaptation adds nothing."""
        X, y, _ = self.support
        try:
            self.context.read()
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"The adaptation to these {len(X)} rows needs a matrix that cannot be factorised; "
                f"the largest value of X is {np.nanmax(abs(X)):g}, of y {abs(y).max():g}. Scale X "
                "and y to moderate numbers."
            ) from error
        return self

    def restore(self, changes: dict[str, np.ndarray]) -> Self:
        """Read the support set again."""
        return self.adapt()

    @property
    def changes(self) -> dict[str, np.ndarray]:
        """The context."""
        return {f"memory.{name}": part for name, part in self.support._asdict().items()}

    @property
    def attributes(self) -> dict[str, Any]:
        """What the learner says about the task: nothing."""
        return {}

    def parts(self, X: np.ndarray) -> list[np.ndarray]:
        """Divide rows into parts that are predicted at once."""
        X = X if self._columns is None else X[:, self._columns]
        return [X[start : start + _MAX_ROWS] for start in range(0, len(X), _MAX_ROWS)]

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the logits (n, n_classes) of one part of the rows."""
        return self.context.log_probability(X)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities (n, n_classes) or means (n,) of one part of the rows."""
        if self.n_classes:
            return np.asarray(softmax(self.logits(X), axis=1))
        return self.context.distribution(X, np.empty(0)).mean

    def predict_distribution(
        self, X: np.ndarray, levels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predict means and deviations (n,), and quantiles (n, q), of one part of the rows."""
        return self.context.distribution(X, levels)


def _check_settings(prior: MetaPrior, overrides: dict[str, Any]) -> None:
    """Raise a ValueError if a setting of a task does not apply, or has no sense."""
    given = {n: v for n, v in overrides.items() if n != VIEWS or v}
    unknown = sorted(given.keys() - _SETTINGS.keys())
    if unknown:
        raise ValueError(
            f"{unknown[0]}={overrides[unknown[0]]} does not apply to a prior learned by "
            f"{prior.learner}: its tasks take {quote_some(sorted(_SETTINGS))}. Leave it out, or "
            "give another prior."
        )
    for name, value in given.items():
        is_number = isinstance(value, Integral) and not isinstance(value, bool)
        is_auto = name == "n_views" and isinstance(value, str) and value == "auto"
        if not is_auto and not (is_number and 1 <= value <= _SETTINGS[name]):
            most = f"from 1 to {_SETTINGS[name]}" if name == "n_views" else "of 1 or more"
            raise ValueError(f"{name} must be a whole number {most}, got {value!r}.")
