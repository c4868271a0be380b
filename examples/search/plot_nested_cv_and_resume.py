"""
Nested cross-validation, time budgets and resuming
==================================================

A search with a history raises two questions that a search without one does not. What may it know
when its score is to be reported? And what happens to the record when it is stopped?
"""

# %%
# Some past searches
# ------------------
# A support vector machine was tuned on three data sets before; the file remembers.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.plotting import SearchDisplay
from skmeta.search import MetaLearnedSearchCV, SearchHistory

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "searches.db"
search = MetaLearnedSearchCV(
    make_pipeline(StandardScaler(), SVC()),
    {"svc__C": loguniform(1e-3, 1e4), "svc__gamma": loguniform(1e-6, 1e1)},
    n_iter=15,
    history=path,
    prior="history",  # and not what ships with the package
    random_state=0,
)
for load in (load_iris, load_wine, load_digits):
    X, y = load(return_X_y=True)
    clone(search).fit(X[::3], y[::3])
print(SearchHistory(path).describe())

# %%
# A budget of seconds, and going on
# ---------------------------------
# A time budget counts everything from the call of ``fit`` to the fitted model. What was finished
# by then is on record, so a search of the same name goes on from there. So it does after Ctrl-C
# (which keeps the best so far, with a warning), after an error, and after the process was killed:
# each candidate is written when its last fold is.

X, y = load_breast_cancer(return_X_y=True)
search.set_params(name="breast cancer")
short = clone(search).set_params(n_iter=1000, time_budget=2).fit(X, y)
n_short = len(short.cv_results_["params"])
print(f"stopped by {short.stopped_by_}: {n_short} candidates in {short.search_time_:.1f} s")

longer = clone(search).set_params(n_iter=n_short + 10).fit(X, y)
print(f"of {n_short + 10} candidates, {longer.n_resumed_} were on record")

display = SearchDisplay.from_estimator(longer, name="breast cancer")
display.ax_.axvline(longer.n_resumed_ + 0.5, color="tab:red", linestyle=":")
display.ax_.annotate(
    " resumed here",
    (longer.n_resumed_ + 0.5, 0.5),
    xycoords=("data", "axes fraction"),
    ha="left",
    color="tab:red",
)
plt.show()

# %%
# Data, estimator, space, folds and metrics must be the same; ``n_iter``, ``random_state`` and
# ``n_jobs`` may differ. Another search of the same name is an error, which says what differs.

# %%
# A score to report
# -----------------
# ``best_score_`` is the best of many noisy scores, and so a little too good. Nested
# cross-validation tunes on a part of the data and scores on the rest. Here the history holds a
# search on *all* of this data, whose scores have seen the rows of every outer test fold. A search
# does not learn from searches that have rows in common with it, so nothing of that gets in.
# ``mode="read"`` keeps the inner searches out of the history, which they would fill with parts
# of one data set.

reading = SearchHistory(path, mode="read")
nested = clone(search).set_params(n_iter=10, history=reading, name=None)
n_before = len(SearchHistory(path))
outer = RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=0)
scores = cross_validate(nested, X, y, cv=outer, return_estimator=True)
inner_scores = np.array([inner.best_score_ for inner in scores["estimator"]])
test_scores = scores["test_score"]

print("past searches used:", {len(inner.prior_) for inner in scores["estimator"]})
print("searches added to the history:", len(SearchHistory(path)) - n_before)
print(f"best inner score {inner_scores.mean():.4f}, test score {test_scores.mean():.4f}")

# %%
# Each line is an outer fold: the score by which the search chose, and that of the rows it had not
# seen. Test folds of 114 rows differ a lot; the means tell.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for inner_score, test_score in zip(inner_scores, test_scores, strict=True):
    ax.plot([0, 1], [inner_score, test_score], "o-", color="0.7", markersize=4)
means = [inner_scores.mean(), test_scores.mean()]
ax.plot([0, 1], means, "o-", color="tab:blue", lw=2.5, label="mean")
for x, mean in enumerate(means):
    ax.annotate(
        f"{mean:.3f}",
        (x, mean),
        (14 if x else -14, 0),
        textcoords="offset points",
        ha="left" if x else "right",
        va="center",
        color="tab:blue",
    )
ax.set_xticks([0, 1], ["best_score_ of the search", "outer test fold"])
ax.set(xlim=(-0.4, 1.4), ylabel="accuracy")
ax.legend()
plt.show()

folder.cleanup()
