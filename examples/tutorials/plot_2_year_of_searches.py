"""
A year of searches
==================

Each month brings a table and a model to tune. The searches share a history, so that each starts
from what the earlier ones found. At the end of the year, one score is reported, by nested
cross-validation.
"""

# %%
# Twelve tables
# -------------
# In each month, 140 new handwritten digits and a question: is the digit one of these five? Which
# five changes. No two months have a row in common.

# sphinx_gallery_thumbnail_number = 1
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import (
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta import MetaLearnedSearchCV, SearchHistory
from skmeta.plotting import SearchDisplay

rng = np.random.default_rng(1)
images, digits = load_digits(return_X_y=True)
order = rng.permutation(len(digits))
year = []
for month in range(12):
    rows = order[140 * month : 140 * (month + 1)]
    year.append((images[rows], np.isin(digits[rows], rng.choice(10, size=5, replace=False))))

# %%
# January to December
# -------------------
# ``history`` is the file that searches read and write. ``prior="history"`` leaves out what the
# package knows, so that the searches know nothing but each other. A random search has the same
# number of candidates.

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "searches.db"
pipe = make_pipeline(StandardScaler(), SVC())
space = {"svc__C": loguniform(1e-3, 1e4), "svc__gamma": loguniform(1e-6, 1e1)}
search = MetaLearnedSearchCV(pipe, space, n_iter=5, history=path, prior="history", random_state=0)
ours, random = [], []
for X, y in year:
    ours.append(clone(search).fit(X, y).best_score_)
    random.append(RandomizedSearchCV(pipe, space, n_iter=5, random_state=0).fit(X, y).best_score_)

_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(range(1, 13), random, "o-", color="0.6", label="random search")
ax.plot(range(1, 13), ours, "o-", color="black", label="with the history")
ax.set(xlabel="month", ylabel="best accuracy of five candidates", xticks=range(1, 13))
ax.legend()
plt.show()
print(f"mean after January: {np.mean(ours[1:]):.3f}, random search {np.mean(random[1:]):.3f}")

# %%
# What is on record
# -----------------
# Parameters, scores and times, but no row of the tables.

history = SearchHistory(path)
print(history.describe())

# %%
# A search that was stopped
# -------------------------
# A search with a name goes on where it ended.

X, y = year[-1]
named = clone(search).set_params(name="December, longer")
named.set_params(n_iter=6).fit(X, y)
longer = clone(named).set_params(n_iter=14).fit(X, y)
print(f"{longer.n_resumed_} of {len(longer.cv_results_['params'])} candidates were on record")
SearchDisplay.from_estimator(longer).plot("slice")
plt.show()

# %%
# A score to report
# -----------------
# ``best_score_`` is the best of many noisy scores, and a little too good. Nested cross-validation
# tunes on a part of the rows and scores on the rest. The history already holds searches on all
# rows of December; a search does not learn from searches that share its rows, so their scores do
# not leak. ``mode="read"`` keeps the inner searches out of the history.

nested = clone(search).set_params(history=SearchHistory(path, mode="read"), n_iter=10)
outer = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
scores = cross_val_score(nested, X, y, cv=outer)
print(f"best score {longer.best_score_:.3f}; score to report {scores.mean():.3f}")
folder.cleanup()

# %%
# Next: :doc:`/searches` has budgets and choices, :doc:`/search_results` the report,
# :doc:`/history` servers and teams.
