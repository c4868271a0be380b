"""No space, no history: what a search does with default spaces and the priors that ship.

    SKMETA_DATA=... python -m benchmarks.measure.search_day_one --hours 2
    SKMETA_DATA=... python -m benchmarks.measure.search_day_one --summary

Every estimator that a prior ships for is tuned on tabular sets of which no two are of the same
origin; the prior leaves out every set of the origin at hand, published searches included. Up to
600 rows are there to search on, by cross-validation with three folds, the same for every method;
up to 2,000 others are the test set, which no search sees. Scores are balanced accuracy and R2.

``defaults``   the estimator as scikit-learn sets it up
``shipped``    MetaLearnedSearchCV with the default space and the shipped prior, 20 candidates
``plain``      the same without prior
``random``     RandomizedSearchCV on the default space, 60 candidates (200 of cheap estimators)
``halving``    HalvingRandomSearchCV: 90 candidates on a ninth of the rows, then fewer on more: the
               rows of 30 candidates
``optuna``     OptunaSearchCV (TPE), 30 candidates; conditional spaces are joined to one
``optuna-gp``  the same with Optuna's GPSampler, of the estimators that are named

Regret is normalised by the best and the worst validation score that any method found for the
estimator on the data set, where scores further below the median of random search than twice the
best one's distance from it count as that (an R2 of minus a million would else hide all other
differences). What random search is expected to reach after k evaluations is exact,
by order statistics of its candidates. Seconds are of the process, fits and search together.
``given`` of a line is the position of the estimator as it was given.

A line a run goes to ``benchmarks/results/search_day_one.jsonl.gz``; what is there is not run
again.
"""

import time
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold, RandomizedSearchCV, StratifiedKFold, train_test_split
from sklearn.preprocessing import LabelEncoder
from sklearn.tree import DecisionTreeClassifier

from benchmarks.lib.intervals import ratio_interval
from benchmarks.lib.origins import origin, same_origin
from benchmarks.lib.resumable import read_lines, read_options, report, run_cells
from benchmarks.lib.tabular_sets import load as read
from benchmarks.make.search_priors import BOUND
from benchmarks.make.searches import CLASSIFIERS, MAX_CLASSES, REGRESSORS, data_sets, make
from benchmarks.measure.search_tables import random_regret
from skmeta.search import MetaLearnedSearchCV, default_search_space, shipped_priors
from skmeta.search.prior import load_shipped

try:
    from sklearn.model_selection import HalvingRandomSearchCV
except ImportError:  # up to scikit-learn 1.9
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

RESULTS = Path(__file__).parents[1] / "results" / "search_day_one.jsonl.gz"
METHODS = ("shipped", "random", "plain", "defaults", "optuna", "halving")
EXTRA = "optuna-gp"
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


# -- data --------------------------------------------------------------------------------------


@cache
def chosen(task):
    """Return names of the sets, one an origin, in the order of the recorded searches."""
    by_origin = {}
    for one in sorted(data_sets(), key=lambda one: one["rank"]):
        if one["task"] == task and n_rows(one["name"]) >= MIN_ROWS:
            by_origin.setdefault(origin(one["name"]), one["name"])
    return list(by_origin.values())[:N_SETS]


def n_rows(name):
    return len(read(name)[1])


def load(name, is_classification):
    """Return rows to search on and rows to test on."""
    X, y = read(name)
    if is_classification:
        y = LabelEncoder().fit_transform(y)
        kept = np.bincount(y)[y] >= 10
        X, y = X[kept], LabelEncoder().fit_transform(y[kept])
        assert len(np.unique(y)) <= MAX_CLASSES
    n_train = min(N_TRAIN, int(0.6 * len(y)))
    X, X_test, y, y_test = train_test_split(
        X,
        y,
        train_size=n_train,
        test_size=min(N_TEST, len(y) - n_train),
        stratify=y if is_classification else None,
        random_state=0,
    )
    return X, y, X_test, y_test


# -- searches ----------------------------------------------------------------------------------


