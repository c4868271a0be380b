"""
Tables that nobody has seen
===========================

The prior that ships for small tables was meta-trained on tables that were made up. Each is another
random world: its columns are numbers, levels, categories or flags, skewed or heavy-tailed, related
to each other or not, and its labels follow a rule of one of many kinds. Who has learned to learn
all of these from a few rows can learn from a table.
"""

# %%
# A few of them
# -------------
# Tasks of two columns can be drawn. The colour is the class. Values are drawn by their ranks, so
# that heavy tails do not hide the rest; equal ones, as of a category or a flag, lie scattered
# around one place, and missing ones at the left or lower border.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import rankdata

from skmeta import MetaFewShotClassifier
from skmeta.datasets import make_table_tasks

X, y, groups = make_table_tasks(n_tasks=24, n_samples=200, n_features=2, random_state=6)
rng = np.random.default_rng(0)
_, axes = plt.subplots(4, 6, figsize=(12, 8), layout="constrained")
for task, ax in enumerate(axes.flat):
    places = rankdata(X[groups == task], axis=0, nan_policy="omit") / 200
    places = np.nan_to_num(places, nan=-0.12) + rng.normal(scale=0.015, size=places.shape)
    ax.scatter(*places.T, c=y[groups == task], cmap="tab10", vmin=0, vmax=9, s=9, linewidths=0)
    ax.set(xticks=[], yticks=[], xlim=(-0.2, 1.05), ylim=(-0.2, 1.05))
plt.show()

# %%
# What they teach
# ---------------
# Wider tasks are nearer to what people have. The prior was trained on such tasks, though not on
# these: the more rows of a task are labelled, the more of the others it gets right. The line is
# the mean of 40 tasks of 2 to 10 classes, and each dot is a task.

X, y, groups = make_table_tasks(n_tasks=40, n_samples=300, n_features=8, random_state=1)
sizes = (10, 20, 50, 100)
scores = []
for task in range(40):
    X_task, y_task = X[groups == task], y[groups == task]
    row = []
    for n in sizes:
        if len(set(y_task[:n])) < 2:
            row.append(np.nan)
            continue
        clf = MetaFewShotClassifier(n_estimators=1).fit(X_task[:n], y_task[:n])
        row.append(clf.score(X_task[100:], y_task[100:]))
    scores.append([np.bincount(y_task[100:]).max() / 200, *row])
scores = np.array(scores)

_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
places = np.arange(5)
spread = rng.uniform(-0.12, 0.12, size=scores.shape)
ax.plot(places + spread, scores, ".", color="0.7")
ax.plot(places, np.nanmean(scores, 0), "o-", color="tab:blue")
labels = ["most frequent\nclass", *(f"{n} rows" for n in sizes)]
ax.set(xticks=places, xticklabels=labels, ylabel="accuracy on other rows", ylim=(0, 1.02))
ax.set_title("40 new synthetic tables")
plt.show()
