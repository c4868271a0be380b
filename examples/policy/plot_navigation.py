"""
Finding a goal after one update
===============================

A point in the plane is rewarded for being close to a goal that it does not observe, so each new
goal has to be found by trying. One policy for all goals can do no better than stay in the middle.
MAML looks for a policy that finds any goal after a few updates, each on 20 episodes.
"""

# %%
# Meta-training
# -------------
# A family draws tasks; here a task is a goal in the unit square. All episodes of a meta-iteration,
# 10 goals times 20 episodes, are simulated at once. ``multi_step_loss`` lets the policy
# after each update count, and ``learn`` says which step sizes are learned.

import time

import matplotlib.pyplot as plt
import numpy as np

from skmeta.learners import MetaOptimizer
from skmeta.policy import MetaPolicy, PointNavigation, PolicyMAML

family = PointNavigation()
settings = {
    "backbone_params": {"hidden": (32, 32)},
    "meta_batch_size": 10,
    "meta_lr": 1e-2,
    "random_state": 0,
}
settings |= {"gae_lambda": 0.98, "meta_optimizer": MetaOptimizer(clip_norm=None)}
began = time.perf_counter()
learner = PolicyMAML(
    n_iterations=80,
    n_inner_steps=2,
    inner_lr=0.2,
    learn={"inner_lr": "tensor and step"},
    multi_step_loss=True,
    **settings,
).fit(family)
print(f"meta-training: {time.perf_counter() - began:.0f} seconds")

# %%
# Two policies to compare with: one that was trained for all goals together, with as many episodes,
# and random weights. Both take plain gradient steps in a new task.

pretraining = PolicyMAML(n_iterations=240, n_inner_steps=0, **settings).fit(family)
policies = {
    "MAML": MetaPolicy(learner.prior_),
    "pretrained on all goals": MetaPolicy(pretraining.prior_, inner_lr=0.3),
    "from scratch": MetaPolicy(pretraining.initial_prior(family), inner_lr=0.3),
}

# %%
# A new goal
# ----------
# ``fit`` plays episodes in the environment and takes the updates of meta-training. The return
# before adaptation is that of a policy without updates.

(task,) = family.sample(1, np.random.default_rng(7))
env = family.make(task)
before = MetaPolicy(learner.prior_, n_inner_steps=0, random_state=0).fit(env)
policy = MetaPolicy(learner.prior_, random_state=0).fit(env, n_episodes=20)
returns = before.score(env), policy.score(env)
print("before: {:.1f}, after two updates: {:.1f}".format(*returns))

# %%
# Returns in 20 new tasks, before and after each update, with 95% intervals.


def adapt(policy, task, seed):
    """Returns and paths in a task, before and after each of three updates of 20 episodes."""
    many, one = family.make_vector([task], 20), family.make(task)
    policy = MetaPolicy(**policy.get_params() | {"n_inner_steps": 0, "random_state": seed})
    policy.fit(many)
    returns, paths = [], []
    for n_done in range(4):
        if n_done > 0:
            policy.partial_fit(many, n_episodes=20)
        returns.append(policy.score(many, n_episodes=20))
        seen, _ = one.reset(seed=seed)
        path, over = [seen], False
        while not over:
            seen, _, terminated, truncated, _ = one.step(policy.predict(seen))
            path.append(seen)
            over = terminated or truncated
        paths.append(np.array(path))
    return returns, paths


tasks = family.sample(20, np.random.default_rng(1))
found = {
    name: [adapt(policy, task, seed) for seed, task in enumerate(tasks)]
    for name, policy in policies.items()
}
_, ax = plt.subplots()
for (name, each), marker in zip(found.items(), "osD", strict=True):
    returns = np.array([r for r, _ in each])
    half = 1.96 * returns.std(0, ddof=1) / len(returns) ** 0.5
    ax.errorbar(range(4), returns.mean(0), half, marker=marker, capsize=3, label=name)
ax.set(xlabel="updates", ylabel="mean return", xticks=range(4))
ax.legend()
plt.show()

# %%
# The paths of an episode: before any update the policy stays around the middle. One update turns it
# towards the goal.

size = {"figsize": (10, 7.5), "sharex": True, "sharey": True, "layout": "constrained"}
figure, axes = plt.subplots(3, 4, **size)
colors = ["0.6", *plt.get_cmap("viridis")([0.0, 0.4, 0.75])]
labels = ["before", "1 update", "2 updates", "3 updates"]
for row, (name, each) in zip(axes, found.items(), strict=True):
    row[0].set_ylabel(name)
    for ax, task, (_, paths) in zip(row, tasks, each, strict=False):
        for path, color, label in zip(paths, colors, labels, strict=True):
            ax.plot(*path.T, ".-", color=color, markersize=3, label=label)
        ax.plot(task["goal_x"], task["goal_y"], "r*", markersize=12, label="goal")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
plt.show()
