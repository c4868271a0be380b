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
from pathlib import Path

import numpy as np
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
        *("phoneme", "spambase", "churn", "splice", "adult", "car", "cmc", "chess"),
        *(
            "ann_thyroid",
            "titanic",
            "GAMETES_Epistasis_2_Way_20atts_0.4H_EDM_1_1",
            "german",
        ),
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
    X, X_test, y, y_test = train_test_split(
        X,
        y,
        train_size=min(n_train, len(X) // 2),
        stratify=y if is_classification else None,
        random_state=seed,
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
    found = {tuple(line["cell"]): line for line in read_lines(RESULTS)}
    summary = {}
    for task, names in SETS.items():
        for size in SIZES:
            for other in ("searched", "thousand"):
                pairs = [
                    (found[(*cell[:3], other)], found[cell])
                    for cell in sorted(found)
                    if cell[0] in names
                    and cell[1] == size
                    and cell[3] == "stopped"
                    and (*cell[:3], other) in found
                ]
                if pairs:
                    summary[f"{task}, {size} rows, {other}"] = compare(pairs)
    return summary


def compare(pairs):
    """Return what early stopping changes."""
    scores = np.array([[one["test_score"], other["test_score"]] for one, other in pairs])
    seconds = np.array([[one["seconds"], other["seconds"]] for one, other in pairs])
    gain = scores[:, 1] - scores[:, 0]
    drawn = np.random.default_rng(0).integers(len(pairs), size=(2000, len(pairs)))
    return {
        "runs": len(pairs),
        "test score, without and stopped": scores.mean(0).round(4).tolist(),
        "difference": round(float(gain.mean()), 4),
        "interval": np.percentile(gain[drawn].mean(1), [2.5, 97.5]).round(4).tolist(),
        "at least as good": round(float((gain >= 0).mean()), 3),
        "share of all seconds": round(float(seconds[:, 1].sum() / seconds[:, 0].sum()), 3),
        "share of seconds, median": round(float(np.median(seconds[:, 1] / seconds[:, 0])), 3),
        "rounds, without and stopped, median": [
            int(np.median([pair[i]["rounds"] for pair in pairs])) for i in (0, 1)
        ],
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
    cells = [
        (dataset, size, seed, method)
        for size in SIZES
        for seed in range(options.seeds)
        for names in SETS.values()
        for dataset in names
        for method in METHODS
    ]
    run_cells(cells, run, RESULTS, options.minutes)


if __name__ == "__main__":
    main()
