"""Run the searches that the shipped priors are learned from.

    SKMETA_DATA=<folder> python -m benchmarks.make.searches

Every estimator with a default search space is evaluated on the first usable tabular sets, in a
random order: its defaults, then configurations of the default space, half of them quasi-random
(Sobol) and half drawn at random. Rows beyond a limit are left out (a stratified sample), numbers
are imputed and, where the estimator needs it, scaled. Each configuration is one row of the history
with all metrics. The history is read from ``results/searches.parquet`` and written there every ten
minutes and when done; what is on record is not evaluated again.
"""

import time
import warnings

import numpy as np
from scipy.stats import qmc
from sklearn.base import clone, is_classifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.utils import all_estimators
from tqdm import tqdm

from benchmarks.lib import recorded
from benchmarks.lib.resumable import RESULTS, read_options
from benchmarks.lib.tabular_sets import index
from benchmarks.lib.tabular_sets import load as load_set
from skmeta.search import default_search_space
from skmeta.search.record import CandidateRecord, SearchRecord, fingerprint_data
from skmeta.search.space import SearchSpace, canonical_configurations, signature

# By cost of a fit: cheap ones first. The number of rows is limited by it.
CHEAP_CLASSIFIERS = """LogisticRegression LinearSVC KNeighborsClassifier DecisionTreeClassifier
SGDClassifier SVC ExtraTreesClassifier RandomForestClassifier"""
CHEAP_REGRESSORS = """Ridge Lasso ElasticNet KNeighborsRegressor DecisionTreeRegressor SVR
ExtraTreesRegressor RandomForestRegressor"""
COSTLY = ("HistGradientBoosting", "AdaBoost", "GradientBoosting", "MLP")
CLASSIFIERS = dict.fromkeys(CHEAP_CLASSIFIERS.split(), 1000)
CLASSIFIERS |= dict.fromkeys([f"{kind}Classifier" for kind in COSTLY], 500)
REGRESSORS = dict.fromkeys(CHEAP_REGRESSORS.split(), 1000)
REGRESSORS |= dict.fromkeys([f"{kind}Regressor" for kind in COSTLY if kind != "AdaBoost"], 500)
N_CONFIGURATIONS = 60
EXPORT_EVERY = 600  # seconds
MAX_ROWS_OF_5_FOLDS = 300  # sets with more rows are scored by three folds
TREES = ("Tree", "Forest", "Boost")
FIRST = {"classification": 62, "regression": 32}  # sets of each estimator
# Sets with more columns or classes cost too much for what they add; of the synthetic families a
# few are enough.
MAX_COLUMNS, MAX_CLASSES, MIN_ROWS = 130, 12, 90
MAX_CLASSES_OF_BOOSTING = 6  # which grows as many trees a round
SYNTHETIC = ("GAMETES", "fri_", "BNG_")
KEPT_SYNTHETIC = (
    "GAMETES_Epistasis_2_Way_20atts_0.4H_EDM_1_1",
    "599_fri_c2_1000_5",
    "582_fri_c1_500_25",
    "635_fri_c0_250_10",
)


def main():
    options = read_options(__doc__, estimators=[*CLASSIFIERS, *REGRESSORS], minutes=float("inf"))

    def search_one(history, end, name, dataset):
        max_rows = {**CLASSIFIERS, **REGRESSORS}[name]
        named = "make_searches 2", name, make(name), dataset, N_CONFIGURATIONS, max_rows
        search_set(history, end, *named, lambda *given: [evaluate(*given)])

    record_all(plan(options.estimators), search_one, "searches", options.minutes)


def record_all(work, search_one, name, minutes):
    """Do pieces of work until the time is over; write the history now and then, and at the end."""
    path, end = RESULTS / f"{name}.parquet", time.monotonic() + 60 * minutes
    history, written = recorded.open_history(path), time.monotonic()
    for piece in tqdm(work, unit="search", smoothing=0.01):
        if time.monotonic() > end:
            break
        search_one(history, end, *piece)
        if time.monotonic() > written + EXPORT_EVERY:
            recorded.write_file(history, path)
            written = time.monotonic()
    recorded.write_file(history, path)


