"""How groups differ: a learner that is conditioned on the rows of one group after another."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone

from skmeta.backend import State
from skmeta.exceptions import SkmetaWarning
from skmeta.grouped._population import with_all_classes
from skmeta.learners import HierarchicalLinear
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
    present : ndarray of int64
        Classes that the learner has seen. Others are improbable.
    """

    def __init__(self, prior: MetaPrior, n_classes: int, present: np.ndarray) -> None:
        self.prior, self.n_classes, self.present = prior, n_classes, present
        self._opened: tuple[Session, State] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # The session has tensors on a device; it is opened again when needed.
        return self.__dict__ | {"_opened": None}

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        assert self.prior.n_features_in is not None
        return self.prior.n_features_in

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
            present = np.unique(rows.y).astype(np.int64) if n_classes else np.arange(0)
            y = np.searchsorted(present, rows.y) if n_classes else rows.y
            learner.fit(rows.Z, y, groups=codes)
        return cls(learner.prior_, n_classes, present)

    def predict(
        self, known: Rows, codes_of_known: np.ndarray, Z: np.ndarray, codes: np.ndarray
    ) -> Outputs:
        """Predict rows of groups.

        Parameters
        ----------
        known : Rows
            Known rows of the groups. A group may have none.
        codes_of_known : ndarray of shape (n_known,), int64
            Their groups, from 0 on.
        Z : ndarray of shape (n, d)
            Columns of the rows to predict.
        codes : ndarray of shape (n,), int64
            Their groups.

        Returns
        -------
        Outputs
            Predictions of all classes, or of the targets.
        """
        return self.predict_with_noise(known, codes_of_known, Z, codes)[0]

    def predict_with_noise(
        self, known: Rows, codes_of_known: np.ndarray, Z: np.ndarray, codes: np.ndarray
    ) -> tuple[Outputs, np.ndarray | None]:
        """Predict rows of groups, and return the deviation of the noise of each group.

        Parameters
        ----------
        known, codes_of_known, Z, codes
            As for :meth:`predict`.

        Returns
        -------
        outputs : Outputs
            Predictions.
        noise : ndarray of shape (n_groups,) or None
            Standard deviations; None if the learner does not know them.
        """
        session, state = self._session()
        n_groups = int(max(codes.max(), codes_of_known.max(initial=0))) + 1
        if len(self.present) < self.n_classes:
            seen = np.flatnonzero(np.isin(known.y, self.present))
            known, codes_of_known = known.take(seen), codes_of_known[seen]
        if not isinstance(session.learner, HierarchicalLinear):
            known, codes_of_known = _with_empty_rows(known, codes_of_known, n_groups)
        y = np.searchsorted(self.present, known.y) if self.n_classes else known.y
        adapter = session.adapter
        with torch.no_grad():
            support = adapter.rows(adapter.upload(known.Z), y, known.weight)
            adapted = session.adapt_groups(state, support, adapter.upload(codes_of_known), n_groups)
            x = adapter.inputs(adapter.upload(Z))
            outputs = self._finite(self._outputs(session, adapted, x, adapter.upload(codes)))
        if len(self.present) < self.n_classes:
            outputs = Outputs(with_all_classes(outputs.mean, self.present, self.n_classes), None)
        if "groups.log_weight" not in adapted or self.n_classes:
            return outputs, None
        variances = adapted["groups.log_weight"].exp() @ adapted["groups.noise"] ** 2
        noise = adapter.targets(variances.sqrt()) - adapter.targets(torch.zeros_like(variances))
        return outputs, noise

    def _finite(self, outputs: Outputs) -> Outputs:
        """Predict the mean, or all classes alike, where a learner cannot without rows."""
        is_wrong = ~np.isfinite(outputs.mean)
        if not is_wrong.any():
            return outputs
        # Targets are standardised.
        instead = 1 / len(self.present) if self.n_classes else 0.0
        std = None if outputs.std is None else np.where(is_wrong, 1.0, outputs.std)
        return Outputs(np.where(is_wrong, instead, outputs.mean), std)

    def _outputs(
        self, session: Session, adapted: State, x: torch.Tensor, codes: torch.Tensor
    ) -> Outputs:
        targets = session.adapter.targets
        if self.n_classes:
            logits = session.forward_groups(adapted, x, codes).double()
            return Outputs(torch.softmax(logits, 1).cpu().numpy(), None)
        learner: Any = session.learner
        if not hasattr(learner, "predict_distribution"):
            mean = targets(session.forward_groups(adapted, x, codes)[:, 0])
            return Outputs(mean.astype(np.float64), np.ones(len(mean)))
        states = session.states_of_views(adapted)
        levels = torch.full((0,), 0.5, dtype=x.dtype, device=x.device)
        found = [
            learner.predict_distribution_groups(session.context, of_view, view(x), codes, levels)
            for of_view, view in zip(states, session.views, strict=True)
        ]
        centre, std = (torch.stack(each).mean(0) for each in list(zip(*found, strict=True))[:2])
        spread = targets(std) - targets(torch.zeros_like(std))
        return Outputs(targets(centre).astype(np.float64), spread.astype(np.float64))

    def _session(self) -> tuple[Session, State]:
        if self._opened is None:
            self._opened = read_prior(
                self.prior,
                LEARNERS[self.prior.learner],
                classes=range(len(self.present) or 1),
                device="cpu",
                precision="float64",
                input_shape=(self.n_columns,),
            )
        return self._opened


def _with_empty_rows(known: Rows, codes: np.ndarray, n_groups: int) -> tuple[Rows, np.ndarray]:
    """Give each group without known rows a row of weight 0, for learners that need one."""
    empty = np.setdiff1d(np.arange(n_groups), codes)
    zeros = np.zeros(len(empty))
    rows = Rows(
        np.vstack([known.Z, np.zeros((len(empty), known.Z.shape[1]))]),
        np.concatenate([known.y, zeros]),
        np.concatenate([known.weight, zeros]),
    )
    return rows, np.concatenate([codes, empty])
