"""
How sure to be after few rows
=============================

After few rows no model is right all the time, but it can know how often it is. Seven in ten
predictions with a probability of 70% should be right, and an interval of 90% should hold nine
targets in ten. The prior that ships for small tables has been meta-trained to say such numbers.
"""

# %%
# Probabilities of classes
# ------------------------
# The probability of the predicted class is compared with the share of predictions that are right:
# on four tables that come with scikit-learn, with 5 rows of each class and 4 draws of each table.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor


def real_tasks():
    """Labelled and other rows of tables of scikit-learn."""
    for load in (load_breast_cancer, load_digits, load_iris, load_wine):
        X, y = load(return_X_y=True)
        for seed in range(4):
            rows = np.random.default_rng(seed).permutation(len(y))
            few = np.concatenate([rows[y[rows] == c][:5] for c in np.unique(y)])
            rest = np.setdiff1d(rows, few, assume_unique=True)[:100]
            yield X[few], y[few], X[rest], y[rest]


models = {
    "MetaFewShotClassifier()": MetaFewShotClassifier(),
    "random forest": RandomForestClassifier(random_state=0),
    "Gaussian naive Bayes": make_pipeline(SimpleImputer(keep_empty_features=True), GaussianNB()),
}
sure = {name: [] for name in models}
right = {name: [] for name in models}
for X_few, y_few, X_rest, y_rest in real_tasks():
    for name, model in models.items():
        p = model.fit(X_few, y_few).predict_proba(X_rest)
        sure[name].append(p.max(1))
        right[name].append(model.classes_[p.argmax(1)] == y_rest)
_, axes = plt.subplots(1, 3, figsize=(11, 4), sharex=True, sharey=True, layout="constrained")
for ax, name in zip(axes, models, strict=True):
    p, hit = np.concatenate(sure[name]), np.concatenate(right[name])
    place = np.clip((10 * p).astype(int), 0, 9)
    n = np.bincount(place, minlength=10)
    kept = n >= 10
    mean_p, mean_hit = (np.bincount(place, v, 10)[kept] / n[kept] for v in (p, hit))
    error = (n[kept] * abs(mean_p - mean_hit)).sum() / n[kept].sum()
    ax.plot([0, 1], [0, 1], ":", color="0.5")
    middle = np.arange(10) / 10 + 0.05
    ax.bar(middle, n / n.sum(), 0.09, color="0.85", label="share of predictions")
    ax.plot(mean_p, mean_hit, "o-", color="tab:blue", clip_on=False, label="share that is right")
    ax.set_title(f"{name}\n{hit.mean():.0%} right, calibration error {error:.3f}")
    ax.set(xlim=(0, 1), ylim=(0, 1))
for ax in axes:
    ax.set_xlabel("probability of the predicted class")
axes[0].legend(loc="upper left", fontsize="small")
plt.show()

# %%
# These tables are cleaner than most, which the prior cannot know after five rows of each class. It
# is right more often than it says, and a forest even more so. Naive Bayes is right less often than
# it says, which costs more.

# %%
# Intervals of numbers
# --------------------
# :class:`~skmeta.few_shot.MetaFewShotRegressor` predicts a distribution. ``predict_quantiles``
# gives its quantiles: here the median, and intervals of 50% and 90%, after 8 points of a curve and
# after 40.


def curve(x):
    """What the targets scatter around."""
    return np.sin(2.5 * x) + 0.5 * x


rng = np.random.default_rng(3)
x = rng.uniform(-2, 2, size=(40, 1))
y = curve(x[:, 0]) + 0.25 * rng.normal(size=40)
line = np.linspace(-3, 3, 200).reshape(-1, 1)
_, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
for ax, n in zip(axes, (8, 40), strict=True):
    reg = MetaFewShotRegressor().fit(x[:n], y[:n])
    low, lower, median, upper, high = reg.predict_quantiles(line, [0.05, 0.25, 0.5, 0.75, 0.95]).T
    ax.fill_between(line[:, 0], low, high, color="tab:blue", alpha=0.15, linewidth=0, label="90%")
    ax.fill_between(line[:, 0], lower, upper, color="tab:blue", alpha=0.3, linewidth=0, label="50%")
    ax.plot(line, median, color="tab:blue", label="median")
    ax.plot(line, curve(line), ":", color="0.3", label="truth")
    ax.plot(x[:n], y[:n], "o", color="black", markersize=4)
    ax.set(title=f"{n} points", ylim=(-3.5, 3.5))
axes[0].legend(loc="upper left", fontsize="small")
plt.show()

# %%
# Real targets: the progression of diabetes, from 10 to 100 patients, 20 draws each. The interval of
# 90% becomes narrower, and goes on holding about nine targets in ten.

X, y = load_diabetes(return_X_y=True)
for n in (10, 30, 100):
    inside, width = [], []
    for seed in range(20):
        rows = np.random.default_rng(seed).permutation(len(y))
        few, rest = rows[:n], rows[n:][:200]
        low, high = (
            MetaFewShotRegressor().fit(X[few], y[few]).predict_quantiles(X[rest], [0.05, 0.95]).T
        )
        inside.append(np.mean((low <= y[rest]) & (y[rest] <= high)))
        width.append(np.mean(high - low))
    print(f"{n:>3} patients: {np.mean(inside):.0%} inside, mean width {np.mean(width):.0f}")
