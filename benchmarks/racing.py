"""Racing over folds: share of the fold fits, and the test score, with and without it.

    SKMETA_DATA=... python benchmarks/racing.py
    python benchmarks/racing.py --summary
    python benchmarks/racing.py --recorded

A random forest of 16 trees, histogram gradient boosting of 30 iterations and LightGBM of 30 trees,
otherwise in their default spaces and without prior, 30 candidates, by cross-validation with five
folds.
Up to 500 rows are there to search on; up to 1,000 others are the test set, which no search sees.
The score is accuracy. Sets of scikit-learn come first, then those of the folder that
``SKMETA_DATA`` names, if it is set.

``all``      MetaLearnedSearchCV, every candidate on every fold
``racing``   MetaLearnedSearchCV(racing=True), which is 0.3: chosen on twelve other sets

``--recorded`` compares rules on the recorded searches from which the shipped priors were learned,
20 of their candidates in random order, on three folds: the share of fold fits, how often the best
candidate is lost, and the mean loss of cross-validated score. ``forgiving`` stops a candidate whose
running mean is below the best candidate's worst fold, ``mean`` one whose running mean is below the
best candidate's mean, ``racing`` is what MetaLearnedSearchCV does.

One line per run goes to ``benchmarks/results/racing.jsonl``; what is there is not run again.
"""

import argparse
import json
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from make_searches import read
from resumable import read_lines, run_cells
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split

from skmeta.search import MetaLearnedSearchCV, default_search_space
from skmeta.search._trials import FoldRace

RESULTS = Path(__file__).parent / "results" / "racing.jsonl"
RECORDED = RESULTS.with_name("searches.parquet")
METHODS = {"all": False, "racing": True}
N_FOLDS = 5
OWN_SETS = {"breast_cancer": load_breast_cancer, "wine": load_wine}
# Of different origins, and with few classes.
MORE_SETS = (
    "german",
    "tic_tac_toe",
    "diabetes",
    "vehicle",
    "phoneme",
    "spambase",
    "australian",
    "churn",
    "splice",
)
ESTIMATORS = {
    "forest": RandomForestClassifier(16, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=30, random_state=0),
    "lightgbm": LGBMClassifier(n_estimators=30, random_state=0, n_jobs=1, verbose=-1),
}
N_ITER = 30
N_RECORDED = 20
N_ROWS = 500
N_TEST = 1000


def load(dataset):
    """Return rows to search on and rows to test on."""
    if dataset in OWN_SETS:
        X, y = OWN_SETS[dataset](return_X_y=True)
    else:
        X, y = read(Path(os.environ["SKMETA_DATA"]) / "tabular", dataset)
    n_train = min(N_ROWS, len(X) // 2)
    n_test = min(N_TEST, len(X) - n_train)
    return train_test_split(X, y, train_size=n_train, test_size=n_test, stratify=y, random_state=0)


def data_sets():
    """Return the names of the sets that are there."""
    folder = Path(os.environ.get("SKMETA_DATA", "")) / "tabular"
    return [*OWN_SETS, *(name for name in MORE_SETS if (folder / f"{name}.tsv.gz").exists())]


def run(cell):
    """Return one line of the results."""
    dataset, estimator, seed, method = cell
    X, X_test, y, y_test = load(dataset)
    space = default_search_space(ESTIMATORS[estimator])
    search = MetaLearnedSearchCV(
        ESTIMATORS[estimator],
        {n: values for n, values in space.items() if n not in ("max_iter", "n_estimators")},
        n_iter=N_ITER,
        racing=METHODS[method],
        prior=None,
        history=False,
        cv=StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed),
        scoring="accuracy",
        random_state=seed,
        progress=False,
    )
    begun = time.process_time()
    search.fit(X, y)
    results = search.cv_results_
    n_fits = int(np.sum(results.get("n_folds", np.full(N_ITER, N_FOLDS))))
    return {
        "cell": cell,
        "n_fits": n_fits,
        "share": n_fits / (N_ITER * N_FOLDS),
        "cv_score": round(float(search.best_score_), 4),
        "test_score": round(float(search.score(X_test, y_test)), 4),
        "seconds": round(time.process_time() - begun, 2),
    }


