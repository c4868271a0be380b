"""``MetaPolicy``: a policy that adapts to an environment."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skmeta._backend import PRECISIONS, State, here_or_cpu, state_to_numpy, state_to_torch, to_numpy
from skmeta._sklearn_compat import Interval, StrOptions, fit_context
from skmeta._validation import ParameterHints, check_count, check_rng
from skmeta.exceptions import EpisodeError
from skmeta.policy._distributions import check_environment
from skmeta.policy._episodes import Episodes, EpisodeTensors, concatenate
from skmeta.policy._meta_fit import read_prior
from skmeta.policy._session import PolicySession
from skmeta.policy.environments import gymnasium
from skmeta.priors import MetaPrior


@dataclass(eq=False, repr=False)
class MetaPolicy(ParameterHints, BaseEstimator):
    """A policy that adapts to a new environment after a few episodes, starting from a prior.

    ``fit`` plays episodes, takes a policy gradient step, and so on, as often as the prior was
    meta-trained for. ``partial_fit`` adds one step. Steps beyond those of meta-training are half as
    long, as in the MAML paper.

    Parameters
    ----------
    prior : MetaPrior
        ``prior_`` of a policy learner such as :class:`PolicyMAML`.
    n_inner_steps : int, optional
        Updates that ``fit`` makes; by default as many as in meta-training.
    inner_lr : float, optional
        Step size of an update; by default that of meta-training. Updates beyond those of
        meta-training take half of it.
    max_episode_steps : int, optional
        Steps after which an episode is cut; by default as in meta-training.
    device : str or torch.device, default="auto"
        The device to compute on.
    precision : {"float32", "float64"}, default="float32"
        Precision of the policy.
    random_state : int, Generator, RandomState or None, default=None
        Seed of actions and episodes.

    Attributes
    ----------
    adapted_ : dict of ndarray
        The adapted policy's parameters.
    n_updates_ : int
        Updates made.
    returns_ : list of float
        Mean return of the episodes that each update was made from, so the first one is the
        prior's.
    n_features_in_ : int
        Size of an observation.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.policy import MetaPolicy, PointNavigation, PolicyMAML
    >>> family = PointNavigation()
    >>> learner = PolicyMAML(n_iterations=2, meta_batch_size=4, n_episodes=5, random_state=0)
    >>> prior = learner.fit(family).prior_
    >>> task, = family.sample(1, np.random.default_rng(1))
    >>> policy = MetaPolicy(prior, random_state=0).fit(family.make(task), n_episodes=5)
    >>> policy.n_updates_
    1
    >>> policy.predict(np.zeros(2)).shape
    (2,)
    """

    prior: MetaPrior
    _: KW_ONLY
    n_inner_steps: int | None = None
    inner_lr: float | None = None
    max_episode_steps: int | None = None
    device: str | torch.device = "auto"
    precision: str = "float32"
    random_state: Any = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "prior": [MetaPrior],
        "n_inner_steps": [Interval(Integral, 0, None, closed="left"), None],
        "inner_lr": [Interval(Real, 0, None, closed="neither"), None],
        "max_episode_steps": [Interval(Integral, 1, None, closed="left"), None],
        "device": [str, torch.device],
        "precision": [StrOptions(set(PRECISIONS))],
        "random_state": ["random_state", np.random.Generator],
    }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.device = here_or_cpu(self.device)

    # ------------------------------------------------------------------------------------- fit

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, env: Any, y: Any = None, *, n_episodes: int = 20) -> Self:
        """Adapt the prior to an environment.

        Parameters
        ----------
        env : gymnasium.Env or gymnasium.vector.VectorEnv
            The environment; of a vector environment, all environments are the same task.
        y : None
            Not used; here for pipelines.
        n_episodes : int, default=20
            Episodes before each update.

        Returns
        -------
        self : object
            The adapted policy.

        Raises
        ------
        PriorError
            If the environment has other spaces than those of meta-training.
        EpisodeError
            If an observation or a reward is not a finite number.
        """
        session, state = self._begin(env)
        self._reset(session, state)
        for _ in range(session.learner.n_inner_steps):
            self._update(session, state, env, n_episodes)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, env: Any, y: Any = None, *, n_episodes: int = 20) -> Self:
        """Make one more update, with the parameters of :meth:`fit`."""
        session, state = self._begin(env)
        if not hasattr(self, "adapted_"):
            self._reset(session, state)
        self._update(session, state, env, n_episodes)
        return self

    def _begin(self, env: Any) -> tuple[PolicySession, State]:
        check_environment(*_spaces(env), self.prior)
        self.prior.check_settings({"inner_lr": self.inner_lr})
        return self._session()

    def _session(self) -> tuple[PolicySession, State]:
        given = {"n_inner_steps": self.n_inner_steps, "inner_lr": self.inner_lr}
        return _session_of(
            self.prior,
            device=self.device,
            precision=self.precision,
            max_steps=self.max_episode_steps,
            **{name: value for name, value in given.items() if value is not None},
        )

    def _reset(self, session: PolicySession, state: State) -> None:
        self.adapted_: dict[str, np.ndarray] = state_to_numpy(session.begin(state))
        self.n_features_in_: int | None = self.prior.n_features_in
        self.n_updates_: int = 0
        self.returns_: list[float] = []
        self.rng_: np.random.Generator = check_rng(self.random_state)

    def _update(self, session: PolicySession, state: State, env: Any, n_episodes: int) -> None:
        stacked = {n: v.unsqueeze(0) for n, v in self._fast(session).items()}
        episodes = self._play(session, stacked, env, n_episodes, self.rng_)
        sample = session.sample(episodes, stacked)

        def step(at: State, sample: EpisodeTensors) -> State:
            return session.step(state, at, sample, self.n_updates_)

        with torch.no_grad():
            stacked = torch.func.vmap(step)(stacked, sample)
        self.adapted_ = state_to_numpy({n: v[0] for n, v in stacked.items()})
        self.n_updates_ += 1
        self.returns_.append(float(episodes.returns.mean()))

    def _fast(self, session: PolicySession) -> State:
        adapter = session.adapter
        return state_to_torch(self.adapted_, adapter.device, adapter.dtype)

    def _play(
        self,
        session: PolicySession,
        stacked: State,
        env: Any,
        n_episodes: int,
        rng: np.random.Generator,
        explore: bool = True,
    ) -> Episodes:
        n_episodes = check_count(n_episodes, "n_episodes")
        vector = env
        if not hasattr(env, "num_envs"):
            vector = gymnasium.vector.SyncVectorEnv([lambda: env])
        rounds = math.ceil(n_episodes / vector.num_envs)
        played = [session.play(vector, stacked, rng, explore) for _ in range(rounds)]
        return concatenate(played, n_episodes)

    # ------------------------------------------------------------------------------------- act

    def predict(self, observation: Any) -> Any:
        """Return the most likely action.

        Parameters
        ----------
        observation : array-like of shape (n_features,) or (n_observations, n_features)
            One observation, or several.

        Returns
        -------
        ndarray or int
            One action, or one per observation, in the environment's units.
        """
        check_is_fitted(self)
        seen = np.asarray(observation, dtype=np.float64)
        rows = np.atleast_2d(seen)
        if seen.ndim > 2 or rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"observation has shape {seen.shape}, but the policy takes ({self.n_features_in_},)"
                f" or (n_observations, {self.n_features_in_})."
            )
        if not np.isfinite(rows).all():
            at = int((~np.isfinite(rows)).any(1).argmax())
            raise ValueError(
                f"observation {at} is {rows[at].tolist()}, but it must be finite. Fix the "
                "environment that it comes from."
            )
        session, _ = self._session()
        fast = self._fast(session)
        with torch.no_grad():
            action = session.distribution.mode(session.outputs(fast, session.standardise(rows)))
        actions = session.distribution.to_environment(to_numpy(action))
        return actions if seen.ndim == 2 else actions[0]

    def score(self, env: Any, y: Any = None, *, n_episodes: int = 20) -> float:
        """Return the mean sum of rewards of `n_episodes` episodes with the most likely actions."""
        check_is_fitted(self)
        check_environment(*_spaces(env), self.prior)
        session, _ = self._session()
        stacked = {n: v.unsqueeze(0) for n, v in self._fast(session).items()}
        rng = check_rng(self.random_state)
        episodes = self._play(session, stacked, env, n_episodes, rng, explore=False)
        return float(episodes.returns.mean())


# The session and state of a fitted policy, kept for the next step of an episode.
_session_of = lru_cache(maxsize=4)(read_prior)


def _spaces(env: Any) -> tuple[Any, Any]:
    if isinstance(env, gymnasium.vector.VectorEnv):
        return env.single_observation_space, env.single_action_space
    if isinstance(env, gymnasium.Env):
        return env.observation_space, env.action_space
    raise EpisodeError(
        f"env must be a gymnasium.Env or a gymnasium.vector.VectorEnv, got {type(env).__name__}. "
        "Make one with gymnasium.make, or with the method make of a family."
    )
