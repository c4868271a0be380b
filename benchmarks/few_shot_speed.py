"""Time of few-shot predictions, of this version against another checkout, side by side.

    python benchmarks/few_shot_speed.py --against ../skmeta-0.1 --threads 1 2

Each version is measured in a process of its own. The processes take turns, so that a busy machine
slows both alike; the smallest time of all turns counts. Without ``--against``, only this version is
measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def smallest(function, n):
    """Smallest time of n calls in milliseconds."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


def measure(n_threads):
    """Milliseconds of this process's version of skmeta."""
    import numpy as np
    import torch
    from sklearn.datasets import load_digits, load_iris

    from skmeta import MetaFewShotClassifier, MetaFewShotRegressor

    torch.set_num_threads(n_threads)
    found = {}
    for name, load in (("iris", load_iris), ("digits", load_digits)):
        X, y = load(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(X))
        X, y = X[order], y[order]
        clf, rest = MetaFewShotClassifier(), X[50:]
        found[f"{name}: fit 50 rows"] = smallest(partial(clf.fit, X[:50], y[:50]), 5)
        found[f"{name}: predict_proba of 1 row"] = smallest(
            partial(clf.predict_proba, rest[:1]), 20
        )
        found[f"{name}: predict_proba of {len(rest):,} rows"] = smallest(
            partial(clf.predict_proba, rest), 3
        )
    reg = MetaFewShotRegressor().fit(X[:50], X[:50, 20])
    found["digits: predict with return_std, 500 rows"] = smallest(
        lambda: reg.predict(X[50:550], return_std=True), 3
    )
    return found


def run(checkout, n_threads):
    """Measure a checkout in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(n_threads)}
    command = [sys.executable, __file__, "--measure", str(n_threads)]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(printed.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout of skmeta")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure)))
        return
    checkouts = {"new": HERE}
    if arguments.against is not None:
        checkouts = {"old": arguments.against.resolve()} | checkouts
    for n_threads in arguments.threads:
        best = {}
        for _ in range(arguments.turns):
            for name, checkout in checkouts.items():
                for what, milliseconds in run(checkout, n_threads).items():
                    times = best.setdefault(what, {})
                    times[name] = min(milliseconds, times.get(name, milliseconds))
        print(f"{n_threads} thread(s), milliseconds")
        for what, times in best.items():
            line = "  ".join(f"{name} {value:9.2f}" for name, value in times.items())
            ratio = f"  new/old {times['new'] / times['old']:.2f}" if "old" in times else ""
            print(f"  {what:45} {line}{ratio}")


if __name__ == "__main__":
    main()
