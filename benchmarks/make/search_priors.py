"""Learn the priors that ship with the package from recorded searches.

    SKMETA_DATA=... python -m benchmarks.make.search_priors

The searches are what ``make/searches.py`` and ``make/boosting_searches.py`` recorded. Published
searches of three estimators join them for accuracy, and those of ``make/searches_at_sizes.py`` on
3,000 rows and more: those of fewer rows of the same tables made first candidates no better, neither
on larger tables nor on small ones, except for those of made tables, which have little noise. Of
each estimator and metric a prior is written, in half precision, and one card an estimator: what it
was learned from, and how a search on a data set whose origin is left out does.
"""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.metadata import version

import numpy as np
from tqdm import tqdm

from benchmarks.lib.large_tables import RECORDED
from benchmarks.lib.large_tables import load_table as load_large
from benchmarks.lib.origins import ROWS, features_at_rows, same_origin
from benchmarks.lib.recorded import add_file, open_history
from benchmarks.lib.resumable import RESULTS, read_options
from benchmarks.make.boosting_searches import BOOSTERS
from benchmarks.make.searches import CLASSIFIERS, REGRESSORS, load
from benchmarks.measure.search_tables import (
    evaluations_needed,
    load_table,
    random_regret,
    tried_rows,
)
from skmeta.search import SearchPrior
from skmeta.search.prior import _shipped as shipped
from skmeta.search.record import PastSearch, dataset_features, fingerprint_data
from skmeta.search.space import relative_configuration
from skmeta.search.surrogate import winsorize_scores

# Name of the shipped prior -> names of the metric on record.
NAMES = ("accuracy", "balanced_accuracy", "neg_log_loss", "roc_auc", "r2")
METRICS = {name: (name,) for name in (*NAMES, "neg_mean_absolute_error")}
METRICS["roc_auc"] += ("roc_auc_ovr",)
# Published searches, and how many configurations of each are taken.
PUBLISHED = {
    "RandomForestClassifier": ("forest", 120),
    "SVC": ("svc", 120),
    "AdaBoostClassifier": ("adaboost", 60),
}
# Priors that gained nothing over none (shipped_priors.py), and do not ship.
WITHOUT_GAIN = {("CatBoostClassifier", "accuracy")}
# Fewer searches, or configurations of a search, make no prior. Boosting, whose configurations are
# on record with early stopping and without, has fewer.
N_SEARCHES, N_CONFIGURATIONS = 20, 30
N_SEARCHES_OF_BOOSTING, N_CONFIGURATIONS_OF_BOOSTING = 12, 20
N_CONFIGURATIONS_AT_SIZES = 12
MIN_ROWS_AT_SIZES = 3_000
MADE = "made::"  # tables with little noise, of which few others are small
MAX_TREE_ROWS = 2_000  # that the trees of `dataset_features` see
MAX_LARGE_ROWS = 24_000  # that make/searches_at_sizes.py reads of a table
MAX_SKETCHED_ROWS, N_SKETCHED = 10**9, 130
MAX_ROWS = 1000  # of which the features of a data set are computed
# Worse scores count as this bad: below the median, in distances of the best from it. An R2 of
# minus a million would else leave no difference between all others.
BOUND = 2.0
SOURCES = {
    "own": "searches by benchmarks/make/searches.py on sets of PMLB and UCI",
    "boosting": "searches by benchmarks/make/boosting_searches.py on sets of PMLB and UCI",
    "at sizes": "searches by benchmarks/make/searches_at_sizes.py on tables of R, PMLB and UCI",
    "forest": "van Rijn and Hutter (2018), github.com/janvanrijn/openml-pimp, BSD-3-Clause",
    "svc": "van Rijn et al., github.com/janvanrijn/openml-multitask, BSD-3-Clause",
    "adaboost": "van Rijn and Hutter (2018), github.com/janvanrijn/openml-pimp, BSD-3-Clause",
}


