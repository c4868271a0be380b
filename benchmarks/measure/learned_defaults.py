"""No search at all: ``learned_defaults`` beside the estimator as given and FLAML's zero-shot.

    SKMETA_DATA=... python -m benchmarks.measure.learned_defaults --hours 1
    SKMETA_DATA=... python -m benchmarks.measure.learned_defaults --summary
    python -m benchmarks.measure.learned_defaults --speed

Tabular sets of which no two are of the same origin, at most 1,000 rows of each. The prior leaves
out every set of the origin at hand. Three folds: parameters are chosen from the training rows of a
fold, which the model is fitted to, and its error and log loss are of the other rows.

``given``     the estimator as its library sets it up
``learned``   ``learned_defaults`` for the metric that is reported
``flaml``     FLAML's zero-shot parameters (``flaml.default``), of the estimators that it has

The rule by which ``learned_defaults`` chooses was made on recorded scores of the sets of the first
half of all origins, and on the tables of ``measure/first_candidates.py``. A line of results goes to
``results/learned_defaults.jsonl`` for each estimator and set, and what is there is not run again.
``--speed`` prints milliseconds of processor time.
"""

import argparse
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.utils import all_estimators

from benchmarks.lib.origins import half_of, same_origin
from benchmarks.lib.resumable import read_lines, run_cells
from benchmarks.make.searches import read
from benchmarks.measure.search_day_one import chosen
from skmeta.search import learned_defaults
from skmeta.search.prior import load_shipped

RESULTS = Path(__file__).parents[1] / "results" / "learned_defaults.jsonl"
METRICS = {"log loss": "neg_log_loss", "error": "accuracy"}
MAX_ROWS, N_FOLDS = 1000, 3
SCALED = ("MLPClassifier", "KNeighborsClassifier")
BOOSTERS = {
    "LGBMClassifier": ("lightgbm", {"n_jobs": 1, "verbose": -1}),
    "XGBClassifier": ("xgboost", {"n_jobs": 1}),
    "CatBoostClassifier": (
        "catboost",
        {"thread_count": 1, "verbose": 0, "allow_writing_files": False},
    ),
}
ESTIMATORS = (
    *("ExtraTreesClassifier", "RandomForestClassifier", "LGBMClassifier", "XGBClassifier"),
    *("HistGradientBoostingClassifier", "KNeighborsClassifier", "MLPClassifier"),
)
OF_FLAML = ESTIMATORS[:4]


def make(name, is_flaml=False):
    """Return an estimator as its library, or FLAML, sets it up."""
    if is_flaml:
        import flaml.default

        settings = BOOSTERS.get(name, ("", {"n_jobs": 1}))[1]
        return getattr(flaml.default, name)(random_state=0, **settings)
    if name in BOOSTERS:
        package, settings = BOOSTERS[name]
        return getattr(__import__(package), name)(random_state=0, **settings)
    kind = dict(all_estimators())[name]
    estimator = kind(random_state=0) if "random_state" in kind().get_params() else kind()
    return make_pipeline(StandardScaler(), estimator) if name in SCALED else estimator


def load(folder, dataset):
    """Return X without gaps, and y."""
    X, y = read(folder, dataset)
    y = LabelEncoder().fit_transform(y)
    kept = np.bincount(y)[y] >= 2 * N_FOLDS
    X, y = X[kept], LabelEncoder().fit_transform(y[kept])
    if len(y) > MAX_ROWS:
        X, _, y, _ = train_test_split(X, y, train_size=MAX_ROWS, stratify=y, random_state=0)
        kept = np.bincount(y)[y] >= N_FOLDS
        X, y = X[kept], LabelEncoder().fit_transform(y[kept])
    return SimpleImputer().fit_transform(X), y


def models(name, dataset, X, y):
    """Yield what is fitted, and the metrics that it is reported by."""
    estimator = make(name)
    kind = type(estimator[-1] if hasattr(estimator, "steps") else estimator).__name__
    yield "given", clone(estimator), METRICS
    for metric, scoring in METRICS.items():
        prior = load_shipped(kind, scoring).without(datasets=same_origin(dataset))
        learned = learned_defaults(estimator, X, y, scoring, prior=prior, history=False)
        yield "learned", learned, [metric]
    if name in OF_FLAML:
        yield "flaml", make(name, is_flaml=True), METRICS


