"""Meta-training that is killed again and again ends with the same bits, and leaves nothing behind.

One process imports torch and forks the runs, which it kills at random moments. Each run writes a
checkpoint at each iteration, so that many kills fall into a write.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked")

SCRIPT = """
import os, random, signal, sys, time
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


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path):
    settings = {"capture_output": True, "text": True, "timeout": 300, "check": False}
    settings["env"] = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), "0"], **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in a run" not in done.stdout
    assert done.stdout.count(" kills") == 2