def main():
    options = read_options(__doc__, estimators=[*CLASSIFIERS, *REGRESSORS, *BOOSTERS])
    for name in tqdm(options.estimators):
        history = history_of(name in BOOSTERS)
        (cards, datasets), made = read_cards(), new_card(name)
        for metric in METRICS:
            searches = own_searches(history, name, metric) + published_searches(name, metric)
            least = N_SEARCHES_OF_BOOSTING if name in BOOSTERS else N_SEARCHES
            if (name, metric) in WITHOUT_GAIN or len(searches) < least:
                continue
            prior = SearchPrior.from_searches(searches)
            write_prior(name, metric, prior)
            datasets |= {
                s.dataset: {
                    "sketch": sketch(s.dataset, is_classifier(name)),
                    "features": {n: round(v, 4) for n, v in s.dataset_features.items()},
                }
                for s in searches
                if s.data_digest
            }
            made["metrics"][metric] = describe(prior, searches)
            if any(map(is_cut, searches)) and SOURCES["at sizes"] not in made["sources"]:
                made["sources"].append(SOURCES["at sizes"])
        if made["metrics"]:
            cards[name] = made
            write_cards(cards, datasets)


@cache
def history_of(is_boosting, at_sizes=True):
    """Return the recorded searches of boosting packages, or of scikit-learn."""
    history = open_history(RESULTS / f"{'boosting_' * is_boosting}searches.parquet")
    if at_sizes:
        add_file(history, RESULTS / "searches_at_sizes.parquet")
    return history


def read_cards():
    """Return all cards, and what is known of all data sets."""
    return dict(shipped._cards()), dict(shipped._datasets())


def write_prior(estimator, metric, prior):
    """Write one prior to the package; of its data sets, the names only."""
    prior.with_datasets({}, {}).save(shipped._FOLDER / shipped._file_name(estimator, metric))


def write_cards(cards, datasets):
    """Write all cards, and sketch and features of all data sets, to the package."""
    path = shipped._FOLDER / shipped._DATASETS
    path.write_text(json.dumps(datasets, separators=(",", ":"), sort_keys=True) + "\n")
    (shipped._FOLDER / shipped._CARDS).write_text(json.dumps(cards, indent=1) + "\n")
    for name in ("_fitting", "_load", "_cards", "_datasets"):
        getattr(shipped, name).cache_clear()


def own_searches(history, name, metric):
    """Return the recorded searches of an estimator that most configurations have a score in."""
    searches = []
    for one in METRICS[metric]:
        past = history.searches(estimator=name, metric=one)
        searches += [s for s in past if s.metric == one]  # and not another one in its stead
    searches = [in_target_units(name, s) for s in searches]
    searches = [
        replace(s, dataset_features=features(s.dataset, is_classifier(name))) for s in searches
    ]
    least = N_CONFIGURATIONS_OF_BOOSTING if name in BOOSTERS else N_CONFIGURATIONS
    searches = [
        s
        for s in searches
        if len(s.scores) >= (N_CONFIGURATIONS_AT_SIZES if is_cut(s) else least)
        and (not 0 < n_cut(s.dataset) < MIN_ROWS_AT_SIZES or s.dataset.startswith(MADE))
        and np.isfinite(s.scores).mean() > 0.5
    ]
    return without_constants(searches)


def is_cut(search):
    """Return whether a search was on a table that was cut to several sizes."""
    return n_cut(search.dataset) > 0


def n_cut(dataset):
    """Return the rows that a table was cut to, 0 if it was not."""
    match = ROWS.search(dataset)
    return int(match[0][2:].split()[0]) if match else 0


@cache
def large(dataset):
    """Return X, y and the rows of a table that was cut to some."""
    [table] = [one for one in RECORDED if one.name == ROWS.sub("", dataset)]
    return *load_large(table, MAX_LARGE_ROWS), n_cut(dataset)


@cache
def features(dataset, is_classification):
    """Return the features of a set that was searched on."""
    if ROWS.search(dataset):
        X, y, n_rows = large(dataset)
        if n_rows < MAX_TREE_ROWS:  # as many as landmarks look at
            rows = np.random.default_rng(0).permutation(len(y))[:n_rows]
            X, y = X[rows], y[rows]
        measured = dataset_features(X, y, is_classification=is_classification)
        return features_at_rows(measured, n_rows)
    X, y = load(dataset, MAX_ROWS, is_classification)
    return dataset_features(X, y, is_classification=is_classification)


