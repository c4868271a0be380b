"""Many classes: a mixed-effects model of each class against all others.

The coefficients of c classes are estimated together by systems of c q unknowns for each group, in
time that grows with (c q)^3. Apart, they take time that grows with c. The probabilities against all
others are divided by their sum (Begg and Gray, 1984, Calculation of polychotomous logistic
regression parameters using individualized regressions, for models apart).

Notation as in `_model`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from skmeta._mixed._conditioned import Prediction


@dataclass(frozen=True)
class EachClass:
    """A fitted model of each class, an immutable value."""

    models: tuple[Any, ...]  # each a MixedModel
    columns: np.ndarray  # (c, k), int64: those of the columns that the model of a class has

    @classmethod
    def fit(
        cls, fit: Callable[..., Any], X: np.ndarray, y: np.ndarray, columns: np.ndarray, start: Any
    ) -> Self:
        """Fit a model of each class against the others to X (n, q), by fit(X, y, start=...)."""
        starts = [None] * len(columns) if start is None else start.models
        each = enumerate(zip(columns, starts, strict=True))
        models = [fit(X[:, own], np.int64(y == k), start=before) for k, (own, before) in each]
        return cls(tuple(models), columns)

    @property
    def deviations(self) -> list[np.ndarray]:
        """Standard deviations (c, q_f) of the coefficients over the levels of each factor."""
        each = (one.deviations for one in self.models)
        return [np.concatenate(of) for of in zip(*each, strict=True)]

    def condition_groups(
        self,
        X: np.ndarray,
        y: np.ndarray,
        codes: np.ndarray,
        w: np.ndarray,
        offset: np.ndarray | None = None,
    ) -> EachConditioned:
        """Condition on rows X (n, q) of groups, to predict other rows of these or of new groups."""
        each = enumerate(zip(self.models, self.columns, strict=True))
        given = [
            model.condition_groups(X[:, own], np.int64(y == k), codes, w, offset)
            for k, (model, own) in each
        ]
        return EachConditioned(given, self.columns)


class EachConditioned(NamedTuple):
    """Models of each class, given known rows of groups."""

    given: list[Any]  # each a Conditioned, or ConditionedGroups
    columns: np.ndarray

    @property
    def effects(self) -> list[np.ndarray]:
        """Effects (L_f, c, q_f) of the levels of each factor."""
        each = (one.effects for one in self.given)
        return [np.concatenate(of, axis=1) for of in zip(*each, strict=True)]

    def effect_std(self, f: int) -> np.ndarray:
        """Return conditional standard deviations (L_f, c, q_f) of the effects of a factor."""
        return np.concatenate([one.effect_std(f) for one in self.given], axis=1)

    def predict(self, X: np.ndarray, codes: np.ndarray) -> Prediction:
        """Predict rows (m, q) of groups; those of groups without rows from the prior."""
        each = zip(self.given, self.columns, strict=True)
        proba = np.column_stack([one.predict(X[:, own], codes)[0][:, 1] for one, own in each])
        return Prediction(proba / proba.sum(1, keepdims=True), np.zeros(len(X)))
