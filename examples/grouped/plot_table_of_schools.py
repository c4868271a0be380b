"""
A whole table of schools
========================

Pupils belong to 65 schools of inner London, and the target is their examination score at age 16
[1]_. ``GroupedRegressor`` learns the table in one ``fit``: what all schools share, how they differ,
and each school. It then predicts pupils of known schools, of new schools of which a few pupils are
known, and of schools without any.
"""

# %%
# Fit the table
# -------------
# The column of schools stays in ``X``. Columns of strings are categories.

from copy import deepcopy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skmeta import GroupedRegressor
from skmeta.plotting import GroupEffectsDisplay

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
pupils = pd.read_csv(here.parent / "schools" / "exam.csv.gz")
X, y = pupils[["school", "standLRT", "schavg", "sex", "schgend"]], pupils["normexam"]

model = GroupedRegressor(groups="school").fit(X, y)
print(model.summary_)

# %%
# The summary says whether the school matters, and what each part of the model lost in schools that
# were held out. The weights of the mixture depend on the number of known pupils.
#
# Effects of schools
# ------------------
# ``effects_`` has a row for each school. The row ``shared`` is a school without pupils: its
# deviations are those between schools. The intercept is the score of an average pupil, and slopes
# are in units of the score per unit of the column.

print(model.effects_.iloc[:6, :5].round(2))

# %%
# Drawn with intervals, they are the caterpillar plot of mixed models. Schools with few pupils have
# wide intervals, and are close to what all share.

_, (left, right) = plt.subplots(1, 2, figsize=(9, 5), layout="constrained")
GroupEffectsDisplay.from_estimator(model, ax=left)
GroupEffectsDisplay.from_estimator(model, effect="standLRT", ax=right)
left.set_title("Score of an average pupil")
right.set_title("Gain per unit of the test at age 11")

# %%
# How many pupils of a new school are needed?
# -------------------------------------------
# A third of the schools is held out. Some of their pupils are known, and the pupils after the first
# 20 are predicted. ``partial_fit`` adds the known ones, and leaves what all schools share as it is.
# Two ridge regressions are fitted again each time: one ignores the school, and one has an indicator
# for each school.

rng = np.random.default_rng(0)
sizes = pupils["school"].value_counts()
held_out = rng.permutation(sorted(sizes[sizes > 30].index))[:20]
is_new = pupils["school"].isin(held_out).to_numpy()
order = pd.Series(rng.permutation(len(pupils)))
place = order.groupby(pupils["school"]).rank().to_numpy()
query = is_new & (place > 20)
start = GroupedRegressor(groups="school").fit(X[~is_new], y[~is_new])


def ridge(columns):
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), columns), remainder="passthrough"
    )
    return make_pipeline(encode, RidgeCV(np.logspace(-2, 3, 11)))


n_known = [0, 1, 2, 5, 10, 20]
errors = {"GroupedRegressor": [], "ridge, without school": [], "ridge, a dummy per school": []}
for n in n_known:
    few = is_new & (place <= n)
    grouped = deepcopy(start)
    if n:
        grouped.partial_fit(X[few], y[few])
    rows = ~is_new | few
    pooled = ridge(["sex", "schgend"]).fit(X[rows].drop(columns="school"), y[rows])
    dummies = ridge(["sex", "schgend", "school"]).fit(X[rows], y[rows])
    found = [
        grouped.predict(X[query]),
        pooled.predict(X[query].drop(columns="school")),
        dummies.predict(X[query]),
    ]
    for name, predicted in zip(errors, found, strict=True):
        errors[name].append(np.mean((predicted - y[query]) ** 2) / y.var())

_, ax = plt.subplots(layout="constrained")
for (name, values), style in zip(errors.items(), ("o-", "s--", "^:"), strict=True):
    ax.plot(range(len(n_known)), values, style, label=name)
ax.set_xticks(range(len(n_known)), n_known)
ax.set(xlabel="known pupils of a new school", ylabel="squared error / variance of the score")
ax.legend()
plt.show()

# %%
# .. [1] Goldstein et al. (1993), A multilevel analysis of school examination results. The data are
#    those of the R package mlmRev.