def plan(names):
    """Return pairs of an estimator and a data set."""
    work = []
    for name in names:
        is_classes = name.endswith("Classifier") or name in CLASSIFIERS
        task = "classification" if is_classes else "regression"
        is_slow = "GradientBoosting" in name or name not in {**CLASSIFIERS, **REGRESSORS}
        few = MAX_CLASSES_OF_BOOSTING if is_slow else MAX_CLASSES
        sets = sorted((o for o in data_sets() if o["task"] == task), key=lambda o: o["rank"])
        usable = [one for one in sets if not is_classes or one["n_classes"] <= few]
        work += [(name, one) for one in usable[: FIRST[task]]]
    return work


def data_sets():
    """Return the usable sets, in an order that mixes sizes."""
    rows, uci = index()
    sets = [
        {
            "name": row["name"],
            "task": row["task"].removeprefix("guess-"),
            "n_classes": int(row["ny"]),
        }
        for row in rows
        if int(row["n"]) >= MIN_ROWS
        and int(row["p"]) <= MAX_COLUMNS
        and (row["task"].endswith("regression") or int(row["ny"]) <= MAX_CLASSES)
        and (row["name"] in KEPT_SYNTHETIC or not any(s in row["name"] for s in SYNTHETIC))
    ]
    for name in uci:
        if name not in ("uci/challenger", "uci/solar"):  # 23 rows; two targets
            sets.append({"name": name.replace("/", "_"), "task": "regression"})
    for one, rank in zip(sets, np.random.default_rng(0).permutation(len(sets)), strict=True):
        one["rank"] = int(rank)
    return sets


def load(name, max_rows, is_classification):
    """Return X and y of a set, at most `max_rows` of them."""
    X, y = load_set(name)

    def without_rare(X, y):
        y = LabelEncoder().fit_transform(y)
        kept = np.bincount(y)[y] >= 5  # a class needs a row in each fold
        return X[kept], LabelEncoder().fit_transform(y[kept])

    if is_classification:
        X, y = without_rare(X, y)
    if len(X) > max_rows:
        stratify = y if is_classification else None
        X, _, y, _ = train_test_split(X, y, train_size=max_rows, random_state=0, stratify=stratify)
        if is_classification:
            X, y = without_rare(X, y)
    return X, y


def search_set(history, end, kind, name, estimator, dataset, n, max_rows, evaluate, impute=False):
    """Evaluate `n` configurations on a set by `evaluate`, but for what is on record."""
    candidates = design(estimator, n, seed=f"{name} {dataset['name']}")
    fingerprint = f"{kind}: {name} on {dataset['name']}"
    todo = not_recorded(history, fingerprint, candidates)
    if not todo:
        return
    X, y = load(dataset["name"], max_rows, is_classifier(estimator))
    X = SimpleImputer().fit_transform(X) if impute else X
    scoring = metrics(estimator, y)

    def of_candidate(candidate, splits):
        return evaluate(estimator, candidate, X, y, splits, scoring)

    named = fingerprint, dataset["name"], name, estimator
    record_search(history, *named, X, y, scoring, todo, of_candidate, end)


def not_recorded(history, fingerprint, candidates):
    """Return the candidates of a search that are not on record."""
    known = {e.key for e in history._candidates(fingerprint)}
    return [c for c in candidates if recorded.short_key(c) not in known]


