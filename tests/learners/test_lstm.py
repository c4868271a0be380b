"""The LSTM meta-learner against the paper's equations, coordinate by coordinate."""

import math
from functools import partial

import builders
import numpy as np
import pytest
import torch
from builders import plain_loss, tiny_mlp
from scipy.special import expit

from skmeta.learners import LSTMMetaLearner
from skmeta.learners.learned_optimizers import ravel

N_FEATURES, N_WAY, N_HIDDEN, N_STEPS = 3, 3, 4, 3
STEP = 1e-6


def make_learner(**settings):
    return LSTMMetaLearner(n_hidden=N_HIDDEN, n_inner_steps=N_STEPS, inner_lr=0.1, **settings)


def make_context(kind="classification", module=None, head="learned"):
    return builders.make_context(module or tiny_mlp(), kind=kind, head=head)


make_state = partial(builders.make_state, scale=0.3)
make_task = partial(builders.make_task, n_support=6)


def weights_of(state):
    return {n: v for n, v in state.items() if n.startswith(("body.", "head."))}


def pair(x):
    """Equation of section 3.2, for one number."""
    if abs(x) >= math.exp(-10):
        return [math.log(abs(x)) / 10, np.sign(x)]
    return [-1.0, math.exp(10) * x]


class Coordinate:
    """The two cells for one weight, in NumPy."""

    def __init__(self, state, theta):
        self.state = {n: v.detach().numpy() for n, v in state.items()}
        self.theta, self.forget, self.input = theta, 1.0, 0.0
        self.hidden, self.cell = np.zeros(N_HIDDEN), np.zeros(N_HIDDEN)

    def step(self, slope, loss):
        seen = np.array(pair(slope) + pair(loss))
        weight, bias = self.state["lstm.weight"], self.state["lstm.bias"]
        i, f, g, o = np.split(weight @ [*seen, *self.hidden] + bias, 4)
        self.cell = expit(f) * self.cell + expit(i) * np.tanh(g)
        self.hidden = expit(o) * np.tanh(self.cell)
        self.forget, self.input = self.gate("forget", self.forget), self.gate("input", self.input)
        self.theta = self.forget * self.theta - self.input * slope

    def gate(self, name, before):
        seen = np.array([*self.hidden, self.theta, before])
        return expit(self.state[f"gate.{name}.weight"] @ seen + self.state[f"gate.{name}.bias"][0])


def unroll(state, slopes, losses):
    """Weights after all steps, if gradients and losses are given numbers."""
    theta = weights_of(state)
    cells = [Coordinate(state, value) for value in ravel(theta).numpy()]
    for slope, loss in zip(slopes, losses, strict=True):
        for cell, own in zip(cells, slope, strict=True):
            cell.step(own, loss)
    return np.array([cell.theta for cell in cells])


def split(values, like):
    pieces = torch.tensor(values).split([v.numel() for v in like.values()])
    return {n: p.reshape(like[n].shape) for n, p in zip(like, pieces, strict=True)}


def record(state, support):
    """Gradients and losses met on the way, and the weights that come of it."""
    slopes, losses = [], []
    like = weights_of(state)
    theta = like
    for _ in range(N_STEPS):
        at = {n: v.detach().clone().requires_grad_() for n, v in theta.items()}
        loss = plain_loss(at, support)
        slopes.append(ravel(dict(zip(at, torch.autograd.grad(loss, at.values()), strict=True))))
        losses.append(float(loss.detach()))
        theta = split(unroll(state, [s.numpy() for s in slopes], losses), like)
    return [s.numpy() for s in slopes], losses, theta


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_adaptation_is_that_of_the_paper_coordinate_by_coordinate(kind):
    learner, context = make_learner(), make_context(kind)
    state, task = make_state(learner, context), make_task(kind=kind)
    adapted = learner.algorithm(learner).adapt(context, state, task.support)
    _, _, expected = record(state, task.support)
    assert adapted.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(adapted[name], value, rtol=1e-9, atol=1e-12)
        assert (value - state[name]).abs().max() > 1e-3


def test_a_step_without_gradient_in_the_body_is_a_step_all_the_same():
    """Equal rows of the head: the first gradient is zero below it, and known to be."""
    learner, context = make_learner(), make_context(head="shared")
    state, task = make_state(learner, context), make_task()
    adapted = learner.algorithm(learner).adapt(context, state, task.support)
    rows = {n: state[n].expand(N_WAY, *state[n].shape[1:]) for n in ("head.weight", "head.bias")}
    _, _, expected = record(state | rows, task.support)
    for name, value in expected.items():
        torch.testing.assert_close(adapted[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_meta_gradient_is_that_with_gradients_and_losses_held_fixed(kind):
    learner, context = make_learner(), make_context(kind)
    state, task = make_state(learner, context), make_task(kind=kind)
    gradient, _ = learner.algorithm(learner).meta_gradient(context, state, task)
    slopes, losses, _ = record(state, task.support)

    def query_loss(at):
        theta = split(unroll(at, slopes, losses), weights_of(state))
        return float(plain_loss(theta, task.query))

    for name, value in state.items():
        for k in (0, value.numel() - 1):
            bump = torch.zeros(value.numel(), dtype=torch.float64)
            bump[k] = STEP
            bump = bump.reshape(value.shape)
            up, down = (query_loss(state | {name: value + s * bump}) for s in (1, -1))
            expected = (up - down) / (2 * STEP)
            found = float(gradient[name].reshape(-1)[k])
            assert abs(found - expected) < 1e-7 + 1e-5 * abs(expected), (name, k, found, expected)
