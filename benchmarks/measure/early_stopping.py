"""Early stopping of LightGBM on each fold's own rows: test score and seconds, with and without it.

    SKMETA_DATA=... python -m benchmarks.measure.early_stopping
    python -m benchmarks.measure.early_stopping --summary

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

import os
import time
from itertools import product
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from benchmarks.lib.intervals import compare_pairs
from benchmarks.lib.resumable import run_or_summarize
from benchmarks.make.searches import load
from skmeta.search import MetaLearnedSearchCV, default_search_space

RESULTS = Path(__file__).parents[1] / "results" / "early_stopping.jsonl"
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
        verbose=0,
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


def summarize(lines):
    """Compare scores and seconds of the runs that both methods have."""
    summary = {}
    for size, other, (task, names) in product(SIZES, ("searched", "thousand"), SETS.items()):
        pairs = [
            (lines[(*cell[:3], other)], line)
            for cell, line in sorted(lines.items())
            if cell[1] == size and cell[0] in names and cell[3] == "stopped"
            if (*cell[:3], other) in lines
        ]
        if pairs:
            before, after = ([pair[k]["test_score"] for pair in pairs] for k in (0, 1))
            seconds = np.array([[line["seconds"] for line in pair] for pair in pairs])
            rounds = [[line["rounds"] for line in pair] for pair in pairs]
            summary[f"{task}, {size} rows, {other}"] = compare_pairs(before, after) | {
                "share of all seconds": round(float(np.divide(*seconds.sum(0)[::-1])), 3),
                "share of seconds, median": round(
                    float(np.median(seconds[:, 1] / seconds[:, 0])), 3
                ),
                "rounds, median": np.median(rounds, axis=0).astype(int).tolist(),
            }
    return summary


if __name__ == "__main__":
    names = [name for names in SETS.values() for name in names]
    run_or_summarize(
        __doc__, lambda seeds: product(names, SIZES, seeds, METHODS), run, summarize, RESULTS
    )
