"""
A sinusoid from five points
===========================

Five points do not say much about a curve, unless one knows that the curves of this kind are
sinusoids. Nobody tells the learners: they find out from other sinusoids, each with an amplitude
and a phase of its own. This is the first experiment of the MAML paper [1]_.
"""

# %%
# Tasks
# -----
# Each row of the table is a point, and ``groups`` says which task it belongs to.

import matplotlib.pyplot as plt
import numpy as np

from skmeta import MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import ANIL, MAML, FineTuning, MetaSGD, Validation
from skmeta.plotting import AdaptationDisplay

X, y, groups = make_sinusoid_tasks(n_tasks=2000, n_samples=20, random_state=0)

# %%
# Four priors
# -----------
# MAML learns initial weights; Meta-SGD learns a step size for each weight too. ANIL adapts the last
# layer alone, and learns a step size for its weights and one for its bias. They are trained to be
# good after five gradient steps. The fourth is not meta-learned: one network is fitted to all tasks
# at once, then fine-tuned. It learns the mean of all sinusoids, which is a poor place to start
# from. Meta-training is kept short here.

settings = {
    "backbone_params": {"activation": "tanh"},  # bounded, so that no step goes too far
    "n_shot": 5,
    "n_query": 15,
    "n_iterations": 1500,
    "meta_batch_size": 25,
    "validation": Validation(every=500),
    "random_state": 0,
}
learners = {
    "MAML": MAML(n_inner_steps=5, inner_lr=0.03, meta_lr=0.003, **settings),
    "Meta-SGD": MetaSGD(n_inner_steps=5, inner_lr=0.01, **settings),
    "ANIL": ANIL(**settings),
    "pretrained network": FineTuning(inner_lr=0.001, **settings),
}
priors = {name: learner.fit(X, y, groups=groups).prior_ for name, learner in learners.items()}

# %%
# One new sinusoid
# ----------------
# The number of gradient steps can be chosen when the task arrives.

steps = (0, 1, 10)
colors = ("0.75", "tab:orange", "tab:red")
amplitude, phase = 3.5, 1.0
x_few = np.array([[-4.2], [-2.5], [-0.5], [1.2], [2.1]])
y_few = amplitude * np.sin(x_few[:, 0] - phase)
x_line = np.linspace(-5, 5, 200).reshape(-1, 1)

figure, axes = plt.subplots(1, 4, figsize=(13, 4), sharey=True, layout="constrained")
for ax, (name, prior) in zip(axes, priors.items(), strict=True):
    ax.plot(x_line, amplitude * np.sin(x_line - phase), color="tab:blue", label="truth")
    for n_steps, color in zip(steps, colors, strict=True):
        reg = MetaFewShotRegressor(prior, learner_params={"n_inner_steps": n_steps}).fit(
            x_few, y_few
        )
        label = "before" if n_steps == 0 else f"{n_steps} step{'s' * (n_steps > 1)}"
        ax.plot(x_line, reg.predict(x_line), "--", color=color, label=label)
    ax.plot(x_few, y_few, "o", color="black", label="the five points", zorder=3)
    ax.set(title=name, xlabel="x", ylim=(-4.6, 4.6))
axes[0].set_ylabel("target")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
plt.show()

# %%
# And 200 others
# --------------
# :class:`~skmeta.plotting.AdaptationDisplay` draws tasks, learns each from five points with every
# number of steps, and shows the squared error on 100 others, with a 95% interval.

X_new, y_new, groups_new = make_sinusoid_tasks(n_tasks=200, n_samples=105, random_state=1)
groups_new += 10_000  # Tasks of their own: names seen before would be warned of.
counts = (0, 1, 2, 3, 5, 10)
_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, learner in learners.items():
    display = AdaptationDisplay.from_estimator(
        learner.set_params(n_query=100),
        X_new,
        y_new,
        groups_new,
        n_inner_steps=counts,
        n_tasks=200,
        ax=ax,
        label=name,
    )
    mean = display.scores.mean(axis=1)
    print(f"{name:<19} {mean[1]:.2f} after 1 step, {mean[4]:.2f} after 5, {mean[5]:.2f} after 10")
ax.set(title="200 new sinusoids", ylim=(0, None))
plt.show()

# %%
# References
# ----------
# .. [1] Finn, Abbeel and Levine (2017), Model-agnostic meta-learning for fast adaptation of deep
#    networks, section 5.1.
