"""The outer loop against torch's optimizers, and runs that were stopped go on to the bit."""

import math
import os
from fractions import Fraction

import numpy as np
import pytest
import torch
from builders import SMALL, loop_settings, make_classes
from sklearn.base import clone

from skmeta._training import load_checkpoint, meta_train, save_checkpoint
from skmeta.exceptions import FileFormatError, SkmetaWarning
from skmeta.learners import MAML, ExecutionOptions, ProtoNet, Validation


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
    factors = {"constant": lambda done: 1.0, "linear": lambda done: 1 - done}
    factor = factors.get(schedule, lambda done: (1 + np.cos(np.pi * done)) / 2)
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


def run(path=None, n_iterations=12, stop_at=None, validate=True, optimizer="adam", **settings):
    calls = []

    def objective(state, rng, progress):
        calls.append(1)
        if stop_at is not None and len(calls) > stop_at:
            raise KeyboardInterrupt
        gradient = {n: v + torch.tensor(rng.normal(size=v.shape)) for n, v in state.items()}
        return gradient, {"loss": float((state["w"] ** 2).sum()), "score": 0.0}

    def score(state):
        return {"loss": 0.0, "score": math.sin(100 * float(state["w"][0]))}

    state = {"w": torch.linspace(-1, 1, 5, dtype=torch.float64)}
    settings = loop_settings(
        n_iterations=n_iterations, optimizer=optimizer, meta_lr=0.1, schedule="cosine", every=3,
        checkpoint=path, **settings,
    )  # fmt: skip
    rng, validation = np.random.default_rng(0), score if validate else None
    state, history = meta_train(state, objective, validation, settings, rng, identity="one")
    history.pop("seconds")
    return state["w"], history, len(calls)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("stop_at", [1, 3, 7, 11])
def test_stopped_anywhere_it_ends_the_same(tmp_path, stop_at, validate, optimizer):
    path = tmp_path / "folder" / "checkpoint"
    expected = run(validate=validate, optimizer=optimizer)
    with pytest.raises(KeyboardInterrupt):
        run(path, stop_at=stop_at, validate=validate, optimizer=optimizer)
    assert path.exists() == (stop_at >= 3)
    found = run(path, validate=validate, optimizer=optimizer)
    assert torch.equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert found[2] == 12 - stop_at // 3 * 3


def test_patience_is_remembered(tmp_path):
    path = tmp_path / "checkpoint"
    expected = run(patience=1, n_iterations=60)
    assert expected[1]["iteration"][-1] < 60
    with pytest.raises(KeyboardInterrupt):
        run(path, stop_at=4, patience=1, n_iterations=60)
    found = run(path, patience=1, n_iterations=60)
    assert torch.equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_no_object_of_another_class_is_read(tmp_path):
    save_checkpoint(tmp_path / "file", "one", {"n": Fraction(1, 2)})
    with pytest.raises(FileFormatError, match="other objects than tensors and plain values"):
        load_checkpoint(tmp_path / "file", "one")


def write_text(path):
    path.write_text("hello")


def write_prior(path):
    run_prior = MAML(backbone_params={"hidden": (5,)}, device="cpu", random_state=0)
    run_prior.initial_prior(*make_classes(), kind="classification").save(path)


FOREIGN = {
    write_text: "it is not a safetensors file",
    write_prior: "a safetensors file, but not a checkpoint of skmeta",
}


@pytest.mark.parametrize("write", FOREIGN, ids=lambda write: write.__name__)
def test_a_foreign_file_is_refused_and_kept(tmp_path, write):
    path = tmp_path / "file"
    write(path)
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match=rf"checkpoint='.*file' .*{FOREIGN[write]}.*delete"):
        run(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"state": {}},
        {"state": {"w": torch.zeros(4, dtype=torch.float64)}},
        {"state": None},
        {"optimizer": 3},
        {"rng": {}},
        {"rng": {"bit_generator": "MT19937"}},
    ],
    ids=lambda change: str(change)[:40],
)
def test_content_that_does_not_fit_the_run_is_refused(tmp_path, change):
    path = tmp_path / "file"
    with pytest.raises(KeyboardInterrupt):
        run(path, stop_at=4)
    save_checkpoint(path, "one", load_checkpoint(path, "one") | change)
    with pytest.raises(FileFormatError, match=r"does not fit the run \(.*\)\. Delete the file"):
        run(path)


