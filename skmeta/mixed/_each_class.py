"""Many classes: a mixed-effects model of each class against all others.

The coefficients of c classes are estimated together by systems of c q unknowns for each group, in
time that grows with (c q)^3. Apart, they take time that grows with c. The probabilities against all
others are divided by their sum (Begg and Gray, 1984, Calculation of polychotomous logistic
regression parameters using individualized regressions, for models apart).

Notation as in `_model`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skmeta.mixed._groups import ConditionedGroups, Prediction
from skmeta.mixed._model import MixedModel, fit


@dataclass(frozen=True)
class EachClass:
    """A fitted model of each class, an immutable value."""

    models: tuple[MixedModel, ...]
    columns: np.ndarray  # (c, k), int64: those of the columns that the model of a class has

    def condition(
        self, z: np.ndarray, y: np.ndarray, w: np.ndarray, codes: np.ndarray
    ) -> EachConditioned:
        """Condition on rows z (n, q) of groups, to predict other rows of these or of new groups."""
        each = zip(self.models, self.columns, strict=True)
        given = [
            model.condition(z[:, own], y == k, w, codes) for k, (model, own) in enumerate(each)
        ]
        return EachConditioned(given, self.columns)


class EachConditioned(NamedTuple):
    """Models of each class, given known rows of groups."""

    given: list[ConditionedGroups]
    columns: np.ndarray
    noise: float = 1.0

    def predict(self, z: np.ndarray, codes: np.ndarray) -> Prediction:
        """Predict rows (m, q) of groups (m,); those of groups without rows from the prior."""
        each = zip(self.given, self.columns, strict=True)
        found = np.column_stack([one.predict(z[:, own], codes).mean[:, 1] for one, own in each])
        return Prediction(found / found.sum(1, keepdims=True), np.zeros(len(z)))


def fit_each_class(
    z: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    columns: np.ndarray,
    *,
    start: EachClass | None = None,
    **settings: Any,
) -> EachClass:
    """Fit a model to each class, of its own columns (c, k) of z; see :func:`fit`."""
    starts = [None] * len(columns) if start is None else start.models
    models = [
        fit(z[:, own], y == k, codes, 2, start=before, **settings)
        for k, (own, before) in enumerate(zip(columns, starts, strict=True))
    ]
    return EachClass(tuple(models), columns)
