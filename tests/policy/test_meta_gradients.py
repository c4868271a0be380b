"""Meta-gradients against a decision process whose episodes are all listed."""

import numpy as np
import pytest
import torch
from tabular import (
    CHANCES,
    HORIZON,
    REWARDS,
    Tabular,
    change,
    differences,
    expected_return,
    listed,
    log_probs,
    probabilities,
)

from skmeta.backend import Execution
from skmeta.policy import PolicyMAML, PolicyReptile
from skmeta.policy._core._meta_fit import make_session
from skmeta.policy._maml import meta_kl, meta_loss
from skmeta.policy.environments import make_vector

INNER_LR = 0.8


def begin(**settings):
    """A learner with a small network at work, in float64, without a baseline."""
    settings = {
        "hidden": (3,),
        "initial_head_scale": 3.0,
        "inner_lr": INNER_LR,
        "baseline": "none",
        "discount": 1.0,
        "standardize": False,
        "standardize_advantages": False,
        "inner_kl_weight": 0.0,
        "precision": "float64",
    } | settings
    learner = PolicyMAML(**settings)
    session, state = make_session(learner, Tabular(), np.random.default_rng(0))
    return learner, session, state


def slope_of(learner, session, state, samples):
    def loss(at):
        return meta_loss(learner, session, at, samples)[0]

    return torch.func.grad(loss)(state)


def listed_samples(session, state, n_steps):
    """Every episode, before and after each update."""
    samples = []
    for _ in range(n_steps):
        samples.append(listed(session, session.adapt(state, samples)))
    return (*samples, listed(session, session.adapt(state, samples)))


def exact_step(session, fast):
    """A step on the exact gradient of the expected return."""
    slope = torch.func.grad(lambda at: expected_return(session, at))(fast)
    return {n: fast[n] + INNER_LR * slope[n] for n in fast}


def assert_close(found, expected, rtol=1e-5):
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=rtol, atol=1e-8)


def far_apart(a, b):
    size = max(float(v.abs().max()) for v in b.values())
    return max(float((a[n] - b[n]).abs().max()) for n in b) > 0.01 * size


def test_episodes_are_listed_once():
    _, session, state = begin()
    assert float(probabilities(session, state).sum()) == pytest.approx(1.0)
    assert CHANCES.sum() == pytest.approx(2**3)


def test_without_inner_steps_it_is_the_policy_gradient():
    learner, session, state = begin(n_inner_steps=0)
    found = slope_of(learner, session, state, listed_samples(session, state, 0))
    assert_close(found, differences(lambda at: -expected_return(session, at), state))


@pytest.mark.parametrize("n_steps", [1, 2])
def test_dice_is_the_exact_gradient_after_exact_steps(n_steps):
    """Sampling is replaced by listing, so theta' = theta + alpha grad J(theta)."""
    learner, session, state = begin(estimator="dice", n_inner_steps=n_steps)
    samples = listed_samples(session, state, n_steps)

    def objective(at):
        for _ in range(n_steps):
            at = exact_step(session, at)
        return -expected_return(session, at)

    found = slope_of(learner, session, state, samples)
    expected = differences(objective, state)
    assert_close(found, expected, rtol=1e-4)
    learner, session, state = begin(estimator="dice", n_inner_steps=n_steps, first_order=True)
    assert far_apart(slope_of(learner, session, state, samples), expected)


def test_first_order_is_the_policy_gradient_at_the_adapted_policy():
    learner, session, state = begin(n_inner_steps=1, first_order=True)
    found = slope_of(learner, session, state, listed_samples(session, state, 1))
    adapted = exact_step(session, state)
    assert_close(found, torch.func.grad(lambda at: -expected_return(session, at))(adapted))


def after_one_episode(session, state, k):
    """Expected return after a step on the k-th episode alone."""
    log_p = torch.func.grad(lambda at: _weighted_log_prob(session, at, k))(state)
    return expected_return(session, {n: state[n] + INNER_LR * log_p[n] for n in state})


def _weighted_log_prob(session, at, k):
    to_go = np.cumsum(REWARDS[k][::-1])[::-1].copy()
    return (log_probs(session, at)[k] * torch.as_tensor(to_go)).sum() / HORIZON


def e_maml_objective(session, state):
    """Expected return after a step on one drawn episode: E over tau ~ pi of J(theta'(tau))."""
    chance = probabilities(session, state)
    after = torch.stack([after_one_episode(session, state, k) for k in range(len(CHANCES))])
    return -(chance * after).sum()


