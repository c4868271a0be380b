"""
A whole table of schools
========================

Pupils belong to 65 schools of inner London, and the target is their examination score at age 16
[1]_. ``GroupedRegressor`` learns the table in one ``fit``: what all schools share, how they differ,
and each school. Then it predicts known groups, new groups with a few known rows, and new ones
without any.
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
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skmeta import GroupedRegressor
from skmeta.plotting import GroupEffectsDisplay

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
pupils = pd.read_csv(here / "../schools/exam.csv.gz")
X, y = pupils[["school", "standLRT", "schavg", "sex", "schgend"]], pupils["normexam"]

model = GroupedRegressor(groups="school").fit(X, y)
print(model.summary_)

# %%
# The summary says whether the school matters, and what each part of the model lost in schools that
# were held out. The weights of the mixture depend on the number of known pupils.
#
# Effects of schools
# ------------------
# ``effects_`` has a row for each school. The row ``shared`` is a school without pupils, and
# its ``std`` are standard errors; ``between`` says how schools differ. The intercept is the score
# of an average pupil, and slopes are in units of the score per unit of the column.

print(model.effects_.iloc[:6, :5].round(2))

# %%
# Drawn with intervals, they are the caterpillar plot of mixed models. Schools with few pupils have
# wide intervals, and are close to what all share.

_, (left, right) = plt.subplots(1, 2, figsize=(9, 5), layout="constrained")
GroupEffectsDisplay.from_estimator(model, ax=left)
GroupEffectsDisplay.from_estimator(model, effect="standLRT", ax=right)
left.set_title("Score of an average pupil")
right.set_title("Gain per unit of the test at age 11")
plt.show()

# %%
# How many rows of a new group are needed?
# ----------------------------------------
# The school explains 7% of the variance, so little can be gained from knowing its pupils. Chicks
# differ more: they are weighed twelve times in their first three weeks. A third of the chicks is
# new. Their first weighings are known, and those after day 12 are predicted. ``partial_fit`` adds
# the known ones, and leaves what all chicks share as it is. Two plain models are fitted again each
# time, with the chick as a category.

weighings = pd.read_csv(here / "chicks.csv.gz")
X, y = weighings[["chick", "day", "diet"]], weighings["weight"]
X_coded = X.astype({"chick": "category", "diet": "category"})
is_new = weighings["chick"] % 3 == 0
place = weighings.groupby("chick").cumcount()
query = is_new & (weighings["day"] > 12)
start = GroupedRegressor(groups="chick", order="day").fit(X[~is_new], y[~is_new])
encode = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["chick", "diet"]), remainder="passthrough"
)
peers = {
    "ridge": make_pipeline(encode, RidgeCV(np.logspace(-2, 3, 11))),
    "boosted trees": HistGradientBoostingRegressor(),
}

n_known = range(7)
scores = {"GroupedRegressor": []} | {name: [] for name in peers}
for n in n_known:
    few = is_new & (place < n)
    grouped = deepcopy(start)
    if n:
        grouped.partial_fit(X[few], y[few])
    scores["GroupedRegressor"].append(grouped.score(X[query], y[query]))
    for name, model in peers.items():
        model.fit(X_coded[~is_new | few], y[~is_new | few])
        scores[name].append(model.score(X_coded[query], y[query]))

_, ax = plt.subplots(layout="constrained")
for (name, values), style in zip(scores.items(), ("o-", "s--", "^:"), strict=True):
    ax.plot(n_known, values, style, label=name)
ax.set(xlabel="known weighings of a new chick", ylabel="R² of its weighings after day 12")
ax.legend()
plt.show()

# %%
# .. [1] Goldstein et al. (1993), A multilevel analysis of school examination results. The data are
#    those of the R package mlmRev.
