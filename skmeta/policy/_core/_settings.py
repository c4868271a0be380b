"""Settings and inner step of the policy learners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from torch import Tensor

from skmeta._doc_link import DocLink
from skmeta._sklearn_compat import Interval, StrOptions
from skmeta.backend import PRECISIONS, State
from skmeta.learners import GradientLearner
from skmeta.policy._core._advantages import BASELINES
from skmeta.policy._core._docs import complete
from skmeta.policy._core._surrogate import ESTIMATORS
from skmeta.training import OUTER_LOOP_CONSTRAINTS

POLICY_LEARNERS: dict[str, type[PolicySettings]] = {}


@dataclass(kw_only=True, eq=False, repr=False)
class PolicySettings(DocLink, BaseEstimator, ABC):
    """Settings of a policy learner, and its inner step."""

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    initial_std: float = 1.0
    initial_head_scale: float = 0.1
    inner_lr: float = 0.1
    n_inner_steps: int = 1
    inner_clip_norm: float | None = None
    estimator: str = "lvc"
    n_episodes: int = 20
    discount: float = 0.99
    gae_lambda: float = 1.0
    baseline: str = "linear"
    standardize_advantages: bool = True
    standardize: bool = True
    n_iterations: int = 300
    n_outer_steps: int = 1
    meta_batch_size: int = 20
    meta_lr: float = 1e-3
    meta_optimizer: str = "adam"
    schedule: str = "constant"
    clip_norm: float | None = None
    n_validation_tasks: int = 0
    evaluate_every: int = 10
    patience: int | None = None
    device: Any = "auto"
    precision: str = "float32"
    execution: str = "auto"
    chunk_size: int | None = None
    n_jobs: int | None = None
    checkpoint: str | PathLike[str] | None = None
    verbose: int = 0
    random_state: Any = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OUTER_LOOP_CONSTRAINTS,
        "hidden": [tuple, list],
        "activation": [str],
        "initial_std": [Interval(Real, 0, None, closed="neither")],
        "initial_head_scale": [Interval(Real, 0, None, closed="left")],
        "inner_lr": [Interval(Real, 0, None, closed="neither")],
        "n_inner_steps": [Interval(Integral, 0, None, closed="left")],
        "inner_clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "estimator": [StrOptions(set(ESTIMATORS))],
        "n_episodes": [Interval(Integral, 1, None, closed="left")],
        "discount": [Interval(Real, 0, 1, closed="right")],
        "gae_lambda": [Interval(Real, 0, 1, closed="both")],
        "baseline": [StrOptions(set(BASELINES))],
        "standardize_advantages": ["boolean"],
        "standardize": ["boolean"],
        "n_outer_steps": [Interval(Integral, 1, None, closed="left")],
        "n_validation_tasks": [Interval(Integral, 0, None, closed="left")],
        "precision": [StrOptions(set(PRECISIONS))],
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        POLICY_LEARNERS[cls.__name__] = cls
        complete(cls)

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

    def outer_optimizer(self) -> dict[str, Any]:
        """Return the optimizer of the outer loop.

        Returns
        -------
        dict
            ``optimizer``, ``lr``, ``schedule`` and ``clip_norm`` of
            :class:`~skmeta.training.TrainingSettings`.
        """
        return {
            "optimizer": self.meta_optimizer,
            "lr": self.meta_lr,
            "schedule": self.schedule,
            "clip_norm": self.clip_norm,
        }
