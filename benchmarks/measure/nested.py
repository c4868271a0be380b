"""Nested cross-validation with a history, on labels of pure noise.

    python -m benchmarks.measure.nested --seeds 100

Each draw has 60 rows of five normal columns and 30 labels of each of two classes, at random. A
search of a support vector machine (6 candidates, three inner folds) is tested on 2, 3, 5 or 10
stratified outer folds, in all of which classes have equally many rows: otherwise the majority of
the training rows is the minority of the test rows, and accuracies are below chance. All searches of
a draw share a history, and learn from it as by ``default``, or with ``learn_from_same_data=True``
(``same data``, 5 folds only), which lets scores of test rows in. No outer accuracy but chance, 0.5,
is right. Lines have the number of past searches that the outer folds learned from.
"""

import numpy as np
from scipy.stats import loguniform
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.lib.resumable import RESULTS, run_or_summarize
from skmeta.search import MetaLearnedSearchCV, SearchHistory

PATH = RESULTS / "nested.jsonl"
FOLDS, FOLDS_OF_ALL = (2, 3, 5, 10), 5
N_ROWS, N_COLUMNS, N_ITER, N_INNER = 60, 5, 6, 3
SPACE = {"svc__C": loguniform(1e-2, 1e3), "svc__gamma": loguniform(1e-4, 10)}
KEYS = ("folds", "draw")
METHODS = {"default": False, "same data": True}


def run(cell):
    """Return the line of a number of folds and a draw."""
    n_folds, draw = cell
    names = METHODS if n_folds == FOLDS_OF_ALL else ["default"]
    return {"folds": n_folds, "draw": draw} | {n: measure(n, draw, n_folds) for n in names}


def measure(name, draw, n_folds):
    """Return the mean accuracy of the outer folds, and how many past searches they learned from."""
    rng = np.random.default_rng(draw)
    X = rng.normal(size=(N_ROWS, N_COLUMNS))
    y = rng.permutation(np.arange(N_ROWS) % 2)
    settings = {"n_iter": N_ITER, "cv": N_INNER, "random_state": draw, "verbose": 0}
    settings |= {"prior": "history", "learn_from_same_data": METHODS[name]}
    pipeline = make_pipeline(StandardScaler(), SVC())
    search = MetaLearnedSearchCV(pipeline, SPACE, **settings, history=SearchHistory())
    outer = StratifiedKFold(n_folds, shuffle=True, random_state=draw)
    found = cross_validate(search, X, y, cv=outer, return_estimator=True)
    n_past = sum(len(one.prior_ or ()) for one in found["estimator"])
    return round(float(found["test_score"].mean()), 6), n_past


def summarize(lines):
    """Return means, standard errors and past searches that were learned from, by folds."""
    rows = []
    for n_folds in FOLDS:
        own = [line for line in lines.values() if line["folds"] == n_folds]
        row = {"folds": n_folds, "draws": len(own)}
        for name in METHODS.keys() & (own[0].keys() if len(own) > 1 else ()):
            accuracies, n_past = np.array([line[name] for line in own]).T
            error = accuracies.std(ddof=1) / np.sqrt(len(own))
            row[name] = [round(float(accuracies.mean()), 4), round(float(error), 4)]
            row[f"{name}, past searches"] = int(n_past.sum())
        rows.append(row)
    return rows


def cells(seeds):
    return [(n_folds, draw) for draw in seeds for n_folds in FOLDS]


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, PATH, KEYS)
