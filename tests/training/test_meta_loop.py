"""The outer loop against torch's optimizers, and its bookkeeping."""

import math

import numpy as np
import pytest
import torch
from builders import loop_settings

from skmeta._training import meta_train


def start():
    return {"w": torch.tensor([3.0, -2.0], dtype=torch.float64), "b": torch.ones(1).double()}


def objective(state, rng, progress=None):
    """A noisy quadratic, whose gradient depends on the generator."""
    noise = torch.tensor(rng.normal(size=2))
    gradient = {"w": state["w"] + 0.1 * noise, "b": 2 * state["b"]}
    loss = float(0.5 * (state["w"] ** 2).sum() + (state["b"] ** 2).sum())
    return gradient, {"loss": loss, "score": -loss}


def train(validate=None, seed=0, fn=objective, **settings):
    settings = loop_settings(**({"n_iterations": 10, "every": 5} | settings))
    return meta_train(start(), fn, validate, settings, np.random.default_rng(seed))


def plain(optimizer, n_iterations, lr_at=lambda k: 0.1, clip_norm=None, seed=0):
    rng, state = np.random.default_rng(seed), start()
    optimizer = optimizer(state.values(), lr=0.1)
    for k in range(n_iterations):
        gradient, _ = objective(state, rng)
        for name, value in state.items():
            value.grad = gradient[name].clone()
        if clip_norm is not None:
            norm = math.sqrt(sum(float((g**2).sum()) for g in gradient.values()))
            for value in state.values():
                value.grad *= min(1.0, clip_norm / norm)
        optimizer.param_groups[0]["lr"] = lr_at(k)
        optimizer.step()
    return state


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_optimizers_are_torchs_and_schedules_fall_from_the_first_iteration(name, schedule):
    factor = {
        "constant": lambda done: 1.0,
        "linear": lambda done: 1 - done,
        "cosine": lambda done: (1 + np.cos(np.pi * done)) / 2,
    }[schedule]
    found, history = train(optimizer=name.lower(), meta_lr=0.1, schedule=schedule)
    expected = plain(getattr(torch.optim, name), 10, lambda k: 0.1 * factor(k / 10))
    for key in expected:
        torch.testing.assert_close(found[key], expected[key])
    assert history["meta_lr"] == pytest.approx([0.1 * factor(0.4), 0.1 * factor(0.9)])


def test_a_long_gradient_is_clipped_to_the_norm():
    found, _ = train(optimizer="sgd", meta_lr=0.1, clip_norm=0.5)
    expected = plain(torch.optim.SGD, 10, clip_norm=0.5)
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found["w"], plain(torch.optim.SGD, 10)["w"])


def scores(*values):
    """A validation that gives these scores in turn, and remembers the states."""
    states = []

    def validate(state):
        states.append({n: v.clone() for n, v in state.items()})
        return {"loss": 0.0, "score": values[len(states) - 1]}

    return validate, states


def test_the_best_state_by_validation_is_returned():
    validate, states = scores(0.2, 0.7, 0.7, 0.5)
    found, history = train(validate, n_iterations=8, every=2, meta_lr=0.1)
    assert torch.equal(found["w"], states[1]["w"])
    assert not torch.equal(found["w"], states[2]["w"])
    assert history["validation_score"] == [0.2, 0.7, 0.7, 0.5]


@pytest.mark.parametrize(
    ("patience", "values", "n_rows"),
    [(1, [0.5, 0.4], 2), (2, [0.5, 0.4, 0.6, 0.1, 0.2], 5), (None, [5, 4, 3, 2, 1], 5)],
)
def test_patience(patience, values, n_rows):
    validate, _ = scores(*values)
    _, history = train(validate, n_iterations=10, every=2, patience=patience)
    assert history["validation_score"] == values[:n_rows]


def test_the_objective_is_told_how_much_is_done():
    told = []

    def record(state, rng, progress):
        told.append(progress)
        return objective(state, rng)

    train(fn=record, n_iterations=4)
    assert told == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_an_error(loss):
    def fail(state, rng, progress):
        gradient, metrics = objective(state, rng)
        return gradient, metrics | {"loss": loss if float(state["w"][0]) < 2.5 else 1.0}

    match = rf"meta-training loss is {loss} at iteration \d+\. Lower meta_lr or clip_norm"
    with pytest.raises(FloatingPointError, match=match):
        train(fn=fail, meta_lr=0.1, n_iterations=100)


def test_nothing_is_printed_unless_asked_for(capsys):
    train()
    assert capsys.readouterr() == ("", "")
    train(scores(0.25, 0.5)[0], verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "meta-training" in err
    assert "10/10" in err
    assert "validation_score=0.5" in err
