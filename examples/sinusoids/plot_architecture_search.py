"""
An architecture that adapts to the task
=======================================

:class:`~skmeta.learners.MetaNAS` meta-learns which layers a network is made of, together with their
weights. A new task adapts both by gradient steps, and is left with one operation on each edge:
nothing is trained again after that.
"""

# %%
# Cells within a budget
# ---------------------
# An edge can be a linear layer, a gated one, a residual one, a skip, or nothing. ``max_parameters``
# is what an MLP with two hidden layers of 20 units has, so a choice must be made. ``annealing``
# says when: early in meta-training, most of which is left to the weights. A gated layer has twice
# the weights of a linear one, which is too much for this budget.

import matplotlib.pyplot as plt
import numpy as np

from skmeta import MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, MetaNAS, Validation

X, y, groups = make_sinusoid_tasks(n_tasks=2000, n_samples=20, random_state=0)
settings = {
    "inner_lr": 0.005,
    "n_inner_steps": 1,
    "first_order": False,
    "n_shot": 5,
    "n_query": 15,
    "n_iterations": 800,
    "meta_batch_size": 25,
    "meta_lr": 0.003,
    "standardize": False,
    "validation": Validation(every=800),
    "random_state": 0,
}
learner = MetaNAS(
    backbone="cells",
    backbone_params={"width": 20},
    max_parameters=460,
    **settings,
).fit(X, y, groups=groups)
mlp = MAML(backbone="mlp", backbone_params={"hidden": (20, 20)}, **settings)
mlp.fit(X, y, groups=groups)

# %%
# Sinusoids that nobody has seen
# ------------------------------
# R² from five points. The MLP is ahead: all of its meta-training went to its weights, and it is a
# good choice for sinusoids, as somebody knew. MetaNAS had to find its layers first.

X_new, y_new, groups_new = make_sinusoid_tasks(n_tasks=200, n_samples=55, random_state=1)
for name, fitted in {"MetaNAS": learner, "MLP": mlp}.items():
    print(f"{name}: {fitted.score(X_new, y_new, groups=groups_new + 10_000):.2f}")

# %%
# What was chosen
# ---------------
# ``architecture_`` of an estimator that was fitted to a task prints as a table. It has the share of
# each operation before the decision, by edge.

x_few = np.array([[-4.2], [-2.5], [-0.5], [1.2], [2.1]])
y_few = 3.5 * np.sin(x_few[:, 0] - 1.0)
x_line = np.linspace(-5, 5, 200).reshape(-1, 1)
reg = MetaFewShotRegressor(learner.prior_).fit(x_few, y_few)
print(reg.architecture_)

fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
left.plot(x_line, 3.5 * np.sin(x_line - 1.0), "k--", lw=1, label="truth")
other = MetaFewShotRegressor(mlp.prior_).fit(x_few, y_few)
left.plot(x_line, other.predict(x_line), color="0.6", lw=2, label="MLP of the same size")
left.plot(x_line, reg.predict(x_line), color="tab:red", lw=2, label="MetaNAS")
left.scatter(x_few, y_few, color="k", zorder=3, label="five points")
left.set(title="a new task", xlabel="x", ylabel="target", ylim=(-4, 7))
left.legend(loc="upper center", ncols=2)
shares = reg.architecture_.shares
names = list(dict.fromkeys(name for edge in shares for name in edge))
image = right.imshow([[edge.get(name, np.nan) for name in names] for edge in shares], cmap="Blues")
right.set_xticks(range(len(names)), names, rotation=45)
right.set(title="share of each operation", ylabel="edge")
fig.colorbar(image, ax=right)
plt.show()
