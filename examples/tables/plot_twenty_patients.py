"""
Twenty patients
===============

A clinic has measured twenty tumours and knows which were malignant. That is a small table, and
there are no earlier tasks. :class:`~skmeta.few_shot.MetaFewShotClassifier` starts from a prior that
ships with the package: there is nothing to meta-train and nothing to tune, and columns may hold
categories and missing values.
"""

# %%
# The table
# ---------
# Five columns of the breast-cancer data that come with scikit-learn. One of them is turned into a
# category, as a report might have it, and some values are lost.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import MetaFewShotClassifier

data = load_breast_cancer(as_frame=True)
X = data.data[["mean radius", "mean texture", "mean smoothness", "mean symmetry"]].copy()
y = np.where(data.target == 1, "benign", "malignant")
shape = pd.cut(data.data["mean concavity"], [-1, 0.03, 0.1, 1], labels=["even", "dented", "hollow"])
X["outline"] = shape.astype(str)
rng = np.random.default_rng(0)
X = X.mask(rng.random(X.shape) < 0.1)

patients = np.concatenate([rng.choice(np.flatnonzero(y == c), 10, False) for c in np.unique(y)])
print(X.iloc[patients].head())

clf = MetaFewShotClassifier().fit(X.iloc[patients], y[patients])
others = np.delete(np.arange(len(y)), patients)
print(f"accuracy on {len(others)} others: {clf.score(X.iloc[others], y[others]):.2f}")

# %%
# What it believes
# ----------------
# Two of the columns, so that it can be drawn: the probability of a malignant tumour after the same
# twenty patients, beside two classifiers that start from nothing.

pair = ["mean radius", "mean texture"]
few = data.data.loc[patients, pair].to_numpy()
grid = np.meshgrid(np.linspace(6, 28, 60), np.linspace(9, 34, 60))
points = np.column_stack([axis.ravel() for axis in grid])
models = {
    "MetaFewShotClassifier()": MetaFewShotClassifier(),
    "random forest": RandomForestClassifier(random_state=0),
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
}
_, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True, layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    p = model.fit(few, y[patients]).predict_proba(points)[:, 1].reshape(60, 60)
    filled = ax.contourf(*grid, p, levels=np.linspace(0, 1, 21), cmap="RdBu_r", alpha=0.8)
    ax.contour(*grid, p, levels=[0.5], colors="black", linewidths=1)
    for label, color in (("benign", "tab:blue"), ("malignant", "tab:red")):
        ax.scatter(*few[y[patients] == label].T, color=color, edgecolors="white", label=label)
    ax.set(title=name, xlabel=pair[0])
axes[0].set_ylabel(pair[1])
axes[0].legend(loc="lower right")
plt.colorbar(filled, ax=axes, label="probability of malignant", ticks=[0, 0.5, 1])
plt.show()

# %%
# Other patients, other clinics
# -----------------------------
# Which twenty they are is luck, so 20 clinics are drawn, and each predicts all other patients. The
# log loss asks for more than the right class: it punishes a wrong prediction by its confidence.
# The peers get codes in place of categories and, where they need it, medians in place of what is
# missing. A straight line is nearly right for these tumours, which suits logistic regression: its
# log loss is the lowest. The prior is as accurate without having been told, and ahead of the forest
# in both.

coded = X.assign(outline=X["outline"].map({"even": 0.0, "dented": 1.0, "hollow": 2.0}))
impute = SimpleImputer(strategy="median")
models = {
    "MetaFewShotClassifier()": (MetaFewShotClassifier(), X),
    "random forest": (RandomForestClassifier(random_state=0), coded),
    "logistic regression": (
        make_pipeline(impute, StandardScaler(), LogisticRegression()),
        coded,
    ),
}
rows = []
for clinic in range(20):
    rng = np.random.default_rng(clinic)
    patients = np.concatenate([rng.choice(np.flatnonzero(y == c), 10, False) for c in np.unique(y)])
    others = np.delete(np.arange(len(y)), patients)
    for name, (model, table) in models.items():
        model.fit(table.iloc[patients], y[patients])
        p = model.predict_proba(table.iloc[others])
        accuracy = balanced_accuracy_score(y[others], model.classes_[p.argmax(1)])
        # A forest's probability of 0 would cost infinitely much.
        rows.append((name, accuracy, log_loss(y[others], 0.998 * p + 0.001)))
results = pd.DataFrame(rows, columns=["model", "balanced accuracy", "log loss"])
print(results.groupby("model", sort=False).mean().round(3))

_, axes = plt.subplots(1, 2, figsize=(10, 3), sharey=True, layout="constrained")
for ax, measure in zip(axes, ["balanced accuracy", "log loss"], strict=True):
    for k, name in enumerate(models):
        values = results.loc[results["model"] == name, measure]
        ax.plot(values, np.full(len(values), k), "o", alpha=0.3, markeredgewidth=0)
        ax.plot(values.mean(), k, "|", color="black", markersize=24)
    ax.set(xlabel=measure, yticks=range(3), yticklabels=list(models), ylim=(2.5, -0.5))
plt.show()
