"""Small real tables: a prior in context against scikit-learn, with few labelled rows.

    python -m benchmarks.measure.small_tables classification --prior FILE --draws 10
    python -m benchmarks.measure.small_tables regression --prior FILE --other FILE
    python -m benchmarks.measure.small_tables classification --summary --sets report
    python -m benchmarks.measure.small_tables classification --speed

Classification: the sets of ``$SKMETA_DATA/tabular/index.csv`` (of known or guessed kind) with at
most 30 features and 10 classes; 3, 5, 10 or 20 rows of each class are drawn, and up to 400 of the
other rows are predicted. Balanced accuracy and log loss weight each class alike. Regression: the
other sets, and those of UCI; 10, 20 or 50 rows are drawn. Measured are the squared error, over that
of the mean of the drawn rows, and how often the 90% interval holds the target.

Peers have scikit-learn's defaults, on scaled features where needed, and means for missing
values; probabilities of SVC come from sigmoid calibration. The tuned defaults of pytabkit are peers
where the package ``pytabkit`` is installed. All methods see the same draws. Every second set is for
development, on which choices were made; ``--sets report`` takes the others.

A prior that learned from the real tables of one half of all origins (``make/table_priors.py``) is
tested on the others; ``--other`` is the prior for the sets whose origin the first one has seen.
Without it, these sets are left out.

``--tuned`` takes 100 and 500 rows of each class (at most 500 and 1,000 in all), and 200, 500 and
1,000 rows of regressions. A random search scores 20 candidates of each of scikit-learn's peers in
five folds. ``--speed`` measures processor time of ``fit`` and ``predict`` beside a forest of 100
trees, in turns; the least time counts.
"""

import json
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from benchmarks.lib.comparison import compare
from benchmarks.lib.origins import HALVES, half_of
from benchmarks.lib.resumable import RESULTS, read_options
from benchmarks.lib.table_scores import classify, gaussian_process, regress
from benchmarks.lib.tabular_sets import SETS, draw, names_of
from skmeta.few_shot import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.priors import MetaPrior

SIZES = {"classification": [3, 5, 10, 20], "regression": [10, 20, 50]}
TUNED_SIZES = {"classification": [100, 500], "regression": [200, 500, 1000]}
MEASURES = {
    "classification": ("accuracy", "log_loss", "seconds"),
    "regression": ("error", "coverage", "seconds"),
}
N_CANDIDATES = 20
SPEED_ROWS, SPEED_QUERY, SPEED_COLUMNS, SPEED_REPEATS = (50, 1000), 1000, 20, 5


