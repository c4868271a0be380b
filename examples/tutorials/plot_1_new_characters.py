"""
Learn a new class of images
===========================

Meta-train on images of many classes, save the prior, and learn classes that it has never seen from
one picture of each. The images are handwritten characters, which come with the package.
"""

# %%
# Earlier tasks
# -------------
# 30 alphabets to learn from, 20 others for new tasks. All drawings of a character are on one side:
# the question is how well *new* classes are learned.

# sphinx_gallery_thumbnail_number = 2
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from skmeta import MetaFewShotClassifier, MetaPrior
from skmeta.datasets import load_omniglot
from skmeta.learners import MAML, Validation
from skmeta.plotting import LearningCurveDisplay
from skmeta.tasks import EpisodeSplit

X, y = load_omniglot(subset="background", return_X_y=True)
new = load_omniglot(subset="evaluation")
X_new, y_new = new.data, new.target
print(f"{len(X):,} drawings of {len(np.unique(y))} characters; {len(np.unique(y_new))} new ones")

# %%
# Meta-training
# -------------
# First-order MAML on a small convolutional network. An iteration draws tasks of five characters,
# adapts to one drawing of each, and improves the initial weights by the loss on five others.
# ``validation`` scores characters that are held out, and the best state is kept.

learner = MAML(
    backbone="conv4",
    backbone_params={"n_channels": 32},
    first_order=True,
    n_way=5,
    n_shot=1,
    n_query=5,
    n_iterations=240,
    validation=Validation(every=40, n_tasks=50),
    random_state=0,
)
learner.fit(X, y)
LearningCurveDisplay.from_estimator(learner)
plt.show()

# %%
# The prior
# ---------
# What was learned is a file of numbers. Another program needs this file only.

with tempfile.TemporaryDirectory() as folder:
    learner.prior_.save(Path(folder) / "characters.skmeta")
    prior = MetaPrior.load(Path(folder) / "characters.skmeta")
print(prior)

# %%
# Is it better than a plain model?
# --------------------------------
# Each split of :class:`~skmeta.tasks.EpisodeSplit` is a new task, so any classifier is scored on
# the same tasks. What counts is the interval of the difference.

cv = EpisodeSplit(n_way=5, n_shot=1, n_query=15, n_episodes=100, prior=prior, random_state=0)
models = {
    "MAML's prior": MetaFewShotClassifier(prior),
    "logistic regression": LogisticRegression(),
    "nearest neighbour": KNeighborsClassifier(1),
}
scores = {name: cross_val_score(model, X_new, y_new, cv=cv) for name, model in models.items()}
ours = scores.pop("MAML's prior")
print(f"MAML's prior: accuracy {ours.mean():.3f}")
for name, theirs in scores.items():
    difference = ours - theirs
    half = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    print(f"{name}: {theirs.mean():.3f}, difference {difference.mean():.3f} ± {half:.3f}")

# %%
# A new task
# ----------
# Any number of classes: here eight letters of one alphabet. The first column is all that the
# classifier is given; wrong predictions are in red.

rng = np.random.default_rng(0)
letters = np.unique(y_new[new.alphabet == "Tibetan"])[:8]
rows = np.stack([rng.permutation(np.flatnonzero(y_new == letter))[:9] for letter in letters])
clf = MetaFewShotClassifier(prior).fit(X_new[rows[:, 0]], y_new[rows[:, 0]])
_, axes = plt.subplots(8, 9, figsize=(7, 6.5), layout="constrained")
for line, drawings in zip(axes, rows, strict=True):
    for ax, drawing, found in zip(line, drawings, clf.predict(X_new[drawings]), strict=True):
        ax.imshow(X_new[drawing].reshape(28, 28), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        if found != y_new[drawing]:
            ax.spines[:].set(color="tab:red", linewidth=2.5)
axes[0, 0].set_title("learned from", fontsize=9)
plt.show()

# %%
# More drawings may come later, and ``partial_fit`` takes them. Next: :doc:`/learners` compares the
# methods, :doc:`/networks` has networks and images of your own, :doc:`/deploy` what to save.

clf.partial_fit(X_new[rows[:, 1]], y_new[rows[:, 1]])
others = rows[:, 2:].ravel()
print(f"with two drawings of each letter: {clf.score(X_new[others], y_new[others]):.2f}")
