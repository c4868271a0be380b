"""A run that was stopped goes on to the bit, and a file that is not its own is refused."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import make_classes

from skmeta._files import read_tensor_file
from skmeta.exceptions import CheckpointError, SkmetaWarning
from skmeta.learners import MAML, ExecutionOptions, ProtoNet, Validation
from skmeta.training import TrainingSettings, load_checkpoint, meta_train, save_checkpoint
from skmeta.training._checkpoint import FORMAT


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
    settings = TrainingSettings(
        n_iterations, optimizer=optimizer, lr=0.1, schedule="cosine", evaluate_every=3,
        checkpoint=path, fingerprint="one", **settings,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    state, history = meta_train(state, objective, score if validate else None, settings, rng)
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


def test_stopped_twice(tmp_path):
    path = tmp_path / "checkpoint"
    for stop_at in (4, 5):
        with pytest.raises(KeyboardInterrupt):
            run(path, stop_at=stop_at)
    found, expected = run(path), run()
    assert torch.equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_a_finished_run_is_not_run_again(tmp_path):
    path = tmp_path / "checkpoint"
    first, again = run(path), run(path)
    assert again[2] == 0
    assert torch.equal(first[0], again[0])
    assert first[1] == again[1]


def test_patience_is_remembered(tmp_path):
    path = tmp_path / "checkpoint"
    expected = run(patience=1, n_iterations=60)
    assert expected[1]["iteration"][-1] < 60
    with pytest.raises(KeyboardInterrupt):
        run(path, stop_at=4, patience=1, n_iterations=60)
    found = run(path, patience=1, n_iterations=60)
    assert torch.equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_there_may_be_no_file_yet(tmp_path):
    assert load_checkpoint(tmp_path / "none", "one") is None


def test_what_is_saved_is_loaded(tmp_path):
    content = {"state": {"w": torch.arange(3.0)}, "best": None, "score": -float("inf"), "n": 2**100}
    save_checkpoint(tmp_path / "file", "one", content)
    found = load_checkpoint(tmp_path / "file", "one")
    assert torch.equal(found["state"].pop("w"), content["state"].pop("w"))
    assert found == content


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    save_checkpoint(tmp_path / "file", "one", {})
    with pytest.raises(CheckpointError, match=r"file' belongs to a run with other parameters"):
        load_checkpoint(tmp_path / "file", "two")


def write_text(path):
    path.write_text("hello")


def write_tensor(path):
    torch.save(torch.zeros(3), path)


def write_dict(path):
    torch.save({"state": 1}, path)


def write_nothing(path):
    path.write_bytes(b"")


def write_zip(path):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


def write_prior(path):
    run_prior = MAML(backbone_params={"hidden": (5,)}, device="cpu", random_state=0)
    run_prior.initial_prior(*make_classes(), kind="classification").save(path)


FOREIGN = {
    write_text: "it is not a safetensors file",
    write_tensor: "it is not a safetensors file",
    write_dict: "it is not a safetensors file",
    write_nothing: "it is not a safetensors file",
    write_zip: "it is not a safetensors file",
    write_prior: "a safetensors file, but not a checkpoint of skmeta",
}


@pytest.mark.parametrize("write", FOREIGN, ids=lambda write: write.__name__)
def test_a_foreign_file_is_refused_and_kept(tmp_path, write):
    path = tmp_path / "file"
    write(path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=rf"checkpoint='.*file' .*{FOREIGN[write]}.*delete"):
        run(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "file"
    run(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"file' was cut short: .*or delete the file"):
        run(path)


def test_a_flipped_bit_is_refused(tmp_path):
    path = tmp_path / "file"
    run(path)
    whole = path.read_bytes()
    for at in range(0, 8 * len(whole), 37):
        damaged = bytearray(whole)
        damaged[at // 8] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"file' .*or delete the file to start anew"):
            load_checkpoint(path, "one")


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
    with pytest.raises(CheckpointError, match=r"does not fit the run \(.*\)\. Delete the file"):
        run(path)


def test_a_file_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    path = tmp_path / "file"
    torch.save({"format": 1, "fingerprint": "one", "content": Evil()}, path)
    with pytest.raises(CheckpointError, match="it is not a safetensors file"):
        run(path)
    assert not (tmp_path / "evil").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    save_checkpoint(path, "one", {"n": 1})
    with pytest.raises(TypeError, match="lambda"):
        save_checkpoint(path, "one", {"n": lambda: 2})
    assert load_checkpoint(path, "one") == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


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


def test_a_disk_that_is_full_for_a_while(tmp_path, monkeypatch):
    path, expected = tmp_path / "file", run()
    with pytest.raises(KeyboardInterrupt):
        run(path, stop_at=4)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "full")))
        with (
            pytest.warns(SkmetaWarning, match="Training goes on"),
            pytest.raises(KeyboardInterrupt),
        ):
            run(path, stop_at=7)
    assert path.read_bytes() == before
    found = run(path)
    assert torch.equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "checkpoint"):
        with pytest.raises(CheckpointError, match=r"cannot be written .*folder that you may write"):
            run(path)


def test_weights_that_are_no_longer_finite_end_the_run(tmp_path):
    def objective(state, rng, progress):
        return {n: torch.full_like(v, torch.nan) for n, v in state.items()}, {
            "loss": 1.0,
            "score": 0.0,
        }

    settings = TrainingSettings(4, evaluate_every=2, checkpoint=tmp_path / "file")
    with pytest.raises(
        FloatingPointError, match=r"'w' is not finite at iteration 2\. Lower meta_lr"
    ):
        meta_train({"w": torch.ones(2)}, objective, None, settings, np.random.default_rng(0))
    assert not (tmp_path / "file").exists()


SETTINGS = {
    "backbone_params": {"hidden": (5,)},
    "n_way": 3,
    "n_shot": 1,
    "n_query": 2,
    "n_iterations": 4,
    "meta_batch_size": 2,
    "validation": Validation(n_tasks=2, every=2),
    "device": "cpu",
    "random_state": 0,
}


@pytest.mark.parametrize(
    "change",
    [
        {"inner_lr": 0.2},
        {"n_iterations": 6},
        {"random_state": 1},
        {"n_shot": 2},
        {"backbone_params": {"hidden": (6,)}},
    ],
    ids=str,
)
def test_other_settings_are_another_run(tmp_path, change):
    X, y = make_classes()
    MAML(**SETTINGS, checkpoint=tmp_path / "file").fit(X, y)
    with pytest.raises(CheckpointError, match="belongs to a run with other parameters or data"):
        MAML(**SETTINGS | change, checkpoint=tmp_path / "file").fit(X, y)


def test_other_data_or_another_learner_is_another_run(tmp_path):
    X, y = make_classes()
    MAML(**SETTINGS, checkpoint=tmp_path / "file").fit(X, y)
    for learner, rows in ((MAML, X + 1e-9), (ProtoNet, X)):
        with pytest.raises(CheckpointError, match="belongs to a run with other parameters or data"):
            learner(**SETTINGS, checkpoint=tmp_path / "file").fit(rows, y)


def test_other_validation_rows_are_another_run(tmp_path):
    X, y = make_classes()
    settings = SETTINGS | {"validation": Validation(0.2, n_tasks=2, every=2)}
    prior = MAML(**settings, checkpoint=tmp_path / "file").fit(X, y).prior_
    held_out = ~np.isin(y, prior.trained_on)
    assert held_out.any()
    with pytest.raises(CheckpointError, match="belongs to a run with other parameters or data"):
        MAML(**settings, checkpoint=tmp_path / "file").fit(X + 9 * held_out[:, None], y)


def test_other_groups_are_another_run(tmp_path):
    X, y = make_classes()
    settings = SETTINGS | {"validation": 0, "n_shot": 1}
    target, groups = X[:, 0], y // 2
    MAML(**settings, checkpoint=tmp_path / "file").fit(X, target, groups)
    with pytest.raises(CheckpointError, match="belongs to a run with other parameters or data"):
        MAML(**settings, checkpoint=tmp_path / "file").fit(X, target, np.roll(groups, 1))


def test_hardware_settings_are_the_same_run(tmp_path):
    X, y = make_classes()
    prior = MAML(**SETTINGS, checkpoint=tmp_path / "file").fit(X, y).prior_
    changes = {"execution": ExecutionOptions("loop", n_jobs=2), "verbose": 1}
    again = MAML(**SETTINGS, **changes, checkpoint=str(tmp_path / "file")).fit(X, y)
    assert again.prior_ == prior


def test_a_checkpoint_needs_a_seed(tmp_path):
    learner = MAML(**SETTINGS | {"random_state": None}, checkpoint=tmp_path / "file")
    with pytest.raises(ValueError, match=r"random_state is None\. Set random_state to an integer"):
        learner.fit(*make_classes())


SCRIPT = """
import sys
import numpy as np
from skmeta.learners import MAML, Validation

