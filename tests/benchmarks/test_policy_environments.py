"""NumPy environments agree with Gymnasium's own, step by step."""

import numpy as np
import pytest
from scipy.stats import uniform

from benchmarks.lib.policy_environments import CartPoleVectorEnv, PendulumVectorEnv, VectorFamily

LENGTHS = {"length": uniform(0.25, 0.75), "masspole": uniform(0.05, 0.45)}
CARTPOLE = VectorFamily("CartPole-v1", LENGTHS, max_episode_steps=200)
PENDULUM = VectorFamily("Pendulum-v1", {n: uniform(0.5, 1) for n in "gml"}, max_episode_steps=200)


@pytest.mark.parametrize("family", [CARTPOLE, PENDULUM], ids=lambda f: f.env_id)
def test_numpy_agrees_with_gymnasium_step_by_step(family):
    rng = np.random.default_rng(0)
    tasks = family.sample(6, rng)
    vector = family.make_vector(tasks, 1)
    assert isinstance(vector, CartPoleVectorEnv | PendulumVectorEnv)
    vector.reset(seed=1)
    singles = [family.make(task) for task in tasks]
    for k, env in enumerate(singles):
        env.reset(seed=0)
        env.unwrapped.state = vector.state[:, k].copy()
    over = np.zeros(6, dtype=bool)
    for _ in range(family.max_episode_steps):
        if family.env_id == "CartPole-v1":
            actions = rng.integers(0, 2, 6)
        else:
            actions = rng.normal(0, 3, (6, 1))
        seen, rewards, terminated, truncated, _ = vector.step(actions)
        for k in np.flatnonzero(~over):
            own = singles[k].step(actions[k])
            np.testing.assert_allclose(seen[k], own[0], rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(rewards[k], own[1], rtol=1e-12)
            assert (terminated[k], truncated[k]) == own[2:4]
        assert (rewards[over] == 0).all()
        over |= terminated | truncated
    assert over.all()
