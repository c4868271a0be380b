"""The first candidate of a search on larger tables, beside the estimator as given.

    SKMETA_DATA=... python -m benchmarks.measure.first_candidates
    SKMETA_DATA=... python -m benchmarks.measure.first_candidates --summary

LightGBM, histogram boosting and forests on eleven development tables, up to 10,000 rows of each;
the rule for first candidates was chosen on them. The prior that ships leaves out every table of
the origin at hand. Models are fitted to two thirds of the rows, and scored on the others: log loss,
or the squared error over the variance. A search has one candidate; three seeds.

A line goes to ``results/first_candidates.jsonl`` for each pair, and what is there is not run again.

``--searches`` compares ten candidates of a search with fifteen random ones, and the first two with
the estimator as given, on the tables that nothing was chosen on, up to 5,000 rows and one seed. The
score is that of the search: the loss on a third of the rows. Lines go to
``results/first_candidates-searches.jsonl``.
"""

import argparse
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, ShuffleSplit
from sklearn.utils import all_estimators

from benchmarks.lib.large_tables import RECORDED, REPORTED, load_table
from benchmarks.lib.origins import same_origin
from benchmarks.lib.resumable import read_lines, run_cells
from skmeta.search import MetaLearnedSearchCV, default_search_space
from skmeta.search.prior import load_shipped

RESULTS = Path(__file__).parents[1] / "results" / "first_candidates.jsonl"
ESTIMATORS = ("LGBM", "HistGradientBoosting", "RandomForest")
TABLES = (
    *("wooldridge::k401ksubs", "uci_bike", "AER::CPS1988", "causaldata::credit_cards"),
    *("nycflights13::weather", "stevedata::mm_nhis", "537_houses", "nursery"),
    *("modeldata::hpc_data", "uci_elevators", "sampleSelection::nlswork"),
)
MAX_ROWS, N_SEEDS = 10_000, 3
SEARCHES = RESULTS.with_name("first_candidates-searches.jsonl")
MAX_SEARCH_ROWS, N_OURS, N_RANDOM = 5_000, 10, 15
CV = ShuffleSplit(1, test_size=0.33, random_state=0)


def make(kind):
    """Return an estimator as its library sets it up."""
    if kind.startswith("LGBM"):
        return getattr(lightgbm, kind)(random_state=0, n_jobs=1, verbose=-1)
    return dict(all_estimators())[kind](random_state=0)


class Problem(NamedTuple):
    """An estimator and a table of a cell, the settings of searches, and the prior without it."""

    estimator: Any
    X: np.ndarray
    y: np.ndarray
    settings: dict
    ours: dict

    def losses(self, search):
        """Return the losses of the candidates of a search."""
        best = 0.0 if self.settings["scoring"] == "neg_log_loss" else 1.0
        return best - search.fit(self.X, self.y).cv_results_["mean_test_score"]

    def given(self):
        """Return the loss of the estimator as given."""
        return float(self.losses(GridSearchCV(self.estimator, {}, **self.settings))[0])


def make_problem(folder, cell, tables, max_rows):
    name, dataset = cell
    table = next(one for one in tables if one.name == dataset)
    kind = name + ("Classifier" if table.is_classification else "Regressor")
    metric = "neg_log_loss" if table.is_classification else "r2"
    prior = load_shipped(kind, metric).without(datasets=same_origin(dataset))
    settings = {"scoring": metric, "cv": CV, "refit": False}
    ours = settings | {"prior": prior, "samples": False, "history": False}
    return Problem(make(kind), *load_table(folder, table, max_rows), settings, ours)


def run(folder, cell):
    """Return a line: the loss as given, and that of the first candidate with each seed."""
    problem = make_problem(folder, cell, RECORDED, MAX_ROWS)
    first = [
        MetaLearnedSearchCV(problem.estimator, n_iter=1, random_state=seed, **problem.ours)
        for seed in range(N_SEEDS)
    ]
    losses = [float(problem.losses(search)[0]) for search in first]
    return {"cell": cell, "given": problem.given(), "first": losses}


def run_search(folder, cell):
    """Return a line: losses of the estimator as given, of ten candidates and of random ones."""
    problem = make_problem(folder, cell, REPORTED, MAX_SEARCH_ROWS)
    model, space = problem.estimator, default_search_space(problem.estimator)
    searches = {
        "ours": MetaLearnedSearchCV(model, n_iter=N_OURS, random_state=0, **problem.ours),
        "random": RandomizedSearchCV(
            model, space, n_iter=N_RANDOM, random_state=0, **problem.settings
        ),
    }
    losses = {name: problem.losses(one).round(6).tolist() for name, one in searches.items()}
    return {"cell": cell, "given": problem.given(), **losses}


def summarise_searches(lines):
    """Print how often ten candidates are at least as good as fifteen random ones."""
    for name in (*ESTIMATORS, ""):
        own = [line for line in lines if name in ("", line["cell"][0])]
        if not own:
            continue
        ten, random = (np.array([min(line[m]) for line in own]) for m in ("ours", "random"))
        two = np.array([min(line["ours"][:2]) for line in own])
        given = np.array([line["given"] for line in own])
        first = np.array([line["random"][0] for line in own])
        shares = {
            "ten at least random's fifteen": ten <= random,
            "within 1 % of them": ten <= 1.01 * random,
            "first two at least as given": two <= given + 1e-5,
            "first at least random's first": np.array([x["ours"][0] for x in own]) <= first,
        }
        shown = ", ".join(f"{label} {share.mean():.2f}" for label, share in shares.items())
        print(f"{name or 'all':24}{len(own):4} pairs, {shown}, worst {(ten / random).max():.2f}")


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--searches", action="store_true")
    parser.add_argument("--summary", action="store_true")
    options = parser.parse_args()
    folder = Path(os.environ.get("SKMETA_DATA", "")) / "tabular"
    warnings.simplefilter("ignore")
    if options.searches:
        if not options.summary:
            cells = [(name, one.name) for one in REPORTED for name in ESTIMATORS]
            run_cells(cells, lambda cell: run_search(folder, cell), SEARCHES, options.minutes)
        summarise_searches(read_lines(SEARCHES))
        return
    if not options.summary:
        cells = [(name, one) for name in ESTIMATORS for one in TABLES]
        run_cells(cells, lambda cell: run(folder, cell), RESULTS, options.minutes)
    summarise(read_lines(RESULTS))


if __name__ == "__main__":
    main()
