"""Early stopping of LightGBM on each fold's own rows: test score and seconds, with and without it.

    SKMETA_DATA=... python benchmarks/early_stopping.py
    python benchmarks/early_stopping.py --summary

LightGBM in its default space, ten candidates, three folds, without prior. 500 or 3,000 rows are
there to search on; up to 2,000 others are the test set, which no search sees. The score is
accuracy, or R2 for regressions. Seconds are those of the processor, of the whole search with its
refit, one thread.

``searched``   the number of rounds (25 to 1,000) is a parameter of the space
``stopped``    ``early_stopping=0.1``
``thousand``   1,000 rounds, the limit of ``stopped``, for all candidates; with 500 rows only

One line per run goes to ``benchmarks/results/early_stopping.jsonl``; what is there is not run
again.
"""

import argparse
import json
import os
import time
from itertools import product
from pathlib import Path

import numpy as np
from intervals import bootstrap_interval
from lightgbm import LGBMClassifier, LGBMRegressor
from make_searches import load
from resumable import read_lines, run_cells
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from skmeta.search import MetaLearnedSearchCV, default_search_space

RESULTS = Path(__file__).parent / "results" / "early_stopping.jsonl"
METHODS = ("searched", "stopped", "thousand")
N_ITER, N_TEST, SHARE = 10, 2000, 0.1
SIZES = (500, 3000)
# Of different origins, with a thousand rows or more. Those without 3,000 rows and 1,000 others are
# left out of the larger size.
SETS = {
    "classification": (
        *("phoneme", "spambase", "churn", "splice", "adult", "car", "cmc", "chess", "ann_thyroid"),
        *("titanic", "GAMETES_Epistasis_2_Way_20atts_0.4H_EDM_1_1", "german"),
    ),
    "regression": (
        *("uci_elevators", "uci_bike", "uci_pumadyn32nm", "uci_skillcraft", "uci_sml"),
        *("197_cpu_act", "537_houses"),
    ),
}
SETTINGS = {"n_jobs": 1, "verbose": -1, "random_state": 0}


def run(cell):
    """Return one line of the results."""
    dataset, n_train, seed, method = cell
    is_classification = dataset in SETS["classification"]
    folder = Path(os.environ["SKMETA_DATA"]) / "tabular"
    X, y = load(folder, dataset, n_train + N_TEST, is_classification)
    if n_train > SIZES[0] and (len(X) < n_train + 1000 or method == "thousand"):
        return None
    n_train, strata = min(n_train, len(X) // 2), y if is_classification else None
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=n_train, stratify=strata, random_state=seed
    )
    folds = StratifiedKFold if is_classification else KFold
    model = (LGBMClassifier if is_classification else LGBMRegressor)(**SETTINGS)
    space = default_search_space(model)
    if method == "thousand":
        space["n_estimators"] = [1000]
        model.set_params(n_estimators=1000)
    search = MetaLearnedSearchCV(
        model,
        space if method == "thousand" else None,
        n_iter=N_ITER,
        early_stopping=SHARE if method == "stopped" else None,
        prior=None,
        history=False,
        cv=folds(3, shuffle=True, random_state=seed),
        random_state=seed,
        progress=False,
    )
    begun = time.process_time()
    search.fit(X, y)
    return {
        "cell": cell,
        "cv_score": round(float(search.best_score_), 4),
        "test_score": round(float(search.score(X_test, y_test)), 4),
        "rounds": int(search.best_estimator_.get_params()["n_estimators"]),
        "seconds": round(time.process_time() - begun, 3),
    }


def summarise():
    """Return scores and seconds of the runs that both methods have, with bootstrap intervals."""
    lines = {tuple(line["cell"]): line for line in read_lines(RESULTS)}
    summary = {}
    for (task, names), size, other in product(SETS.items(), SIZES, ("searched", "thousand")):
        pairs = [
            (lines[dataset, n_train, seed, other], lines[dataset, n_train, seed, method])
            for dataset, n_train, seed, method in sorted(lines)
            if dataset in names
            and (n_train, method) == (size, "stopped")
            and (dataset, n_train, seed, other) in lines
        ]
        if pairs:
            summary[f"{task}, {size} rows, {other}"] = compare(pairs)
    return summary


def compare(pairs):
    """Return what early stopping changes."""
    scores, seconds, rounds = (
        np.array([[line[key] for line in pair] for pair in pairs])
        for key in ("test_score", "seconds", "rounds")
    )
    gain = scores[:, 1] - scores[:, 0]
    difference, *bounds = bootstrap_interval(gain)
    return {
        "runs": len(pairs),
        "test score, without and stopped": scores.mean(0).round(4).tolist(),
        "difference": round(float(difference), 4),
        "interval": np.round(bounds, 4).tolist(),
        "at least as good": round(float((gain >= 0).mean()), 3),
        "share of all seconds": round(float(seconds[:, 1].sum() / seconds[:, 0].sum()), 3),
        "share of seconds, median": round(float(np.median(seconds[:, 1] / seconds[:, 0])), 3),
        "rounds, without and stopped, median": np.median(rounds, axis=0).astype(int).tolist(),
    }


def main():
    """Run what is missing, or print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    if options.summary:
        print(json.dumps(summarise(), indent=1))
        return
    datasets = [name for names in SETS.values() for name in names]
    cells = [
        (dataset, size, seed, method)
        for size, seed, dataset, method in product(SIZES, range(options.seeds), datasets, METHODS)
    ]
    run_cells(cells, run, RESULTS, options.minutes)


if __name__ == "__main__":
    main()
