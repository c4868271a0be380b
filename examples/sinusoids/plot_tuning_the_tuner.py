"""
Tuning the tuner
================

A meta-learner learns how to learn, but its own settings (the step size of its inner loop, the
number of steps, the width of its network) are still set by hand. It is a scikit-learn estimator,
so any search of scikit-learn can choose them, and so can
:class:`~skmeta.search.MetaLearnedSearchCV`. The one thing to take care of is what a fold is:
tasks must be left out whole, which is what ``GroupKFold`` does.
"""

# %%
# Tasks, and a search over groups
# -------------------------------
# Each sinusoid is a task: five points to learn from. ``learner.score`` adapts to the five points
# of each task left out, and reports R² on its other points. ``groups`` go to the learner and to
# the folds, by scikit-learn's metadata routing.

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from scipy.stats import loguniform
from sklearn.model_selection import GroupKFold

from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML
from skmeta.search import MetaLearnedSearchCV

X, y, groups = make_sinusoid_tasks(n_tasks=150, n_samples=20, random_state=0)

sklearn.set_config(enable_metadata_routing=True)
learner = MAML(
    n_shot=5,
    n_query=15,
    n_iterations=150,
    meta_lr=0.003,
    validation=0,
    random_state=0,
)
learner.set_fit_request(groups=True).set_score_request(groups=True)
search = MetaLearnedSearchCV(
    learner,
    {
        "inner_lr": loguniform(1e-3, 1.0),
        "n_inner_steps": [1, 2, 3],
        "backbone_params": [{"hidden": (20,)}, {"hidden": (40, 40)}],
    },
    n_iter=12,
    cv=GroupKFold(2),
    history=False,
    random_state=0,
)
search.fit(X, y, groups=groups)
print(f"R² on tasks left out: {search.best_score_:.2f}")
for name, value in search.best_params_.items():
    print(f"{name}: {value}")

# %%
# The best settings are used as they are
# --------------------------------------
# ``best_estimator_`` was meta-trained on all tasks with the best settings; its ``prior_`` is what
# a new task starts from.

best = search.best_estimator_
X_new, y_new, groups_new = make_sinusoid_tasks(n_tasks=100, n_samples=20, random_state=1)
groups_new = groups_new + 1000
default = MAML(**learner.get_params() | {"inner_lr": 0.1}).fit(X, y, groups=groups)
found = {
    "inner_lr=0.1, one step": default.score(X_new, y_new, groups=groups_new),
    "tuned": best.score(X_new, y_new, groups=groups_new),
}
print({name: round(value, 2) for name, value in found.items()})
sklearn.set_config(enable_metadata_routing=False)

# %%
# What mattered
# -------------
# Each point is a candidate: a whole meta-training, cross-validated. A large inner step ruins it; a
# candidate that is worse than -0.5 is drawn there, with its score beside it. Among small steps, the
# width of the network decides.

results = search.cv_results_
rates = np.asarray(results["param_inner_lr"], dtype=float)
steps = np.asarray(results["param_n_inner_steps"], dtype=int)
wide = np.array([params["hidden"] == (40, 40) for params in results["param_backbone_params"]])
scores = results["mean_test_score"]
lowest = -0.5
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for is_wide, marker in ((False, "o"), (True, "s")):
    points = ax.scatter(
        rates[wide == is_wide],
        np.maximum(scores, lowest)[wide == is_wide],
        c=steps[wide == is_wide],
        marker=marker,
        s=70,
        vmin=1,
        vmax=3,
        cmap="viridis",
    )
    label = "two layers of 40" if is_wide else "one layer of 20"
    ax.scatter([], [], c="0.5", marker=marker, s=70, label=label)
for rate, score in zip(rates, scores, strict=True):
    if score < lowest:
        ax.annotate(f"↓ {score:.1f}  ", (rate, lowest), ha="right", va="center")
ax.set(xscale="log", xlabel="inner_lr", ylabel="R² on tasks left out")
fig.colorbar(points, ax=ax, label="inner steps", ticks=[1, 2, 3])
ax.legend(loc="lower left")
plt.show()