def imputed(*steps: BaseEstimator) -> BaseEstimator:
    """Steps behind means for missing values."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), *steps)


def scaled(estimator: BaseEstimator) -> BaseEstimator:
    """With means for missing values, and columns of mean 0 and variance 1."""
    return imputed(StandardScaler(), estimator)


def tuned(estimator: BaseEstimator, space: dict) -> BaseEstimator:
    """A random search."""
    scoring = "balanced_accuracy" if is_classifier(estimator) else "r2"
    return RandomizedSearchCV(
        estimator, space, n_iter=N_CANDIDATES, scoring=scoring, random_state=0
    )


LOGISTIC = LogisticRegression(max_iter=1000)
FOREST_SPACE = {"max_features": uniform(0.1, 0.9), "min_samples_leaf": randint(1, 10)}
BOOSTING_SPACE = {
    "learning_rate": loguniform(0.01, 0.5),
    "max_leaf_nodes": randint(3, 32),
    "min_samples_leaf": randint(1, 30),
    "l2_regularization": loguniform(1e-6, 10),
    "max_iter": randint(20, 200),
}
C, GAMMA = loguniform(1e-2, 1e3), loguniform(1e-4, 10)

PEERS: dict[str, dict[str, BaseEstimator]] = {
    "classification": {
        "logistic": scaled(LOGISTIC),
        "forest": RandomForestClassifier(random_state=0),
        "5-nn": scaled(KNeighborsClassifier()),
        "bayes": scaled(GaussianNB()),
        "svc": scaled(SVC()),
        "boosting": scaled(GradientBoostingClassifier(random_state=0)),
    },
    "regression": {
        "ridge": scaled(RidgeCV(np.logspace(-3, 3, 13))),
        "forest": RandomForestRegressor(random_state=0),
        "process": scaled(gaussian_process()),
        "boosting": scaled(GradientBoostingRegressor(random_state=0)),
    },
}
TUNED: dict[str, dict[str, BaseEstimator]] = {
    "classification": {
        "tuned logistic": tuned(scaled(LOGISTIC), {"logisticregression__C": loguniform(1e-3, 1e3)}),
        "tuned svc": tuned(scaled(SVC()), {"svc__C": C, "svc__gamma": GAMMA}),
        "tuned forest": tuned(
            RandomForestClassifier(random_state=0),
            FOREST_SPACE | {"criterion": ["gini", "entropy"]},
        ),
        "tuned boosting": tuned(HistGradientBoostingClassifier(random_state=0), BOOSTING_SPACE),
    },
    "regression": {
        "tuned ridge": scaled(RidgeCV(np.logspace(-3, 3, 20))),
        "tuned svr": TransformedTargetRegressor(
            tuned(scaled(SVR()), {"svr__C": C, "svr__gamma": GAMMA}), transformer=StandardScaler()
        ),
        "tuned forest": tuned(RandomForestRegressor(random_state=0), FOREST_SPACE),
        "tuned boosting": tuned(HistGradientBoostingRegressor(random_state=0), BOOSTING_SPACE),
    },
}
if find_spec("pytabkit"):
    for kind, suffix in (("classification", "Classifier"), ("regression", "Regressor")):
        for name in ("RealMLP_TD", "CatBoost_TD", "LGBM_TD"):
            cls = getattr(import_module("pytabkit"), f"{name}_{suffix}")
            peer = imputed(cls(device="cpu", random_state=0, n_threads=1))
            PEERS[kind][name] = TUNED[kind][name] = peer


class Ours(NamedTuple):
    """Our estimator, with a prior that has not seen the origin of a set.

    ``priors`` are one, or one for each half of the origins; ``settings`` are other parameters.
    """

    estimator: type[BaseEstimator]
    priors: tuple[MetaPrior, ...]
    settings: dict

    def unseen_by(self, name: str) -> MetaPrior | None:
        """The first prior that has not seen the origin of a set."""
        half = half_of(name)
        for prior in self.priors:
            seen = prior.provenance.get("config", {}).get("origins", "none")
            if half is None or seen == "none" or seen in set(HALVES) - {half}:
                return prior
        return None

    def __call__(self, name: str) -> BaseEstimator:
        """The estimator for a set."""
        return self.estimator(self.unseen_by(name), device="cpu", **self.settings)

    def name(self) -> str:
        """Name in the results."""
        return "prior-" + "+".join(prior.digest[:8] for prior in self.priors)


def measure_speed(kind: str, ours: BaseEstimator) -> list[dict]:
    """Seconds of processor time of ours and of a forest, and their ratio."""
    models = {"ours": ours, "forest": PEERS[kind]["forest"]}
    make = make_classification if kind == "classification" else make_regression
    records = []
    for known in SPEED_ROWS:
        X, y = make(known + SPEED_QUERY, SPEED_COLUMNS, random_state=0)
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
        for _ in range(SPEED_REPEATS):
            for name, model in models.items():
                began = time.process_time()
                model.fit(X[:known], y[:known])
                fitted = time.process_time()
                model.predict(X[known:])
                seconds[name].append((fitted - began, time.process_time() - fitted))
        best = {name: np.min(values, axis=0) for name, values in seconds.items()}
        record: dict = {"known": known, "asked": SPEED_QUERY, "columns": SPEED_COLUMNS}
        for name, (fit, predict) in best.items():
            record |= {f"{name}_fit": round(fit, 3), f"{name}_predict": round(predict, 3)}
        record["ratio"] = round(float(best["ours"].sum() / best["forest"].sum()), 2)
        records.append(record)
    return records


def main() -> None:
    """Run and print."""
    given = {"kind_": tuple(SIZES), "prior": Path, "other": Path, "sets": tuple(SETS)}
    given |= {"sizes": [0], "draws": 10, "methods": [], "tuned": False, "speed": False}
    options = read_options(__doc__, **given, summary=False)
    kind, is_classification = options.kind, options.kind == "classification"
    estimator = MetaFewShotClassifier if is_classification else MetaFewShotRegressor
    priors = [MetaPrior.load(path) for path in (options.prior, options.other) if path]
    if options.speed:
        records = measure_speed(kind, estimator(*priors[:1] or ["tabular"], device="cpu"))
        text = json.dumps(records, indent=1)
        print(text)
        (RESULTS / f"small_tables-speed-{kind}.json").write_text(text + "\n")
        return
    peers, sizes = (TUNED if options.tuned else PEERS)[kind], SIZES[kind]
    sizes = [*filter(None, options.sizes)] or (TUNED_SIZES[kind] if options.tuned else sizes)
    methods = {name: lambda _, peer=peer: clone(peer) for name, peer in peers.items()}
    names, ours = names_of(kind)[SETS[options.sets]], None
    if priors:
        made = Ours(estimator, tuple(priors), {})
        names, ours = [name for name in names if made.unseen_by(name)], made.name()
        methods[ours] = made

    def score(model: BaseEstimator, name: str, size: int, seed: int) -> dict | None:
        drawn = draw(kind, name, size, seed)
        return drawn and (classify if is_classification else regress)(model, drawn)

    path = RESULTS / f"small_tables-{kind}.jsonl.gz"
    compare(options, path, sizes, methods, names, score, MEASURES[kind], ours)


if __name__ == "__main__":
    main()
