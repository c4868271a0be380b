"""The mixed-effects model as the model of how groups differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skmeta.grouped.members._canonical import Standardiser
from skmeta.grouped.members._member import Outputs
from skmeta.grouped.members._population import with_all_classes
from skmeta.mixed import MixedModel, fit


@dataclass(frozen=True)
class GroupMixedModel:
    """A mixed-effects model of standardised columns.

    Attributes
    ----------
    of_columns, of_targets : Standardiser
        Units of the columns and of the targets.
    n_classes : int
        Number of classes; 0 for a regression.
    present : ndarray of int64
        Classes that the model has seen. Others are improbable.
    model : MixedModel
        The model.
    """

    of_columns: Standardiser
    of_targets: Standardiser
    n_classes: int
    present: np.ndarray
    model: MixedModel

    @classmethod
    def fit(
        cls,
        settings: dict[str, Any],
        n_classes: int,
        Z: np.ndarray,
        y: np.ndarray,
        codes: np.ndarray,
        start: GroupMixedModel | None,
    ) -> GroupMixedModel:
        """Fit the model to the rows of all groups.

        Parameters
        ----------
        settings : dict
            Settings of :func:`skmeta.mixed.fit`.
        n_classes : int
            Number of classes; 0 for a regression.
        Z : ndarray of shape (n, d)
            Columns.
        y : ndarray of shape (n,)
            Targets or class codes.
        codes : ndarray of shape (n,), int64
            Groups, from 0 on.
        start : GroupMixedModel or None
            A model of other rows, to start from.
        """
        present = np.unique(y).astype(np.int64) if n_classes else np.arange(0)
        if start is not None and len(present) == len(start.present):
            of_columns, of_targets, before = start.of_columns, start.of_targets, start.model
        else:
            of_columns, before = Standardiser.learn(Z), None
            of_targets = Standardiser.learn(y)
        y = np.searchsorted(present, y) if n_classes else of_targets(y)
        model = fit(
            _with_intercept(of_columns(Z)), y, codes, len(present), start=before, **settings
        )
        return cls(of_columns, of_targets, n_classes, present, model)

    def condition(
        self, Z: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, n_groups: int
    ) -> ConditionedGroups:
        """Condition the model on the rows of each group.

        Parameters
        ----------
        Z, y, weight, codes
            Rows, targets or class codes, weights, and groups from 0 on.
        n_groups : int
            Number of groups. A group may have no rows.

        Returns
        -------
        ConditionedGroups
            It predicts rows of the groups.
        """
        if self.n_classes:
            seen = np.flatnonzero(np.isin(y, self.present))
            Z, y, weight, codes = Z[seen], y[seen], weight[seen], codes[seen]
            y = np.searchsorted(self.present, y)
        else:
            y = self.of_targets(y)
        z = _with_intercept(self.of_columns(Z))
        return ConditionedGroups(self, self.model.condition(z, y, weight, codes, n_groups))


@dataclass(frozen=True)
class ConditionedGroups:
    """A mixed-effects model, given rows of groups."""

    model: GroupMixedModel
    of_groups: Any

    @property
    def noise(self) -> np.ndarray | None:
        """Standard deviation of the noise of each group; None for a classification."""
        noise = self.of_groups.noise
        return None if noise is None else noise * self.model.of_targets.scale

    def predict(self, Z: np.ndarray, codes: np.ndarray) -> Outputs:
        """Predict rows (n, d) of groups (n,)."""
        model = self.model
        found = self.of_groups.predict(_with_intercept(model.of_columns(Z)), codes)
        if not model.n_classes:
            return Outputs(model.of_targets.restore(found.mean), found.std * model.of_targets.scale)
        if len(model.present) < model.n_classes:
            return Outputs(with_all_classes(found.mean, model.present, model.n_classes), found.std)
        return Outputs(found.mean, found.std)


def _with_intercept(Z: np.ndarray) -> np.ndarray:
    return np.hstack([np.ones((len(Z), 1)), Z])
