"""Defaults of learners on sinusoids, and the settings that they were chosen from.

    python -m benchmarks.measure.defaults                # the defaults on sinusoids, three seeds
    python -m benchmarks.measure.defaults --set meta_lr=0.001 meta_batch_size=8

Each learner is meta-trained from random weights on 2,000 sinusoids with one thread. The squared
error is the mean over 300 new tasks of 100 query points, after 1, 5 and 10 steps (for Reptile 50,
too) on 5 and 10 points. Development tasks (``--tasks development``) are what settings are chosen
on; ``new`` tasks are what the page reports. ``Gaussian process`` is the plain model that a user of
scikit-learn would try on a smooth curve: it learns from the points of one task alone. Results are
added to ``benchmarks/results/defaults.jsonl``; a run that is there is not repeated.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from benchmarks.lib.resumable import add_line, read_lines
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import ANIL, MAML, LSTMMetaLearner, MetaSGD, Reptile

RESULTS = Path(__file__).parents[1] / "results" / "defaults.jsonl"
LEARNERS = {
    "MAML": MAML,
    "first-order MAML": lambda **settings: MAML(first_order=True, **settings),
    "ANIL": ANIL,
    "Meta-SGD": MetaSGD,
    "Reptile": Reptile,
    "LSTM meta-learner": LSTMMetaLearner,
}
PLAIN = "Gaussian process"
TASKS = {"development": 777, "new": 4242}


def errors(learner, seed):
    """Mean squared error by shots and steps."""
    X, y, groups = make_sinusoid_tasks(300, 110, random_state=seed)
    steps = (1, 5, 10, 50) if isinstance(learner, Reptile) else (1, 5, 10)
    found = {}
    for n_shot in (5, 10):
        for n_steps in steps:
            scores = learner.score_tasks(
                X, y, groups + 10**6, n_tasks=300, n_shot=n_shot, n_query=100,
                n_inner_steps=n_steps, random_state=seed,
            )  # fmt: skip
            found[f"{n_shot}/{n_steps}"] = round(float(-scores.mean()), 4)
    return found


def plain_errors(seed):
    """Mean squared error of a Gaussian process, which takes no steps."""
    X, y, _ = make_sinusoid_tasks(300, 110, random_state=seed)
    tasks = list(zip(X.reshape(300, 110, 1), y.reshape(300, 110), strict=True))
    found = {}
    for n_shot in (5, 10):
        model = GaussianProcessRegressor(ConstantKernel() * RBF(), normalize_y=True)
        each = [
            ((model.fit(x[:n_shot], t[:n_shot]).predict(x[-100:]) - t[-100:]) ** 2).mean()
            for x, t in tasks
        ]
        found |= {f"{n_shot}/{n}": round(float(np.mean(each)), 4) for n in (1, 5, 10)}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--learners", nargs="+", default=[*LEARNERS, PLAIN], choices=[*LEARNERS, PLAIN]
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="other settings")
    parser.add_argument("--tasks", default="new", choices=TASKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = {k: json.loads(v) for k, v in (s.split("=", 1) for s in args.set)}
    known = read_lines(RESULTS)
    for name in args.learners:
        for seed in args.seeds:
            run = {"learner": name, "settings": settings, "seed": seed, "tasks": args.tasks}
            if any(all(record[n] == v for n, v in run.items()) for record in known):
                continue
            if name == PLAIN:
                record = {
                    "iterations": 0,
                    "seconds": 0.0,
                    "errors": plain_errors(TASKS[args.tasks]),
                }
                print(json.dumps(run | record), flush=True)
                add_line(RESULTS, run | record)
                break  # It has no seed.
            X, y, groups = make_sinusoid_tasks(2000, 25, random_state=seed)
            learner, started = LEARNERS[name](**settings, random_state=seed), time.process_time()
            learner.fit(X, y, groups=groups)
            seconds = round(time.process_time() - started, 2)
            record = run | {
                "iterations": learner.learning_curve_["iteration"][-1],
                "seconds": seconds,
            }
            record |= {"errors": errors(learner, TASKS[args.tasks])}
            print(json.dumps(record), flush=True)
            add_line(RESULTS, record)


if __name__ == "__main__":
    main()
