"""The first candidate of a search on larger tables, beside the estimator as given.

    SKMETA_DATA=... python -m benchmarks.measure.first_candidates
    SKMETA_DATA=... python -m benchmarks.measure.first_candidates --summary

LightGBM, histogram boosting and forests on eleven development tables, up to 10,000 rows of each;
the rule for first candidates was chosen on them. The prior that ships leaves out every table of
the origin at hand. Models are fitted to two thirds of the rows, and scored on the others: log loss,
or the squared error over the variance. A search has one candidate; three seeds.

A line goes to ``results/first_candidates.jsonl`` for each pair, and what is there is not run again.
"""

import os
import warnings
from pathlib import Path

import lightgbm
import numpy as np
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.utils import all_estimators

from benchmarks.lib.large_tables import RECORDED, load_table
from benchmarks.lib.origins import same_origin
from benchmarks.lib.resumable import read_lines, read_options, run_cells
from skmeta.search import MetaLearnedSearchCV
from skmeta.search.prior import load_shipped

RESULTS = Path(__file__).parents[1] / "results" / "first_candidates.jsonl"
ESTIMATORS = ("LGBM", "HistGradientBoosting", "RandomForest")
TABLES = (
    *("wooldridge::k401ksubs", "uci_bike", "AER::CPS1988", "causaldata::credit_cards"),
    *("nycflights13::weather", "stevedata::mm_nhis", "537_houses", "nursery"),
    *("modeldata::hpc_data", "uci_elevators", "sampleSelection::nlswork"),
)
MAX_ROWS, N_SEEDS = 10_000, 3
CV = ShuffleSplit(1, test_size=0.33, random_state=0)


def make(kind):
    """Return an estimator as its library sets it up."""
    if kind.startswith("LGBM"):
        return getattr(lightgbm, kind)(random_state=0, n_jobs=1, verbose=-1)
    return dict(all_estimators())[kind](random_state=0)


def run(folder, cell):
    """Return a line: the loss as given, and that of the first candidate with each seed."""
    name, dataset = cell
    table = next(one for one in RECORDED if one.name == dataset)
    estimator = make(name + ("Classifier" if table.is_classification else "Regressor"))
    metric, best = ("neg_log_loss", 0.0) if table.is_classification else ("r2", 1.0)
    prior = load_shipped(type(estimator).__name__, metric).without(datasets=same_origin(dataset))
    X, y = load_table(folder, table, MAX_ROWS)
    settings = {"scoring": metric, "cv": CV, "refit": False}
    ours = settings | {"n_iter": 1, "prior": prior, "samples": False, "history": None}
    searches = [GridSearchCV(estimator, {}, **settings)]
    searches += [MetaLearnedSearchCV(estimator, random_state=k, **ours) for k in range(N_SEEDS)]
    scores = [one.fit(X, y).cv_results_["mean_test_score"][0] for one in searches]
    given, *first = (float(best - score) for score in scores)
    return {"cell": cell, "given": given, "first": first}


def summarise(lines):
    """Print, for each estimator and for all, how often the first candidate is better."""
    for name in (*ESTIMATORS, ""):
        own = [line for line in lines if name in ("", line["cell"][0])]
        given = np.array([line["given"] for line in own])[:, None]
        first = np.array([line["first"] for line in own])
        ratio = np.exp(np.log(np.maximum(first, 1e-5) / np.maximum(given, 1e-5)).mean())
        print(
            f"{name or 'all':24}{len(own):4} pairs, better {(first < given).mean():.2f}, ", end=""
        )
        print(f"equal {(first == given).mean():.2f}, loss over given {ratio:.2f}")


def main():
    options = read_options(__doc__, minutes=float("inf"), summary=False)
    folder = Path(os.environ.get("SKMETA_DATA", "")) / "tabular"
    warnings.simplefilter("ignore")
    if not options.summary:
        cells = [(name, one) for name in ESTIMATORS for one in TABLES]
        run_cells(cells, lambda cell: run(folder, cell), RESULTS, options.minutes)
    summarise(read_lines(RESULTS))


if __name__ == "__main__":
    main()
