"""
A school from ten of its pupils
===============================

Tables often have a column that says which task a row belongs to: a school, a patient, a shop. The
relation between features and target differs from task to task, and a new task has few rows. Here
the tasks are 63 schools of inner London, and the target is a pupil's examination score at age 16
[1]_.

A regression for all schools together (*pooled*) ignores what is special about a school. One for
the new school alone knows nothing but ten pupils. A meta-learner learns from the other schools how
to learn from ten pupils. There are several, and ``AutoLearner`` finds the one that suits.
"""

# %%
# The table
# ---------

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_squared_error

from skmeta import MetaFewShotRegressor
from skmeta.learners import MAML, ALPaCA, AutoLearner, HierarchicalLinear
from skmeta.tasks import EpisodeSplit, split_tasks

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
table = pd.read_csv(here / "exam.csv.gz")
# Ten pupils to learn from leave none to predict in two schools.
table = table[table.groupby("school")["school"].transform("size") > 10].reset_index(drop=True)
table["girl"] = (table["sex"] == "F").astype(float)
table["girls_school"] = (table["schgend"] == "girls").astype(float)
table["boys_school"] = (table["schgend"] == "boys").astype(float)
X = table[["standLRT", "girl", "schavg", "girls_school", "boys_school"]]
y, school = table["normexam"], table["school"]
print(X.assign(school=school, score=y).groupby("school").first().head())

# %%
# Which learner suits, and does meta-learning pay?
# ------------------------------------------------
# Two thirds of the schools are there to learn from. ``AutoLearner`` holds some of them out, trains
# several learners on the others, and compares them and plain regressions on the schools held out.
# Five or ten pupils of a new school will be known, which is what ``n_shot`` says. Without
# ``candidates``, it compares seven learners, which takes minutes; three will do for a first look.

known, new = split_tasks(school, (0.67, 0.33), random_state=0)
learners = [HierarchicalLinear(), MAML(n_iterations=200), ALPaCA(n_iterations=200)]
auto = AutoLearner(candidates=learners, n_shot=(5, 10), random_state=0)
auto.fit(X.iloc[known], y.iloc[known], groups=school.iloc[known])
columns = ["learner", "loss", "low", "high", "seconds", "status"]
print(auto.leaderboard_[columns].round(2).to_string(index=False))

# %%
# The summary says in words what the leaderboard shows. The plain models are a ridge regression on
# the pupils of all schools, one on the known pupils of the school, and boosted trees.

print(textwrap.fill(auto.summary_, 90))

# %%
# Against ridge regression
# ------------------------
# The other schools are new: five or ten pupils are known of each, and the scores of the rest are
# predicted. All methods get the same pupils. The penalty of the ridge regressions is chosen by
# leave-one-out. The schools are divided five times.
#
# The meta-learned model is the mixed-effects model of the leaderboard, which takes a second in each
# division. A comparison of all learners in each would take long.

learner = HierarchicalLinear()
penalties = np.logspace(-2, 4, 13)
rows = []
for seed in range(5):
    known, new = split_tasks(school, (0.67, 0.33), random_state=seed)
    X_new, y_new, school_new = X.iloc[new], y.iloc[new], school.iloc[new]
    pooled = RidgeCV(penalties).fit(X.iloc[known], y.iloc[known])
    prior = clone(learner).fit(X.iloc[known], y.iloc[known], groups=school.iloc[known]).prior_
    for n_pupils in (5, 10):
        cv = EpisodeSplit(
            n_shot=n_pupils,
            n_query=200,  # As many as a school has.
            n_episodes=school_new.nunique(),
            target_type="regression",
            prior=prior,
            random_state=seed,
        )
        for few, rest in cv.split(X_new, y_new, school_new):
            X_few, y_few = X_new.iloc[few], y_new.iloc[few]
            models = {
                "meta-learned": MetaFewShotRegressor(prior).fit(X_few, y_few),
                "pooled ridge": pooled,
                "per-school ridge": RidgeCV(penalties).fit(X_few, y_few),
            }
            for name, model in models.items():
                error = mean_squared_error(y_new.iloc[rest], model.predict(X_new.iloc[rest]))
                rows.append((school_new.iloc[few[0]], n_pupils, name, error))

# One error for each school: the mean over the divisions in which it was new.
errors = pd.DataFrame(rows, columns=["school", "pupils", "method", "squared error"])
errors = errors.pivot_table(index=["school", "pupils"], columns="method", values="squared error")
print(errors.groupby("pupils").mean().round(3))

# %%
# Methods are compared school by school, by the interval of the difference.

for other in ("pooled ridge", "per-school ridge"):
    difference = (errors["meta-learned"] - errors[other]).groupby("pupils")
    mean, half_width = difference.mean(), 1.96 * difference.sem()
    for n_pupils in (5, 10):
        print(
            f"{n_pupils:>2} pupils, meta-learned minus {other}: "
            f"{mean[n_pupils]:.3f} ± {half_width[n_pupils]:.3f}"
        )

# %%
# The picture
# -----------
# On the left, each point is a school: below the diagonal, the meta-learner is better than the
# pooled regression. On the right, the mean over schools of the squared error, with a 95% interval,
# most of which comes from schools that are easier or harder for every method.

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for n_pupils, color in ((5, "tab:orange"), (10, "tab:blue")):
    part = errors.xs(n_pupils, level="pupils")
    left.scatter(
        part["pooled ridge"], part["meta-learned"], s=22, color=color, label=f"{n_pupils} pupils"
    )
    mean, half_width = part.mean(), 1.96 * part.sem()
    order = ["per-school ridge", "pooled ridge", "meta-learned"]
    at = np.arange(3) + (0.12 if n_pupils == 5 else -0.12)
    right.errorbar(
        mean[order],
        at,
        xerr=half_width[order],
        fmt="o",
        color=color,
        capsize=3,
        label=f"{n_pupils} pupils",
    )
    for x, height in zip(mean[order], at, strict=True):
        right.annotate(
            f"{x:.2f}",
            (x, height),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )
ends = [0, errors[["pooled ridge", "meta-learned"]].to_numpy().max() * 1.05]
left.plot(ends, ends, color="0.6", linewidth=1)
left.set(xlabel="pooled ridge", ylabel="meta-learned", title="Squared error in a new school")
left.legend()
right.set(xlabel="squared error", title="Mean over new schools", ylim=(-0.5, 2.6))
right.set_yticks(range(3), order)
right.legend(loc="upper right")
plt.show()

# %%
# References
# ----------
# .. [1] Goldstein et al. (1993), A multilevel analysis of school examination results, Oxford Review
#    of Education 19, 425-433. The data come from the R package mlmRev (GPL, version 2 or later).
