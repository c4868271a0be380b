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
# 10 goals times 20 episodes, are simulated at once. ``multi_step_loss`` lets the policy after each
# update count, and ``learn_inner_lr`` learns the step sizes.

import time

import numpy as np

from skmeta.policy import MetaPolicy, PointNavigation, PolicyDisplay, PolicyMAML

family = PointNavigation()
settings = {"hidden": (32, 32), "meta_batch_size": 10, "meta_lr": 1e-2, "random_state": 0}
settings |= {"gae_lambda": 0.98, "schedule": "cosine"}
began = time.perf_counter()
learner = PolicyMAML(
    n_iterations=80,
    n_inner_steps=2,
    inner_lr=0.2,
    learn_inner_lr=True,
    multi_step_loss=True,
    **settings,
).fit(family)
print(f"meta-training: {time.perf_counter() - began:.0f} seconds")

# %%
# Two policies to compare with: one that was trained for all goals together, with as many episodes,
# and drawn weights. Both take plain gradient steps in a new task.

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

PolicyDisplay.from_priors(policies, family, n_tasks=20, n_updates=3, random_state=1)

# %%
# The paths of an episode: before any update the policy stays around the middle. One update turns it
# towards the goal.

display = PolicyDisplay.from_priors(
    policies, family, kind="paths", n_tasks=4, n_updates=3, random_state=2
)
display.figure_.suptitle("Before and after 1, 2 and 3 updates")
display.figure_.tight_layout()
