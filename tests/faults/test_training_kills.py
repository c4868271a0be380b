"""Meta-training that is killed again and again ends with the same bits, and leaves nothing behind.

One process imports torch and forks the runs, which it kills at random moments. Each run writes a
checkpoint at each iteration, so that many kills fall into a write.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked")

COMMON = """
import os, random, resource, signal, sys, time, warnings
from pathlib import Path
import numpy as np
import torch
from skmeta.learners import ExecutionOptions, MAML, Validation

torch.set_num_threads(1)
folder = Path(sys.argv[1])
y = np.repeat(np.arange(12), 6)
X = np.random.default_rng(0).normal(size=(len(y), 8))

def train(checkpoint, name, optimizer):
    learner = MAML(
        backbone_params={"hidden": (6,)}, n_inner_steps=1, n_way=3, n_shot=1, n_query=2,
        n_iterations=16, meta_batch_size=2, meta_optimizer=optimizer,
        validation=Validation(n_tasks=2, every=1), device="cpu", random_state=0,
        execution=ExecutionOptions("loop", checkpoint=checkpoint),
    )
    learner.fit(X, y).prior_.save(folder / name)
    return learner

def fork(*arguments):
    process = os.fork()
    if process == 0:
        try:
            train(*arguments)
        except BaseException as error:
            print("in a run:", repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return process
"""

KILLS = """
random.seed(int(sys.argv[2]))
for optimizer in ("adam", "sgd"):
    train(None, "expected", optimizer)
    checkpoint = folder / f"checkpoint-{optimizer}"
    (folder / "found").unlink(missing_ok=True)
    began = time.monotonic()
    train(folder / "whole", "whole-prior", optimizer)
    whole = time.monotonic() - began
    for name in ("whole", "whole-prior"):
        (folder / name).unlink()
    killed = 0
    while killed < 8:
        process = fork(checkpoint, "found", optimizer)
        time.sleep(random.uniform(0, 0.5 * whole))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        assert os.WIFSIGNALED(status) or status == 0, status
        killed += 1
        if status == 0:
            break  # It was done before it could be killed.
    _, status = os.waitpid(fork(checkpoint, "found", optimizer), 0)
    assert status == 0, status
    assert (folder / "found").read_bytes() == (folder / "expected").read_bytes(), optimizer
    print(optimizer, killed, "kills", flush=True)
"""

FULL_DISK = """
# A file may have at most 2,000 bytes: a write beyond fails as on a full disk.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
train(None, "expected", "adam")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
with warnings.catch_warnings(record=True, action="always") as caught:
    try:
        learner = train(folder / "checkpoint", "found", "adam")
    except OSError as error:
        print("in a run:", repr(error), flush=True)  # saving the prior, which is larger
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
found = [str(w.message) for w in caught if w.category.__name__ == "SkmetaWarning"]
print(len(found), os.listdir(folder), flush=True)
"""


def run(script, *arguments):
    command = [sys.executable, "-c", COMMON + script, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_kills_at_random_moments(tmp_path, seed):
    output = run(KILLS, tmp_path, seed)
    assert "in a run" not in output
    assert output.count(" kills") == 2


@pytest.mark.slow
def test_a_full_disk(tmp_path):
    output = run(FULL_DISK, tmp_path)
    assert "1 ['expected'" in output, output
    assert "checkpoint" not in output, output
