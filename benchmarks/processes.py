"""Meta-training in one process and in two that ``torchrun`` starts, each with one thread.

    python benchmarks/processes.py
    python benchmarks/processes.py --processor-time

MAML with ``conv4`` of 32 filters on Omniglot, 5-way 1-shot, eight tasks in a meta-iteration.
Printed are seconds of a meta-iteration with one and with two processes, as medians of runs that
alternate, the ratio, and the largest difference of the two priors after all iterations. The first
iterations are left out of the time. Results go to ``benchmarks/results/processes.json``.
On a machine that others use too, ``--processor-time`` gives the processor time of the slowest
process: what the ratio would be if each process had a core, and messages took no time.
In float32, Adam and the kinks of the network may magnify differences of rounding; ``--precision
float64`` tells them from others.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N_ITERATIONS, N_FIRST = 50, 5
RESULTS = Path(__file__).parent / "results"


def train(folder: Path, n_iterations: int, clock_name: str, precision: str) -> None:
    from skmeta.datasets import load_omniglot
    from skmeta.learners import MAML, ExecutionOptions, Validation

    clock, times = getattr(time, clock_name), []

    class Timed(MAML):
        def mean_gradient(self, *args):
            times.append(clock())
            return super().mean_gradient(*args)

    X, y = load_omniglot(subset="test", return_X_y=True, dtype=np.uint8)
    Timed.__name__ = "MAML"
    learner = Timed(
        backbone="conv4", backbone_params={"n_channels": 32}, n_shot=1, inner_lr=0.4,
        meta_batch_size=8, n_iterations=n_iterations,
        validation=Validation(0.0, every=n_iterations),
        execution=ExecutionOptions("loop", precision=precision, n_jobs=1),
        device="cpu", random_state=0,
    ).fit(X, y)  # fmt: skip
    rank = os.environ.get("RANK", "0")
    seconds = (times[-1] - times[N_FIRST]) / (len(times) - 1 - N_FIRST)
    (folder / f"seconds{rank}.json").write_text(json.dumps(seconds))
    np.savez(folder / f"prior{rank}.npz", **learner.prior_.tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=N_ITERATIONS)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--precision", choices=["float32", "float64"], default="float32")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    clock = "process_time" if args.processor_time else "perf_counter"
    if args.folder:
        train(args.folder, args.iterations, clock, args.precision)
        return
    seconds: dict[int, list[float]] = {1: [], 2: []}
    priors: dict[int, dict[str, np.ndarray]] = {}
    for _ in range(args.repetitions):
        for n, each in seconds.items():
            found, priors[n] = run(n, args.iterations, args.precision, args.processor_time)
            each.append(found)
            print(f"{n} processes: {found:.4f} s", flush=True)
    ratios = [one / two for one, two in zip(*seconds.values(), strict=True)]
    record = {
        "clock": clock,
        "iterations": args.iterations,
        "precision": args.precision,
        "seconds_of_one": statistics.median(seconds[1]),
        "seconds_of_two": statistics.median(seconds[2]),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "largest_difference": max(
            float(np.abs(v - priors[2][n]).max()) for n, v in priors[1].items()
        ),
    }
    print(json.dumps(record, indent=1))
    path = RESULTS / "processes.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results[f"{clock}, {args.precision}"] = record
    path.write_text(json.dumps(results, indent=1) + "\n")


def run(n: int, iterations: int, precision: str, processor_time: bool) -> tuple[float, dict]:
    """Seconds of an iteration with ``n`` processes, and the prior."""
    with tempfile.TemporaryDirectory() as folder:
        start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]
        own = [__file__, "--folder", folder, "--iterations", str(iterations)]
        own += ["--precision", precision] + ["--processor-time"] * processor_time
        command = [sys.executable, *(start if n > 1 else []), *own]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        each = [json.loads(p.read_text()) for p in sorted(Path(folder).glob("seconds*"))]
        with np.load(Path(folder) / "prior0.npz") as prior:
            return max(each), {name: prior[name] for name in prior.files}


if __name__ == "__main__":
    main()
