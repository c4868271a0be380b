"""Meta-gradients against a decision process whose episodes are all listed."""

import numpy as np
import pytest
import torch
from tabular import Tabular, adapted, differences, expected_return, listed

from skmeta._backend import Execution
from skmeta.learners import ExecutionOptions
from skmeta.policy import PolicyMAML
from skmeta.policy._episodes import discounted_sums
from skmeta.policy._meta_fit import make_session, meta_loss
from skmeta.policy.environments import make_vector

INNER_LR = 0.8


def begin(**settings):
    """A learner with a small network at work, in float64, without a baseline."""
    defaults = {"backbone_params": {"hidden": (3,)}, "inner_lr": INNER_LR, "discount": 1.0}
    defaults |= {"standardize": False, "execution": ExecutionOptions(precision="float64")}
    settings = defaults | settings
    learner = PolicyMAML(**settings)
    session, state = make_session(learner, Tabular(), np.random.default_rng(0))
    session.advantages = lambda episodes, x: discounted_sums(episodes.reward, learner.discount)
    state["head.weight"] = 30 * state["head.weight"]
    return learner, session, state


def slope_of(session, state, samples):
    def loss(at):
        return meta_loss(session, at, samples)[0]

    return torch.func.grad(loss)(state)


def listed_samples(session, state, n_steps):
    samples = []
    for _ in range(n_steps):
        samples.append(listed(session, adapted(session, state, samples)))
    return (*samples, listed(session, adapted(session, state, samples)))


def exact_step(session, fast):
    """A step on the exact gradient of the expected return."""
    slope = torch.func.grad(lambda at: expected_return(session, at))(fast)
    return {n: fast[n] + INNER_LR * slope[n] for n in fast}


def assert_close(actual, expected, rtol=1e-5):
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=rtol, atol=1e-8)


def far_apart(a, b):
    size = max(float(v.abs().max()) for v in b.values())
    return max(float((a[n] - b[n]).abs().max()) for n in b) > 0.01 * size


def test_without_inner_steps_it_is_the_policy_gradient():
    _learner, session, state = begin(n_inner_steps=0)
    actual = slope_of(session, state, listed_samples(session, state, 0))
    assert_close(actual, differences(lambda at: -expected_return(session, at), state))


@pytest.mark.parametrize("n_steps", [1, 2])
def test_dice_is_the_exact_gradient_after_exact_steps(n_steps):
    """Sampling is replaced by listing, so theta' = theta + alpha grad J(theta)."""
    _, session, state = begin(estimator="dice", n_inner_steps=n_steps)
    samples = listed_samples(session, state, n_steps)

    def objective(at):
        for _ in range(n_steps):
            at = exact_step(session, at)
        return -expected_return(session, at)

    actual = slope_of(session, state, samples)
    expected = differences(objective, state)
    assert_close(actual, expected, rtol=1e-4)
    _learner, session, state = begin(estimator="dice", n_inner_steps=n_steps, first_order=True)
    assert far_apart(slope_of(session, state, samples), expected)


def test_first_order_is_the_policy_gradient_at_the_adapted_policy():
    _learner, session, state = begin(n_inner_steps=1, first_order=True)
    actual = slope_of(session, state, listed_samples(session, state, 1))
    adapted = exact_step(session, state)
    assert_close(actual, torch.func.grad(lambda at: -expected_return(session, at))(adapted))


def mean_and_error(learner, session, state, n_tasks, n_episodes):
    learner.n_episodes = n_episodes
    rng = np.random.default_rng(3)
    env = make_vector(Tabular(), Tabular().sample(n_tasks, rng), n_episodes)
    with Execution("vmap", device=torch.device("cpu")) as execution:
        samples, *_ = session.sample_tasks(state, env, 1, execution, rng)
        each = execution.map(lambda s: slope_of(session, state, s), samples)
    mean = {n: v.mean(0) for n, v in each.items()}
    error = {n: v.std(0) / n_tasks**0.5 for n, v in each.items()}
    return mean, error


def test_dice_from_played_episodes_within_monte_carlo_error():
    learner, session, state = begin(estimator="dice", n_inner_steps=1)
    expected = differences(lambda at: -expected_return(session, exact_step(session, at)), state)
    mean, error = mean_and_error(learner, session, state, n_tasks=300, n_episodes=500)
    for name, value in mean.items():
        assert ((value - expected[name]) / error[name]).abs().max() < 3.7