def summarise():
    """Return means of the runs that both methods have, by estimator."""
    lines = {tuple(line["cell"]): line for line in read_lines(RESULTS)}
    rows = []
    for estimator in (*ESTIMATORS, "all"):
        pairs = [
            (line, lines[(*cell[:3], "racing")])
            for cell, line in lines.items()
            if cell[3] == "all" and estimator in (cell[1], "all") and (*cell[:3], "racing") in lines
        ]
        if pairs:
            rows.append({"estimator": estimator} | compare(pairs))
    return rows


def compare(pairs):
    """Return what racing saves and costs, with a bootstrap interval over runs."""
    cost = np.array(
        [[raced[k] - every[k] for k in ("test_score", "cv_score")] for every, raced in pairs]
    )
    drawn = np.random.default_rng(0).integers(len(pairs), size=(2000, len(pairs)))
    return {
        "runs": len(pairs),
        "share of fits": round(float(np.mean([raced["share"] for _, raced in pairs])), 3),
        "share of seconds": round(
            sum(raced["seconds"] for _, raced in pairs)
            / sum(every["seconds"] for every, _ in pairs),
            3,
        ),
        "test score, all and racing": [
            round(float(np.mean([pair[i]["test_score"] for pair in pairs])), 4) for i in (0, 1)
        ],
        "difference": round(float(cost[:, 0].mean()), 4),
        "interval": np.percentile(cost[drawn, 0].mean(1), [2.5, 97.5]).round(4).tolist(),
        "difference in cross-validated score": round(float(cost[:, 1].mean()), 4),
    }


class BelowWorstFold(FoldRace):
    """Stops candidates whose running mean is below the best candidate's worst fold."""

    def is_lost(self, scores):
        return self.has_begun and np.mean(scores) < self._best.min()


class BelowMean(FoldRace):
    """Stops candidates whose running mean is below the best candidate's mean."""

    def is_lost(self, scores):
        return self.has_begun and np.mean(scores) < self._best.mean()


def recorded():
    """Return the scores of recorded searches, each of shape (n_candidates, n_folds)."""
    columns = ["fingerprint", "refit_metric", "scores"]
    searches = []
    for _, own in pd.read_parquet(RECORDED, columns=columns).groupby("fingerprint", sort=False):
        folds = [json.loads(t)[m] for t, m in zip(own["scores"], own["refit_metric"], strict=True)]
        folds = np.array([f for f in folds if len(f) == 3], dtype=float).reshape(-1, 3)
        if len(folds) >= N_RECORDED:
            drawn = folds[np.random.default_rng(len(searches)).permutation(len(folds))[:N_RECORDED]]
            if np.isfinite(drawn).all():
                searches.append(drawn)
    return searches


def replay(folds, race):
    """Return the share of fold fits, and how much worse the winner is than the best candidate."""
    n_splits = folds.shape[1]
    n_fits, won = 0, -np.inf
    for scores in folds:
        n = next((n for n in range(1, n_splits) if race.is_lost(scores[:n])), n_splits)
        n_fits += n
        if n == n_splits:
            race.enter(scores)
            won = max(won, scores.mean())
    return n_fits / folds.size, folds.mean(1).max() - won


def compare_rules():
    """Return what each rule costs and saves on recorded searches."""
    searches = recorded()
    rows = []
    rules = {"forgiving": BelowWorstFold, "mean": BelowMean}
    rules |= {"racing below 0.1": partial(FoldRace, 0.1), "racing": FoldRace}
    for name, rule in rules.items():
        share, loss = np.array([replay(folds, rule()) for folds in searches]).T
        rows.append(
            {
                "rule": name,
                "searches": len(searches),
                "share of fits": round(float(share.mean()), 3),
                "lost": round(float((loss > 1e-9).mean()), 3),
                "mean loss": round(float(loss.mean()), 5),
            }
        )
    return rows


def main():
    """Run what is missing, or print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--recorded", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    if options.summary:
        print(json.dumps(summarise(), indent=1))
        return
    if options.recorded:
        print(json.dumps(compare_rules(), indent=1))
        return
    cells = [
        (dataset, estimator, seed, method)
        for seed in range(options.seeds)
        for dataset in data_sets()
        for estimator in ESTIMATORS
        for method in METHODS
    ]
    run_cells(cells, run, RESULTS, options.minutes)


if __name__ == "__main__":
    main()
