"""Architectures that MetaNAS finds, beside conv4 and architectures at random, in equal seconds.

    python -m benchmarks.measure.architectures --seeds 3

Tasks of five classes with one row of each, of Omniglot. Meta-training has 764 characters of the
background set, turned by 0, 90, 180 and 270 degrees. Networks have at most as many parameters as
``conv4`` of 32 filters. Each learner has the same processor seconds on one core: short runs of 25
iterations are timed first, and the number of iterations follows from the fastest of four. All start
from random weights: ``metanas`` searches and trains what it finds within the seconds, ``conv4`` is
first-order MAML, which is MetaNAS without a search, ``exact`` has second derivatives, and
``random`` is a network drawn from those that MetaNAS chooses from, by first-order MAML. Accuracies
are means over 200 tasks of the 200 other characters of the background set, by which settings were
chosen (``development``), and of the evaluation set (``evaluation``).
"""

import time

import numpy as np
import torch

from benchmarks.lib.intervals import normal_interval
from benchmarks.lib.resumable import RESULTS, run_or_summarize
from skmeta.backbones import cells, describe
from skmeta.datasets import load_omniglot
from skmeta.learners import MAML, MetaNAS

SECONDS, N_TIMED = 30, 25
CONV4 = {"backbone": "conv4", "backbone_params": {"n_channels": 32}}
BUDGET = 28_192  # parameters of that network
COMMON = {"input_shape": (1, 28, 28), "n_way": 5, "n_shot": 1, "n_query": 5, "validation": 0.0}
COMMON |= {"meta_batch_size": 4, "meta_lr": 0.005, "inner_lr": 0.1, "n_inner_steps": 1}
ARMS = ("metanas", "conv4", "random", "exact")


def characters():
    """Rows to learn from, and rows of other characters to choose by and to test on."""
    X, y = load_omniglot(subset="background", rotations=True, return_X_y=True, dtype=np.uint8)
    held_out = np.isin(y % 1623, np.random.default_rng(0).permutation(964)[:200])
    upright = held_out & (y < 1623)
    test = load_omniglot(subset="evaluation", return_X_y=True, dtype=np.uint8)
    others = {"development": (X[upright], y[upright]), "evaluation": test}
    return (X[~held_out], y[~held_out]), others


def random_choice(seed):
    """Draw one operation for each edge, until the network is not too large."""
    network, rng = cells((1, 28, 28)), np.random.default_rng(seed)
    while True:
        chosen = [int(rng.choice(np.flatnonzero(row))) for row in network.allowed.numpy()]
        found = describe(network, torch.zeros(network.allowed.shape), chosen)
        if found.n_parameters <= BUDGET:
            return found.params


def make(arm, seed):
    """Make the learner of an arm."""
    if arm == "metanas":
        return MetaNAS(**COMMON, max_parameters=BUDGET)
    if arm in ("conv4", "exact"):
        return MAML(**COMMON, **CONV4, first_order=arm == "conv4")
    params = random_choice(seed)
    return MAML(**COMMON, backbone="cells", backbone_params=params, first_order=True)


def run(cell):
    """Time some iterations, train for the seconds, and score."""
    arm, seed = cell
    torch.set_num_threads(1)
    learned, others = characters()
    learner = make(arm, seed)

    def fit(n_iterations, seed):
        began = time.process_time()
        learner.set_params(n_iterations=n_iterations, random_state=seed).fit(*learned)
        return time.process_time() - began

    # The fastest of some short runs is least disturbed by what else the machine does.
    fastest = min(fit(N_TIMED, 99) for _ in range(4))
    n_iterations = int(SECONDS / fastest * N_TIMED)
    line = {"cell": cell, "iterations": n_iterations, "seconds": fit(n_iterations, seed)}
    found = learner.architecture_ if arm == "metanas" else learner.prior_
    line["n_parameters"] = found.n_parameters
    learner.set_params(n_query=15)
    for name, rows in others.items():
        scores = learner.score_tasks(*rows, n_tasks=200, random_state=seed)
        line[name] = normal_interval(100 * scores)
    return line


def summarize(lines):
    """Return means over seeds, and the paired difference to conv4 with its standard error."""
    summary = {}
    for arm in ARMS:
        seeds = [seed for a, seed in lines if a == arm and ("conv4", seed) in lines]
        if not seeds:
            continue
        own = [lines[arm, seed] for seed in seeds]
        means = {n: np.mean([line[n] for line in own]) for n in ("seconds", "iterations")}
        summary[arm] = {name: round(mean, 1) for name, mean in means.items()}
        summary[arm]["parameters"] = [line["n_parameters"] for line in own]
        for name in ("development", "evaluation"):
            scores = np.array([line[name][0] for line in own])
            gains = scores - [lines["conv4", seed][name][0] for seed in seeds]
            error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else np.nan
            summary[arm][name] = [round(v, 2) for v in (scores.mean(), gains.mean(), error)]
    return summary


def make_cells(seeds):
    return [(arm, seed) for seed in seeds for arm in ARMS]


if __name__ == "__main__":
    run_or_summarize(__doc__, make_cells, run, summarize, RESULTS / "architectures.jsonl")
