"""
Wrong targets
=============

Labels are made by people and by instruments, and some are wrong. A learner that adapts to five or
ten rows believes each of them. ``label_noise`` makes a part of the support labels of
*meta-training* wrong, while those of the queries stay right: to do well there, a prior must learn
not to trust every single row.
"""

# %%
# Two priors
# ----------
# The tasks are sinusoids, ten points each. A wrong target is that of another of the ten.

import matplotlib.pyplot as plt
import numpy as np

from skmeta import MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MetaSGD, TaskSampling, Validation
from skmeta.tasks import GroupEpisodes, with_wrong_labels

X, y, groups = make_sinusoid_tasks(n_tasks=2000, n_samples=25, random_state=0)
settings = {
    "backbone_params": {"activation": "tanh"},
    "inner_lr": 0.01,
    "n_inner_steps": 3,
    "n_shot": 10,
    "n_query": 15,
    "n_iterations": 1000,
    "meta_batch_size": 25,
    "meta_lr": 0.003,
    "validation": Validation(every=500),
    "random_state": 0,
}
priors = {
    "right targets": MetaSGD(**settings).fit(X, y, groups=groups).prior_,
    "label_noise=0.3": MetaSGD(sampling=TaskSampling(label_noise=0.3), **settings)
    .fit(X, y, groups=groups)
    .prior_,
}

# %%
# New tasks, with more and more of their targets wrong
# ----------------------------------------------------
# All are tested on right targets.

X_new, y_new, groups_new = make_sinusoid_tasks(n_tasks=200, n_samples=60, random_state=1)
episodes = GroupEpisodes(y_new, groups_new, n_shot=10, n_query=50)


def errors(prior, share):
    """Squared errors of 200 tasks."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        task = with_wrong_labels(episodes.sample(rng), share, rng)
        X_few, y_few, X_query, y_query = task.take(X_new)
        predicted = MetaFewShotRegressor(prior).fit(X_few, y_few).predict(X_query)
        found.append(np.mean((predicted - y_query) ** 2))
    return np.array(found)


shares = (0.0, 0.1, 0.2, 0.3, 0.4)
found = {name: [errors(prior, share) for share in shares] for name, prior in priors.items()}
for name, values in found.items():
    print(name, [round(float(v.mean()), 2) for v in values])

# %%
# The prior that met wrong targets loses less to them. It pays a little where all are right.
#
# One task
# --------
# Three of the ten targets are wrong.

rng = np.random.default_rng(3)
x_few = np.sort(rng.uniform(-5, 5, 10)).reshape(-1, 1)
x_line = np.linspace(-5, 5, 200).reshape(-1, 1)
curve = 3.5 * np.sin(x_line[:, 0] - 1.0)
y_few = 3.5 * np.sin(x_few[:, 0] - 1.0)
wrong = np.array([2, 5, 8])
y_seen = y_few.copy()
y_seen[wrong] = y_few[np.roll(wrong, 1)]

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
left.plot(x_line, curve, "k--", lw=1, label="truth")
for (name, prior), color in zip(priors.items(), ("tab:blue", "tab:red"), strict=True):
    reg = MetaFewShotRegressor(prior).fit(x_few, y_seen)
    left.plot(x_line, reg.predict(x_line), color=color, lw=2, label=f"meta-trained with {name}")
    means = np.array([v.mean() for v in found[name]])
    width = np.array([1.96 * v.std() / len(v) ** 0.5 for v in found[name]])
    right.errorbar(shares, means, width, color=color, lw=2, capsize=3, label=name)
good = np.setdiff1d(np.arange(10), wrong)
left.scatter(x_few[good], y_seen[good], color="k", zorder=3, label="right target")
left.scatter(x_few[wrong], y_seen[wrong], color="k", marker="x", s=60, zorder=3, label="wrong")
left.set(title="one new task", xlabel="x", ylabel="target", ylim=(-4, 8))
left.legend(loc="upper center", ncols=2, fontsize=8)
right.set(title="200 new tasks", xlabel="share of wrong targets", ylabel="squared error")
right.set_ylim(bottom=0)
right.legend(title="meta-training with")
plt.show()
