"""Run searches at several sizes of larger tables, from which priors learn how optima move.

    SKMETA_DATA=<folder> python -m benchmarks.make.searches_at_sizes

A search of n rows learns from two thirds of n rows, as three folds do, and is scored on the same
rows at every size: those of a third of the table, up to 4,000, which no size learns from. On few
rows two draws are averaged. The configurations of a table are the same at every size, and others
on another table. ``--n-promising N`` adds N configurations at 3,000 and 10,000 rows that the
shipped prior, without the table's origin, expects to be good there: random ones are seldom better
than the defaults on tables of this size. Seconds are of the process. As in ``make/searches.py``,
``results/searches_at_sizes.parquet`` is read and written.
"""

import time
import warnings
from functools import cache

import numpy as np
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.metrics import check_scoring

from benchmarks.lib.large_tables import RECORDED, load_table
from benchmarks.lib.origins import SIZES, features_at_rows, name_at_rows, same_origin
from benchmarks.lib.recorded import short_key
from benchmarks.lib.resumable import read_options
from benchmarks.make.boosting_searches import BOOSTERS, make_booster
from benchmarks.make.searches import (
    candidate_record,
    design,
    make,
    metrics,
    not_recorded,
    record_all,
    record_search,
)
from skmeta.search import MetaLearnedSearchCV
from skmeta.search._arguments import resolve_arguments
from skmeta.search._propose import add_crosses, draw_near
from skmeta.search.prior import load_shipped
from skmeta.search.record import dataset_features
from skmeta.search.space import CandidateDescriber, parameter_names, relative_configuration
from skmeta.search.surrogate import expected_utility

N_CONFIGURATIONS = 15
# Draws of each size, and the seconds after which the rest of a search is left to a later run.
DRAWS, SECONDS = (2, 1, 1, 1, 1), (20, 30, 60, 120, 240)
MAX_TEST_ROWS, MAX_CLASSES = 4_000, 7
PROMISING_SIZES = (3_000, 10_000)
MAX_ROWS = {"SVC": 10_000, "SVR": 10_000}
OF_BOTH = ("HistGradientBoosting", "LGBM", "RandomForest", "ExtraTrees", "XGB", "KNeighbors", "MLP")
OF_BOTH += ("CatBoost", "GradientBoosting")
CLASSIFIERS = [*(f"{kind}Classifier" for kind in OF_BOTH), "LogisticRegression", "SVC"]
REGRESSORS = [*(f"{kind}Regressor" for kind in OF_BOTH), "Ridge", "ElasticNet", "SVR"]


