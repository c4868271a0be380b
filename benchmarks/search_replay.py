"""What a shipped prior is worth, on candidates that were scored before: no fit is run.

    SKMETA_DATA=... python benchmarks/search_replay.py
    SKMETA_DATA=... python benchmarks/search_replay.py --summary

``search_day_one.py`` has scored up to 200 random candidates of the default space, of twelve cheap
estimators on up to 30 data sets each. Here a search chooses among these candidates. Past searches
on data sets of the same origin are left out of the prior, published ones included.

``without``       no prior
``prior``         all past searches have the same weight
``conditioned``   past searches on similar data sets weigh more, which is what a search does
``same``          the past search on the same data set alone, as a limit of what conditioning can do
``smooth``        candidates in the order that a Gaussian process of all others on this very data
                  set predicts: what is left is the noise of the scores

Regret is the distance of the best score so far from the best of all candidates, over the distance
of the median from the best. Lower scores than the median less twice that distance count as that.
What random search is expected to reach is exact. Intervals are 95% bootstrap intervals over data
sets. A line per search goes to ``results/search_replay.jsonl``, and what is there is not run again.
"""

import argparse
import os
import time
from functools import cache
from pathlib import Path

import numpy as np
from make_search_priors import BOUND, best_so_far
from make_searches import CLASSIFIERS, make
from origins import same_origin
from resumable import read_lines, report, run_cells
from search_day_one import CHEAP, KEYS, load
from search_day_one import RESULTS as SCORED
from search_tables import random_regret
from sklearn.model_selection import ParameterSampler

from skmeta.search import default_search_space
from skmeta.search.prior import load_shipped
from skmeta.search.record import dataset_features
from skmeta.search.space import Encoding, canonical_configurations, relative_configuration
from skmeta.search.surrogate import matern, scale_columns, winsorize_scores
from skmeta.search.surrogate._gp import fit_kernel, group_distances

RESULTS = Path(__file__).parent / "results" / "search_replay.jsonl"
METHODS = ("without", "prior", "conditioned")
LIMIT = "same"
AFTER = (1, 3, 5, 10, 20)
N_BOOTSTRAP, N_KERNEL_ROWS = 2000, 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--summary", action="store_true")
    options = parser.parse_args()
    if not options.summary:
        run_all(Path(os.environ["SKMETA_DATA"]) / "tabular")
    report(summarise(), RESULTS.with_suffix(".json"))


def run_all(folder):
    recorded = {
        (r["estimator"], r["data"]): winsorize_scores(np.array(r["every"], dtype=float), BOUND)
        for r in read_lines(SCORED)
        if r["method"] == "random" and r["estimator"] in CHEAP and "error" not in r
    }
    methods = (*METHODS, LIMIT, "random", "smooth")

    def run(cell):
        method, name, dataset = cell
        scores = recorded[name, dataset]
        spread = scores.max() - np.median(scores)
        if spread < 1e-9:
            return None
        line = dict(zip(KEYS, cell, strict=True))
        if method == "random":
            regret = random_regret(scores)[: max(AFTER)] * np.ptp(scores)
            return line | {"regret": (regret / spread).round(4).tolist()}
        configurations = candidates(folder, name, dataset, len(scores))
        if method == "smooth":
            best = np.maximum.accumulate(scores[smooth_order(configurations, scores)])
            return line | {"regret": ((scores.max() - best) / spread).round(4).tolist()}
        prior = prior_of(folder, method, name, dataset)
        if method == LIMIT and not len(prior):
            return None
        begun = time.process_time()
        best = best_so_far(configurations, scores, prior, max(AFTER))
        seconds = (time.process_time() - begun) / len(best)
        regret = ((scores.max() - best) / spread).round(4).tolist()
        return line | {"regret": regret, "ms": round(1000 * seconds, 2)}

    cells = [(method, *pair) for pair in recorded for method in methods]
    run_cells(cells, run, RESULTS, np.inf, KEYS)


@cache
def table(folder, dataset, is_classification):
    """Return the deviation of the target, and the features of the rows that were searched on."""
    X, y, _, _ = load(folder, dataset, is_classification)
    features = dataset_features(X, y, is_classification=is_classification)
    return 1.0 if is_classification else float(np.std(y)), features