def test_a_full_disk_warns_once_and_training_goes_on(tmp_path, monkeypatch):
    path, expected, n_calls = tmp_path / "file", run(), []

    def fail(descriptor):
        n_calls.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.warns(SkmetaWarning, match=r"file' cannot be written \(.*No space left") as caught:
        found = run(path)
    assert len(caught) == 1
    assert len(n_calls) == 4, "each checkpoint is tried"
    assert torch.equal(found[0], expected[0])
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "checkpoint"):
        with pytest.raises(FileFormatError, match=r"cannot be written .*folder that you may write"):
            run(path)


SETTINGS = SMALL | {"backbone_params": {"hidden": (5,)}, "n_shot": 1, "n_iterations": 4}
SETTINGS |= {"validation": Validation(n_tasks=2, every=2)}


def kept(folder, execution=None, **changes):
    execution = execution or ExecutionOptions()
    return changes | {"execution": clone(execution).set_params(checkpoint=folder / "file")}


@pytest.mark.parametrize(
    "change",
    [
        {"inner_lr": 0.2},
        {"n_iterations": 6},
        {"random_state": 1},
        {"n_shot": 2},
        {"learn": {"inner_lr": "tensor and step"}},
        {"validation": Validation(n_tasks=2, every=2, patience=2)},
        {"execution": ExecutionOptions(precision="float64")},
        {"backbone_params": {"hidden": (6,)}},
    ],
    ids=str,
)
def test_other_settings_are_another_run(tmp_path, change):
    X, y = make_classes()
    MAML(**SETTINGS, **kept(tmp_path)).fit(X, y)
    with pytest.raises(FileFormatError, match="belongs to a run with other parameters or data"):
        MAML(**SETTINGS | kept(tmp_path, **change)).fit(X, y)


def test_other_data_or_another_learner_is_another_run(tmp_path):
    X, y = make_classes()
    MAML(**SETTINGS, **kept(tmp_path)).fit(X, y)
    for learner, rows in ((MAML, X + 1e-9), (ProtoNet, X)):
        with pytest.raises(FileFormatError, match="belongs to a run with other parameters or data"):
            learner(**SETTINGS, **kept(tmp_path)).fit(rows, y)


def test_other_validation_rows_are_another_run(tmp_path):
    X, y = make_classes()
    settings = SETTINGS | {"validation": Validation(0.2, n_tasks=2, every=2)}
    prior = MAML(**settings, **kept(tmp_path)).fit(X, y).prior_
    held_out = ~np.isin(y, prior.trained_on)
    assert held_out.any()
    with pytest.raises(FileFormatError, match="belongs to a run with other parameters or data"):
        MAML(**settings, **kept(tmp_path)).fit(X + 9 * held_out[:, None], y)


def test_hardware_settings_are_the_same_run(tmp_path):
    X, y = make_classes()
    prior = MAML(**SETTINGS, **kept(tmp_path)).fit(X, y).prior_
    path = str(tmp_path / "file")
    changes = {"execution": ExecutionOptions("loop", n_jobs=2, checkpoint=path), "verbose": 1}
    again = MAML(**SETTINGS, **changes).fit(X, y)
    assert again.prior_ == prior


def test_a_checkpoint_needs_a_seed(tmp_path):
    learner = MAML(**SETTINGS | {"random_state": None}, **kept(tmp_path))
    with pytest.raises(ValueError, match=r"random_state is None\. Set random_state to an integer"):
        learner.fit(*make_classes())
