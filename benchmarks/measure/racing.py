"""Racing over folds: share of the fold fits, and the test score, with and without it.

    SKMETA_DATA=... python -m benchmarks.measure.racing

A random forest of 16 trees, histogram gradient boosting of 30 iterations and LightGBM of 30 trees,
otherwise in their default spaces and without prior, 30 candidates, by cross-validation with five
folds. Up to 500 rows are there to search on; up to 1,000 others are the test set, which no search
sees. The score is accuracy. ``all`` evaluates every candidate on every fold; ``racing`` was chosen
on twelve other sets.
"""

import time
from itertools import product

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split

from benchmarks.lib.intervals import compare_pairs
from benchmarks.lib.resumable import RESULTS, run_or_summarize
from benchmarks.lib.tabular_sets import load as read
from skmeta.search import MetaLearnedSearchCV, default_search_space

METHODS = {"all": False, "racing": True}
OWN_SETS = {"breast_cancer": load_breast_cancer, "wine": load_wine}
# Of different origins, and with few classes.
MORE_SETS = "german tic_tac_toe diabetes vehicle phoneme spambase australian churn splice"
ESTIMATORS = {
    "forest": RandomForestClassifier(16, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=30, random_state=0),
    "lightgbm": LGBMClassifier(n_estimators=30, random_state=0, n_jobs=1, verbose=-1),
}
N_ITER, N_FOLDS, N_ROWS, N_TEST = 30, 5, 500, 1000


def run(cell):
    """Return one line of the results."""
    dataset, name, seed, method = cell
    X, y = OWN_SETS[dataset](return_X_y=True) if dataset in OWN_SETS else read(dataset)
    n_train = min(N_ROWS, len(X) // 2)
    sizes = {"train_size": n_train, "test_size": min(N_TEST, len(X) - n_train)}
    X, X_test, y, y_test = train_test_split(X, y, **sizes, stratify=y, random_state=0)
    space = default_search_space(ESTIMATORS[name])
    space = {n: values for n, values in space.items() if n not in ("max_iter", "n_estimators")}
    cv = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    settings = {"n_iter": N_ITER, "racing": METHODS[method], "scoring": "accuracy", "cv": cv}
    settings |= {"prior": None, "history": None, "random_state": seed, "verbose": 0}
    search = MetaLearnedSearchCV(ESTIMATORS[name], space, **settings)
    begun = time.process_time()
    search.fit(X, y)
    n_fits = int(np.sum(search.cv_results_.get("n_folds", np.full(N_ITER, N_FOLDS))))
    return {
        "cell": cell,
        "share": n_fits / (N_ITER * N_FOLDS),
        "cv_score": round(float(search.best_score_), 4),
        "test_score": round(float(search.score(X_test, y_test)), 4),
        "seconds": round(time.process_time() - begun, 2),
    }


def summarize(lines):
    """Compare the runs that both methods have, by estimator."""
    summary = {}
    for estimator in (*ESTIMATORS, "all"):
        pairs = [
            (line, lines[(*cell[:3], "racing")])
            for cell, line in lines.items()
            if cell[3] == "all" and estimator in (cell[1], "all") and (*cell[:3], "racing") in lines
        ]
        if pairs:
            tested, validated, seconds, share = (
                np.array([[line[key] for line in pair] for pair in pairs]).T
                for key in ("test_score", "cv_score", "seconds", "share")
            )
            summary[estimator] = compare_pairs(*tested) | {
                "share of fits": round(float(share[1].mean()), 3),
                "share of seconds": round(float(np.divide(*seconds.sum(1)[::-1])), 3),
                "difference in cross-validated score": compare_pairs(*validated)["difference"],
            }
    return summary


def cells(seeds):
    return product([*OWN_SETS, *MORE_SETS.split()], ESTIMATORS, seeds, METHODS)


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, RESULTS / "racing.jsonl")
