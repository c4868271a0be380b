"""Settings and inner step of the policy learners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from typing import Any

from torch import Tensor

from skmeta._sklearn_compat import Interval, StrOptions
from skmeta.backend import State
from skmeta.learners import ExecutionOptions, GradientLearner
from skmeta.learners._core import Declared, as_option, learner_name, parameter, shared_parameter
from skmeta.policy._core._advantages import BASELINES
from skmeta.policy._core._surrogate import ESTIMATORS
from skmeta.training import OUTER_LOOP_CONSTRAINTS

POLICY_LEARNERS: dict[str, type[PolicySettings]] = {}


@dataclass(kw_only=True, eq=False, repr=False)
class PolicySettings(Declared, ABC):
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
    n_inner_steps : int, default=1
        Updates of a task's policy, each on ``n_episodes`` new episodes. With 0, one policy is
        trained for all tasks by plain policy gradients. Updates beyond these are half as long.
    inner_clip_norm : float or None, default=None
        Largest norm of an inner gradient; None does not clip.
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
    n_validation_tasks : int, default=0
        Tasks set aside, whose mean return chooses the best state; 0: the last state is taken.
    execution : {"auto", "loop", "threads", "vmap"} or ExecutionOptions, default="auto"
        How the tasks of a meta-iteration are computed: one by one, a thread each, or vectorised.
        ``auto`` chooses by device and size.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the drawn weights, tasks and episodes.

    Attributes
    ----------
    prior_ : MetaPrior
        What was learned; give it to :class:`~skmeta.policy.MetaPolicy`.
    history_ : dict of list
        Learning curve, one entry every ``evaluate_every`` iterations: ``iteration``,
        ``train_loss``, ``train_score`` and ``validation_score`` (mean return after adaptation),
        ``meta_lr``, ``seconds``.
    """

    hidden: tuple[int, ...] = parameter((64, 64), tuple, list, role="training")
    initial_std: float = parameter(1.0, Interval(Real, 0, None, closed="neither"))
    initial_head_scale: float = parameter(
        0.1, Interval(Real, 0, None, closed="left"), role="training"
    )
    inner_lr: float = parameter(0.1, Interval(Real, 0, None, closed="neither"))
    n_inner_steps: int = parameter(1, Interval(Integral, 0, None, closed="left"))
    inner_clip_norm: float | None = parameter(None, Interval(Real, 0, None, closed="neither"), None)
    estimator: str = parameter("lvc", StrOptions(set(ESTIMATORS)))
    n_episodes: int = parameter(20, Interval(Integral, 1, None, closed="left"))
    discount: float = parameter(0.99, Interval(Real, 0, 1, closed="right"))
    gae_lambda: float = parameter(1.0, Interval(Real, 0, 1, closed="both"))
    baseline: str = parameter("linear", StrOptions(set(BASELINES)))
    standardize_advantages: bool = parameter(True, "boolean")
    standardize: bool = parameter(True, "boolean", role="training")
    n_iterations: int = parameter(300, *OUTER_LOOP_CONSTRAINTS["n_iterations"], role="training")
    meta_batch_size: int = shared_parameter("meta_batch_size", 20)
    meta_lr: float = shared_parameter("meta_lr", 1e-3)
    meta_optimizer: str = shared_parameter("meta_optimizer", "adam")
    schedule: str = shared_parameter("schedule", "constant")
    clip_norm: float | None = shared_parameter("clip_norm", None)
    n_validation_tasks: int = parameter(
        0, Interval(Integral, 0, None, closed="left"), role="training"
    )
    evaluate_every: int = shared_parameter("evaluate_every", 10)
    patience: int | None = shared_parameter("patience", None)
    device: Any = shared_parameter("device", "auto", role="machine")
    execution: Any = parameter("auto", str, ExecutionOptions, role="machine")
    checkpoint: str | PathLike[str] | None = shared_parameter("checkpoint", None, role="machine")
    verbose: int = shared_parameter("verbose", 0, role="machine")
    random_state: Any = parameter(None, *OUTER_LOOP_CONSTRAINTS["random_state"], role="training")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        POLICY_LEARNERS[learner_name(cls)] = cls

    @property
    def execution_options(self) -> ExecutionOptions:
        """The options that ``execution`` stands for."""
        options: ExecutionOptions = as_option(ExecutionOptions, self.execution)
        return options

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
