"""Meta-training of policy learners: from settings to a prior."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from skmeta._random import check_rng
from skmeta.backbones import build_backbone
from skmeta.backend import Execution, Scaler, State, to_numpy
from skmeta.policy._core._distributions import (
    ActionDistribution,
    check_environment,
    check_family,
    check_observation_space,
    make_distribution,
)
from skmeta.policy._core._policy_gradient import Sample
from skmeta.policy._core._prior_io import read_prior, write_prior
from skmeta.policy._core._rollout import collect
from skmeta.policy._core._session import PolicySession
from skmeta.policy._core._settings import PolicySettings
from skmeta.policy.environments import TaskFamily, make_vector
from skmeta.priors import MetaPrior
from skmeta.training import (
    ExecutionOptions,
    Validation,
    fingerprint,
    meta_train,
    read_parameters,
    training_settings,
)

# Tasks and episodes of random actions that the scale of observations is measured on.
_SCALE_TASKS, _SCALE_EPISODES = 20, 5


MetaLoss = Callable[[PolicySession, State, tuple[Sample, ...]], tuple[torch.Tensor, torch.Tensor]]


def meta_fit(
    learner: PolicySettings, family: TaskFamily, loss: MetaLoss
) -> tuple[MetaPrior, dict[str, Any]]:
    """Meta-train a policy learner.

    Parameters
    ----------
    learner : PolicySettings
        The settings.
    family : TaskFamily
        The tasks.
    loss : callable
        What the outer loop descends, of one task.

    Returns
    -------
    prior : MetaPrior
        What was learned.
    history : dict of list
        The learning curve.
    """
    values = read_parameters(learner)
    rng = check_rng(learner.random_state)
    session, state = make_session(learner, family, rng)
    write_prior(session, state)  # Settings that a prior cannot keep are refused before the work.
    settings = training_settings(values, _identity(learner, family) if learner.checkpoint else "")
    validation_seed = int(rng.integers(2**63))
    with make_execution(session) as execution:
        validate = None
        if values["validation"].fraction > 0:
            validate = _validation(
                session, values["validation"], execution, family, validation_seed
            )
        objective = _objective(session, execution, family, loss)
        state, history = meta_train(state, objective, validate, settings, rng)
    return write_prior(session, state, n_iterations=int(history["iteration"][-1])), history


def initial_prior(learner: PolicySettings, family: TaskFamily) -> MetaPrior:
    """Return the prior that meta-training starts from."""
    return write_prior(*make_session(learner, family, check_rng(learner.random_state)))


def evaluate(
    learner: PolicySettings,
    prior: MetaPrior,
    family: TaskFamily,
    n_tasks: int,
    n_updates: int | None,
    explore: bool,
) -> np.ndarray:
    """Return mean returns (n_updates + 1, n_tasks) in new tasks, before and after each update."""
    session, state = read_prior(
        prior,
        device=learner.device,
        precision=read_parameters(learner)["execution"].precision,
        n_inner_steps=learner.n_inner_steps,
        inner_lr=learner.inner_lr,
        n_episodes=learner.n_episodes,
    )
    n_updates = learner.n_inner_steps if n_updates is None else n_updates
    rng = check_rng(learner.random_state)
    tasks = list(family.sample(n_tasks, rng))
    env = make_vector(family, tasks, learner.n_episodes)
    check_environment(env.single_observation_space, env.single_action_space, prior)
    with make_execution(session) as execution:
        samples, returns = session.sample_tasks(state, env, n_tasks, n_updates, execution, rng)
        if explore:
            return returns
        returns_likely = []
        for k in range(n_updates + 1):
            with torch.no_grad():
                fast = session.adapt_tasks(state, samples[:k], n_tasks, execution)
            returns_likely.append(
                session.play(env, fast, n_tasks, rng, explore=False).returns.mean(1)
            )
        return np.stack(returns_likely)


def make_execution(session: PolicySession) -> Execution:
    """Return the execution of the tasks of a learner."""
    learner, network = session.learner, session.context.network
    # An inner step and its meta-gradient need about six passes over each step of each episode.
    flops = 6.0 * learner.n_episodes * session.max_steps * network.n_flops
    options: ExecutionOptions = read_parameters(learner)["execution"]
    return options.open(network, session.adapter.device, flops)


def make_session(
    learner: PolicySettings, family: TaskFamily, rng: np.random.Generator
) -> tuple[PolicySession, State]:
    """Begin a session of a learner on a family, with a random initial state."""
    check_family(family)
    seed = int(rng.integers(2**63))
    (task,) = family.sample(1, rng)
    env = make_vector(family, [task], 1)
    distribution = make_distribution(env.single_action_space, learner.initial_std)
    n_features = check_observation_space(env.single_observation_space, learner.standardize)
    scaler = (
        _measure_scale(family, distribution, n_features, rng)
        if learner.standardize
        else (Scaler(np.zeros(n_features), np.ones(n_features), np.zeros(()), np.ones(())))
    )
    backbone_params = {"hidden": tuple(learner.hidden), "activation": "tanh"}
    generator = torch.Generator().manual_seed(seed)
    session = PolicySession.on_device(
        learner,
        build_backbone("mlp", (n_features,), backbone_params, generator),
        scaler,
        distribution,
        max_steps=int(family.max_episode_steps),
        n_trained_steps=learner.n_inner_steps,
        device=learner.device,
        precision=read_parameters(learner)["execution"].precision,
    )
    return session, session.draw_state(seed + 1)


def _measure_scale(
    family: TaskFamily,
    distribution: ActionDistribution,
    n_features: int,
    rng: np.random.Generator,
) -> Scaler:
    """Measure the location and scale of observations under random actions."""
    env = make_vector(family, list(family.sample(_SCALE_TASKS, rng)), _SCALE_EPISODES)
    zero = torch.zeros(distribution.n_outputs)

    def act(seen: np.ndarray) -> np.ndarray:
        noise = torch.as_tensor(distribution.draw_noise(rng, seen.shape[:2]))
        return to_numpy(distribution.sample(distribution.initial_state(), zero, noise))

    steps = int(family.max_episode_steps)
    episodes = collect(env, act, distribution.to_environment, _SCALE_TASKS, steps, rng)
    rows = episodes.observation[episodes.weight > 0]
    scale = rows.std(0)
    # A feature that never changes keeps its unit.
    scale = np.where(scale > 1e-8, scale, 1.0)
    return Scaler(rows.mean(0), scale, np.zeros(()), np.ones(()))


def _objective(
    session: PolicySession, execution: Execution, family: TaskFamily, loss: MetaLoss
) -> Callable[[State, np.random.Generator, float], tuple[State, dict[str, float]]]:
    learner = session.learner

    def objective(
        state: State, rng: np.random.Generator, progress: float
    ) -> tuple[State, dict[str, float]]:
        n_tasks = learner.meta_batch_size
        env = make_vector(family, list(family.sample(n_tasks, rng)), learner.n_episodes)
        samples, returns = session.sample_tasks(
            state, env, n_tasks, learner.n_inner_steps, execution, rng
        )
        gradient, value = execution.gradient(partial(loss, session), state, samples)
        return gradient, {"loss": float(value), "score": float(returns[-1].mean())}

    return objective


def _validation(
    session: PolicySession,
    validation: Validation,
    execution: Execution,
    family: TaskFamily,
    seed: int,
) -> Callable[[State], dict[str, float]]:
    learner, n_tasks = session.learner, validation.n_tasks
    tasks = list(family.sample(n_tasks, np.random.default_rng(seed)))

    def validate(state: State) -> dict[str, float]:
        # The same random numbers each time, which makes scores of states comparable.
        rng = np.random.default_rng(seed + 1)
        env = make_vector(family, tasks, learner.n_episodes)
        _, returns = session.sample_tasks(
            state, env, n_tasks, learner.n_inner_steps, execution, rng
        )
        return {"score": float(returns[-1].mean())}

    return validate


def _identity(learner: PolicySettings, family: TaskFamily) -> str:
    # The tasks that a family draws identify it.
    tasks = [repr(task) for task in family.sample(3, np.random.default_rng(0))]
    return fingerprint(learner, [type(family).__name__, *tasks, str(family.max_episode_steps)])
