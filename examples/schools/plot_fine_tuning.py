"""
A prior for your own family of tables
=====================================

A prior ships for tables that have no past (:class:`~skmeta.few_shot.MetaFewShotRegressor` takes
it by default). It knows nothing of a new school but the pupils that it is shown. Where there *are*
earlier tables of the same kind, meta-training can go on from that prior.
:class:`~skmeta.learners.InContextLearner` then also keeps what tasks have in common in absolute
terms: what a point of the intake test is worth, what an average school is like, and how much
schools differ.
"""

# %%
# Fine-tuning
# -----------
# Two thirds of the 63 schools are there to learn from [1]_. ``groups`` says which rows are one
# task.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import mean_squared_error

from skmeta import MetaFewShotRegressor
from skmeta.learners import InContextLearner, MetaSGD
from skmeta.tasks import split_tasks

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
table = pd.read_csv(here / "exam.csv.gz")
# Schools of ten pupils or fewer cannot be tasks of ten and one.
table = table[table.groupby("school")["school"].transform("size") > 10].reset_index(drop=True)
table["girl"] = (table["sex"] == "F").astype(float)
table["girls_school"] = (table["schgend"] == "girls").astype(float)
table["boys_school"] = (table["schgend"] == "boys").astype(float)
X = table[["standLRT", "girl", "schavg", "girls_school", "boys_school"]]
y, school = table["normexam"], table["school"]
known, new = split_tasks(school, (0.66, 0.34), random_state=0)

learner = InContextLearner(
    prior="tabular", n_shot=5, n_query=20, n_iterations=200, meta_lr=2e-4, random_state=0
)
learner.fit(X.iloc[known], y.iloc[known], groups=school.iloc[known])
print(learner.prior_)
print(f"{school.iloc[new].nunique()} schools are new")

# %%
# From two pupils to forty
# ------------------------
# The scores of the other pupils of each new school are predicted from more and more of its pupils:
# by the prior that ships, by the same after fine-tuning, and by a network that Meta-SGD has
# meta-trained for ten pupils.

sgd = MetaSGD(
    backbone="mlp",
    backbone_params={"activation": "tanh"},
    n_shot=10,
    n_query=20,
    inner_lr=0.05,
    n_iterations=300,
    meta_batch_size=16,
    random_state=0,
).fit(X.iloc[known], y.iloc[known], groups=school.iloc[known])

priors = {"as it ships": None, "fine-tuned": learner.prior_, "Meta-SGD": sgd.prior_}
counts = (2, 5, 10, 20, 40)
rng = np.random.default_rng(0)
rows = []
for name in school.iloc[new].unique():
    pupils = rng.permutation(np.flatnonzero(school == name))
    if len(pupils) < 50:
        continue
    few, rest = pupils[:40], pupils[40:]
    for n in counts:
        for label, prior in priors.items():
            reg = MetaFewShotRegressor(prior).fit(X.iloc[few[:n]], y.iloc[few[:n]])
            error = mean_squared_error(y.iloc[rest], reg.predict(X.iloc[rest]))
            rows.append((name, n, label, error))
errors = pd.DataFrame(rows, columns=["school", "pupils", "prior", "squared error"])
mean = errors.pivot_table(index="pupils", columns="prior", values="squared error")[list(priors)]
print(f"{errors['school'].nunique()} schools")
print(mean.round(3))

# %%
# How sure it is
# --------------
# Five pupils of one school are known. The prior as it ships has to learn from them what the intake
# test is worth. The fine-tuned prior knows that, and learns from them only how this school differs.

pupils = rng.permutation(np.flatnonzero(school == school.iloc[new].value_counts().index[0]))
few, rest = pupils[:5], pupils[5:]
rest = rest[np.argsort(X["standLRT"].to_numpy()[rest])]
fig, (left, *others) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
for label in priors:
    left.plot(mean.index, mean[label], "o-", label=label)
left.set(xlabel="pupils known", ylabel="squared error in new schools", xscale="log")
left.set_xticks(counts, counts)
left.minorticks_off()
left.legend()
for ax, label in zip(others, ["as it ships", "fine-tuned"], strict=True):
    reg = MetaFewShotRegressor(priors[label]).fit(X.iloc[few], y.iloc[few])
    low, high = reg.predict_quantiles(X.iloc[rest], [0.05, 0.95]).T
    inside = np.mean((low <= y.iloc[rest]) & (y.iloc[rest] <= high))
    score = X["standLRT"].to_numpy()
    ax.vlines(score[rest], low, high, color="tab:blue", alpha=0.25)
    ax.plot(score[rest], reg.predict(X.iloc[rest]), ".", color="tab:blue", label="predicted")
    ax.plot(score[rest], y.iloc[rest], "x", color="0.6", markersize=4, label="other pupils")
    ax.plot(score[few], y.iloc[few], "o", color="tab:red", label="known pupils")
    ax.set(title=f"{label}: {inside:.0%} within the 90% intervals", xlabel="intake score")
    ax.set_ylim(y.min(), y.max())
others[0].set_ylabel("examination score")
others[1].legend(loc="lower right", fontsize="small", ncols=3, columnspacing=0.8)
plt.show()

# %%
# References
# ----------
# .. [1] Goldstein et al. (1993), A multilevel analysis of school examination results, Oxford Review
#    of Education 19, 425-433. The data come from the R package mlmRev (GPL, version 2 or later).