def run(folder, cell):
    """Return a line: losses of each method by metric, of each fold, and what was expected."""
    name, dataset = cell
    X, y = load(folder, dataset)
    losses, expected = {}, {}
    for train, test in StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(X, y):
        for method, model, metrics in models(name, dataset, X[train], y[train]):
            if method == "learned":
                expected.setdefault(metrics[0], []).append(model.expected_gain)
            model.fit(X[train], y[train])
            predicted = model.predict_proba(X[test])
            for metric in metrics:
                loss = (
                    log_loss(y[test], predicted, labels=np.unique(y))
                    if metric == "log loss"
                    else 1 - accuracy_score(y[test], predicted.argmax(1))
                )
                losses.setdefault(metric, {}).setdefault(method, []).append(round(float(loss), 5))
    return {"cell": cell, "rows": len(y), "losses": losses, "expected": expected}


def summarise(lines):
    """Return the shares of sets on which the learned parameters are better, by metric and half."""
    summary = {}
    for half in ("first", "second", "both"):
        own = [line for line in lines if half in ("both", half_of(line["cell"][1]))]
        for metric in METRICS:
            names = dict.fromkeys(line["cell"][0] for line in own)
            table = {name: compare(own, metric, [name]) for name in names}
            table["all"] = compare(own, metric, names)
            summary[f"{metric}, {half} half of origins" if half != "both" else metric] = table
    return summary


def compare(lines, metric, names):
    """Compare methods on the sets of some estimators."""
    found = [line["losses"][metric] for line in lines if line["cell"][0] in names]
    summary = {"sets": len(found)}
    for method in ("given", "flaml"):
        pairs = [(np.mean(one["learned"]), np.mean(one[method])) for one in found if method in one]
        if not pairs:
            continue
        learned, other = np.array(pairs).T
        won = np.where(learned < other, 1.0, np.where(learned == other, 0.5, 0.0))
        drawn = won[np.random.default_rng(0).integers(len(won), size=(2000, len(won)))].mean(1)
        summary[f"against {method}"] = {
            "sets": len(won),
            "better": round(float((learned < other).mean()), 3),
            "equal": round(float((learned == other).mean()), 3),
            "better, ties half": round(float(won.mean()), 3),
            "interval": np.percentile(drawn, [2.5, 97.5]).round(3).tolist(),
            "mean loss, learned and other": [
                round(float(learned.mean()), 4),
                round(float(other.mean()), 4),
            ],
        }
    return summary


def speed():
    """Return milliseconds of processor time, by estimator: of the first call, and of later ones."""
    sizes = {n: make_classification(n, 20, random_state=0) for n in (1_000, 100_000)}
    summary = {}
    for name in (*ESTIMATORS, "CatBoostClassifier", "SVC", "LogisticRegression"):
        estimator, times = make(name), {"first": [milliseconds(make(name), *sizes[1_000])]}
        for n, (X, y) in sizes.items():
            times[n] = [milliseconds(estimator, X, y) for _ in range(7)]
        summary[name] = {f"{key}": round(float(np.median(t)), 1) for key, t in times.items()}
    return summary


def milliseconds(estimator, X, y):
    begun = time.process_time()
    learned_defaults(estimator, X, y, history=False)
    return 1000 * (time.process_time() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=float("inf"))
    parser.add_argument("--estimators", nargs="*", default=ESTIMATORS)
    parser.add_argument("--halves", nargs="*", default=("first", "second"))
    parser.add_argument("--sets", type=int, default=30)
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.summary or options.speed:
        summary = speed() if options.speed else summarise(read_lines(options.results))
        print(json.dumps(summary, indent=1))
        return
    folder = Path(os.environ["SKMETA_DATA"]) / "tabular"
    warnings.simplefilter("ignore")
    sets = [one for one in chosen(folder, "classification") if half_of(one) in options.halves]
    cells = [(name, one) for one in sets[: options.sets] for name in options.estimators]
    run_cells(cells, lambda cell: run(folder, cell), options.results, 60 * options.hours)


if __name__ == "__main__":
    main()
