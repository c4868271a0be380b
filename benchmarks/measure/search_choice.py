"""Choosing and tuning one of six classifiers: test score against random search and FLAML.

    SKMETA_DATA=... python -m benchmarks.measure.search_choice --minutes 60
    python -m benchmarks.measure.search_choice --summary

Up to 600 rows of a tabular set are there to search on, up to 2,000 others are the test set, which
no search sees; no two sets are of the same origin, and the priors leave the origin at hand out.
The score is accuracy.

``ours``     MetaLearnedSearchCV over a list of six estimators, 30 candidates, 3 folds
``ours_15``  the same with 15 candidates
``random``   RandomizedSearchCV over the same estimators and spaces, 30 candidates, same folds
``flaml``    FLAML's AutoML with its own learners, for as many seconds as ``ours`` took
``forest``   RandomForestClassifier() as it is

A line a run goes to ``benchmarks/results/search_choice.jsonl``; what is there is not run again.
"""

import os
import time
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

from benchmarks.lib.intervals import compare_pairs
from benchmarks.lib.origins import same_origin
from benchmarks.lib.resumable import lines_by_cell, run_or_summarize
from benchmarks.make.searches import make
from benchmarks.measure.search_day_one import chosen, load
from skmeta.search import MetaLearnedSearchCV
from skmeta.search.prior import load_shipped
from skmeta.search.space import expand_choices

RESULTS = Path(__file__).parents[1] / "results" / "search_choice.jsonl"
FOLDER = Path(os.environ.get("SKMETA_DATA", "")) / "tabular"
METHODS = ("ours", "ours_15", "random", "flaml", "forest")
ESTIMATORS = (
    "LogisticRegression",
    "KNeighborsClassifier",
    "DecisionTreeClassifier",
    "SVC",
    "ExtraTreesClassifier",
    "RandomForestClassifier",
)
N_ITER = 30


def run(cell):
    """Return one line of the results."""
    method, dataset = cell
    X, y, X_test, y_test = load(FOLDER, dataset, is_classification=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    listed = [make(name) for name in ESTIMATORS]
    common = {"n_iter": N_ITER, "cv": folds, "scoring": "accuracy", "random_state": 0}
    if method in ("ours", "ours_15"):
        common["n_iter"] = 15 if method == "ours_15" else N_ITER
        known = load_shipped("|".join(ESTIMATORS), "accuracy")
        prior = known.without(datasets=same_origin(dataset))
        search = MetaLearnedSearchCV(listed, prior=prior, history=None, **common)
    elif method == "random":
        pipeline = Pipeline([("model", listed[0])])
        search = RandomizedSearchCV(pipeline, expand_choices(pipeline, {"model": listed}), **common)
    elif method == "flaml":
        from flaml import AutoML

        seconds = lines_by_cell(RESULTS, ("method", "data"))["ours", dataset]["seconds"]
        common = {"metric": "accuracy", "seed": 0, "verbose": 0, "n_jobs": 1}
        search = AutoML(task="classification", time_budget=seconds, **common)
    else:
        search = RandomForestClassifier(random_state=0)
    begun = time.perf_counter()
    search.fit(X, y)
    seconds = round(time.perf_counter() - begun, 2)
    accuracy = round(float(np.mean(search.predict(X_test) == y_test)), 4)
    line = {"method": method, "data": dataset, "accuracy": accuracy, "seconds": seconds}
    if method in ("ours", "ours_15", "random"):
        line["cv"] = round(float(search.best_score_), 5)
    return line


def summarize(lines):
    """Compare ours with the others, and 15 candidates of ours with 30 random ones."""
    tests = [("ours", other, "accuracy") for other in METHODS[2:]]
    tests += [("ours_15", "random", kind) for kind in ("accuracy", "cv")]
    summary = {}
    for ours, theirs, kind in tests:
        pairs = [
            (lines[theirs, data][kind], line[kind])
            for (method, data), line in lines.items()
            if method == ours and (theirs, data) in lines
        ]
        summary[f"{ours} and {theirs}, {kind}"] = compare_pairs(*np.transpose(pairs))
    return summary


if __name__ == "__main__":
    run_or_summarize(
        __doc__,
        lambda _: product(METHODS, chosen(FOLDER, "classification")),
        run,
        summarize,
        RESULTS,
        ("method", "data"),
    )
