"""No space, no history: what a search does with default spaces and the priors that ship.

    SKMETA_DATA=... python -m benchmarks.measure.search_day_one --minutes 120
    SKMETA_DATA=... python -m benchmarks.measure.search_day_one --summary

Every estimator that a prior ships for is tuned on tabular sets of which no two are of the same
origin; the prior leaves out every set of the origin at hand, published searches included. Up to
600 rows are there to search on, by cross-validation with three folds, the same for every method;
up to 2,000 others are the test set, which no search sees. Scores are balanced accuracy and R2.

``defaults``   the estimator as scikit-learn sets it up
``shipped``    MetaLearnedSearchCV with the default space and the shipped prior, 20 candidates
``plain``      the same without prior
``random``     RandomizedSearchCV on the default space, 60 candidates (200 of cheap estimators)
``optuna``     OptunaSearchCV (TPE), 30 candidates; conditional spaces are joined to one

Regret is normalised by the best and the worst validation score that any method found for the
estimator on the data set, where scores further below the median of random search than twice the
best one's distance from it count as that (an R2 of minus a million would else hide all other
differences). What random search is expected to reach after k evaluations is exact, by order
statistics of its candidates. Seconds are of the process, fits and search together. ``given`` of a
line is the position of the estimator as it was given.
"""

import time
from functools import cache

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold, RandomizedSearchCV, StratifiedKFold, train_test_split
from sklearn.preprocessing import LabelEncoder
from sklearn.tree import DecisionTreeClassifier

from benchmarks.lib.intervals import ratio_interval
from benchmarks.lib.origins import origin, same_origin
from benchmarks.lib.resumable import RESULTS, read_lines, read_options, report, run_cells
from benchmarks.lib.tabular_sets import load as read
from benchmarks.make.search_priors import BOUND
from benchmarks.make.searches import CLASSIFIERS, MAX_CLASSES, REGRESSORS, data_sets, make
from benchmarks.measure.search_tables import random_regret
from skmeta.search import MetaLearnedSearchCV, default_search_space, shipped_priors
from skmeta.search.prior import load_shipped

PATH = RESULTS / "search_day_one.jsonl.gz"
METHODS = ("shipped", "random", "plain", "defaults", "optuna")
KEYS = ("method", "estimator", "data")
N_SETS, MIN_ROWS, N_TRAIN, N_TEST, N_FOLDS = 30, 150, 600, 2000, 3
OURS = ("shipped", "plain")
N_OURS, N_PEERS, N_RANDOM, N_RANDOM_CHEAP = 20, 30, 60, 200
CHEAP = (*list(CLASSIFIERS)[:6], *list(REGRESSORS)[:6])
SHOWN = (1, 3, 5, 10, 20)


def balanced_accuracy(estimator, X, y):
    return float(balanced_accuracy_score(y, estimator.predict(X)))


def r2(estimator, X, y):
    return float(r2_score(y, estimator.predict(X)))


@cache
def chosen(task):
    """Return names of the sets, one an origin, in the order of the recorded searches."""
    by_origin = {}
    for one in sorted(data_sets(), key=lambda one: one["rank"]):
        if one["task"] == task and len(read(one["name"])[1]) >= MIN_ROWS:
            by_origin.setdefault(origin(one["name"]), one["name"])
    return list(by_origin.values())[:N_SETS]


def load(name, is_classification):
    """Return rows to search on and rows to test on: X, X_test, y, y_test."""
    X, y = read(name)
    if is_classification:
        y = LabelEncoder().fit_transform(y)
        kept = np.bincount(y)[y] >= 10
        X, y = X[kept], LabelEncoder().fit_transform(y[kept])
        assert len(np.unique(y)) <= MAX_CLASSES
    n_train = min(N_TRAIN, int(0.6 * len(y)))
    sizes = {"train_size": n_train, "test_size": min(N_TEST, len(y) - n_train)}
    sizes["stratify"] = y if is_classification else None
    return train_test_split(X, y, **sizes, random_state=0)


def make_search(method, estimator, name, dataset, n, **common):
    """Return an unfitted search."""
    space = default_search_space(estimator)
    common = {"refit": False, "error_score": np.nan, "random_state": 0} | common
    if method in OURS:
        prior = None
        if method != "plain":
            prior = load_shipped(type(estimator[-1]).__name__, common["scoring"].__name__)
            prior = prior.without(datasets=same_origin(dataset))
        return MetaLearnedSearchCV(estimator, n_iter=n, prior=prior, history=None, **common)
    if method == "random":
        return RandomizedSearchCV(estimator, space, n_iter=n, **common)
    import optuna
    from optuna_integration import OptunaSearchCV

    joined = {}
    for one in space if isinstance(space, list) else [space]:
        for key, source in one.items():
            joined.setdefault(key, source)
            if isinstance(source, list):
                joined[key] = list(dict.fromkeys([*joined[key], *source]))
    joined = {k: v for k, v in joined.items() if not (isinstance(v, list) and len(v) == 1)}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given = {key: for_optuna(source) for key, source in joined.items()}
    return OptunaSearchCV(estimator, given, n_trials=n, **common)


