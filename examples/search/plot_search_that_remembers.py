"""
A search that remembers
=======================

If you tune the same kind of model week after week, each search starts from nothing, although good
settings of one data set are seldom bad for the next.
:class:`~skmeta.search.MetaLearnedSearchCV` writes every candidate into a *history*, and starts the
next search, on other data, from what is there.
"""

# %%
# A week of data sets
# -------------------
# Each day brings 250 new handwritten digits and another question: is the digit one of these five?
# The five are drawn anew each day. The days have no row in common; what they share is the kind of
# data.

# sphinx_gallery_thumbnail_number = 3
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.plotting import SearchDisplay
from skmeta.search import MetaLearnedSearchCV, SearchHistory, SearchPrior

rng = np.random.default_rng(0)
images, digits = load_digits(return_X_y=True)
order = rng.permutation(len(digits))
names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
week = {}
for k, name in enumerate(names):
    rows = order[250 * k : 250 * (k + 1)]
    chosen = rng.choice(10, size=5, replace=False)
    week[name] = images[rows], np.isin(digits[rows], chosen)
    print(f"{name:<10} one of {sorted(chosen.tolist())}?")

# %%
# The searches from Monday to Saturday
# ------------------------------------
# What differs from a random search is ``history=``, the file that is read and written. On Monday
# it is empty. ``prior="history"`` leaves out what ships with the package, so that the searches know
# nothing but each other.

pipe = make_pipeline(StandardScaler(), SVC())
space = {
    "svc__C": loguniform(1e-3, 1e4),
    "svc__gamma": loguniform(1e-6, 1e1),
}
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "searches.db"

for name in names[:-1]:
    search = MetaLearnedSearchCV(
        pipe, space, n_iter=15, history=path, prior="history", random_state=0
    )
    search.fit(*week[name])
    print(f"{name:<10} best accuracy {search.best_score_:.3f}, {search.n_iter} candidates")

print(SearchHistory(path).describe())

# %%
# Sunday
# ------
# Three searches on the same data and folds: with the history, without anything known beforehand,
# and a random search of 60 candidates, which tells what random search is expected to reach after
# any number of them.

sunday = MetaLearnedSearchCV(pipe, space, n_iter=15, history=path, prior="history", random_state=0)
sunday.fit(*week["Sunday"])
plain = MetaLearnedSearchCV(pipe, space, n_iter=15, prior=None, random_state=0)
plain.fit(*week["Sunday"])
random = RandomizedSearchCV(pipe, space, n_iter=60, random_state=0).fit(*week["Sunday"])

display = SearchDisplay.from_estimator(sunday, reference=random, name="with history")
display.ax_.set_title("Sunday")
SearchDisplay.from_estimator(
    plain, name="without", ax=display.ax_, show_points=False, show_expected=False, color="tab:green"
)
plt.show()

# %%
# An accuracy higher by 0.004 is one image more. The first candidates are those that did well on the
# other days. Each row of ``cv_results_`` says why its candidate was tried, and what score was
# expected of it just before.

results = sunday.cv_results_
for k in range(6):
    mean, std = results["predicted_mean_score"][k], results["predicted_std_score"][k]
    expected = "" if np.isnan(mean) else f"expected {mean:.3f} ± {std:.3f}, "
    print(f"{results['source'][k]:<15} {expected}got {results['mean_test_score'][k]:.3f}")

# %%
# The report says which days were trusted: the weight of each day, and the share of the models that
# learned from the past against the one that did not.

report = sunday.prior_report_
print(f"share of the models with history: {report['learned_weight']:.2f}")
print("days:", report["task_weights"].round(2))

# %%
# Where are the good settings?
# ----------------------------
# Each point is a candidate. The ranges are wide, and good settings fill a small part of them, which
# is where a search without history has to get to first.

display.plot("slice")
plt.show()

# %%
# One Sunday is an anecdote
# -------------------------
# Hence the same for every day, with what the other six taught, and with two seeds each. The prior
# is learned from the history once, and a search leaves out what it knows of the same rows. The
# picture shows the distance of the best score so far to the best score that any search found on
# that day, as a mean over days and seeds.

prior = SearchPrior.from_searches(SearchHistory(path).searches(estimator="SVC"))
gaps = {"random search": [], "without history": [], "with history": []}
for X, y in week.values():
    reference = RandomizedSearchCV(pipe, space, n_iter=60, random_state=1).fit(X, y)
    found = {"random search": [SearchDisplay.from_estimator(reference).expected.mean[:15]]}
    plt.close()
    for name, known in {"without history": None, "with history": prior}.items():
        found[name] = []
        for seed in (1, 2):
            search = MetaLearnedSearchCV(pipe, space, n_iter=15, prior=known, random_state=seed)
            scores = search.fit(X, y).cv_results_["mean_test_score"]
            found[name].append(np.maximum.accumulate(scores))
    best = max(reference.best_score_, *(np.max(curves) for curves in found.values()))
    for name, curves in found.items():
        gaps[name].append(best - np.mean(curves, axis=0))

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, days), color in zip(gaps.items(), ("0.5", "tab:green", "black"), strict=True):
    ax.plot(range(1, 16), np.mean(days, axis=0), color=color, label=name, lw=2)
    for day in days:
        ax.plot(range(1, 16), day, color=color, lw=0.5, alpha=0.6)
    for k in (3, 6, 15):
        print(f"{name:<16} {k:>2} evaluations: {np.mean(days, axis=0)[k - 1]:.4f} below the best")
ax.set(xlabel="evaluations", ylabel="accuracy below the best found", ylim=(0, 0.15))
ax.xaxis.get_major_locator().set_params(integer=True)
ax.legend()
plt.show()

# %%
# With the history, the first candidates are good ones, and there is little left to gain; the search
# without one needs some evaluations to get there, and a random search more. After enough
# evaluations the two Bayesian searches cannot be told apart: what a history saves is the
# beginning. The best of many noisy scores is a little too good, for all three; see
# ``plot_nested_cv_and_resume.py`` for a score to report.

folder.cleanup()
