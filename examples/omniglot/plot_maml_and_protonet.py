"""
Two ways to learn a character from one drawing
==============================================

MAML learns weights from which one gradient step learns a new task; a prototypical network learns
an embedding in which the nearest class mean is the answer. Both are meta-trained here for a short
while, on small networks, and then asked for characters of alphabets that they have never seen.
"""

# %%
# Earlier tasks and new tasks
# ---------------------------
# The background set has 30 alphabets to learn from, the evaluation set 20 others. Labels are names
# here; integers would do. All drawings of a character go to one side: what is judged is how well
# *new* classes are learned.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import cross_val_score

from skmeta import MetaFewShotClassifier
from skmeta.datasets import load_omniglot
from skmeta.learners import MAML, ProtoNet, Validation
from skmeta.plotting import LearningCurveDisplay
from skmeta.tasks import EpisodeSplit

background = load_omniglot(subset="background")
evaluation = load_omniglot(subset="evaluation")
X, y = background.data, background.target_names[background.target]
X_new = evaluation.data
y_new = evaluation.target_names[evaluation.target - evaluation.target.min()]
print(f"{len(np.unique(y))} characters to learn from, {len(np.unique(y_new))} to be tested on")

# %%
# Meta-training
# -------------
# A network with 32 filters in place of the usual 64 learns fast. A mirrored or turned character
# counts as another character (``augment``). ``learning_curve_`` has the tasks of meta-training, and
# tasks of a tenth of the classes that was set aside.

settings = {
    "backbone": "conv4",
    "backbone_params": {"n_channels": 32},
    "n_way": 20,
    "n_shot": 1,
    "n_query": 2,
    "n_iterations": 250,
    "validation": Validation(n_tasks=10, every=25),
    "meta_batch_size": 2,
    "meta_lr": 0.004,
    "augment": ["mirror", "rotations"],
    "random_state": 0,
}
maml = MAML(inner_lr=0.1, n_inner_steps=1, **settings).fit(X, y)
protonet = ProtoNet(**settings).fit(X, y)

_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for learner in (maml, protonet):
    LearningCurveDisplay.from_estimator(learner, ax=ax)
ax.axhline(0.05, color="0.6", linewidth=1)
ax.annotate(
    "guessing",
    (settings["n_iterations"], 0.05),
    xytext=(0, 3),
    ha="right",
    textcoords="offset points",
)
ax.set(title="Learning to learn twenty characters", ylim=(0, 1))
plt.show()

# %%
# New alphabets
# -------------
# Each split of :class:`~skmeta.tasks.EpisodeSplit` is a task: fit on one drawing of each of five
# characters, classify others. Given the prior, it would warn if a class had been seen before.
# Predictions are means over eight mirrored and turned views of the task.

for learner in (maml, protonet):
    cv = EpisodeSplit(
        n_way=5, n_shot=1, n_query=15, n_episodes=50, prior=learner.prior_, random_state=0
    )
    scores = cross_val_score(MetaFewShotClassifier(learner.prior_), X_new, y_new, cv=cv)
    half_width = 1.96 * scores.std(ddof=1) / np.sqrt(len(scores))
    print(f"{type(learner).__name__:<9} {scores.mean():.1%} ± {half_width:.1%}")

# %%
# Another number of classes
# -------------------------
# The number of classes is that of the rows given to ``fit``: here eight letters of one alphabet,
# although meta-training had tasks of twenty. Letters of one alphabet are more alike than characters
# drawn from twenty alphabets, so this is harder. Wrong predictions are in red.

alphabet = evaluation.alphabet == "Glagolitic"
letters = np.unique(y_new[alphabet])[:8]
rng = np.random.default_rng(0)
rows = np.stack([rng.permutation(np.flatnonzero(y_new == letter))[:11] for letter in letters])
support = rows[:, 0]
short = np.array([name.split("/")[1].replace("character", "no. ") for name in y_new])

clf = MetaFewShotClassifier(protonet.prior_).fit(X_new[support], short[support])
figure, axes = plt.subplots(8, 11, figsize=(9, 7.5), layout="constrained")
for line, drawings in zip(axes, rows, strict=True):
    line[0].set_ylabel(short[drawings[0]], rotation=0, ha="right", va="center")
    for ax, drawing, name in zip(line, drawings, clf.predict(X_new[drawings]), strict=True):
        ax.imshow(X_new[drawing].reshape(28, 28), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        if name != short[drawing]:
            ax.set_xlabel(name, color="tab:red", fontsize=7)
axes[0, 0].set_title("learned from", fontsize=9)
figure.suptitle("Glagolitic, learned from one drawing of each letter")
plt.show()