def candidates(folder, name, dataset, n):
    """Return the candidates that random search drew, in its order."""
    estimator = make(name)
    drawn = list(ParameterSampler(default_search_space(estimator), n, random_state=0))
    scale, _ = table(folder, dataset, name in CLASSIFIERS)
    found = canonical_configurations(estimator, drawn)
    return [relative_configuration(one, scale) for one in found]


def prior_of(folder, method, name, dataset):
    if method == "without":
        return None
    metric = "balanced_accuracy" if name in CLASSIFIERS else "r2"
    known = load_shipped(name, metric)
    if method == LIMIT:
        return known.without(datasets=set(known.datasets) - {dataset})
    prior = known.without(datasets=same_origin(dataset))
    if method == "prior":
        return prior
    return prior.conditioned_on(table(folder, dataset, name in CLASSIFIERS)[1])


def smooth_order(configurations, scores):
    """Return the first candidates by their leave-one-out predictions from all others."""
    encoding = Encoding.from_configurations(configurations)
    X, groups = encoding.transform(configurations), encoding.groups
    n_groups, y = int(groups.max()) + 1, (scores - scores.mean()) / scores.std()
    rows = np.unique(np.linspace(0, len(y) - 1, N_KERNEL_ROWS).astype(int))
    theta = fit_kernel([group_distances(X[rows], groups, n_groups)], [y[rows]])
    Z = scale_columns(X, groups, np.exp(theta[:n_groups]))
    amplitude, noise = np.exp(theta[n_groups:])
    inverse = np.linalg.inv(amplitude * matern(Z, Z) + (noise + 1e-6) * np.eye(len(y)))
    # Rasmussen and Williams (2006), eq. 5.12.
    predicted = y - (inverse @ y) / inverse.diagonal()
    return np.argsort(-predicted)[: max(AFTER)]


def summarise():
    """Return mean and median regrets, and ratios of means, of each estimator and of all."""
    by_key = {(r["method"], r["estimator"], r["data"]): r for r in read_lines(RESULTS)}
    pairs = [k[1:] for k in by_key if all((m, *k[1:]) in by_key for m in METHODS)]
    summary = {}
    for name in (*CHEAP, "all"):
        chosen = sorted({p for p in pairs if name in (p[0], "all")})
        if not chosen:
            continue
        regrets = {
            method: np.array([[by_key[method, *p]["regret"][k - 1] for k in AFTER] for p in chosen])
            for method in (*METHODS, "smooth", "random")
        }
        found = {"pairs": len(chosen), "after": list(AFTER)}
        for method, values in regrets.items():
            found[method] = values.mean(0).round(3).tolist()
            if name == "all":
                found[f"{method}, median"] = np.median(values, axis=0).round(3).tolist()
        for method in ("prior", "conditioned"):
            found |= ratio(regrets[method], regrets["without"], method)
        if name == "all":
            known = [p for p in chosen if (LIMIT, *p) in by_key]
            for method in (LIMIT, "conditioned"):
                values = [[by_key[method, *p]["regret"][k - 1] for k in AFTER] for p in known]
                found[f"{method}, {len(known)} pairs that it has"] = (
                    np.mean(values, axis=0).round(3).tolist()
                )
            found["ms, median"] = {
                m: float(np.median([by_key[m, *p]["ms"] for p in chosen])) for m in METHODS
            }
        summary[name] = found
    return summary


def ratio(ours, theirs, method):
    """Return the ratio of mean regrets, and its interval, after each number of evaluations."""
    rows = np.random.default_rng(0).integers(len(ours), size=(N_BOOTSTRAP, len(ours)))
    least = 1e-6  # where there is no regret left
    drawn = (ours[rows].mean(1) + least) / (theirs[rows].mean(1) + least)
    whole = (ours.mean(0) + least) / (theirs.mean(0) + least)
    return {
        f"{method} over without": whole.round(2).tolist(),
        f"interval, {method}": np.percentile(drawn, [2.5, 97.5], axis=0).T.round(2).tolist(),
    }


if __name__ == "__main__":
    main()