def record_search(
    history, fingerprint, dataset, name, estimator, X, y, scoring, todo, evaluate, end, cv=None
):
    """Record the evaluations of candidates, until the time is over.

    ``evaluate(candidate, splits)`` returns or yields them. Given `cv`, a text, it draws splits
    itself.
    """
    n_folds = 5 if len(X) <= MAX_ROWS_OF_5_FOLDS else 3
    folds = StratifiedKFold if is_classifier(estimator) else KFold
    data = fingerprint_data(X, y)
    of = {"fingerprint": fingerprint, "dataset": dataset, "estimator": name, "space": {}}
    of |= {"metrics": dict.fromkeys(scoring, 1), "refit_metric": scoring[0]}
    of |= {"data_digest": data.digest, "data_sketch": data.sketch}
    of |= {"cv": cv or f"{folds.__name__}({n_folds}, shuffle=True)"}
    identifier = history._begin(SearchRecord(signature=signature(estimator), **of))
    splits = [] if cv else list(folds(n_folds, shuffle=True, random_state=0).split(X, y))
    for candidate in todo:
        if time.monotonic() > end:
            return
        for evaluation in evaluate(candidate, splits):
            history._record(identifier, evaluation)


def make(name):
    """Return an estimator as a sensible user would set it up."""
    [kind] = [kind for other, kind in all_estimators() if other == name]
    settings = {}
    if "random_state" in kind().get_params():
        settings["random_state"] = 0
    if name in ("SVC", "SVR"):
        settings["max_iter"] = 100_000  # a polynomial may else take hours
    steps = [SimpleImputer()]
    if not any(word in name for word in TREES):
        steps.append(StandardScaler())
    return make_pipeline(*steps, kind(**settings))


def design(estimator, n, seed):
    """Return the defaults and `n` configurations of the default space."""
    rng = np.random.default_rng(list(seed.encode()))
    space = SearchSpace(default_search_space(estimator))
    chosen = {recorded.short_key({}): {}}
    if space.size <= n:
        return [{}, *space.grid()]
    sobol = qmc.Sobol(max(len(s) for s in space.spaces), rng=rng)
    for position, point in enumerate(sobol.random(64)[: n // 2]):
        one = space.spaces[position % len(space.spaces)]
        candidate = {key: at(one[key], u) for key, u in zip(one, point, strict=False)}
        chosen[recorded.short_key(candidate)] = candidate
    for candidate in space.sample(n - (len(chosen) - 1), rng)[: n + 1 - len(chosen)]:
        chosen[recorded.short_key(candidate)] = candidate
    return list(chosen.values())


def at(source, u):
    """Return the value at quantile `u`."""
    if hasattr(source, "ppf"):
        return float(source.ppf(u))
    return source[min(int(u * len(source)), len(source) - 1)]


def metrics(estimator, y):
    """Return the metrics that the estimator can be scored by."""
    if not is_classifier(estimator):
        return ["r2", "neg_mean_absolute_error"]
    names = ["accuracy", "balanced_accuracy"]
    kind = type(estimator[-1] if hasattr(estimator, "steps") else estimator).__name__
    has_proba = kind not in ("SVC", "LinearSVC", "SGDClassifier")
    if has_proba:
        names.append("neg_log_loss")
    if len(np.unique(y)) == 2:
        names.append("roc_auc")
    elif has_proba:
        names.append("roc_auc_ovr")
    return names


def evaluate(estimator, candidate, X, y, splits, scoring):
    """Evaluate one configuration on all folds."""
    model = clone(estimator).set_params(**clone(candidate, safe=False))
    with warnings.catch_warnings(action="ignore"):
        results = cross_validate(model, X, y, cv=splits, scoring=scoring, error_score=np.nan)
    scores = {name: results[f"test_{name}"] for name in scoring}
    return candidate_record(estimator, candidate, scores, results["fit_time"])


def candidate_record(estimator, candidate, scores, fit_times, digits=4, source=None):
    """Return the record of a configuration, with its scores by metric and its seconds."""

    def rounded(values, digits):
        return tuple(round(float(value), digits) for value in values)

    return CandidateRecord(
        configuration=canonical_configurations(estimator, [candidate])[0],
        key=recorded.short_key(candidate),
        scores={name: rounded(each, digits) for name, each in scores.items()},
        fit_times=rounded(fit_times, 3),
        source=source or ("random" if candidate else "added"),
    )


if __name__ == "__main__":
    main()
