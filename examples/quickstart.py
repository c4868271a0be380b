"""Methods of meta-learning: sinusoids from ten points, and an alphabet from one drawing per letter.

Meta-trains MAML, first-order MAML, ANIL, Reptile and Meta-SGD on sinusoids, and ProtoNet on the
characters of 30 alphabets. Then it learns new sinusoids, and classifies characters of 20 other
alphabets: five at a time, one drawing of each to learn from. Run it without arguments:

    python examples/quickstart.py

It takes less than two minutes on two CPU cores, and leaves two files in the current folder: what
was learned of characters (``omniglot.skmeta``) and a picture of one episode (``quickstart.png``).
"""

import time

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from tqdm import tqdm

from skmeta import MetaFewShotClassifier, MetaPrior
from skmeta.datasets import load_omniglot, make_sinusoid_tasks
from skmeta.learners import ANIL, MAML, MetaSGD, ProtoNet, Reptile, Validation
from skmeta.tasks import EpisodeSplit

matplotlib.use("Agg")  # The picture goes to a file.

# 1. Sinusoids with amplitudes and phases of their own: 2,000 to learn from, 100 new ones.
X, y, task = make_sinusoid_tasks(n_tasks=2100, n_samples=25, random_state=0)
old, new = task < 2000, task >= 2000
learners = {
    "MAML": MAML(random_state=0),
    "first-order MAML": MAML(first_order=True, random_state=0),
    "ANIL": ANIL(random_state=0),
    "Reptile": Reptile(random_state=0),
    "Meta-SGD": MetaSGD(random_state=0),
}
print("Squared error of 100 new sinusoids, after ten gradient steps on ten points:")
print(f"{'the mean of all sinusoids':<30}{np.mean((y[new] - y[old].mean()) ** 2):6.2f}")
for name, learner in learners.items():
    learner.fit(X[old], y[old], groups=task[old])
    task_settings = {"n_shot": 10, "n_query": 15, "n_inner_steps": 10, "random_state": 0}
    scores = learner.score_tasks(X[new], y[new], task[new], **task_settings)
    print(f"{name:<30}{-scores.mean():6.2f}", flush=True)

# 2. Characters. Earlier tasks: 964 characters of 30 alphabets. They come with the package.
X, y = load_omniglot(subset="background", return_X_y=True)
# New tasks: 659 characters of 20 other alphabets.
new = load_omniglot(subset="evaluation")
X_new, y_new = new.data, new.target

# Meta-train. An iteration draws two episodes of 60 characters; more ways than the five of the
#    new tasks make a better embedding. A mirrored or turned character counts as another character.
#    So a new task is mirrored and turned, too, and predictions are means over these eight views.
print(f"\nMeta-training on {len(np.unique(y))} characters, 20 drawings each ...")
learner = ProtoNet(
    backbone="conv4",
    backbone_params={"n_channels": 32},
    n_way=60,
    n_shot=1,
    n_query=1,
    n_iterations=700,
    meta_batch_size=2,
    meta_lr=0.004,
    augment=["mirror", "rotations"],
    validation=Validation(n_tasks=20),
    verbose=1,
    random_state=0,
)
began = time.perf_counter()
learner.fit(X, y)
print(f"... took {time.perf_counter() - began:.0f} seconds.")

# What was learned is a prior: a file of numbers, which another program can load.
learner.prior_.save("omniglot.skmeta")
prior = MetaPrior.load("omniglot.skmeta")
print(prior)

# New tasks. Each split is one: fit on five drawings, one of each character, and classify 75
#    others. All methods get the same episodes.
cv = EpisodeSplit(n_way=5, n_shot=1, n_query=15, n_episodes=100, prior=prior, random_state=0)
methods = {
    "MetaFewShotClassifier(prior)": MetaFewShotClassifier(prior),
    "same, before meta-training": MetaFewShotClassifier(learner.initial_prior(X)),
    "logistic regression on pixels": LogisticRegression(),
    "nearest neighbour on pixels": KNeighborsClassifier(1),
}
episodes = list(cv.split(X_new, y_new))
scores = {name: [] for name in methods}
for support, query in tqdm(episodes, desc="new tasks", unit="task"):
    for name, method in methods.items():
        method.fit(X_new[support], y_new[support])
        scores[name].append(method.score(X_new[query], y_new[query]))

print(f"\n{cv.n_episodes} episodes of {cv.n_way} unseen characters, one example of each")
for name, values in scores.items():
    half_width = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values))
    print(f"{name:<30}{np.mean(values):6.1%} ± {half_width:.1%}")
print("(mean accuracy and its 95% confidence interval; guessing gives 20%)")

# A picture of one episode, of median accuracy.
ours = scores["MetaFewShotClassifier(prior)"]
typical = np.argsort(ours)[len(ours) // 2]
support, query = episodes[typical]
names = new.target_names[y_new - y_new.min()]  # such as "Tibetan/character07"
names = np.array([name.replace("_", " ").replace("/character", " ") for name in names])
clf = MetaFewShotClassifier(prior).fit(X_new[support], names[support])
predicted = dict(zip(query, clf.predict(X_new[query]), strict=True))
figure, axes = plt.subplots(5, 16, figsize=(14, 5.5), layout="constrained")
for row, name in zip(axes, clf.classes_, strict=True):
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    drawings = [*support[names[support] == name], *query[names[query] == name]]
    for ax, drawing in zip(row, drawings, strict=True):
        ax.imshow(X_new[drawing].reshape(28, 28), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        if predicted.get(drawing, name) != name:
            ax.set_xlabel(predicted[drawing], color="tab:red", fontsize=5)
axes[0, 0].set_title("learned from")
figure.suptitle(f"accuracy {ours[typical]:.0%}; wrong predictions in red")
figure.savefig("quickstart.png", dpi=120)
print("\nA typical episode is drawn in quickstart.png.")
