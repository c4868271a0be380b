"""
When to prefer trees
====================

With few rows, what a model knows before it sees them counts most; with many, the rows do. Here is
how the prior that ships for small tables fares against a random forest and gradient-boosted trees
as rows are added, on one table that is real and one that is made for trees.
"""

# %%
# Two tables
# ----------
# Handwritten digits, with 64 columns and 10 classes; and two classes that a sphere in ten
# dimensions divides (Hastie et al. 2009, example 10.2).
# :class:`~skmeta.few_shot.MetaFewShotClassifier` sees a table of more than 64 columns or 1,000 rows
# in parts, one in each of ``n_views`` views.

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits, make_hastie_10_2
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from skmeta import MetaFewShotClassifier
from skmeta.exceptions import UnusedDataWarning

warnings.simplefilter("ignore", UnusedDataWarning)  # Above 1,000 rows, it advises trees.

tables = {
    "digits": load_digits(return_X_y=True),
    "sphere in ten dimensions": make_hastie_10_2(8300, random_state=0),
}
sizes = (20, 60, 200, 600, 2000, 8000)
models = {
    "MetaFewShotClassifier()": MetaFewShotClassifier(),
    "random forest": RandomForestClassifier(random_state=0),
    "gradient boosting": HistGradientBoostingClassifier(random_state=0),
}
N_DRAWS, N_QUERY = 3, 300


def measure(X, y, size):
    """Accuracy and seconds of each model, mean over draws."""
    found = np.zeros((len(models), 2))
    for seed in range(N_DRAWS):
        rows = np.random.default_rng(seed).permutation(len(y))
        few, rest = rows[:size], rows[-N_QUERY:]
        for k, model in enumerate(models.values()):
            start = time.perf_counter()
            accuracy = model.fit(X[few], y[few]).score(X[rest], y[rest])
            found[k] += accuracy, time.perf_counter() - start
    return found / N_DRAWS


results = {
    name: {n: measure(X, y, n) for n in sizes if n + N_QUERY <= len(y)}
    for name, (X, y) in tables.items()
}

# %%
# Few rows and many
# -----------------
# The prior is ahead as long as rows are few. From 200 rows on, boosted trees take part in its
# predictions, so it stays level with the best. With thousands of rows, though, it takes many times
# as long as trees alone, and gains little over them.

_, axes = plt.subplots(2, 2, figsize=(10, 6.5), sharex=True, sharey="row", layout="constrained")
for column, (title, found) in enumerate(results.items()):
    values = np.array(list(found.values()))
    for k, (name, style) in enumerate(zip(models, ("o-", "s--", "^-."), strict=True)):
        for row in range(2):
            axes[row, column].plot(list(found), values[:, k, row], style, label=name)
    axes[0, column].set_title(title)
    axes[1, column].set(xscale="log", xlabel="labelled rows", yscale="log")
    axes[1, column].set_xticks(sizes, [str(n) for n in sizes], minor=False)
    axes[1, column].minorticks_off()
axes[0, 0].set_ylabel(f"accuracy on {N_QUERY} other rows")
axes[1, 0].set_ylabel("seconds to fit and predict")
axes[0, 0].legend()
plt.show()
