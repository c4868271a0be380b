"""MAML for policies."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta._backend import PRECISIONS
from skmeta._sklearn_compat import Interval, StrOptions, fit_context, validate_params
from skmeta._training import OuterLoopSettings, learner_name, parameter
from skmeta._validation import check_rng
from skmeta.learners import MAML, GradientLearner
from skmeta.policy._episodes import ESTIMATORS
from skmeta.policy._meta_fit import evaluate, make_session, meta_fit, write_prior
from skmeta.policy._session import POLICY_LEARNERS
from skmeta.policy.environments import TaskFamily
from skmeta.priors import MetaPrior


class PolicyMAML(OuterLoopSettings):
    """Model-agnostic meta-learning of a policy: weights from which a few updates suffice.

    In each task of a meta-batch, the policy plays episodes, takes a policy gradient step
    (:class:`~skmeta.learners.MAML`'s inner step), and plays again. The prior descends minus the
    advantage after the last update, through the inner steps (second order), or not
    (``first_order=True``). Advantages have a baseline that is linear in observation and time, and
    are centred and scaled over the steps of a task. The guide is :doc:`/policy`.

    Parameters
    ----------
    first_order : bool, default=False
        Leave second derivatives out of the meta-gradient.
    learn : dict or None, default=None
        Settings of the inner loop that are learned, as in :class:`~skmeta.learners.MAML`:
        ``{"inner_lr": "weight"}`` is Meta-SGD, ``{"inner_lr": "tensor and step"}`` has one step
        size for each tensor and step. They start from ``inner_lr``.
    multi_step_loss : bool, default=False
        Descend the mean over the policies after each update, not the last policy's alone.
    backbone_params : dict or None, default=None
        Parameters of the policy's network, an ``"mlp"``: ``{"hidden": (64, 64)}``, the widths of
        the hidden layers, and ``{"activation": "tanh"}`` by default.
    inner_lr : float, default=0.1
        Step size of the inner loop (alpha in the papers).
    n_inner_steps : int, default=1
        Updates of a task's policy; 0 trains one policy for all tasks.
    estimator : {"lvc", "dice"}, default="lvc"
        Estimator of the meta-gradient: low-variance curvature, or DiCE.
    n_episodes : int, default=20
        Episodes of a task before each update, and after the last one.
    discount : float, default=0.99
        Weight of a reward one step later (gamma).
    gae_lambda : float, default=1.0
        Weight of longer estimates in generalised advantages (lambda).
    standardize : bool, default=True
        Whether observations are centred and scaled by those of random actions.
    n_iterations : int, default=300
        Meta-iterations, each with new tasks and episodes.
    meta_optimizer : {"adam", "sgd"} or MetaOptimizer, default="adam"
        Optimizer of the outer loop. A name stands for a constant step size and no clipping.
    validation : float or Validation, default=0.0
        Above 0, the state with the best return in new tasks is taken, else the last one.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the random weights, tasks and episodes.

    Attributes
    ----------
    prior_ : MetaPrior
        What was learned; give it to :class:`~skmeta.policy.MetaPolicy`.
    learning_curve_ : dict of list
        Learning curve, one entry for each evaluation; ``train_score`` and ``validation_score`` are
        mean returns after adaptation.

    References
    ----------
    Finn, Abbeel and Levine (2017), Model-agnostic meta-learning for fast adaptation of deep
    networks, algorithm 3.
    Li, Zhou, Chen and Li (2017), Meta-SGD: learning to learn quickly for few-shot learning,
    algorithm 2.
    Rothfuss, Lee, Clavera, Asfour and Abbeel (2019), ProMP: proximal meta-policy search, for the
    estimators.

    Examples
    --------
    >>> from skmeta.policy import PointNavigation, PolicyMAML
    >>> family = PointNavigation()
    >>> learner = PolicyMAML(n_iterations=2, meta_batch_size=4, n_episodes=5, random_state=0)
    >>> learner.fit(family).prior_
    MetaPrior(PolicyMAML on mlp, policy, 2 features, ...)
    """

    first_order: bool = parameter(False, "boolean", role="training")
    learn: dict[str, str] | None = parameter(None, dict, None, role="training")
    multi_step_loss: bool = parameter(False, "boolean", role="training")
    backbone_params: dict[str, Any] | None = parameter(None, dict, None, role="training")
    inner_lr: float = parameter(0.1, Interval(Real, 0, None, closed="neither"))
    n_inner_steps: int = parameter(1, Interval(Integral, 0, None, closed="left"))
    estimator: str = parameter("lvc", StrOptions(set(ESTIMATORS)))
    n_episodes: int = parameter(20, Interval(Integral, 1, None, closed="left"))
    discount: float = parameter(0.99, Interval(Real, 0, 1, closed="right"))
    gae_lambda: float = parameter(1.0, Interval(Real, 0, 1, closed="both"))
    standardize: bool = parameter(True, "boolean", role="training")
    n_iterations: int = 300
    meta_batch_size: int = 20
    validation: Any = 0.0

    _precisions: ClassVar[tuple[str, ...]] = tuple(PRECISIONS)
    _option_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "meta_optimizer": {"schedule": "constant", "clip_norm": None},
        "validation": {"every": 10},
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        POLICY_LEARNERS[learner_name(cls)] = cls

    @property
    def network_params(self) -> dict[str, Any]:
        """Parameters of the backbone ``"mlp"``."""
        return {"hidden": (64, 64), "activation": "tanh", **(self.backbone_params or {})}

    def inner_learner(self) -> GradientLearner:
        """Return the supervised learner whose inner step adapts a policy.

        Returns
        -------
        GradientLearner
            With the settings of this learner.
        """
        return MAML(
            inner_lr=self.inner_lr,
            n_inner_steps=self.n_inner_steps,
            first_order=self.first_order,
            learn=self.learn,
        )

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
            With ``prior_`` and ``learning_curve_``.

        Raises
        ------
        EpisodeError
            If a policy cannot learn in the family's environments.
        FileFormatError
            If the checkpoint belongs to another run.
        """
        prior, history = meta_fit(self, family)
        self.prior_: MetaPrior = prior
        self.learning_curve_: dict[str, Any] = history
        return self

    def score(self, family: TaskFamily, y: Any = None) -> float:
        """Return the mean return in new tasks after ``n_inner_steps`` updates, not exploring."""
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
        """Return the prior before any meta-training, with random weights, for comparisons."""
        validate_params(self)
        return write_prior(*make_session(self, family, check_rng(self.random_state)))


POLICY_LEARNERS[learner_name(PolicyMAML)] = PolicyMAML
