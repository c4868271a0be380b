"""Defaults of learners on sinusoids, and the settings that they were chosen from.

    python -m benchmarks.measure.defaults                # the defaults on sinusoids, three seeds
    python -m benchmarks.measure.defaults --set meta_lr=0.001 meta_batch_size=8 --tasks development

Each learner is meta-trained from random weights on 2,000 sinusoids with one thread. The squared
error is the mean over 300 new tasks of 100 query points, after 1, 5 and 10 steps (for Reptile 50,
too) on 5 and 10 points. Settings are chosen on ``development`` tasks; the page reports ``new``
ones. ``Gaussian process`` learns from the points of one task alone.
"""

import time
from functools import partial
from itertools import product

import numpy as np
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from benchmarks.lib.resumable import RESULTS, add_line, read_lines, read_options, read_settings
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import ANIL, MAML, LSTMMetaLearner, MetaSGD, Reptile

LEARNERS = {
    "MAML": MAML,
    "first-order MAML": partial(MAML, first_order=True),
    "ANIL": ANIL,
    "Meta-SGD": MetaSGD,
    "Reptile": Reptile,
    "LSTM meta-learner": LSTMMetaLearner,
}
PLAIN = "Gaussian process"
TASKS = {"new": 4242, "development": 777}


def errors(learner, seed):
    """Mean squared error by shots and steps."""
    X, y, groups = make_sinusoid_tasks(300, 110, random_state=seed)
    steps = (1, 5, 10, 50) if isinstance(learner, Reptile) else (1, 5, 10)
    found = {}
    for n_shot in (5, 10):
        settings = {"n_tasks": 300, "n_shot": n_shot, "n_query": 100, "random_state": seed}
        for n in steps:
            scores = learner.score_tasks(X, y, groups + 10**6, n_inner_steps=n, **settings)
            found[f"{n_shot}/{n}"] = round(float(-scores.mean()), 4)
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


def run(name, settings, seed, tasks):
    """Return what was measured of a learner."""
    if name == PLAIN:
        return {"iterations": 0, "seconds": 0.0, "errors": plain_errors(TASKS[tasks])}
    X, y, groups = make_sinusoid_tasks(2000, 25, random_state=seed)
    learner, started = LEARNERS[name](**settings, random_state=seed), time.process_time()
    learner.fit(X, y, groups=groups)
    seconds = round(time.process_time() - started, 2)
    record = {"iterations": learner.learning_curve_["iteration"][-1], "seconds": seconds}
    return record | {"errors": errors(learner, TASKS[tasks])}


def main():
    options = read_options(
        __doc__, learners=[*LEARNERS, PLAIN], set=[], tasks=tuple(TASKS), seeds=[0, 1, 2]
    )
    torch.set_num_threads(1)
    path, settings = RESULTS / "defaults.jsonl", read_settings(options.set)
    known = read_lines(path)
    for name, seed in product(options.learners, options.seeds):
        cell = {"learner": name, "settings": settings, "seed": seed, "tasks": options.tasks}
        is_known = any(all(line[n] == v for n, v in cell.items()) for line in known)
        if not is_known and (name != PLAIN or seed == 0):  # it has no seed
            line = cell | run(name, settings, seed, options.tasks)
            print(line, flush=True)
            add_line(path, line)


if __name__ == "__main__":
    main()
