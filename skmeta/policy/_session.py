"""Session of a policy learner: networks, adaptation and episodes.

Notation: M tasks, E episodes of each, T steps, d features, k outputs, K inner steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from skmeta._backend import Execution, Scaler, State, to_numpy
from skmeta.backbones import build_backbone
from skmeta.learners._core import InnerLoopAlgorithm, Session
from skmeta.policy._distributions import make_distribution
from skmeta.policy._episodes import (
    Episodes,
    EpisodeTensors,
    collect,
    generalised_advantages,
    linear_baseline,
    standardise,
    surrogate_loss,
)

POLICY_LEARNERS: dict[str, Any] = {}
"""Classes of policy learners by the name that a prior keeps."""

# The head is small, so the first policy hardly depends on the observation.
_HEAD_SCALE = 0.1
# Parameters that are learned, and are the same for all tasks.
_NOT_ADAPTED = ("inner_lr", "weight_decay", "norm.")


class PolicySession:
    """A policy learner with its network on a device; `max_steps` limits an episode.

    After `n_trained_steps`, the inner steps of meta-training, steps are half as long, as in the
    MAML paper. `inner` takes the inner step; `distribution` gives the outputs their meaning.
    """

    def __init__(
        self,
        learner: Any,
        scaler: Scaler,
        action_space: Mapping[str, Any],
        *,
        max_steps: int,
        n_trained_steps: int,
        device: str | torch.device,
        precision: str,
        generator: torch.Generator | None = None,
    ) -> None:
        self.learner, self.scaler, self.action_space = learner, scaler, action_space
        self.max_steps, self.n_trained_steps = max_steps, n_trained_steps
        self.distribution = make_distribution(action_space)
        session = Session.open(
            learner.inner_learner(),
            build_backbone("mlp", scaler.x_mean.shape, learner.network_params, generator),
            scaler.x_mean.shape,
            scaler,
            kind="policy",
            head="learned",
            classes=range(self.distribution.n_outputs),
            device=device,
            precision=precision,
        )
        self.inner = cast(InnerLoopAlgorithm, session.algorithm)
        self.context, self.adapter = session.context, session.adapter

    def draw_state(self, seed: int) -> State:
        """Draw ``body.*``, ``head.*`` and the parameters of distribution and inner learner."""
        own = self.distribution.initial_state()
        own |= self.inner.learned_settings(own)
        state = self.inner.init_state(self.context, torch.Generator().manual_seed(seed))
        state["head.weight"] = _HEAD_SCALE * state["head.weight"]
        to = self.adapter
        return {n: v.to(to.device, to.dtype) for n, v in (state | own).items()}

    # ------------------------------------------------------------------- pure functions of a task

    def begin(self, state: State) -> State:
        """Return the part of a state that a task adapts."""
        return {n: v for n, v in state.items() if not n.startswith(_NOT_ADAPTED)}

    def outputs(self, fast: State, x: Tensor) -> Tensor:
        """Return outputs (..., k) of the network for standardised observations (..., d)."""
        flat = x.reshape(-1, x.shape[-1])
        outputs: Tensor = self.inner.forward(self.context, fast, flat)
        return outputs.reshape(*x.shape[:-1], outputs.shape[-1])

    def log_prob(self, fast: State, sample: EpisodeTensors) -> Tensor:
        """Return the log probabilities (E, T) of the actions."""
        return self.distribution.log_prob(fast, self.outputs(fast, sample.x), sample.action)

    def step(self, state: State, fast: State, sample: EpisodeTensors, n_done: int) -> State:
        """Adapt the policy `fast` by one step on the episodes that it played."""

        def loss(part: State) -> Tensor:
            log_prob = self.log_prob(part, sample)
            return surrogate_loss(self.learner.estimator, log_prob, sample)

        adapted, _, _ = self.inner.descend(state, fast, {"step": n_done}, loss)
        if 0 < self.n_trained_steps <= n_done:
            return {n: v + 0.5 * (adapted[n] - v) for n, v in fast.items()}
        return adapted

    # --------------------------------------------------------------------------- episodes of tasks

    def play(
        self, env: Any, fast: State, rng: np.random.Generator, explore: bool = True
    ) -> Episodes:
        """Play an episode in each environment, with the policies of M tasks stacked on axis 0."""
        adapter = self.adapter
        layers = self._stacked_layers(fast)
        # Add an axis for the episodes of a task.
        own = {n: fast[n].unsqueeze(1) for n in self.distribution.initial_state()}

        def act(seen: np.ndarray) -> np.ndarray:
            outputs = self._stacked_outputs(layers, self.standardise(seen))
            if not explore:
                return to_numpy(self.distribution.mode(outputs))
            noise = self.distribution.draw_noise(rng, seen.shape[:2])
            tensor = torch.as_tensor(noise, dtype=adapter.dtype, device=adapter.device)
            return to_numpy(self.distribution.sample(own, outputs, tensor))

        with torch.no_grad():
            to_environment = self.distribution.to_environment
            n_tasks = len(next(iter(fast.values())))
            return collect(env, act, to_environment, n_tasks, self.max_steps, rng)

    def _stacked_layers(self, fast: State) -> list[tuple[Tensor, Tensor]]:
        names = [n.removesuffix(".weight") for n in fast if n.endswith(".weight")]
        # Layers of the body in their order, then the head.
        names.sort(key=lambda n: int(n.split(".")[1]) if n.startswith("body.") else math.inf)
        return [
            (fast[f"{n}.weight"].transpose(1, 2), fast[f"{n}.bias"].unsqueeze(1)) for n in names
        ]

    def _stacked_outputs(self, layers: list[tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
        """Return :meth:`outputs` of each task, without the overhead of ``vmap``."""
        *hidden, (weight, bias) = layers
        for w, b in hidden:
            x = torch.tanh(torch.baddbmm(b, x, w))
        return torch.baddbmm(bias, x, weight)

    def standardise(self, seen: np.ndarray) -> Tensor:
        """Put observations (..., d) on the device."""
        adapter = self.adapter
        x = adapter.inputs(adapter.upload(seen.reshape(-1, seen.shape[-1])))
        return x.reshape(seen.shape)

    def advantages(self, episodes: Episodes, x: Tensor) -> np.ndarray:
        """Return generalised advantages over a linear baseline, centred and scaled by task."""
        # Always float64, because normal equations square the condition number.
        seen, reward, weight = to_numpy(x).astype(np.float64), episodes.reward, episodes.weight
        discount = self.learner.discount
        value = linear_baseline(seen, reward, weight, discount)
        raw = generalised_advantages(reward, value, discount, self.learner.gae_lambda)
        return standardise(raw, weight)

    def sample(self, episodes: Episodes, fast: State) -> EpisodeTensors:
        """Convert episodes of M tasks to a sample for the policies that played them."""
        adapter = self.adapter
        x = self.standardise(episodes.observation)
        advantage = self.advantages(episodes, x)

        def tensor(values: np.ndarray) -> Tensor:
            return torch.as_tensor(values, dtype=adapter.dtype, device=adapter.device)

        own = {n: fast[n] for n in self.distribution.initial_state()}
        action = torch.as_tensor(episodes.action, device=adapter.device)
        action = action.to(adapter.dtype) if action.is_floating_point() else action
        with torch.no_grad():
            outputs = torch.func.vmap(self.outputs)(fast, x)
            log_prob = torch.func.vmap(self.distribution.log_prob)(own, outputs, action)
        return EpisodeTensors(x, action, tensor(episodes.weight), tensor(advantage), log_prob)

    def sample_tasks(
        self, state: State, env: Any, n_updates: int, execution: Execution, rng: np.random.Generator
    ) -> tuple[tuple[EpisodeTensors, ...], np.ndarray, list[State]]:
        """Play and adapt in each task, K = `n_updates` times, and play again.

        Returned are the K + 1 samples, mean returns (K + 1, M) and policies, tasks stacked on axis
        0.
        """
        n_tasks = env.num_envs // self.learner.n_episodes
        start = self.begin(state)
        fast = {n: v.expand(n_tasks, *v.shape) for n, v in start.items()}
        samples: list[EpisodeTensors] = []
        returns, policies = [], []

        def update(task: tuple[State, EpisodeTensors], k: int) -> State:
            # The first policy is the same in all tasks, which needs fewer products.
            return self.step(state, task[0] if k else start, task[1], k)

        for k in range(n_updates + 1):
            policies.append(fast)
            episodes = self.play(env, fast, rng)
            returns.append(episodes.returns.mean(1))
            samples.append(self.sample(episodes, fast))
            if k < n_updates:
                with torch.no_grad():
                    # The first policy is the same in all tasks, which needs fewer products.
                    fast = execution.map(partial(update, k=k), (fast, samples[-1]))
        return tuple(samples), np.stack(returns), policies