def for_optuna(source):
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(source, list):
        low, high = map(float, source.support())
        return FloatDistribution(low, high, log=source.dist.name in ("loguniform", "reciprocal"))
    if len(source) > 2 and all(type(value) is int for value in source):
        return IntDistribution(min(source), max(source), log=True)
    return CategoricalDistribution(source)


def run(method, name, dataset):
    """Return one line of the results."""
    is_classification = name in CLASSIFIERS
    X, X_test, y, y_test = load(dataset, is_classification)
    metric = balanced_accuracy if is_classification else r2
    estimator = make(name)
    if name == "AdaBoostClassifier":  # its space is nested in a part that it must have
        estimator.set_params(adaboostclassifier__estimator=DecisionTreeClassifier(max_depth=1))
    line = {"method": method, "estimator": name, "data": dataset}
    if method == "defaults":
        return line | {"test": [round(metric(estimator.fit(X, y), X_test, y_test), 4)]}
    n = N_OURS if method in OURS else N_PEERS
    if method == "random":
        n = N_RANDOM_CHEAP if name in CHEAP else N_RANDOM
    folds = (StratifiedKFold if is_classification else KFold)(N_FOLDS, shuffle=True, random_state=0)
    search = make_search(method, estimator, name, dataset, n, scoring=metric, cv=folds)
    begun = time.process_time()
    search.fit(X, y)
    total = time.process_time() - begun
    params, scores = tried(search)
    known, results, best = {}, {"score": [], "test": []}, 0
    for k, score in enumerate(np.nan_to_num(scores, nan=-np.inf)):
        best = k if score > np.nan_to_num(scores[best], nan=-np.inf) else best
        if best not in known:
            model = clone(estimator).set_params(**clone(params[best], safe=False)).fit(X, y)
            known[best] = round(metric(model, X_test, y_test), 4)
        results["score"].append(round(float(scores[best]), 4))
        results["test"].append(known[best])
    if method in ("random", *OURS):
        results["every"] = [round(float(s), 4) for s in scores]
    if method in OURS:
        sources = [*search.cv_results_["source"]]
        results["given"] = sources.index("as given") if "as given" in sources else None
    return line | results | {"seconds": round(total, 3)}


def tried(search):
    """Return parameters and scores, in their order."""
    if hasattr(search, "trials_"):
        trials = [trial for trial in search.trials_ if trial.value is not None]
        return [t.params for t in trials], [t.value for t in trials]
    return list(search.cv_results_["params"]), list(search.cv_results_["mean_test_score"])


def run_one(cell):
    try:
        return run(*cell)
    except Exception as error:  # a peer that does not run here is a result too
        if cell[0] != "optuna":
            raise
        text = f"{type(error).__name__}: {error}"[:200]
        return dict(zip(KEYS, cell, strict=True)) | {"error": text}


def by_pair():
    """Return the lines by method, estimator and data set."""
    records = [line for line in read_lines(PATH) if "error" not in line]
    return {(r["method"], r["estimator"], r["data"]): r for r in records}


def scale_of(scores, random):
    """Return the best score, the one that worse ones count as, and their distance."""
    best, median = np.nanmax(np.concatenate(scores)), np.nanmedian(random)
    floor = max(np.nanmin(np.concatenate(scores)), median - BOUND * (best - median))
    return best, floor, best - floor


def expected_regret(random, best, floor):
    """Return the regret that random search is expected to have after each candidate."""
    random = np.fmax(random, floor)
    return best - random.max() + random_regret(random) * np.ptp(random)


def regret_curves(pairs, by_key):
    """Return regrets of validation scores by method, each of shape (n_pairs, n_evaluations)."""
    curves = {"shipped": [], "plain": [], "random": []}
    for pair in pairs:
        every = {m: np.array(by_key[m, *pair]["every"], dtype=float) for m in curves}
        best, floor, spread = scale_of([*every.values()], every["random"])
        if spread < 1e-9:
            continue
        for method in OURS:
            best_so_far = np.maximum.accumulate(np.fmax(every[method], floor))[:N_OURS]
            best_so_far = np.pad(best_so_far, (0, N_OURS - len(best_so_far)), "edge")
            curves[method].append((best - best_so_far) / spread)
        curves["random"].append(expected_regret(every["random"], best, floor) / spread)
    n = min(map(len, curves["random"]), default=0)
    return {m: np.array([c[:n] for c in each]) for m, each in curves.items()}


