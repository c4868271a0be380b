"""Settings and inner step of the policy learners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

from torch import Tensor

from skmeta._sklearn_compat import Interval, StrOptions
from skmeta.backend import PRECISIONS, State
from skmeta.learners import GradientLearner
from skmeta.policy._core._policy_gradient import BASELINES, ESTIMATORS
from skmeta.training import OuterLoopSettings, learner_name, parameter

POLICY_LEARNERS: dict[str, type[PolicySettings]] = {}


@dataclass(kw_only=True, eq=False, repr=False)
class PolicySettings(OuterLoopSettings, ABC):
    """Settings of a policy learner, and its inner step.

    Parameters
    ----------
    hidden : tuple of int, default=(64, 64)
        Width of each hidden layer of the policy; tanh is applied after each.
    initial_std : float, default=1.0
        Standard deviation of a Gaussian policy at first, in half the range of an action. It is
        learned, and adapted to a task.
    initial_head_scale : float, default=0.1
        Size of the output layer's first weights; the smaller, the less the first policy depends on
        the observation.
    inner_lr : float, default=0.1
        Step size of the inner loop (alpha in the papers).
    n_inner_steps : int, default=1
        Updates of a task's policy, each on ``n_episodes`` new episodes. With 0, one policy is
        trained for all tasks by plain policy gradients. Updates beyond these are half as long.
    estimator : {"lvc", "dice"}, default="lvc"
        How an inner gradient depends on the policy whose episodes it is estimated from, which the
        meta-gradient sees. ``lvc``: ProMP's estimator, of low variance; ``dice``: exact in
        expectation, of higher variance.
    n_episodes : int, default=20
        Episodes of a task before each update, and after the last one.
    discount : float, default=0.99
        Weight of a reward one step later (gamma).
    gae_lambda : float, default=1.0
        Weight of longer estimates in generalised advantages; with 1 an advantage is the return
        minus the baseline.
    baseline : {"linear", "none"}, default="linear"
        Expected return that advantages are relative to: linear in observation and time, fitted for
        each task anew, or zero.
    standardize_advantages : bool, default=True
        Whether the advantages of a task are centred and scaled over its steps.
    standardize : bool, default=True
        Whether observations are centred and scaled by what random actions lead to.
    n_iterations : int, default=300
        Meta-iterations, each with new tasks and episodes.
    meta_optimizer : {"adam", "sgd"} or MetaOptimizer, default="adam"
        Optimizer of the outer loop. A name stands for a constant step size and no clipping; a
        :class:`~skmeta.learners.MetaOptimizer` sets both.
    validation : float or Validation, default=0.0
        With 0 the last state is taken. Above 0 it is the state with the best mean return in tasks
        set aside, as many as the ``n_tasks`` of a :class:`~skmeta.learners.Validation`. A number
        stands for one entry of ``history_`` every 10 iterations.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the drawn weights, tasks and episodes.
    %(parameters)s

    Attributes
    ----------
    prior_ : MetaPrior
        What was learned; give it to :class:`~skmeta.policy.MetaPolicy`.
    history_ : dict of list
        Learning curve, one entry for each evaluation: ``iteration``, ``train_loss``,
        ``train_score`` and ``validation_score`` (mean return after adaptation),
        ``meta_lr``, ``seconds``.
    """

    hidden: tuple[int, ...] = parameter((64, 64), tuple, list, role="training")
    initial_std: float = parameter(1.0, Interval(Real, 0, None, closed="neither"))
    initial_head_scale: float = parameter(
        0.1, Interval(Real, 0, None, closed="left"), role="training"
    )
    inner_lr: float = parameter(0.1, Interval(Real, 0, None, closed="neither"))
    n_inner_steps: int = parameter(1, Interval(Integral, 0, None, closed="left"))
    estimator: str = parameter("lvc", StrOptions(set(ESTIMATORS)))
    n_episodes: int = parameter(20, Interval(Integral, 1, None, closed="left"))
    discount: float = parameter(0.99, Interval(Real, 0, 1, closed="right"))
    gae_lambda: float = parameter(1.0, Interval(Real, 0, 1, closed="both"))
    baseline: str = parameter("linear", StrOptions(set(BASELINES)))
    standardize_advantages: bool = parameter(True, "boolean")
    standardize: bool = parameter(True, "boolean", role="training")
    n_iterations: int = 300
    meta_batch_size: int = 20
    validation: Any = 0.0

    precisions: ClassVar[tuple[str, ...]] = tuple(PRECISIONS)
    option_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "meta_optimizer": {"schedule": "constant", "clip_norm": None},
        "validation": {"every": 10},
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        POLICY_LEARNERS[learner_name(cls)] = cls

    @property
    def network_params(self) -> dict[str, Any]:
        """Parameters of the backbone ``"mlp"``."""
        return {"hidden": tuple(self.hidden), "activation": "tanh"}

    # ---------------------------------------------------------------- the algorithm: pure methods

    @abstractmethod
    def inner_learner(self) -> GradientLearner:
        """Return the supervised learner whose inner step adapts a policy.

        Returns
        -------
        GradientLearner
            With the settings of this learner.
        """

    def inner_memory(self, n_done: int) -> dict[str, Any]:
        """Return what the inner learner remembers of earlier steps.

        Parameters
        ----------
        n_done : int
            Number of earlier steps.

        Returns
        -------
        dict
            As its ``update`` returns it.
        """
        return {"step": n_done}

    def step_size_state(self, own: Mapping[str, Tensor]) -> State:
        """Return the learned step sizes of the distribution's parameters.

        Parameters
        ----------
        own : mapping of str to Tensor
            The distribution's parameters.

        Returns
        -------
        dict of Tensor
            None by default.
        """
        return {}
