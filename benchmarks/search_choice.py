"""Choosing and tuning one of six classifiers: test score against random search and FLAML.

    SKMETA_DATA=... python benchmarks/search_choice.py --hours 1
    python benchmarks/search_choice.py --summary

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

import argparse
import os
import time
from pathlib import Path

import numpy as np
from make_searches import make
from origins import same_origin
from resumable import read_lines, report, run_cells
from search_day_one import chosen, load
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

from skmeta.search import MetaLearnedSearchCV
from skmeta.search.prior import load_shipped
from skmeta.search.space._defaults import expand_choices

RESULTS = Path(__file__).parent / "results" / "search_choice.jsonl"
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


def run(method, dataset, folder):
    """Return one line of the results."""
    X, y, X_test, y_test = load(folder, dataset, is_classification=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    listed = [make(name) for name in ESTIMATORS]
    common = {"n_iter": N_ITER, "cv": folds, "scoring": "accuracy", "random_state": 0}
    if method in ("ours", "ours_15"):
        common["n_iter"] = 15 if method == "ours_15" else N_ITER
        known = load_shipped("|".join(ESTIMATORS), "accuracy")
        prior = known.without(datasets=same_origin(dataset))
        search = MetaLearnedSearchCV(listed, prior=prior, history=False, **common)
    elif method == "random":
        pipeline = Pipeline([("model", listed[0])])
        search = RandomizedSearchCV(pipeline, expand_choices(pipeline, {"model": listed}), **common)
    elif method == "flaml":
        from flaml import AutoML

        ours = [r for r in read_lines(RESULTS) if r["method"] == "ours"]
        seconds = {r["data"]: r["seconds"] for r in ours}[dataset]
        search = AutoML(
            task="classification",
            metric="accuracy",
            time_budget=seconds,
            seed=0,
            verbose=0,
            n_jobs=1,
        )
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


def summarise():
    scores, validated = {}, {}
    for line in read_lines(RESULTS):
        scores.setdefault(line["data"], {})[line["method"]] = line["accuracy"]
        if "cv" in line:
            validated.setdefault(line["data"], {})[line["method"]] = line["cv"]
    summary = {"15 of ours against 30 random ones": compare_fewer(scores, validated)}
    for other in METHODS[2:]:
        pairs = [(s["ours"], s[other]) for s in scores.values() if {"ours", other} <= set(s)]
        if not pairs:
            continue
        ours, theirs = np.array(pairs).T
        drawn = np.random.default_rng(0).integers(len(ours), size=(2000, len(ours)))
        gaps = (ours - theirs)[drawn].mean(1)
        summary[other] = {
            "n_sets": len(ours),
            "mean accuracy, ours and theirs": [round(float(v.mean()), 4) for v in (ours, theirs)],
            "better": round(float((ours > theirs).mean()), 3),
            "at least as good": round(float((ours >= theirs).mean()), 3),
            "mean difference": round(float((ours - theirs).mean()), 4),
            "interval": np.percentile(gaps, [2.5, 97.5]).round(4).tolist(),
        }
    return summary


def compare_fewer(scores, validated):
    """Compare 15 candidates of ours with 30 random ones, in both kinds of score."""
    names = [d for d, s in validated.items() if {"ours_15", "random"} <= set(s)]
    summary = {"n_sets": len(names)}
    for kind, of in (("cross-validated", validated), ("test", scores)):
        gaps = np.array([of[d]["ours_15"] - of[d]["random"] for d in names])
        if len(gaps):
            drawn = np.random.default_rng(0).integers(len(gaps), size=(2000, len(gaps)))
            summary[kind] = {
                "at least as good": round(float((gaps >= 0).mean()), 3),
                "mean difference": round(float(gaps.mean()), 4),
                "interval": np.percentile(gaps[drawn].mean(1), [2.5, 97.5]).round(4).tolist(),
            }
    return summary


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--hours", type=float, default=float("inf"))
    parser.add_argument("--summary", action="store_true")
    options = parser.parse_args()
    if options.summary:
        report(summarise(), RESULTS.with_suffix(".json"))
        return
    folder = Path(os.environ["SKMETA_DATA"]) / "tabular"
    cells = [(m, d) for d in chosen(folder, "classification") for m in options.methods]
    run_cells(
        cells, lambda cell: run(*cell, folder), RESULTS, 60 * options.hours, ("method", "data")
    )


if __name__ == "__main__":
    main()