y = np.repeat(np.arange(12), 6)
X = np.random.default_rng(0).normal(size=(len(y), 64))
learner = MAML(
    backbone="conv4", backbone_params={"n_channels": 4, "n_blocks": 2}, n_way=3, n_shot=1,
    n_query=2, n_iterations=int(sys.argv[2]), meta_batch_size=4,
    validation=Validation(n_tasks=4, every=10), device="cpu", random_state=0,
    checkpoint=sys.argv[3] or None,
)
learner.fit(X, y).prior_.save(sys.argv[1])
"""
N_ITERATIONS = 60


def script(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def finish(process):
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error.decode()


@pytest.mark.slow
def test_killed_and_resumed_it_ends_with_the_same_bits(tmp_path):
    finish(script(tmp_path / "expected", N_ITERATIONS, ""))
    path = tmp_path / "checkpoint"
    process = script(tmp_path / "killed", N_ITERATIONS, path)
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    record, _ = read_tensor_file(path, FORMAT)
    done = record["fields"]["content"]["iteration"]
    assert 0 < done < N_ITERATIONS
    finish(script(tmp_path / "resumed", N_ITERATIONS, path))
    files = [Path(tmp_path / name).read_bytes() for name in ("expected", "resumed")]
    assert files[0] == files[1]
