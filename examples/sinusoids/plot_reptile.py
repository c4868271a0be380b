"""
Reptile: many steps on each task
================================

Reptile [1]_ trains on one task after the other, and moves the initial weights a little towards the
weights that each training ends with. It needs no second derivatives and no query rows. So it can
take many steps on a task, where the memory and the time of MAML would grow with each step.
"""

# %%
# Meta-training
# -------------
# Each task is a sinusoid with an amplitude and a phase of its own, and ten of its points.

import matplotlib.pyplot as plt
import numpy as np

from skmeta import MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, Reptile
from skmeta.plotting import AdaptationDisplay

X, y, groups = make_sinusoid_tasks(n_tasks=2000, n_samples=20, random_state=0)
learners = {"Reptile": Reptile(n_shot=10, random_state=0), "MAML": MAML(n_shot=10, random_state=0)}
for learner in learners.values():
    learner.fit(X, y, groups=groups)

# %%
# A new sinusoid
# --------------
# The initial curve is no sinusoid. It is a place from which all of them are near.

amplitude, phase = 3.0, 0.5
x_few = np.linspace(-4.5, 4.0, 10).reshape(-1, 1)
y_few = amplitude * np.sin(x_few[:, 0] - phase)
x_line = np.linspace(-5, 5, 200).reshape(-1, 1)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.plot(x_line, amplitude * np.sin(x_line - phase), color="tab:blue", label="truth")
for n_steps, color in ((0, "0.75"), (5, "tab:orange"), (50, "tab:red")):
    reg = MetaFewShotRegressor(learners["Reptile"], learner_params={"n_inner_steps": n_steps})
    line = reg.fit(x_few, y_few).predict(x_line)
    label = "before" if n_steps == 0 else f"{n_steps} steps"
    left.plot(x_line, line, "--", color=color, label=label)
left.plot(x_few, y_few, "o", color="black", label="the ten points", zorder=3)
left.set(title="One new sinusoid", xlabel="x", ylabel="target", ylim=(-4.5, 4.5))
left.legend(loc="lower left", fontsize="small")

# %%
# 200 others
# ----------
# The squared error on 100 other points of each, by the number of steps, with a 95% interval.

X_new, y_new, groups_new = make_sinusoid_tasks(n_tasks=200, n_samples=110, random_state=1)
groups_new += 10_000
for name, learner in learners.items():
    display = AdaptationDisplay.from_estimator(
        learner.set_params(n_query=100),
        X_new,
        y_new,
        groups_new,
        n_inner_steps=(0, 1, 2, 5, 10, 20, 50),
        n_tasks=200,
        ax=right,
        label=name,
    )
    print(f"{name:<8} {display.scores.mean(axis=1)[-1]:.2f} after 50 steps")
right.set(title="200 new sinusoids", ylim=(0, None))
plt.show()

# %%
# References
# ----------
# .. [1] Nichol, Achiam and Schulman (2018), On first-order meta-learning algorithms, section 6.
