"""Policies in environments that meta-training has not seen, after 0 to 3 updates.

    python -m benchmarks.measure.policy point maml 0
    python -m benchmarks.measure.policy cartpole pretrained 1

A run is a family, a method and a seed. Each is tested in 40 tasks, the same for all methods of a
seed: 20 episodes, an update, 20 episodes, an update, ... The return is the mean over 20 episodes
with the most likely actions, and with drawn actions beside it.

``maml``        :class:`PolicyMAML`, three inner steps, each of which counts; of pendulums, one
                inner step, and later updates half as long;
``default``     :class:`PolicyMAML` with its default settings (one inner step) and 150 iterations,
                tested after five updates, so that four are more than in meta-training;
``pretrained``  one policy for all tasks, by the same learner with ``n_inner_steps=0``, and as many
                episodes in all; adapted by plain gradient steps;
``scratch``     random weights, adapted by plain gradient steps on as many episodes.

The baselines' step size is the best of ``RATES`` by the mean return after 1, 2 and 3 updates, in
20 tasks that are neither trained nor tested on. Families:

``point``     2D navigation;
``cartpole``  length, mass and force of CartPole, and the two actions are swapped in half of the
              tasks (a motor of unknown polarity);
``pendulum``  gravity, length and mass of Pendulum, and a motor of unknown polarity (a
              negative mass turns the torque round and leaves the fall as it is).

Settings were chosen with seeds and test tasks that are not reported. A run that was stopped goes on
from its checkpoint in ``--scratch``. Results go to ``benchmarks/results/policy.json``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import uniform

from benchmarks.lib.policy_environments import VectorFamily
from benchmarks.lib.resumable import read_records, store
from skmeta.learners import ExecutionOptions, MetaOptimizer
from skmeta.policy import PointNavigation, PolicyMAML

RESULTS = Path(__file__).parents[1] / "results" / "policy.json"
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
N_TASKS, N_EPISODES, N_UPDATES = 40, 20, 3
METHODS = ("maml", "default", "pretrained", "scratch")
SHARED = {
    "hidden": (32, 32),
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
    "loss_after_each_update": True,
}
# To swing up takes many outer steps: one inner step leaves episodes for twice as many.
META_OWN = {"pendulum": {"n_inner_steps": 1, "loss_after_each_update": False}}
ITERATIONS = {"point": (500, 20), "cartpole": (60, 10), "pendulum": (200, 10)}
# A pendulum's rewards are dense, and its swings take a second or two.
OWN = {"pendulum": {"discount": 0.95, "gae_lambda": 0.95, "meta_lr": 1e-2}}


class Polarity:
    """A uniform parameter, negative in half of the tasks: a motor connected the other way round."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def rvs(self, size, random_state):
        drawn = random_state.uniform(self.low, self.high, size)
        return np.where(random_state.random(size) < 0.5, -drawn, drawn)


FAMILIES = {
    "point": PointNavigation(),
    "cartpole": VectorFamily(
        "CartPole-v1",
        {
            "length": uniform(0.25, 0.75),
            "masspole": uniform(0.05, 0.45),
            "force_mag": Polarity(5, 15),
        },
        max_episode_steps=200,
    ),
    "pendulum": VectorFamily(
        "Pendulum-v1",
        {"g": uniform(8, 4), "m": Polarity(0.5, 1), "l": uniform(0.5, 0.5)},
        max_episode_steps=200,
    ),
}


def meta_settings(family):
    return META | META_OWN.get(family, {})


def make_learner(family, method, seed, scratch):
    n_iterations, batch = ITERATIONS[family]
    settings = SHARED | OWN.get(family, {}) | {"random_state": seed, "meta_batch_size": batch}
    path = scratch / f"policy-{family}-{method}-{seed}.checkpoint"
    settings["execution"] = ExecutionOptions("loop", checkpoint=path)
    if method == "default":
        own = {n: settings[n] for n in ("random_state", "execution")}
        return PolicyMAML(**own, n_iterations=150)
    if method == "maml":
        return PolicyMAML(**settings | meta_settings(family), n_iterations=n_iterations)
    # One round of episodes in an iteration instead of one before and after each update.
    n_rounds = meta_settings(family)["n_inner_steps"] + 1
    return PolicyMAML(
        **settings, n_inner_steps=0, n_iterations=n_iterations * n_rounds, inner_lr=0.1
    )


def measure(prior, name, seed, n_tasks, explore, n_updates=N_UPDATES, **settings):
    tester = PolicyMAML(**settings, random_state=seed)
    tester.prior_ = prior
    return tester.score_tasks(FAMILIES[name], n_tasks=n_tasks, n_updates=n_updates, explore=explore)


def run(name, method, seed, scratch):
    family = FAMILIES[name]
    learner = make_learner(name, method, seed, scratch)
    cpu, wall = time.process_time(), time.perf_counter()
    if method == "scratch":
        prior = learner.initial_prior(family)
    else:
        prior = learner.fit(family).prior_
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    common, scores = SHARED | OWN.get(name, {}), {}
    if method == "maml":
        settings = common | meta_settings(name)
    elif method == "default":
        settings = {"execution": "loop", "n_updates": 5}
    else:
        for rate in RATES:
            own = common | {"inner_lr": rate, "n_inner_steps": 1}
            tried = measure(prior, name, 2000 + seed, 20, False, **own)
            scores[str(rate)] = float(np.nan_to_num(tried[1:].mean(), nan=-np.inf))
        best = float(max(scores, key=scores.get))
        settings = common | {"n_inner_steps": 1, "inner_lr": best}
    returns = {
        key: measure(prior, name, 1000 + seed, N_TASKS, explore, **settings).round(3).tolist()
        for key, explore in (("likely", False), ("drawn", True))
    }
    return {
        "family": name,
        "method": method,
        "seed": seed,
        "returns": returns,
        "rates": scores,
        "cpu_seconds": round(cpu, 1),
        "wall_seconds": round(wall, 1),
        "n_iterations": learner.n_iterations,
    }


def strong_motors(seed):
    """Whether the motor of each test pendulum can hold it against gravity, at any angle."""
    tasks = FAMILIES["pendulum"].sample(N_TASKS, np.random.default_rng(1000 + seed))
    return np.array([abs(task["m"]) * task["l"] * task["g"] < 4 for task in tasks])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=ITERATIONS)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--scratch", type=Path, default=Path("."), help="folder of checkpoints")
    args = parser.parse_args()
    torch.set_num_threads(1)
    key = f"{args.family} {args.method} {args.seed}"
    if key in read_records(RESULTS):
        print(f"{key} is done")
        return
    result = run(args.family, args.method, args.seed, args.scratch)
    store(RESULTS, key, result, indent=None)
    returns = [np.mean(row).round(2) for row in result["returns"]["likely"]]
    print(key, *returns, result["cpu_seconds"])


if __name__ == "__main__":
    main()
