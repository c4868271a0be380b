"""A limit to the time of meta-training, and what is kept of a run that diverges."""

import numpy as np
import pytest
import torch
from builders import loop_settings

from skmeta.exceptions import DivergenceWarning
from skmeta.training import meta_train, time_limit

SETTINGS = loop_settings(n_iterations=6, optimizer="sgd", meta_lr=0.1, every=2)


def train(objective=None, validate=None, settings=SETTINGS):
    def descend(state, rng, progress):
        return {"x": 2 * state["x"]}, {"loss": float(state["x"] ** 2), "score": 0.0}

    start = {"x": torch.tensor(1.0, dtype=torch.float64)}
    return meta_train(start, objective or descend, validate, settings, np.random.default_rng(0))


def test_a_run_without_time_takes_one_step():
    with time_limit(0.0):
        state, history = train()
    assert history["iteration"] == [1]
    # The schedule is at its end: with a constant one, the step is as large as ever.
    assert float(state["x"]) == pytest.approx(0.8)


def test_a_run_with_time_to_spare_does_not_depend_on_it():
    expected, history = train()
    with time_limit(1e6):
        found, limited = train()
    assert float(found["x"]) == float(expected["x"])
    assert limited["iteration"] == history["iteration"] == [2, 4, 6]


def test_a_limit_ends_with_its_context():
    with time_limit(0.0):
        pass
    assert train()[1]["iteration"] == [2, 4, 6]
    with time_limit(0.0), time_limit(None):
        assert train()[1]["iteration"] == [2, 4, 6]


def diverge_at(iteration):
    calls = []

    def objective(state, rng, progress):
        calls.append(1)
        loss = np.inf if len(calls) > iteration else float(state["x"] ** 2)
        return {"x": 2 * state["x"]}, {"loss": loss, "score": 0.0}

    return objective


def test_the_best_state_is_kept_if_a_run_diverges():
    def validate(state):
        return {"loss": 0.0, "score": -float(state["x"])}

    with pytest.warns(DivergenceWarning, match=r"inf at iteration 5.* The best validated state is"):
        state, history = train(diverge_at(5), validate)
    assert history["iteration"] == [2, 4]
    assert float(state["x"]) == pytest.approx(0.8**4)


def test_without_a_validated_state_it_is_an_error():
    with pytest.raises(FloatingPointError, match="Lower meta_lr or clip_norm"):
        train(diverge_at(5))
    with pytest.raises(FloatingPointError, match="inf at iteration 1"):
        train(diverge_at(1), lambda state: {"loss": 0.0, "score": 0.0})
