"""Two processes learn what one does, and one that dies ends both with the checkpoint intact."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import skmeta
from skmeta.backend import Ranks
from skmeta.exceptions import DistributedError
from skmeta.priors import MetaPrior

N_ITERATIONS = 50
# A learner's name, and one of its parameters.
PROGRAM = """
import json, os, sys
from pathlib import Path
import numpy as np
from skmeta import learners
from skmeta.datasets import make_sinusoid_tasks

folder, name, n_iterations, dies, seed = Path(sys.argv[1]), *sys.argv[2:]
rank = int(os.environ.get("RANK", "0"))
learner_class = getattr(learners, name)

if dies == "True" and rank == 1:
    calls = []

    class Dies(learner_class):
        def mean_gradient(self, *args):
            calls.append(1)
            if len(calls) == 25:
                os.kill(os.getpid(), 9)
            return super().mean_gradient(*args)

    Dies.__name__, Dies.__module__ = name, learner_class.__module__
    learner_class = Dies
X, y, groups = make_sinusoid_tasks(n_tasks=40, random_state=0)
learner = learner_class(
    n_shot=5, n_query=5, meta_batch_size=5, n_iterations=int(n_iterations),
    validation=learners.Validation(n_tasks=8, every=10, patience=4),
    backbone_params={"hidden": (8,)}, device="cpu",
    random_state=None if seed == "None" else int(seed), verbose=1,
    checkpoint=None if seed == "None" else folder / "checkpoint",
).fit(X, y, groups)
learner.prior_.save(folder / f"prior{rank}.skmeta")
(folder / f"history{rank}.json").write_text(json.dumps(learner.history_))
"""


def start(folder, n_processes, *, name="MAML", dies=False, seed=0, n_iterations=N_ITERATIONS):
    script = folder / "program.py"
    script.write_text(textwrap.dedent(PROGRAM))
    run = [sys.executable]
    if n_processes > 1:
        run += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}"]
    command = [*run, str(script), str(folder), name, str(n_iterations), str(dies), str(seed)]
    path = os.pathsep.join(
        [str(Path(skmeta.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def tensors(folder, rank=0):
    return MetaPrior.load(folder / f"prior{rank}.skmeta").tensors


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("name", ["MAML", "Reptile"])
def test_two_processes_learn_what_one_does(name, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for n_processes, folder in enumerate(folders, 1):
        folder.mkdir()
        done = start(folder, n_processes, name=name)
        assert done.returncode == 0, done.stderr
    assert_close(tensors(folders[1]), tensors(folders[0]))
    # One history, and one progress bar.
    one, two, other = (
        json.loads((folder / f"history{rank}.json").read_text())
        for folder, rank in ((folders[0], 0), (folders[1], 0), (folders[1], 1))
    )
    assert two == other
    for name in ("iteration", "train_loss", "validation_score", "task_ridge_score"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4)
    assert done.stderr.count(": 50/50 iterations") == 1


@pytest.mark.slow
@pytest.mark.distributed
def test_a_process_that_dies_ends_all_and_the_checkpoint_is_resumed(tmp_path):
    folder, whole = tmp_path / "dies", tmp_path / "whole"
    for path in (folder, whole):
        path.mkdir()
    done = start(folder, 2, dies=True)
    assert done.returncode != 0
    assert str(-signal.SIGKILL.value) in done.stderr
    assert not list(folder.glob("prior*"))
    resumed = start(folder, 1)
    assert resumed.returncode == 0, resumed.stderr
    assert ": 21/50" in resumed.stderr  # It went on from the last checkpoint.
    assert start(whole, 1).returncode == 0
    assert_close(tensors(folder), tensors(whole))


@pytest.mark.slow
@pytest.mark.distributed
def test_processes_without_a_seed_agree_and_errors_come_from_rank_0(tmp_path):
    done = start(tmp_path, 2, seed=None, n_iterations=10)
    assert done.returncode == 0, done.stderr
    for name, value in tensors(tmp_path).items():
        assert np.array_equal(tensors(tmp_path, 1)[name], value)
    (tmp_path / "checkpoint").write_bytes(b"no checkpoint")
    done = start(tmp_path, 2, n_iterations=10)
    assert done.returncode != 0
    assert "CheckpointError: checkpoint=" in done.stderr


@pytest.mark.parametrize(("n", "size"), [(8, 3), (5, 5), (7, 2), (4, 1)])
def test_shares_cover_the_tasks_and_differ_by_one(n, size):
    parts = [range(n)[Ranks(rank, size).part(n)] for rank in range(size)]
    assert [i for part in parts for i in part] == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_fewer_tasks_than_processes_are_refused():
    with pytest.raises(DistributedError, match=r"meta_batch_size=3 is less than .* 4"):
        Ranks(0, 4).part(3)


def test_one_process_exchanges_nothing():
    ranks, tree = Ranks.join(), {"w": torch.ones(2)}
    assert (ranks.rank, ranks.size) == (0, 1)
    assert ranks.weighted_sum(tree, 1.0) is tree
    assert ranks.share(lambda: tree) is tree