def make_search(method, estimator, name, dataset, n, **common):
    """Return an unfitted search."""
    space = default_search_space(estimator)
    kind = type(estimator[-1]).__name__
    common = {"refit": False, "error_score": np.nan} | common
    if method in OURS:
        prior = None
        if method != "plain":
            metric = common["scoring"].__name__
            prior = load_shipped(kind, metric).without(datasets=same_origin(dataset))
        return MetaLearnedSearchCV(
            estimator, n_iter=n, prior=prior, history=None, random_state=0, **common
        )
    if method == "random":
        return RandomizedSearchCV(estimator, space, n_iter=n, random_state=0, **common)
    if method == "halving":
        n_train = common.pop("n_train")
        return HalvingRandomSearchCV(
            estimator,
            space,
            n_candidates=3 * n,
            min_resources=n_train // 9,
            factor=3,
            random_state=0,
            **common,
        )
    joined = {}
    for one in space if isinstance(space, list) else [space]:
        for key, source in one.items():
            joined.setdefault(key, source)
            if isinstance(source, list):
                joined[key] = list(dict.fromkeys([*joined[key], *source]))
    joined = {k: v for k, v in joined.items() if not (isinstance(v, list) and len(v) == 1)}
    if method in ("optuna", EXTRA):
        import optuna
        from optuna_integration import OptunaSearchCV

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        given = {key: for_optuna(source) for key, source in joined.items()}
        if method == EXTRA:
            sampler = optuna.samplers.GPSampler(seed=0)
            common["study"] = optuna.create_study(direction="maximize", sampler=sampler)
        return OptunaSearchCV(estimator, given, n_trials=n, random_state=0, **common)
    raise ValueError(f"There is no method {method!r}.")


def bounds(source):
    low, high = source.support()
    return float(low), float(high), source.dist.name in ("loguniform", "reciprocal")


def is_ordered(source):
    return len(source) > 2 and all(type(value) is int for value in source)


def for_optuna(source):
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(source, list):
        low, high, log = bounds(source)
        return FloatDistribution(low, high, log=log)
    if is_ordered(source):
        return IntDistribution(min(source), max(source), log=True)
    return CategoricalDistribution(source)


def run(method, name, dataset):
    """Return one line of the results."""
    is_classification = name in CLASSIFIERS
    X, y, X_test, y_test = load(dataset, is_classification)
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
    options = {"n_train": len(y)} if method == "halving" else {}
    search = make_search(method, estimator, name, dataset, n, scoring=metric, cv=folds, **options)
    begun = time.process_time()
    search.fit(X, y)
    total = time.process_time() - begun
    params, scores, costs = tried(search)
    known, results = {}, {"cost": [], "score": [], "test": []}
    for k, best in incumbents([s if np.isfinite(s) else -np.inf for s in scores], costs):
        if best not in known:
            model = clone(estimator).set_params(**clone(params[best], safe=False)).fit(X, y)
            known[best] = round(metric(model, X_test, y_test), 4)
        results["cost"].append(round(float(np.sum(costs[: k + 1])), 2))
        results["score"].append(round(float(scores[best]), 4))
        results["test"].append(known[best])
    if method in ("random", *OURS):
        results["every"] = [round(float(s), 4) for s in scores]
    if method in OURS:
        sources = [*search.cv_results_["source"]]
        results["given"] = sources.index("as given") if "as given" in sources else None
    return line | results | {"seconds": round(total, 3)}


def tried(search):
    """Return parameters, scores and costs (in candidates on all rows), in their order."""
    if hasattr(search, "trials_"):
        trials = [trial for trial in search.trials_ if trial.value is not None]
        return [t.params for t in trials], [t.value for t in trials], [1.0] * len(trials)
    results = search.cv_results_
    costs = np.ones(len(results["params"]))
    if "n_resources" in results:
        costs = results["n_resources"] / np.max(results["n_resources"])
    return list(results["params"]), list(results["mean_test_score"]), list(costs)


def incumbents(scores, costs):
    """Yield each moment that has a best candidate, and it: after each rung of a halving search."""
    best = None
    for k, (score, cost) in enumerate(zip(scores, costs, strict=True)):
        # Scores on few rows do not compare with those on more.
        if best is None or cost > costs[best] or score > scores[best]:
            best = k
        end_of_rung = k + 1 == len(costs) or costs[k + 1] != cost
        if len(set(costs)) == 1 or end_of_rung:
            yield k, best


def run_all(methods, names, hours):
    cells = [
        (method, name, dataset)
        for position in range(N_SETS)
        for name in names
        for dataset in chosen(task_of(name))[position : position + 1]
        for method in methods
    ]

    def run_one(cell):
        try:
            return run(*cell)
        except Exception as error:  # a peer that does not run here is a result too
            if cell[0] in ("random", "defaults", *OURS):
                raise
            text = f"{type(error).__name__}: {error}"[:200]
            return dict(zip(KEYS, cell, strict=True)) | {"error": text}

    run_cells(cells, run_one, RESULTS, 60 * hours, KEYS)


def task_of(name):
    return "classification" if name in CLASSIFIERS else "regression"


# -- what it says ------------------------------------------------------------------------------


