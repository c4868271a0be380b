"""Two processes learn what one does, and one that dies ends both with the checkpoint intact."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import skmeta
from skmeta._backend import Execution, Ranks
from skmeta.priors import MetaPrior

PROGRAM = """
import json, os, sys
from pathlib import Path
import numpy as np
from skmeta import learners
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import ExecutionOptions, Validation
from skmeta.policy import PolicyMAML
from skmeta.policy.environments import PointNavigation

folder, names, dies, seed = Path(sys.argv[1]), *sys.argv[2:]
rank = int(os.environ.get("RANK", "0"))
X, y, groups = make_sinusoid_tasks(n_tasks=40, random_state=0)

def make(name):
    common = dict(
        meta_batch_size=5, device="cpu", execution=ExecutionOptions(precision="float64"),
        random_state=None if seed == "None" else int(seed), verbose=1,
    )
    if name == "PolicyMAML":
        return PolicyMAML(
            n_iterations=3, n_episodes=2, backbone_params={"hidden": (8,)},
            validation=Validation(n_tasks=2, every=1),
            **common,
        )
    checkpoint = None if seed == "None" else folder / "checkpoint"
    learner = getattr(learners, name)(
        n_shot=5, n_query=5, n_iterations=30, validation=Validation(n_tasks=8, every=10),
        backbone_params={"hidden": (8,)}, **common,
    )
    return learner.set_params(execution__checkpoint=checkpoint)

for name in names.split(","):
    learner = make(name)
    if dies == "True" and rank == 1:
        calls = []
        class Deadly(learner.algorithm):
            def mean_gradient(self, *args):
                calls.append(1)
                if len(calls) == 25:
                    os.kill(os.getpid(), 9)
                return super().mean_gradient(*args)
        learner.__dict__["algorithm"] = Deadly
    if name == "PolicyMAML":
        learner.fit(PointNavigation(max_episode_steps=5))
    else:
        learner.fit(X, y, groups)
        (folder / "checkpoint").unlink(missing_ok=True) if dies == "no" else None
    learner.prior_.save(folder / f"{name}{rank}.skmeta")
    (folder / f"{name}{rank}.json").write_text(json.dumps(learner.learning_curve_))
"""


def start(folder, n_processes, *, names="MAML", dies=False, seed=0):
    folder.mkdir(exist_ok=True)
    script = folder / "program.py"
    script.write_text(PROGRAM)
    run = [sys.executable]
    if n_processes > 1:
        run += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}"]
    command = [*run, str(script), str(folder), names, str(dies), str(seed)]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=560, check=False
    )


def environment(**more):
    parts = [str(Path(skmeta.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(parts), "OMP_NUM_THREADS": "1"} | more


def start_two(folder, dies=False):
    """Return how both ended; torchrun could end one before it has said why it ends."""
    folder.mkdir(exist_ok=True)
    script = folder / "program.py"
    script.write_text(PROGRAM)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(folder), "MAML", str(dies), "0"],
            env=environment(
                RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                MASTER_PORT=port, TORCHELASTIC_RUN_ID="two",
            ),
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    errors = [process.communicate(timeout=560)[1] for process in processes]
    return [process.returncode for process in processes], errors


def read(folder, name="MAML", rank=0):
    tensors = MetaPrior.load(folder / f"{name}{rank}.skmeta").tensors
    return tensors, json.loads((folder / f"{name}{rank}.json").read_text())


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-10)


NAMES = ("MAML", "Reptile", "PolicyMAML")


@pytest.fixture(scope="module")
def of_one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    done = start(folder, 1, names=",".join(NAMES), dies="no")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.distributed
@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path, of_one):
    done = start(tmp_path, 2, names=",".join(NAMES), dies="no")
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        (one, curve), (two, shared), (other, same) = (
            read(of_one, name), read(tmp_path, name), read(tmp_path, name, rank=1),
        )  # fmt: skip
        assert_equal(two, one)
        assert all(np.array_equal(other[n], value) for n, value in two.items())
        assert shared == same
        for column in ("iteration", "train_loss", "validation_score"):
            np.testing.assert_allclose(shared[column], curve[column], rtol=1e-9)
    assert done.stderr.count("meta-training: 30/30") == 2  # One of MAML and one of Reptile.


@pytest.mark.distributed
@pytest.mark.slow
def test_a_process_that_dies_ends_all_and_the_checkpoint_is_resumed(tmp_path, of_one):
    folder = tmp_path / "dies"
    codes, errors = start_two(folder, dies=True)
    assert codes == [1, -signal.SIGKILL], errors
    assert "RuntimeError: Another process of this meta-training has ended" in errors[0]
    assert not list(folder.glob("MAML*"))
    resumed = start(folder, 2)
    assert resumed.returncode == 0, resumed.stderr
    assert_equal(read(folder)[0], read(of_one)[0])


@pytest.mark.distributed
@pytest.mark.slow
def test_processes_without_a_seed_agree_and_errors_of_rank_0_reach_all(tmp_path):
    done = start(tmp_path, 2, seed=None)
    assert done.returncode == 0, done.stderr
    for name, value in read(tmp_path)[0].items():
        assert np.array_equal(read(tmp_path, rank=1)[0][name], value)
    (tmp_path / "checkpoint").write_bytes(b"no checkpoint")
    codes, errors = start_two(tmp_path)
    assert codes == [1, 1], errors
    assert "FileFormatError: checkpoint=" in errors[0]


@pytest.mark.parametrize(("n", "size"), [(8, 3), (5, 5), (7, 2), (4, 1), (2, 3)])
def test_shares_cover_the_tasks_and_differ_by_one(n, size):
    parts = [range(n)[Ranks(rank, size).part(n)] for rank in range(size)]
    assert [i for part in parts for i in part] == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("mode", ["loop", "vmap"])
def test_shares_of_a_gradient_add_up_to_it(size, mode, monkeypatch):
    state = {"w": torch.ones(2, dtype=torch.float64)}
    tasks = (torch.arange(10, dtype=torch.float64).reshape(5, 2),)

    def fn(state, task):
        value = (state["w"] * task[0]).pow(3).sum()
        return value, {"loss": value}

    sent = []
    monkeypatch.setattr(
        Ranks, "total", lambda self, tree, weight: sent.append((weight, tree)) or tree
    )
    cpu = torch.device("cpu")
    for rank in range(size):
        Execution(mode, device=cpu, ranks=Ranks(rank, size)).gradient(fn, state, tasks)
    expected, extra = Execution(mode, device=cpu).gradient(fn, state, tasks)
    if size == 1:
        assert not sent
        return
    assert sum(weight for weight, _ in sent) == pytest.approx(1)
    torch.testing.assert_close(sum(w * tree[0]["w"] for w, tree in sent), expected["w"])
    torch.testing.assert_close(sum(w * tree[1]["loss"] for w, tree in sent), extra["loss"])
