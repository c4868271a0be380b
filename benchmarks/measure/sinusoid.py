"""Five points of a sinusoid that was never seen: squared error after 1, 5 and 10 inner steps.

    python -m benchmarks.measure.sinusoid maml-paper maml metasgd pretrained

Tasks are those of Finn et al. (2017), section 5.1: amplitude in [0.1, 5], phase in [0, pi], x in
[-5, 5], and a network of two hidden layers of 40 units. Meta-training draws from 20,000 tasks;
the error is the mean over 1,000 other tasks, on 100 query points each, with a 95% interval. All
learners are tested on the same support and query points.

``maml-paper`` has the settings of the paper (one inner step of 0.01, ten points, 25 tasks an
iteration, Adam with 0.001). Those of ``maml`` were chosen on validation tasks, in runs of 12,000
iterations, and ``metasgd`` takes the same (``--validate`` tests on 2,000 validation tasks).
``metanas`` takes them, too, with cells that may have as many parameters as the network; when its
choice is made, at which temperatures, and that no task moves it was chosen on validation tasks. It
is held against ``maml`` after as many iterations (``--set n_iterations=2500``).
``pretrained`` is the paper's comparison: the same
network fitted to all tasks at once, then fine-tuned on the five points with the step size that
is best on validation tasks.

A run resumes where it was stopped. Results go to ``benchmarks/results/sinusoid.json``.
"""

import argparse
import json
import resource
from pathlib import Path

import numpy as np
import torch

from benchmarks.lib.intervals import normal_interval
from benchmarks.lib.resumable import store
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import (
    MAML,
    ExecutionOptions,
    MetaNAS,
    MetaOptimizer,
    MetaSGD,
    Validation,
)

RESULTS = Path(__file__).parents[1] / "results"
STEPS = (1, 5, 10)
N_QUERY = 100
PAPER = {
    "inner_lr": 0.01,
    "n_inner_steps": 1,
    "n_shot": 10,
    "n_query": 10,
    "meta_batch_size": 25,
    "meta_lr": 1e-3,
    "meta_optimizer": MetaOptimizer(schedule="constant", clip_norm=None),
    "standardize": False,
    "n_iterations": 70_000,
}
TUNED = PAPER | {
    "inner_lr": 0.005,
    "n_shot": 5,
    "n_query": 15,
    "meta_lr": 3e-3,
    "meta_optimizer": MetaOptimizer(schedule="cosine"),
    "n_iterations": 40_000,
}
CELLS = {
    "backbone": "cells",
    "max_parameters": 1720,
    "first_order": False,
    "architecture_lr": 0.0,
    "temperature": (0.3, 0.03),
    "annealing": (0.0, 0.3),
}
# No inner step: the squared error of all tasks at once.
FIT_ALL = PAPER | {
    "n_inner_steps": 0,
    "meta_optimizer": MetaOptimizer(schedule="cosine", clip_norm=None),
    "n_iterations": 20_000,
}
SETTINGS = {
    "maml-paper": (MAML, PAPER),
    "maml": (MAML, TUNED),
    "metasgd": (MetaSGD, TUNED),
    "metanas": (MetaNAS, TUNED | CELLS),
    "pretrained": (MAML, FIT_ALL),
}
FINE_TUNING_STEPS = (0.001, 0.003, 0.01, 0.02, 0.03, 0.05)


def errors(learner, seed: int, n_tasks: int) -> np.ndarray:
    """Squared error of each task, of shape (n_steps, n_tasks)."""
    X, y, groups = make_sinusoid_tasks(n_tasks, 5 + N_QUERY, random_state=seed)
    scores = []
    for n_steps in STEPS:
        learner.set_params(n_inner_steps=n_steps, n_shot=5, n_query=N_QUERY)
        scores.append(-learner.score_tasks(X, y, groups + 10**6, n_tasks=n_tasks))
    return np.stack(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("learners", nargs="+", choices=SETTINGS)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="more settings")
    parser.add_argument("--validate", action="store_true", help="test on validation tasks")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    X, y, groups = make_sinusoid_tasks(20_000, 20, random_state=args.seed)
    changes = {k: json.loads(v) for k, v in (s.split("=", 1) for s in args.set)}
    runs = RESULTS / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for name in args.learners:
        cls, settings = SETTINGS[name]
        settings = settings | changes
        run = "-".join(["sinusoid", name, str(args.seed), *args.set]).replace("=", "_")
        common = {
            "backbone": "mlp",
            "validation": Validation(0.0, every=1000),
            "execution": ExecutionOptions(checkpoint=runs / f"{run}.ckpt"),
            "verbose": 1,
            "random_state": args.seed,
        }
        learner = cls(**common | settings)
        learner.fit(X, y, groups=groups)
        record = {
            "settings": settings,
            "tasks": "validation" if args.validate else "test",
            "seed": args.seed,
            "minutes": learner.learning_curve_["seconds"][-1] / 60,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        if settings["n_inner_steps"] == 0:
            tried = {}
            for lr in FINE_TUNING_STEPS:
                learner.set_params(inner_lr=lr)
                tried[lr] = errors(learner, 1001, 2000).mean()
            record["fine_tuning_lr"] = min(tried, key=tried.get)
            learner.set_params(inner_lr=record["fine_tuning_lr"])
        tested = errors(learner, 1001, 2000) if args.validate else errors(learner, 1002, 1000)
        record |= {f"mse_{k}": normal_interval(e) for k, e in zip(STEPS, tested, strict=True)}
        print(name, json.dumps(record, default=repr))
        path = runs / "sinusoid-validation.json" if args.validate else RESULTS / "sinusoid.json"
        store(path, "-".join([name, *args.set]), record)


if __name__ == "__main__":
    main()
