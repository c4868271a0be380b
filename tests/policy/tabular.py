"""A decision process that is small enough to list every episode, as an oracle.

Two states, two actions, ``HORIZON`` steps. The first state is 0. All quantities are per step, as
the losses of skmeta are: an expected return divided by the number of steps.
"""

import itertools

import gymnasium
import numpy as np
import torch

from skmeta.policy._episodes import Episodes
from skmeta.policy.environments import NumpyVectorEnv, SingleEnv

HORIZON = 3
# Probability of state 1 next, and reward, by state and action.
NEXT = np.array([[0.2, 0.7], [0.6, 0.1]])
REWARD = np.array([[0.3, -0.4], [1.5, -1.0]])


class TabularVectorEnv(NumpyVectorEnv):
    defaults = {"shift": 0.0}  # noqa: RUF012

    @classmethod
    def spaces(cls):
        box = gymnasium.spaces.Box(np.zeros(2, np.float32), np.ones(2, np.float32))
        return box, gymnasium.spaces.Discrete(2)

    def begin(self, rng, n):
        return np.zeros((1, n))

    def advance(self, state, action):
        at = state[0].astype(int)
        after = self.np_random.random(self.num_envs) < NEXT[at, action]
        reward = REWARD[at, action] + self.parameters["shift"]
        return after[None].astype(float), reward, np.zeros(self.num_envs, bool)

    def observe(self):
        return np.eye(2, dtype=np.float32)[self.state[0].astype(int)]


class Tabular:
    """The same process in each task."""

    max_episode_steps = HORIZON

    def sample(self, n, rng):
        return [{"shift": 0.0} for _ in range(n)]

    def make(self, task):
        return SingleEnv(self.make_vector([task], 1))

    def make_vector(self, tasks, n_episodes):
        return TabularVectorEnv([t for t in tasks for _ in range(n_episodes)], HORIZON)


def all_episodes():
    """Every episode: states (E, T), actions (E, T), rewards (E, T), chance of the transitions."""
    states, actions, chances = [], [], []
    for a in itertools.product((0, 1), repeat=HORIZON):
        for s in itertools.product((0, 1), repeat=HORIZON - 1):
            path = (0, *s)
            chance = 1.0
            for t in range(HORIZON - 1):
                p = NEXT[path[t], a[t]]
                chance *= p if path[t + 1] == 1 else 1 - p
            states.append(path)
            actions.append(a)
            chances.append(chance)
    states, actions = np.array(states), np.array(actions)
    return states, actions, REWARD[states, actions], np.array(chances)


STATES, ACTIONS, REWARDS, CHANCES = all_episodes()


def probabilities(session, fast):
    """Probability (E,) of every episode, with a gradient."""
    x = torch.as_tensor(np.eye(2)[STATES])
    log_p = torch.log_softmax(session.outputs(fast, x), -1)
    log_p = log_p.gather(-1, torch.as_tensor(ACTIONS)[..., None])[..., 0]
    return torch.as_tensor(CHANCES) * log_p.sum(1).exp()


def expected_return(session, fast):
    """Expected return per step."""
    total = torch.as_tensor(REWARDS.sum(1))
    return (probabilities(session, fast) * total).sum() / HORIZON


def adapted(session, state, samples):
    """The policy after one step on each sample."""
    fast = session.begin(state)
    for k, sample in enumerate(samples):
        fast = session.step(state, fast, sample, k)
    return fast


def listed(session, fast, only=None):
    """Every episode with its probability as weight (or the one at position ``only``), a sample."""
    rows = slice(None) if only is None else [only]
    chance = probabilities(session, fast).detach().numpy()[rows]
    weight = np.ones_like(chance) if only is not None else chance
    weights = np.repeat(weight[:, None], HORIZON, axis=1)
    parts = np.eye(2)[STATES[rows]], ACTIONS[rows], REWARDS[rows], weights
    episodes = Episodes(*(part[None] for part in parts))
    stacked = {n: v.detach().unsqueeze(0) for n, v in fast.items()}
    sample = session.sample(episodes, stacked)
    return type(sample)(*(values[0] for values in sample))


def differences(function, state, step=1e-5):
    """Gradient of a function of a state by central differences."""
    actual = {}
    for name, value in state.items():
        slope = torch.zeros_like(value)
        for at in range(value.numel()):
            pair = []
            for sign in (1, -1):
                moved = value.clone()
                moved.view(-1)[at] += sign * step
                pair.append(float(function(state | {name: moved})))
            slope.view(-1)[at] = (pair[0] - pair[1]) / (2 * step)
        actual[name] = slope
    return actual
