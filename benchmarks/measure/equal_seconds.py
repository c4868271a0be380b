"""What the inner loop of MAML and ANIL learns, at equal seconds, on development data.

    SKMETA_DATA=... python -m benchmarks.measure.equal_seconds --seeds 3

Each learner is meta-trained from random weights for the same processor seconds of one thread: a
pilot run measures the seconds of an iteration, from which ``n_iterations`` follows. Data: 2,000
``sinusoids`` (mean squared error of 500 new ones, by points and steps); ``letter`` and ``krkopt``
of PMLB and the ``digits`` of scikit-learn, of whose classes some are there to learn from (error in
percent of 500 5-way 5-shot tasks of the others); pupils of 65 ``schools``, 45 to learn from (mean
squared error of the others). No test data is used.
"""

import time
from functools import lru_cache
from itertools import product

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits

from benchmarks.lib.resumable import RESULTS, group_lines, run_or_summarize
from benchmarks.lib.tabular_sets import load as load_table
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import ANIL, MAML, Validation

LEARNERS = {"MAML": MAML, "ANIL": ANIL}
LEARN = {
    "fixed": {},
    "step size: tensor": {"inner_lr": "tensor"},
    "weight decay: tensor": {"weight_decay": "tensor"},
    "label smoothing: scalar": {"label_smoothing": "scalar"},
}
# Seconds of meta-training, and settings of all learners.
CLASSES = {"n_shot": 5, "n_query": 10}
DATA = {
    "sinusoids": (6.0, {}),
    "letter": (10.0, CLASSES),
    "krkopt": (6.0, CLASSES),
    "digits": (6.0, CLASSES),
    "schools": (6.0, {}),
}
# Classes, or groups, to learn from.
N_OLD = {"letter": 16, "krkopt": 11, "digits": 5, "schools": 45}
PILOT = 1000


def cells(seeds):
    """Data, learner, what is learned, seed."""
    for seed, data, name, learn in product(seeds, DATA, LEARNERS, LEARN):
        choices = {"sinusoids": [*LEARN][:3], "letter": LEARN}.get(data, [*LEARN][:2])
        if learn in choices:
            yield data, name, learn, seed


@lru_cache(maxsize=1)
def load(data, seed):
    """Tables to learn from and of new tasks."""
    if data == "sinusoids":
        X, y, groups = make_sinusoid_tasks(500, 110, random_state=777)
        return make_sinusoid_tasks(2000, 25, random_state=seed), (X, y, groups + 10**6)
    if data == "schools":
        pupils = pd.read_csv("examples/schools/exam.csv.gz")
        X, y = pupils[["standLRT", "schavg"]].to_numpy(), pupils["normexam"].to_numpy()
        of = groups = pupils["school"].to_numpy()
    else:
        X, of = load_digits(return_X_y=True) if data == "digits" else load_table(data)
        y, groups = np.unique(of, return_inverse=True)[1], None
    old = np.random.default_rng(seed).permutation(np.unique(of))[: N_OLD[data]]
    is_old = np.isin(of, old)
    return tuple(
        (X[rows], y[rows], None if groups is None else groups[rows]) for rows in (is_old, ~is_old)
    )


def run(cell):
    """Meta-train for the seconds of the data, and score."""
    torch.set_num_threads(1)
    data, name, learn, seed = cell
    seconds, settings = DATA[data]
    settings = settings | {"learn": LEARN[learn], "random_state": seed}
    settings["validation"] = Validation(patience=None)
    (X, y, groups), new = load(data, seed)

    def fit(n_iterations):
        learner = LEARNERS[name](**settings, n_iterations=n_iterations)
        started = time.process_time()
        learner.fit(X, y, groups=groups)
        return learner, time.process_time() - started

    fit(PILOT // 20)
    n_iterations = max(PILOT, round(PILOT * seconds / fit(PILOT)[1]))
    learner, taken = fit(n_iterations)
    line = {"cell": cell, "iterations": n_iterations, "seconds": round(taken, 2), "error": {}}
    is_regression = data in ("sinusoids", "schools")
    shots = (5, 10) if is_regression else (learner.n_shot,)
    n_query = 100 if data == "sinusoids" else 10
    common = {"n_tasks": 500, "n_query": n_query, "random_state": 1}
    for n_shot, n_steps in product(shots, (learner.n_inner_steps, 10)):
        score = learner.score_tasks(*new, n_shot=n_shot, n_inner_steps=n_steps, **common).mean()
        error = -score if is_regression else 100 * (1 - score)
        line["error"][f"{n_shot} shots, {n_steps} steps"] = round(float(error), 4)
    return line


def summarize(lines):
    """Mean errors over seeds, by data, learner and what is learned."""
    runs = group_lines(lines, lambda cell: ", ".join(cell[:3]))
    return {
        key: np.mean([[*one["error"].values()] for one in runs[key]], 0).tolist() for key in runs
    }


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, RESULTS / "equal_seconds.jsonl")