def regrets_beside_peers(by_key, methods):
    """Compare regrets of the validation score with those of other methods, on all common pairs."""
    pairs = sorted({k[1:] for k in by_key if all((m, *k[1:]) in by_key for m in methods)})
    rows = []
    for pair in pairs:
        scores = [np.array(by_key[m, *pair]["score"], dtype=float) for m in methods[1:]]
        every = np.array(by_key["random", *pair]["every"], dtype=float)
        best, median = max(np.nanmax(every), *(s.max() for s in scores)), np.nanmedian(every)
        floor = max(np.nanmin(every), median - BOUND * (best - median))
        if best - floor < 1e-9:
            continue
        random = expected_regret(every, best, floor)[[k - 1 for k in SHOWN]]
        ours = [best - np.fmax(s[[min(k, len(s)) - 1 for k in SHOWN]], floor) for s in scores]
        rows.append(np.array([random, *ours]) / (best - floor))
    rows = np.array(rows)
    summary = {"pairs": len(rows), "after": SHOWN}
    for k, method in enumerate(methods):
        ratio, *interval = ratio_interval(rows[:, -1], rows[:, k])
        summary[method] = {
            "mean": rows[:, k].mean(0).round(3).tolist(),
            "median": np.median(rows[:, k], axis=0).round(3).tolist(),
            "ours over it": ratio.round(2).tolist(),
            "interval": np.transpose(interval).round(2).tolist(),
        }
    return summary


def gains(by_key):
    """Compare the best of ten and of twenty candidates with the estimator as given."""
    pairs = [line for (method, *_), line in by_key.items() if method == "shipped"]
    given = np.array([line["every"][line["given"]] for line in pairs], dtype=float)
    summary = {"pairs": len(pairs)}
    for n in (10, N_OURS):
        best = [np.nanmax(np.array(line["every"][:n], dtype=float)) for line in pairs]
        shares = {"better": (best > given).mean(), "worse": (best < given).mean()}
        summary[f"after {n}"] = {name: round(float(x), 3) for name, x in shares.items()}
    return summary


def test_scores(by_key):
    """Mean rank of the test score: ours after 10 evaluations, others when they end.

    Of estimators and data sets that all of the methods have run on.
    """
    last = {"random": N_RANDOM} | dict.fromkeys(OURS, 10)
    rows = [
        (*key, line["test"][min(last.get(key[0], 10**6), len(line["test"])) - 1])
        for key, line in by_key.items()
    ]
    frame = pd.DataFrame(rows, columns=[*KEYS, "test"])
    wide = frame.pivot(index=["estimator", "data"], columns="method", values="test")
    wide = wide[[m for m in METHODS if m in wide]].dropna()
    summary = {"n": len(wide)}
    summary["mean rank"] = wide.rank(axis=1, ascending=False).mean().round(3).to_dict()
    for other in wide.columns.drop("shipped"):
        pair = {"better": wide["shipped"] > wide[other], "equal": wide["shipped"] == wide[other]}
        summary[f"against {other}"] = {n: round(float(x.mean()), 3) for n, x in pair.items()}
    return summary


def main():
    options = read_options(
        __doc__, methods=[*METHODS], estimators=[], minutes=float("inf"), summary=False
    )
    if options.summary:
        by_key = by_pair()
        summary = {
            "against the estimator as given": gains(by_key),
            "test scores": test_scores(by_key),
            "beside TPE": regrets_beside_peers(by_key, ("random", "optuna", "shipped")),
            "beside both": regrets_beside_peers(by_key, ("random", "optuna", "plain", "shipped")),
        }
        report(summary, RESULTS / "search_day_one.json")
        return
    shipped = [n for n in (*CLASSIFIERS, *REGRESSORS) if n in set(shipped_priors())]
    names = options.estimators or shipped
    tasks = {name: "classification" if name in CLASSIFIERS else "regression" for name in names}
    cells = [
        (method, name, dataset)
        for position in range(N_SETS)
        for name in names
        for dataset in chosen(tasks[name])[position : position + 1]
        for method in options.methods
    ]
    run_cells(cells, run_one, PATH, options.minutes, KEYS)


if __name__ == "__main__":
    main()