@pytest.mark.parametrize("estimator", ["e-maml", "likelihood"])
def test_e_maml_is_exact_for_a_single_episode(estimator):
    """The mean over all first episodes is the gradient that includes how likely each was."""
    learner, session, state = begin(estimator=estimator, n_inner_steps=1)
    chance = probabilities(session, state)
    total = {n: torch.zeros_like(v) for n, v in state.items()}
    for k in range(len(CHANCES)):
        first = listed(session, state, only=k)
        adapted = session.adapt(state, [first])
        last = listed(session, adapted)
        last = last._replace(credit=expected_return(session, adapted).detach())
        found = slope_of(learner, session, state, (first, last))
        total = {n: total[n] + chance[k] * found[n] for n in total}
    expected = differences(lambda at: e_maml_objective(session, at), state)
    if estimator == "e-maml":
        assert_close(total, expected, rtol=1e-4)
    else:
        assert far_apart(total, expected)


def mean_and_error(learner, session, state, n_tasks, n_episodes):
    """Mean meta-gradient over played episodes, and its standard error."""
    learner.n_episodes = n_episodes
    rng = np.random.default_rng(3)
    env = make_vector(Tabular(), Tabular().sample(n_tasks, rng), n_episodes)
    with Execution("vmap", device=torch.device("cpu")) as execution:
        samples, _ = session.sample_tasks(state, env, n_tasks, 1, execution, rng)
        each = execution.map(lambda s: slope_of(learner, session, state, s), samples)
    mean = {n: v.mean(0) for n, v in each.items()}
    error = {n: v.std(0) / n_tasks**0.5 for n, v in each.items()}
    return mean, error


def largest_z(mean, error, expected):
    return max(float(((mean[n] - expected[n]) / error[n]).abs().max()) for n in mean)


def test_e_maml_from_played_episodes_within_monte_carlo_error():
    learner, session, state = begin(estimator="e-maml", n_inner_steps=1)
    expected = differences(lambda at: e_maml_objective(session, at), state)
    mean, error = mean_and_error(learner, session, state, n_tasks=20_000, n_episodes=1)
    # 17 parameters: a |z| above 3.7 is seen once in 300 seeds.
    assert largest_z(mean, error, expected) < 3.7
    learner, session, state = begin(estimator="likelihood", n_inner_steps=1)
    mean, error = mean_and_error(learner, session, state, n_tasks=20_000, n_episodes=1)
    assert largest_z(mean, error, expected) > 6


def test_dice_from_played_episodes_within_monte_carlo_error():
    learner, session, state = begin(estimator="dice", n_inner_steps=1)
    expected = differences(lambda at: -expected_return(session, exact_step(session, at)), state)
    mean, error = mean_and_error(learner, session, state, n_tasks=300, n_episodes=500)
    assert largest_z(mean, error, expected) < 3.7


def test_dice_and_lvc_agree_on_the_first_order():
    _, session, state = begin()
    sample = listed(session, state)
    slopes = []
    for estimator in ("lvc", "dice", "likelihood"):
        session.learner.estimator = estimator
        slopes.append(session.adapt(state, [sample]))
    assert_close(slopes[0], slopes[1])
    assert_close(slopes[0], slopes[2])
    assert_close(slopes[0], exact_step(session, state))


def test_a_trust_region_step_stays_in_its_region_and_descends():
    learner, session, state = begin(n_inner_steps=1, outer="trust_region", max_kl=0.02)
    samples = listed_samples(session, state, 1)
    stacked = tuple(change(sample, lambda values: values[None]) for sample in samples)
    with Execution("loop", device=torch.device("cpu")) as execution:
        step, before = learner.meta_gradient(session, state, stacked, execution)
    new = {n: state[n] - step[n] for n in state}
    after, _ = meta_loss(learner, session, new, samples)
    assert float(after) < float(before)
    assert 0.002 < float(meta_kl(session, new, samples)) <= 0.02


def test_reptile_moves_to_where_the_steps_end():
    _, session, state = begin(n_inner_steps=2)
    samples = listed_samples(session, state, 2)
    stacked = tuple(change(sample, lambda values: values[None]) for sample in samples)
    with Execution("loop", device=torch.device("cpu")) as execution:
        found, _ = PolicyReptile(n_inner_steps=2).meta_gradient(session, state, stacked, execution)
    end = exact_step(session, exact_step(session, state))
    assert_close(found, {n: state[n] - end[n] for n in state})
