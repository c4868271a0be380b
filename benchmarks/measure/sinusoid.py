"""Five points of a sinusoid that was never seen: squared error after 1, 5 and 10 inner steps.

    python -m benchmarks.measure.sinusoid maml-paper maml metasgd pretrained

Tasks are those of Finn et al. (2017), section 5.1: amplitude in [0.1, 5], phase in [0, pi], x in
[-5, 5], and a network of two hidden layers of 40 units. Meta-training draws from 20,000 tasks;
the error is the mean over 1,000 other tasks, on 100 query points each, with a 95% interval. All
learners are tested on the same support and query points.

``maml-paper`` has the settings of the paper (one inner step of 0.01, ten points, 25 tasks an
iteration, Adam with 0.001). Those of ``maml`` were chosen on validation tasks, in runs of 12,000
iterations, and ``metasgd`` takes the same. ``pretrained`` is the paper's comparison: the same
network fitted to all tasks at once, then fine-tuned on the five points with the step size that is
best on validation tasks. A run resumes where it was stopped.
"""

import numpy as np
import torch

from benchmarks.lib.intervals import normal_interval
from benchmarks.lib.resumable import RESULTS, read_options, read_settings, store
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, ExecutionOptions, MetaOptimizer, MetaSGD, Validation

STEPS = (1, 5, 10)
N_QUERY = 100
PAPER = {"inner_lr": 0.01, "n_inner_steps": 1, "n_shot": 10, "n_query": 10, "meta_batch_size": 25}
PAPER |= {"meta_lr": 1e-3, "n_iterations": 70_000, "standardize": False}
PAPER |= {"meta_optimizer": MetaOptimizer(schedule="constant", clip_norm=None)}
TUNED = PAPER | {"inner_lr": 0.005, "n_shot": 5, "n_query": 15, "meta_lr": 3e-3}
TUNED |= {"meta_optimizer": MetaOptimizer(schedule="cosine"), "n_iterations": 40_000}
# No inner step: the squared error of all tasks at once.
FIT_ALL = PAPER | {"n_inner_steps": 0, "n_iterations": 20_000}
FIT_ALL |= {"meta_optimizer": MetaOptimizer(schedule="cosine", clip_norm=None)}
SETTINGS = {
    "maml-paper": (MAML, PAPER),
    "maml": (MAML, TUNED),
    "metasgd": (MetaSGD, TUNED),
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
    options = read_options(__doc__, learners_=[*SETTINGS], set=[], seed=0)
    torch.set_num_threads(1)
    X, y, groups = make_sinusoid_tasks(20_000, 20, random_state=options.seed)
    runs = RESULTS / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for name in options.learners:
        cls, settings = SETTINGS[name]
        settings = settings | read_settings(options.set)
        run = "-".join(["sinusoid", name, str(options.seed), *options.set]).replace("=", "_")
        common = {
            "backbone": "mlp",
            "validation": Validation(0.0, every=1000),
            "execution": ExecutionOptions(checkpoint=runs / f"{run}.ckpt"),
            "verbose": 1,
            "random_state": options.seed,
        }
        learner = cls(**common | settings).fit(X, y, groups=groups)
        record = {"settings": settings, "seed": options.seed}
        record["minutes"] = learner.learning_curve_["seconds"][-1] / 60
        if settings["n_inner_steps"] == 0:
            tried = {}
            for lr in FINE_TUNING_STEPS:
                learner.set_params(inner_lr=lr)
                tried[lr] = errors(learner, 1001, 2000).mean()
            record["fine_tuning_lr"] = min(tried, key=tried.get)
            learner.set_params(inner_lr=record["fine_tuning_lr"])
        tested = errors(learner, 1002, 1000)
        record |= {f"mse_{k}": normal_interval(e) for k, e in zip(STEPS, tested, strict=True)}
        print(name, record)
        store(RESULTS / "sinusoid.json", "-".join([name, *options.set]), record)


if __name__ == "__main__":
    main()