def main():
    options = read_options(
        __doc__, n_promising=0, estimators=[*CLASSIFIERS, *REGRESSORS], minutes=float("inf")
    )
    work = [
        (k, table, name)
        for k, size in enumerate(SIZES)
        for table in RECORDED
        for name in (CLASSIFIERS if table.is_classification else REGRESSORS)
        if name in options.estimators and size <= MAX_ROWS.get(name, np.inf)
    ]

    @cache
    def load(table):
        return load_table(table, SIZES[-1] * 2 // 3 + MAX_TEST_ROWS)

    def search_one(history, end, k, table, name):
        search(history, table, *load(table), name, k, options.n_promising, end)

    record_all(work, search_one, "searches_at_sizes", options.minutes)


def search(history, table, X, y, name, k, n_promising, end):
    """Evaluate one estimator at one size of a table, but for what is on record."""
    size = SIZES[k]
    n_test, n_train = min(len(y) // 3, MAX_TEST_ROWS), size * 2 // 3
    if n_train > len(y) - n_test or (table.is_classification and y.max() >= MAX_CLASSES):
        return
    estimator = make_any(name)
    candidates = design(estimator, N_CONFIGURATIONS, seed=f"{name} {table.name}")
    fingerprint = f"make_searches_at_sizes 1: {name} on {name_at_rows(table.name, size)}"
    todo = not_recorded(history, fingerprint, candidates)
    known = {e.key for e in history._candidates(fingerprint)}
    n_left = n_promising - max(0, len(known) - N_CONFIGURATIONS - 1)
    if size in PROMISING_SIZES and n_left > 0:
        todo += promising(estimator, name, table, X, y, n_left, known)
    if not todo:
        return
    if name in BOOSTERS:
        X = SimpleImputer(keep_empty_features=True).fit_transform(X)
    draws = [draw(y, n_test, n_train, table.is_classification, seed) for seed in range(DRAWS[k])]
    scoring = metrics(estimator, y)
    last = time.process_time() + SECONDS[k]

    def of_candidate(candidate, _):
        if time.process_time() > last:
            return []
        return [evaluate(estimator, candidate, X, y, draws, scoring)]

    rows = draws[0][0]
    named = fingerprint, name_at_rows(table.name, size), name, estimator, X[rows], y[rows]
    text = f"{len(draws)} draws of {n_train} rows, {n_test} test rows"
    record_search(history, *named, scoring, todo, of_candidate, end, text)


def promising(estimator, name, table, X, y, n, known):
    """Return configurations that the shipped prior, without the table's origin, expects to be good.

    The first one is the best on average. Half of the others are the best ones of past tasks, drawn
    by their weights, and half are among the best on average.
    """
    prior = load_shipped(name, "neg_log_loss" if table.is_classification else "r2")
    if prior is None:
        return []
    arguments = resolve_arguments(MetaLearnedSearchCV(estimator, random_state=0), y)
    features = dataset_features(X, y, is_classification=table.is_classification)
    features = features_at_rows(features, PROMISING_SIZES[-1])
    prior = prior.without(datasets=same_origin(table.name)).conditioned_on(features)
    rng = np.random.default_rng([len(known), *f"{name} {table.name}".encode()])

    def utility(surfaces):
        return expected_utility(surfaces, prior.task_weights, 0)

    pool, F = grow_pool(estimator, prior, arguments, arguments.as_given, 400, utility, rng)
    best = np.argsort(-utility(F))
    tasks = rng.choice(len(F), size=10 * n, p=prior.task_weights)
    order = [best[0], *F[tasks].argmax(1)[: n // 2], *rng.permutation(best[: 10 * n])]
    fresh = {short_key(pool[i]): pool[i] for i in order if short_key(pool[i]) not in known}
    return [*fresh.values()][:n]


def grow_pool(estimator, prior, arguments, given, n, utility, rng, **rounds):
    """Return candidates, and what each past task expects of them (n_tasks, n_candidates).

    They are the one `given`, `n` near it, and crosses of the best ones by `utility` of what past
    tasks expect of the candidates so far.
    """
    pool, blocks, describe = [], [], CandidateDescriber(estimator)

    def add(candidates):
        described = [
            relative_configuration(c, arguments.target_scale) for c in describe(candidates)
        ]
        pool.extend(candidates)
        blocks.append(prior.surfaces_of(prior.encode(described, parameter_names(described))))

    add([given, *draw_near(arguments.space, given, n, rng)])
    add_crosses(pool, lambda: utility(np.hstack(blocks)), add, rng, **rounds)
    return pool, np.hstack(blocks)


def make_any(name):
    """Return an estimator as a sensible user would set it up, on one core."""
    return make_booster(name) if name in BOOSTERS else make(name)


def draw(y, n_test, n_train, is_classification, seed):
    """Return rows to learn from, and rows to test on: the same ones for every seed and size.

    The rows of a size are among those of the larger ones. Each class is in them.
    """
    test = np.arange(n_test)
    rows = np.random.default_rng(seed).permutation(np.arange(n_test, len(y)))
    if is_classification:
        first = np.concatenate([np.flatnonzero(y[rows] == c)[:3] for c in np.unique(y)])
        rows = np.concatenate([rows[first], np.delete(rows, first)])
    return rows[:n_train], test


def evaluate(estimator, candidate, X, y, draws, scoring):
    """Evaluate one configuration on all draws."""
    scores, fit_times = [], []
    for train, test in draws:
        model = clone(estimator).set_params(**clone(candidate, safe=False))
        begun = time.process_time()
        with warnings.catch_warnings(action="ignore"):
            try:
                model.fit(X[train], y[train])
                fitted = time.process_time()
                measured = check_scoring(model, scoring, raise_exc=False)(model, X[test], y[test])
            except ValueError:
                fitted, measured = time.process_time(), dict.fromkeys(scoring, np.nan)
        # A metric that cannot be computed is the text of an error.
        scores.append({m: s if np.isreal(s) else np.nan for m, s in measured.items()})
        fit_times.append(fitted - begun)
    by_metric = {m: [one[m] for one in scores] for m in scoring}
    return candidate_record(estimator, candidate, by_metric, fit_times, digits=5)


if __name__ == "__main__":
    main()
