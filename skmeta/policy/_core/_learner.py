"""Public methods of policy learners: meta-training and score."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skmeta._sklearn_compat import fit_context, validate_params
from skmeta.backend import Execution, State
from skmeta.policy._core._meta_fit import evaluate, initial_prior, meta_fit
from skmeta.policy._core._session import PolicySession
from skmeta.policy._core._settings import PolicySettings
from skmeta.policy._core._surrogate import Sample
from skmeta.policy.environments import TaskFamily
from skmeta.priors import MetaPrior


@dataclass(kw_only=True, eq=False, repr=False)
class PolicyLearner(PolicySettings):
    """Base class of the policy learners: settings, with pure methods.

    A subclass says which supervised learner's inner step it takes (:meth:`inner_learner`), and
    what the outer loop descends (:meth:`meta_gradient`).
    """

    @abstractmethod
    def meta_gradient(
        self,
        session: PolicySession,
        state: State,
        samples: tuple[Sample, ...],
        execution: Execution,
    ) -> tuple[State, Tensor]:
        """Return the meta-gradient of a meta-batch, for the outer optimizer.

        Parameters
        ----------
        session : PolicySession
            Learner, network and distribution of actions.
        state : dict of Tensor
            The prior.
        samples : tuple of Sample of length n_inner_steps + 1
            Before each inner step, and after the last one; tasks stacked along axis 0.
        execution : Execution
            How tasks are computed.

        Returns
        -------
        gradient : dict of Tensor
            As ``state``.
        loss : Tensor of shape ()
            Mean loss.
        """

    # ------------------------------------------------------------------------------ for users

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, family: TaskFamily, y: Any = None) -> Self:
        """Meta-train on the tasks of a family.

        Parameters
        ----------
        family : TaskFamily
            Draws tasks and makes their environments.
        y : None
            Not used; here for pipelines.

        Returns
        -------
        self : object
            With ``prior_`` and ``history_``.

        Raises
        ------
        InvalidEnvironmentError
            If a policy cannot learn in the family's environments.
        CheckpointError
            If the checkpoint belongs to another run.
        """
        self.prior_, self.history_ = meta_fit(self, family, self.meta_gradient)
        return self

    def score(self, family: TaskFamily, y: Any = None) -> float:
        """Return the mean return in new tasks after ``n_inner_steps`` updates, without exploration.

        Parameters
        ----------
        family : TaskFamily
            Draws the tasks, with ``random_state``.
        y : None
            Not used.

        Returns
        -------
        float
            The mean return.
        """
        return float(self.score_tasks(family)[-1].mean())

    def score_tasks(
        self,
        family: TaskFamily,
        *,
        n_tasks: int = 40,
        n_updates: int | None = None,
        explore: bool = False,
    ) -> np.ndarray:
        """Return the mean return in each of many tasks, before and after each update.

        Parameters
        ----------
        family : TaskFamily
            Draws the tasks, with ``random_state``.
        n_tasks : int, default=40
            Number of tasks.
        n_updates : int, optional
            Number of updates, each on ``n_episodes`` episodes; by default ``n_inner_steps``.
        explore : bool, default=False
            Whether to measure with drawn actions instead of the most likely ones.

        Returns
        -------
        ndarray of shape (n_updates + 1, n_tasks)
            Mean returns over ``n_episodes`` episodes.
        """
        check_is_fitted(self, "prior_")
        return evaluate(self, self.prior_, family, n_tasks, n_updates, explore)

    def initial_prior(self, family: TaskFamily) -> MetaPrior:
        """Return the prior before any meta-training, with random weights, for comparisons.

        Parameters
        ----------
        family : TaskFamily
            Gives the spaces, and the scale of observations.

        Returns
        -------
        MetaPrior
            The prior.
        """
        validate_params(self)
        return initial_prior(self, family)
