"""Any learner as the model of how groups differ: its prior is adapted to each group."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone

from skmeta.backend import State
from skmeta.exceptions import SkmetaWarning
from skmeta.grouped.members._member import Outputs
from skmeta.grouped.members._population import with_all_classes
from skmeta.learners._core import LEARNERS, Session, read_prior
from skmeta.priors import MetaPrior


class LearnedModel:
    """A prior over groups.

    Parameters
    ----------
    prior : MetaPrior
        What a learner has learned.
    n_classes : int
        Number of classes; 0 for a regression.
    present : ndarray of int64
        Classes that the learner has seen. Others are improbable.
    """

    def __init__(self, prior: MetaPrior, n_classes: int, present: np.ndarray) -> None:
        self.prior, self.n_classes, self.present = prior, n_classes, present
        self._opened: tuple[Session, State] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # The session has tensors on a device; it is opened again when needed.
        return self.__dict__ | {"_opened": None}

    @classmethod
    def fit(
        cls,
        learner: Any,
        n_classes: int,
        Z: np.ndarray,
        y: np.ndarray,
        codes: np.ndarray,
        start: LearnedModel | None,
    ) -> LearnedModel:
        """Learn from the rows of all groups.

        Parameters
        ----------
        learner : MetaLearner or AutoLearner
            Not changed.
        n_classes : int
            Number of classes; 0 for a regression.
        Z : ndarray of shape (n, d)
            Columns.
        y : ndarray of shape (n,)
            Targets or class codes.
        codes : ndarray of shape (n,), int64
            Groups.
        start : LearnedModel or None
            Not used: learners begin anew.
        """
        learner = clone(learner)
        if "task_type" in learner.get_params(deep=False):
            learner.set_params(task_type="classification" if n_classes else "regression")
        with warnings.catch_warnings():
            # What is better, or too small, is found out on groups that are held out.
            warnings.simplefilter("ignore", SkmetaWarning)
            present = np.unique(y).astype(np.int64) if n_classes else np.arange(0)
            learner.fit(Z, np.searchsorted(present, y) if n_classes else y, groups=codes)
        return cls(learner.prior_, n_classes, present)

    def condition(
        self, Z: np.ndarray, y: np.ndarray, weight: np.ndarray, codes: np.ndarray, n_groups: int
    ) -> AdaptedGroups:
        """Adapt the prior to the rows of each group.

        Parameters
        ----------
        Z, y, weight, codes
            Rows, targets or class codes, weights, and groups from 0 on.
        n_groups : int
            Number of groups. A group may have no rows.

        Returns
        -------
        AdaptedGroups
            It predicts rows of the groups.
        """
        session, state = self._session()
        if len(self.present) < self.n_classes:
            seen = np.flatnonzero(np.isin(y, self.present))
            Z, y, weight, codes = Z[seen], y[seen], weight[seen], codes[seen]
        if self.n_classes:
            y = np.searchsorted(self.present, y)
        # A learner needs a row of each group; its weight may be 0.
        empty = np.setdiff1d(np.arange(n_groups), codes)
        zeros = np.zeros(len(empty))
        adapter = session.adapter
        with torch.no_grad():
            support = adapter.rows(
                adapter.upload(np.vstack([Z, np.zeros((len(empty), Z.shape[1]))])),
                np.concatenate([y, zeros.astype(y.dtype)]),
                np.concatenate([weight, zeros]),
            )
            groups = adapter.upload(np.concatenate([codes, empty]))
            adapted = session.adapt_groups(state, support, groups, n_groups)
        return AdaptedGroups(self, session, adapted)

    def _session(self) -> tuple[Session, State]:
        if self._opened is None:
            assert self.prior.n_features_in is not None
            self._opened = read_prior(
                self.prior,
                LEARNERS[self.prior.learner],
                classes=range(len(self.present) or 1),
                device="cpu",
                precision="float64",
                input_shape=(self.prior.n_features_in,),
            )
        return self._opened


class AdaptedGroups(NamedTuple):
    """A prior that was adapted to groups."""

    model: LearnedModel
    session: Session
    adapted: State

    @property
    def noise(self) -> None:
        """None: learners do not tell the noise of a group."""
        return

    def predict(self, Z: np.ndarray, codes: np.ndarray) -> Outputs:
        """Predict rows (n, d) of groups (n,)."""
        adapter = self.session.adapter
        with torch.no_grad():
            x = adapter.inputs(adapter.upload(Z))
            mean, std = self._outputs(x, adapter.upload(codes))
        is_wrong = ~np.isfinite(mean)
        if is_wrong.any():
            # Without rows, some learners cannot predict. Targets are standardised.
            n_classes = len(self.model.present)
            mean = np.where(is_wrong, 1 / n_classes if n_classes else 0.0, mean)
            std = std if n_classes else np.where(is_wrong, 1.0, std)
        if len(self.model.present) < self.model.n_classes:
            mean = with_all_classes(mean, self.model.present, self.model.n_classes)
        return Outputs(mean, std)

    def _outputs(self, x: torch.Tensor, codes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        session, targets = self.session, self.session.adapter.targets
        if self.model.n_classes:
            logits = session.forward_groups(self.adapted, x, codes).double()
            return torch.softmax(logits, 1).cpu().numpy(), np.zeros(len(x))
        learner: Any = session.learner
        if not hasattr(learner, "predict_distribution"):
            mean = targets(session.forward_groups(self.adapted, x, codes)[:, 0])
            return mean.astype(np.float64), np.ones(len(mean))
        states = session.states_of_views(self.adapted)
        levels = torch.full((0,), 0.5, dtype=x.dtype, device=x.device)
        found = [
            learner.predict_distribution_groups(session.context, of_view, view(x), codes, levels)
            for of_view, view in zip(states, session.views, strict=True)
        ]
        centre, std = (torch.stack(each).mean(0) for each in list(zip(*found, strict=True))[:2])
        spread = targets(std) - targets(torch.zeros_like(std))
        return targets(centre).astype(np.float64), spread.astype(np.float64)
