"""Policies that walk to goals that meta-training has not seen, after 0 to 3 updates.

    python -m benchmarks.measure.policy --methods maml pretrained scratch --seeds 3

The family is the 2D navigation of the MAML paper. Each run is tested in 40 tasks, the same for all
methods of a seed: 20 episodes, an update, 20 episodes, an update, ... The return is the mean over
20 episodes with the most likely actions, and with drawn actions beside it.

``maml``        :class:`PolicyMAML`, three inner steps, each of which counts
``pretrained``  one policy for all tasks, by the same learner with ``n_inner_steps=0``, and as many
                episodes in all; adapted by plain gradient steps
``scratch``     random weights, adapted by plain gradient steps on as many episodes

The baselines' step size is the best of ``RATES`` by the mean return after 1, 2 and 3 updates, in
20 tasks that are neither trained nor tested on. Settings were chosen with seeds and test tasks that
are not reported. A run that was stopped goes on from its checkpoint.
"""

import time
from itertools import product

import numpy as np
import torch

from benchmarks.lib.resumable import RESULTS, read_options, read_records, store
from skmeta.learners import ExecutionOptions, MetaOptimizer
from skmeta.policy import PointNavigation, PolicyMAML

PATH = RESULTS / "policy.json"
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
N_TASKS, N_EPISODES, N_UPDATES = 40, 20, 3
N_ITERATIONS, N_META_TASKS = 500, 20
METHODS = ("maml", "pretrained", "scratch")
SHARED = {
    "backbone_params": {"hidden": (32, 32)},
    "discount": 0.99,
    "gae_lambda": 0.98,
    "meta_lr": 5e-3,
    "meta_optimizer": MetaOptimizer(clip_norm=None),
    "n_episodes": N_EPISODES,
    "execution": "loop",
}
META = {
    "n_inner_steps": N_UPDATES,
    "inner_lr": 0.2,
    "learn": {"inner_lr": "tensor and step"},
    "multi_step_loss": True,
}


def make_learner(method, seed, n_iterations):
    settings = SHARED | {"random_state": seed, "meta_batch_size": N_META_TASKS}
    path = RESULTS / "runs" / f"policy-{method}-{seed}.checkpoint"
    path.parent.mkdir(exist_ok=True)
    settings["execution"] = ExecutionOptions("loop", checkpoint=path)
    if method == "maml":
        return PolicyMAML(**settings | META, n_iterations=n_iterations)
    # One round of episodes in an iteration instead of one before and after each update.
    n_iterations *= N_UPDATES + 1
    return PolicyMAML(**settings, n_inner_steps=0, n_iterations=n_iterations, inner_lr=0.1)


def measure(prior, seed, n_tasks, explore, **settings):
    tester = PolicyMAML(**SHARED | settings, random_state=seed)
    tester.prior_ = prior
    return tester.score_tasks(
        PointNavigation(), n_tasks=n_tasks, n_updates=N_UPDATES, explore=explore
    )


def run(method, seed, n_iterations):
    learner, family = make_learner(method, seed, n_iterations), PointNavigation()
    cpu = time.process_time()
    prior = learner.initial_prior(family) if method == "scratch" else learner.fit(family).prior_
    cpu = time.process_time() - cpu
    settings, scores = META, {}
    if method != "maml":
        for rate in RATES:
            tried = measure(prior, 2000 + seed, 20, False, inner_lr=rate, n_inner_steps=1)
            scores[str(rate)] = float(np.nan_to_num(tried[1:].mean(), nan=-np.inf))
        settings = {"n_inner_steps": 1, "inner_lr": float(max(scores, key=scores.get))}
    returns = {
        key: measure(prior, 1000 + seed, N_TASKS, explore, **settings).round(3).tolist()
        for key, explore in (("likely", False), ("drawn", True))
    }
    return {"returns": returns, "rates": scores, "cpu_seconds": round(cpu, 1)}


def main():
    options = read_options(__doc__, methods=[*METHODS], seeds=3, iterations=N_ITERATIONS)
    torch.set_num_threads(1)
    for seed, method in product(range(options.seeds), options.methods):
        key = f"point {method} {seed}"
        if key not in read_records(PATH):
            result = run(method, seed, options.iterations)
            store(PATH, key, result, indent=None)
            print(key, [round(float(np.mean(row)), 2) for row in result["returns"]["likely"]])


if __name__ == "__main__":
    main()
