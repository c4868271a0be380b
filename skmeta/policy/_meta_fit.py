"""Meta-training of policy learners, and their priors: from settings to a prior, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmeta._backend import Execution, Ranks, Scaler, State, to_numpy
from skmeta._training import (
    ExecutionOptions,
    fingerprint,
    meta_train,
    read_parameters,
    settings_by_role,
)
from skmeta._validation import check_rng
from skmeta.backbones import check_backbone
from skmeta.exceptions import PriorError
from skmeta.learners._core import make_prior, scaler_of, state_of
from skmeta.policy._distributions import (
    ActionDistribution,
    check_environment,
    check_family,
    check_observation_space,
    describe_actions,
    make_distribution,
)
from skmeta.policy._episodes import EpisodeTensors, collect, surrogate_loss
from skmeta.policy._session import POLICY_LEARNERS, PolicySession
from skmeta.policy.environments import TaskFamily, make_vector
from skmeta.priors import MetaPrior

# Tasks and episodes of random actions that the scale of observations is measured on.
_SCALE_TASKS, _SCALE_EPISODES = 20, 5
_SPACES = ("action_space", "max_episode_steps")  # not settings of the learner


def meta_fit(learner: Any, family: TaskFamily) -> tuple[MetaPrior, dict[str, Any]]:
    """Meta-train a policy learner, and return the prior and the learning curve."""
    settings, ranks = read_parameters(learner), Ranks.join()
    rng = ranks.from_first(partial(check_rng, learner.random_state))
    session, state = make_session(learner, family, rng)
    write_prior(session, state)  # Settings that a prior cannot keep are refused before the work.
    identity = _identity(learner, family) if settings.execution.checkpoint else ""
    validation_seed = int(rng.integers(2**63))
    with make_execution(session, ranks) as execution:

        def play(
            state: State, tasks: Sequence[Any], rng: np.random.Generator
        ) -> tuple[tuple[EpisodeTensors, ...], float]:
            env = make_vector(family, tasks, learner.n_episodes)
            n_updates = learner.n_inner_steps
            samples, returns, _ = session.sample_tasks(state, env, n_updates, execution, rng)
            return samples, float(returns[-1].mean())

        def objective(
            state: State, rng: np.random.Generator, progress: float
        ) -> tuple[State, dict[str, float]]:
            samples, score = play(state, list(family.sample(learner.meta_batch_size, rng)), rng)
            gradient, value = execution.gradient(partial(meta_loss, session), state, samples)
            return gradient, {"loss": float(value), "score": score}

        validate = None
        if settings.validation.fraction > 0:
            n_tasks = settings.validation.n_tasks
            held_out = list(family.sample(n_tasks, np.random.default_rng(validation_seed)))

            def validate(state: State) -> dict[str, float]:
                # The same random numbers each time, which makes scores of states comparable.
                same = np.random.default_rng(validation_seed + 1)
                return {"score": play(state, held_out, same)[1]}

        state, history = meta_train(
            state, objective, validate, settings, rng, identity=identity, ranks=ranks
        )
    return write_prior(session, state, n_iterations=int(history["iteration"][-1])), history


def meta_loss(
    session: PolicySession, state: State, samples: tuple[EpisodeTensors, ...]
) -> tuple[Tensor, Tensor]:
    """Return the loss of a task after adaptation to minimise, and the one to record."""
    *before, last = samples
    fast = session.begin(state)
    losses: list[Tensor] = []
    for k, sample in enumerate(before):
        fast = session.step(state, fast, sample, k)
        if session.learner.multi_step_loss:
            losses.append(
                surrogate_loss("lvc", session.log_prob(fast, samples[k + 1]), samples[k + 1])
            )
    if not losses:
        losses.append(surrogate_loss("lvc", session.log_prob(fast, last), last))
    value = torch.stack(losses).mean()
    return value, value


def evaluate(
    learner: Any,
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
        precision=read_parameters(learner).execution.precision,
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
        _, returns, policies = session.sample_tasks(state, env, n_updates, execution, rng)
        if explore:
            return returns
        likely = [session.play(env, fast, rng, explore=False) for fast in policies]
    return np.stack([episodes.returns.mean(1) for episodes in likely])


def make_execution(session: PolicySession, ranks: Ranks | None = None) -> Execution:
    """Return the execution of the tasks of a learner."""
    learner, network = session.learner, session.context.network
    # An inner step and its meta-gradient need about six passes over each step of each episode.
    flops = 6.0 * learner.n_episodes * session.max_steps * network.n_flops
    options: ExecutionOptions = read_parameters(learner).execution
    return options.open(network, session.adapter.device, flops, ranks=ranks)


def make_session(
    learner: Any, family: TaskFamily, rng: np.random.Generator
) -> tuple[PolicySession, State]:
    """Begin a session of a learner on a family, with a random initial state."""
    check_family(family)
    seed = int(rng.integers(2**63))
    (task,) = family.sample(1, rng)
    env = make_vector(family, [task], 1)
    actions = describe_actions(env.single_action_space)
    n_features = check_observation_space(env.single_observation_space, learner.standardize)
    scaler = (
        _measure_scale(family, make_distribution(actions), rng)
        if learner.standardize
        else (Scaler(np.zeros(n_features), np.ones(n_features), np.zeros(()), np.ones(())))
    )
    session = PolicySession(
        learner,
        scaler,
        actions,
        max_steps=int(family.max_episode_steps),
        n_trained_steps=learner.n_inner_steps,
        device=learner.device,
        precision=read_parameters(learner).execution.precision,
        generator=torch.Generator().manual_seed(seed),
    )
    return session, session.draw_state(seed + 1)


def _measure_scale(
    family: TaskFamily, distribution: ActionDistribution, rng: np.random.Generator
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


def _identity(learner: Any, family: TaskFamily) -> str:
    # The tasks that a family draws identify it.
    tasks = [repr(task) for task in family.sample(3, np.random.default_rng(0))]
    return fingerprint(learner, [type(family).__name__, *tasks, str(family.max_episode_steps)])


# -- priors ----------------------------------------------------------------------------------------


def write_prior(session: PolicySession, state: State, **provenance: Any) -> MetaPrior:
    """Make a prior of kind ``"policy"`` of the state of a policy learner."""
    learner, network = session.learner, session.context.network
    settings = dict(settings_by_role(learner, "prior"))
    spaces = {"action_space": session.action_space, "max_episode_steps": session.max_steps}
    return make_prior(
        learner,
        session.scaler,
        state,
        provenance=provenance,
        learner_params=settings | spaces,
        backbone="mlp",
        backbone_params=learner.network_params,
        kind="policy",
        n_features_in=network.input_shape[0],
        input_shape=network.input_shape,
    )


def read_prior(
    prior: MetaPrior,
    *,
    device: str | torch.device,
    precision: str,
    max_steps: int | None = None,
    **overrides: Any,
) -> tuple[PolicySession, State]:
    """Make a policy learner and its state of a prior; `overrides` replace settings."""
    if prior.learner not in POLICY_LEARNERS:
        raise PriorError(
            f"The prior was learned by {prior.learner}, but a policy needs one of "
            f"{', '.join(sorted(POLICY_LEARNERS))}. Meta-train one of these, or import the module "
            "that defines the learner."
        )
    settings = {n: v for n, v in prior.learner_params.items() if n not in _SPACES}
    network = dict(prior.backbone_params)
    shape = tuple(prior.input_shape or ())
    check_backbone(str(prior.backbone), shape, network, prior.tensors)
    settings |= {"backbone_params": {"hidden": network["hidden"]}} | overrides
    learner = POLICY_LEARNERS[prior.learner](**settings)
    session = PolicySession(
        learner,
        scaler_of(prior),
        prior.learner_params["action_space"],
        max_steps=int(max_steps or prior.learner_params["max_episode_steps"]),
        n_trained_steps=int(prior.learner_params["n_inner_steps"]),
        device=device,
        precision=precision,
    )
    return session, dict(state_of(prior, session.adapter.device, session.adapter.dtype))
