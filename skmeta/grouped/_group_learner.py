"""How groups differ: a learner that is conditioned on the rows of one group after another."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone

from skmeta.backend import State
from skmeta.exceptions import SkmetaWarning
from skmeta.learners._core import LEARNERS, Session, read_prior
from skmeta.priors import MetaPrior


class Rows(NamedTuple):
    """Rows of a group: columns (n, d), targets or class codes (n,), weights (n,)."""

    Z: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def take(self, at: np.ndarray) -> Rows:
        """Return some of the rows."""
        return Rows(*(part[at] for part in self))


class Outputs(NamedTuple):
    """Predictions (n,) with standard deviations (n,), or probabilities (n, c) with None."""

    mean: np.ndarray
    std: np.ndarray | None


class GroupLearner:
    """A prior over groups, and predictions for a group given some of its rows.

    Parameters
    ----------
    prior : MetaPrior
        What a learner has learned.
    n_classes : int
        Number of classes; 0 for a regression.
    """

    def __init__(self, prior: MetaPrior, n_classes: int) -> None:
        self.prior, self.n_classes = prior, n_classes
        self._opened: tuple[Session, State] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # The session has tensors on a device; it is opened again when needed.
        return self.__dict__ | {"_opened": None}

    @classmethod
    def fit(cls, learner: Any, rows: Rows, codes: np.ndarray, n_classes: int) -> GroupLearner:
        """Learn from the rows of all groups.

        Parameters
        ----------
        learner : MetaLearner or AutoLearner
            Not changed.
        rows : Rows
            Rows of all groups.
        codes : ndarray of shape (n,), int64
            Their groups.
        n_classes : int
            Number of classes; 0 for a regression.
        """
        learner = clone(learner)
        if "task_type" in learner.get_params(deep=False):
            learner.set_params(task_type="classification" if n_classes else "regression")
        with warnings.catch_warnings():
            # What is better, or too small, is found out on groups that are held out.
            warnings.simplefilter("ignore", SkmetaWarning)
            learner.fit(rows.Z, rows.y, groups=codes)
        return cls(learner.prior_, n_classes)

    def predict(self, known: Rows, Z: np.ndarray) -> Outputs:
        """Predict rows of a group.

        Parameters
        ----------
        known : Rows
            Rows of the group; may be none.
        Z : ndarray of shape (n, d)
            Columns of the rows to predict.

        Returns
        -------
        Outputs
            Predictions of all classes, or of the targets.
        """
        session, state = self._session()
        if len(known.y) == 0:
            # One row of weight 0, since not every learner takes none.
            known = Rows(np.zeros((1, Z.shape[1])), np.zeros(1), np.zeros(1))
        y = known.y.astype(np.int64) if self.n_classes else known.y
        with torch.no_grad():
            support = session.adapter.rows(session.adapter.upload(known.Z), y, known.weight)
            adapted = session.prepare(session.adapt(state, support))
            return self._outputs(session, adapted, session.adapter.upload(Z))

    def _outputs(self, session: Session, adapted: State, Z: torch.Tensor) -> Outputs:
        adapter, x = session.adapter, session.adapter.inputs(Z)
        if self.n_classes:
            logits = session.forward(adapted, x).double()
            return Outputs(torch.softmax(logits, 1).cpu().numpy(), None)
        learner: Any = session.learner
        if not hasattr(learner, "predict_distribution"):
            mean = adapter.targets(session.forward(adapted, x)[:, 0])
            return Outputs(mean.astype(np.float64), np.ones(len(mean)))
        states = session.states_of_views(adapted)
        levels = torch.full((1,), 0.5, dtype=x.dtype, device=x.device)
        found = [
            learner.predict_distribution(session.context, of_view, view(x), levels)
            for of_view, view in zip(states, session.views, strict=True)
        ]
        mean, std = (torch.stack(each).mean(0) for each in list(zip(*found, strict=True))[:2])
        spread = adapter.targets(std) - adapter.targets(torch.zeros_like(std))
        return Outputs(adapter.targets(mean).astype(np.float64), spread.astype(np.float64))

    def _session(self) -> tuple[Session, State]:
        if self._opened is None:
            assert self.prior.n_features_in is not None
            self._opened = read_prior(
                self.prior,
                LEARNERS[self.prior.learner],
                classes=range(self.n_classes or 1),
                device="cpu",
                precision="float64",
                input_shape=(self.prior.n_features_in,),
            )
        return self._opened