@cache
def sketch(dataset, is_classification):
    """Return the sketch of all rows of a set that was searched on; empty for a made one."""
    if dataset.startswith(MADE):
        return []
    if ROWS.search(dataset):
        [table] = [one for one in RECORDED if one.name == ROWS.sub("", dataset)]
        X, _ = load_large(table, MAX_SKETCHED_ROWS)
    else:
        X, _ = load(dataset, np.inf, is_classification)
    return [*fingerprint_data(X).sketch[:N_SKETCHED]]


def is_classifier(name):
    return name.endswith(("Classifier", "SVC", "LogisticRegression"))


def in_target_units(name, search):
    """Return a search with parameters in units of the target's standard deviation.

    ``make/searches.py`` records them as they were passed to the estimator.
    """
    if name not in REGRESSORS:
        return search
    if is_cut(search):
        y = large(search.dataset)[1]
    else:
        _, y = load(search.dataset, REGRESSORS[name], False)
    configurations = [relative_configuration(c, float(np.std(y))) for c in search.configurations]
    return replace(search, configurations=tuple(configurations))


def without_constants(searches):
    """Leave out settings of nested estimators that are the same wherever they are.

    They say what the choice of the estimator says already.
    """
    configurations = [c for search in searches for c in search.configurations]
    values, counts = {}, Counter(key for c in configurations for key in c)
    for configuration in configurations:
        for key, value in configuration.items():
            values.setdefault(key, set()).add(repr(value))
    kept = {k for k in values if len(values[k]) > 1 or counts[k] == len(configurations)}
    return [
        replace(
            s, configurations=tuple({k: c[k] for k in c if k in kept} for c in s.configurations)
        )
        for s in searches
    ]


def published_searches(name, metric):
    """Return the published searches of an estimator, the first configurations of each."""
    if metric != "accuracy" or name not in PUBLISHED:
        return []
    table, n = PUBLISHED[name]
    return [
        PastSearch(
            dataset=f"openml {task.name}",
            configurations=task.configurations[:n],
            scores=task.scores[:n],
            estimator=name,
            metric=metric,
        )
        for task in load_table(table)
    ]


def new_card(name):
    sources = ["own", PUBLISHED[name][0]] if name in PUBLISHED else ["own"]
    versions = {one: version(one) for one in ("scikit-learn", "numpy")}
    if name in BOOSTERS:
        sources = ["boosting"]
        package = BOOSTERS[name][0]  # a distribution may have another name, such as xgboost-cpu
        versions[package] = import_module(package).__version__
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions,
        "licence": "BSD-3-Clause",
        "sources": [SOURCES[source] for source in sources],
        "metrics": {},
    }


def describe(prior, searches):
    """Return what a card says of one metric; regrets are those on tables that were not cut."""
    regrets, random = [], []
    for search in (one for one in searches if not is_cut(one)):
        scores = winsorize_scores(np.array(search.scores, dtype=float), BOUND)
        if np.ptp(scores) < 1e-9:
            continue
        left = prior.without(datasets=same_origin(search.dataset))
        left = left.conditioned_on(search.dataset_features)
        best = best_so_far(search.configurations, scores, left, 10)
        regrets.append((scores.max() - best[-1]) / np.ptp(scores))
        random.append(random_regret(scores))
    n = min(map(len, random))
    curve = np.mean([r[:n] for r in random], axis=0)
    return {
        "datasets": list(prior.datasets),
        "n_evaluations": prior.n_evaluations,
        "regret at 10": round(float(np.mean(regrets)), 4),
        "regret at 10, random search": round(float(curve[9]), 4),
        "evaluations random search needs": round(
            evaluations_needed(curve, float(np.mean(regrets))), 1
        ),
        "evaluations on record": n,
    }


def best_so_far(configurations, scores, prior, n):
    """Return the best score after each of n evaluations, as far as there are candidates."""
    return np.maximum.accumulate(scores[tried_rows(configurations, scores, prior, n)])


if __name__ == "__main__":
    main()