def by_pair():
    """Return the lines by method, estimator and data set."""
    records = [line for line in read_lines(RESULTS) if "error" not in line]
    return {(r["method"], r["estimator"], r["data"]): r for r in records}


def summarise():
    by_key = by_pair()
    both = ("random", "optuna", EXTRA, "plain", "shipped")
    return {
        "against the estimator as given": gains(by_key),
        "test scores": test_scores(by_key, METHODS),
        "beside TPE": regrets_beside_peers(by_key, ("random", "optuna", "shipped")),
        "beside TPE and GPSampler": regrets_beside_peers(by_key, both),
    }


def regret_curves(pairs, by_key):
    """Return regrets of validation scores by method, each of shape (n_pairs, n_evaluations)."""
    curves = {"shipped": [], "plain": [], "random": []}
    for pair in pairs:
        every = {m: np.array(by_key[m, *pair]["every"]) for m in METHODS[:3]}
        pooled = np.concatenate(list(every.values()))
        best, median = np.nanmax(pooled), np.nanmedian(every["random"])
        floor = max(np.nanmin(pooled), median - BOUND * (best - median))
        every = {m: np.fmax(s, floor) for m, s in every.items()}
        spread = best - floor
        if spread < 1e-9:
            continue
        for method in ("shipped", "plain"):
            best_so_far = np.maximum.accumulate(every[method])[:N_OURS]
            best_so_far = np.pad(best_so_far, (0, N_OURS - len(best_so_far)), "edge")
            curves[method].append((best - best_so_far) / spread)
        r = every["random"]
        expected = (best - r.max() + random_regret(r) * np.ptp(r)) / spread
        curves["random"].append(expected)
    n = min(map(len, curves["random"]), default=0)
    return {m: np.array([c[:n] for c in each]) for m, each in curves.items()}


def regrets_beside_peers(by_key, methods):
    """Compare regrets of the validation score with those of other methods, on all common pairs."""
    pairs = sorted({k[1:] for k in by_key if all((m, *k[1:]) in by_key for m in methods)})
    rows = []
    for pair in pairs:
        scores = {m: np.array(by_key[m, *pair]["score"], dtype=float) for m in methods[1:]}
        every = np.array(by_key["random", *pair]["every"], dtype=float)
        best, median = (
            max(np.nanmax(every), *(s.max() for s in scores.values())),
            np.nanmedian(every),
        )
        floor = max(np.nanmin(every), median - BOUND * (best - median))
        spread = best - floor
        if spread < 1e-9:
            continue
        every = np.fmax(every, floor)
        random = best - every.max() + random_regret(every) * np.ptp(every)
        ours = [
            best - np.fmax(s[[min(k, len(s)) - 1 for k in SHOWN]], floor) for s in scores.values()
        ]
        rows.append(np.array([random[[k - 1 for k in SHOWN]], *ours]) / spread)
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


def test_scores(by_key, methods):
    """Mean rank of the test score: ours after 10 evaluations, others when they end.

    Of estimators and data sets that all of the methods have run on.
    """
    rows = []
    for method, name, dataset in by_key:
        line = by_key[method, name, dataset]
        if method in OURS:
            test = line["test"][min(9, len(line["test"]) - 1)]
        elif method == "random":
            test = line["test"][min(N_RANDOM, len(line["test"])) - 1]
        else:
            test = line["test"][-1]
        rows.append({"method": method, "estimator": name, "data": dataset, "test": test})
    wide = pd.DataFrame(rows).pivot(index=["estimator", "data"], columns="method", values="test")
    wide = wide[[m for m in methods if m in wide]].dropna()
    ranks = wide.rank(axis=1, ascending=False)
    summary = {"n": len(wide), "mean": wide.mean().round(4).to_dict()}
    summary["mean rank"] = ranks.mean().round(3).to_dict()
    versus = wide.groupby("data").mean() if len(wide) else wide
    for other in wide.columns.drop("shipped"):
        better = (wide["shipped"] > wide[other]).mean()
        equal = (wide["shipped"] == wide[other]).mean()
        summary[f"against {other}"] = {
            "better": round(float(better), 3),
            "equal": round(float(equal), 3),
            "mean difference": round(float((versus["shipped"] - versus[other]).mean()), 4),
        }
    return summary


def main():
    options = read_options(
        __doc__, methods=[*METHODS], estimators=[], hours=float("inf"), summary=False
    )
    if options.summary:
        report(summarise(), RESULTS.with_name("search_day_one.json"))
        return
    names = options.estimators or [
        n for n in (*CLASSIFIERS, *REGRESSORS) if n in set(shipped_priors())
    ]
    run_all(options.methods, names, options.hours)


if __name__ == "__main__":
    main()
