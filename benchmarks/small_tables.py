"""Small real tables: a prior in context against scikit-learn, with few labelled rows.

    SKMETA_DATA=... python benchmarks/small_tables.py classification --prior FILE
    SKMETA_DATA=... python benchmarks/small_tables.py regression --prior FILE --draws 10
    SKMETA_DATA=... python benchmarks/small_tables.py classification --prior FILE --summary
    SKMETA_DATA=... python benchmarks/small_tables.py classification --prior FILE --other FILE
    SKMETA_DATA=... python benchmarks/small_tables.py classification --summary --sets report
    SKMETA_DATA=... python benchmarks/small_tables.py classification --prior FILE --tuned --draws 1
    python benchmarks/small_tables.py classification --speed

Classification: the sets of ``tabular/index.csv`` (of known or guessed kind) with at most 30
features and 10 classes; 3, 5, 10 or 20 rows of each class are drawn, and up to 400 of the other
rows are predicted (a class with too few rows keeps a third of them, at least one, to be
predicted). All measures weight each class alike: balanced accuracy, log loss (probabilities
bounded to 1e-7), Brier score, and expected calibration error (10 bins of the highest probability).
The error of a draw is above zero for a perfect predictor too, as its rows are few: "floor" is what
labels drawn from the predicted probabilities give. "pooled" is the error of all draws together.

Regression: the other sets of the index and ``tabular/uci_regression``; 10, 20 or 50 rows are
drawn. Measured are the squared error, divided by that of the mean of the drawn rows, and how often
the 90% interval holds the target.

Peers have scikit-learn's defaults, on scaled features where needed, and medians for missing
values; probabilities of SVC come from sigmoid calibration. EvoForest-Tab and the tuned defaults of
pytabkit are peers where the packages ``evoforest-tab`` and ``pytabkit`` are installed. All methods
see the same draws. Printed is the mean over sets of the mean over draws, the mean rank, and the
difference between the prior and each peer with a 95% interval from a bootstrap over sets.

Every second set is for development: choices between methods were made on it. The others are for
reports; ``--sets report`` takes these only.

A prior that learned from the real tables of one half of all origins (``make_table_priors.py``) is
tested on the others; ``--other`` is the prior for the sets whose origin the first one has seen.

``--tuned`` compares with tuned peers on larger tables: 100 rows of each class, but at most 500 in
all, and 500 of each, but at most 1,000 in all, of the sets that have 200 or 500 rows to learn from;
regressions of 200, 500 and 1,000 rows. A random search scores 20 candidates of each of
scikit-learn's peers by balanced accuracy or R2 in five folds, and pytabkit's have tuned defaults.

``--wide`` takes five sets of more than 64 columns, with 2, 5 and 10 rows of each class.

``--imbalanced`` takes the sets of two classes of which one has at most a quarter of the rows, with
50, 100 and 200 rows of the classes' own frequencies, but at least three of each. Measured is the
average precision of the rare class, too. Methods whose names end in "balanced" have
``class_weight="balanced"``.

``--near-linear`` takes the sets where logistic or ridge regression is at least as good as a forest
when four fifths of all rows are known (five folds of at most 2,000 rows).

``--speed`` measures the processor time of ``fit`` and ``predict``, with 50 and 1,000 support rows,
2,000 query rows and 20 features, beside that of a random forest of 100 trees. They are run in turns
in one process, and the least time of each counts. ``OMP_NUM_THREADS=1`` takes one thread.

Results go to ``benchmarks/results/small_tables-<kind>.jsonl.gz``, one line a method, set and size,
and what is there is not run again; of ``--speed`` to ``small_tables-speed-<kind>.json``.
"""

import argparse
import gzip
import json
import os
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from origins import HALVES, half_of
from scipy.stats import loguniform, randint, uniform
from sklearn.base import BaseEstimator, is_classifier
from sklearn.calibration import CalibratedClassifierCV
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
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import average_precision_score
from sklearn.model_selection import (
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from tabular_sets import SETS, load, names_of

from skmeta.few_shot import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.priors import MetaPrior

RESULTS = Path(__file__).parent / "results"
SIZES = {"classification": (3, 5, 10, 20), "regression": (10, 20, 50)}
WIDE = ("analcatdata_authorship", "dna", "mfeat_factors", "mfeat_fourier", "mfeat_pixel")
WIDE_SIZES = [2, 5, 10]
IMBALANCED_SIZES, LARGEST_RARE_SHARE, LEAST_IMBALANCED = [50, 100, 200], 0.25, 250
TUNED_SIZES = {"classification": (100, 500), "regression": (200, 500, 1000)}
# Rows of all classes together, by rows of each class: at most, and at least with tuned peers.
MOST_SUPPORT, LEAST_TUNED = {500: 1000}, {100: 200, 500: 500}
N_CANDIDATES, MOST_ROWS_OF_FOLDS = 20, 2000
N_QUERY = 400
N_BOOTSTRAP = 2000
NORMAL_90 = 1.6448536269514722
SPEED_ROWS, SPEED_QUERY, SPEED_COLUMNS = (50, 1000), 2000, 20


def scaled(estimator: BaseEstimator) -> BaseEstimator:
    """With medians for missing values, and columns of mean 0 and variance 1."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), estimator)


def gaussian_process() -> BaseEstimator:
    """Tuned by marginal likelihood."""
    kernel = ConstantKernel() * RBF(length_scale=3.0) + WhiteKernel(0.1)
    return scaled(GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1))


PEERS: dict[str, dict[str, Callable[[], BaseEstimator]]] = {
    "classification": {
        "logistic": lambda: scaled(LogisticRegression(max_iter=1000)),
        "forest": lambda: RandomForestClassifier(random_state=0),
        "3-nn": lambda: scaled(KNeighborsClassifier(3)),
        "5-nn": lambda: scaled(KNeighborsClassifier()),
        "bayes": lambda: scaled(GaussianNB()),
        "svc": lambda: scaled(SVC()),
        "boosting": lambda: scaled(GradientBoostingClassifier(random_state=0)),
    },
    "regression": {
        "mean": lambda: None,
        "ridge": lambda: scaled(RidgeCV(np.logspace(-3, 3, 13))),
        "forest": lambda: RandomForestRegressor(random_state=0),
        "process": gaussian_process,
        "boosting": lambda: scaled(GradientBoostingRegressor(random_state=0)),
    },
}


IMBALANCED: dict[str, Callable[[], BaseEstimator]] = {
    f"{name}{' balanced' if weight else ''}": partial(make, weight)
    for name, make in {
        "logistic": lambda weight: scaled(LogisticRegression(max_iter=1000, class_weight=weight)),
        "svc": lambda weight: scaled(SVC(class_weight=weight)),
        "forest": lambda weight: RandomForestClassifier(class_weight=weight, random_state=0),
        "boosting": lambda weight: HistGradientBoostingClassifier(
            class_weight=weight, random_state=0
        ),
    }.items()
    for weight in (None, "balanced")
}


class Imputed:
    """An estimator that takes no missing values, after means for them."""

    def __init__(self, estimator: BaseEstimator) -> None:
        self.imputer, self.estimator = SimpleImputer(keep_empty_features=True), estimator
        if hasattr(estimator, "predict_proba"):
            self.predict_proba = lambda X: estimator.predict_proba(self.imputer.transform(X))

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Imputed":
        """Fit."""
        self.estimator.fit(self.imputer.fit_transform(X), y)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predict."""
        return self.estimator.predict(self.imputer.transform(X))


def of_package(package: str, name: str, **settings: object) -> Imputed:
    """An estimator of a package that is not always there."""
    return Imputed(getattr(import_module(package), name)(**settings))


PYTABKIT = ("RealMLP_TD", "TabM_D", "CatBoost_TD", "LGBM_TD")
for _kind, _class in (("classification", "Classifier"), ("regression", "Regressor")):
    if find_spec("evoforest_tab"):
        PEERS[_kind]["evoforest"] = partial(of_package, "evoforest_tab", f"EvoForestTab{_class}")
    if find_spec("pytabkit"):
        for _name in PYTABKIT:
            _settings = {"device": "cpu", "random_state": 0, "n_threads": 1}
            PEERS[_kind][_name] = partial(of_package, "pytabkit", f"{_name}_{_class}", **_settings)


def tuned(estimator: BaseEstimator, space: dict) -> BaseEstimator:
    """A random search."""
    scoring = "balanced_accuracy" if is_classifier(estimator) else "r2"
    return RandomizedSearchCV(
        estimator, space, n_iter=N_CANDIDATES, scoring=scoring, random_state=0
    )


FOREST_SPACE = {"max_features": uniform(0.1, 0.9), "min_samples_leaf": randint(1, 10)}
BOOSTING_SPACE = {
    "learning_rate": loguniform(0.01, 0.5),
    "max_leaf_nodes": randint(3, 32),
    "min_samples_leaf": randint(1, 30),
    "l2_regularization": loguniform(1e-6, 10),
    "max_iter": randint(20, 200),
}
TUNED: dict[str, dict[str, Callable[[], BaseEstimator]]] = {
    "classification": {
        "tuned logistic": lambda: tuned(
            scaled(LogisticRegression(max_iter=1000)),
            {"logisticregression__C": loguniform(1e-3, 1e3)},
        ),
        "tuned svc": lambda: tuned(
            scaled(SVC()), {"svc__C": loguniform(1e-2, 1e3), "svc__gamma": loguniform(1e-4, 10)}
        ),
        "tuned forest": lambda: tuned(
            RandomForestClassifier(random_state=0),
            {**FOREST_SPACE, "criterion": ["gini", "entropy"]},
        ),
        "tuned boosting": lambda: tuned(
            HistGradientBoostingClassifier(random_state=0), BOOSTING_SPACE
        ),
    },
    "regression": {
        "tuned ridge": lambda: scaled(RidgeCV(np.logspace(-3, 3, 20))),
        "tuned svr": lambda: TransformedTargetRegressor(
            tuned(
                scaled(SVR()), {"svr__C": loguniform(1e-2, 1e3), "svr__gamma": loguniform(1e-4, 10)}
            ),
            transformer=StandardScaler(),
        ),
        "tuned forest": lambda: tuned(RandomForestRegressor(random_state=0), FOREST_SPACE),
        "tuned boosting": lambda: tuned(
            HistGradientBoostingRegressor(random_state=0), BOOSTING_SPACE
        ),
    },
}
for _kind, _tuned in TUNED.items():
    _tuned |= {name: PEERS[_kind][name] for name in PYTABKIT if name in PEERS[_kind]}


# -- sets ----------------------------------------------------------------------------------------


@cache
def imbalanced_names() -> list[str]:
    """Sets of two classes of unequal size."""
    names = []
    for name in names_of("classification"):
        count = np.unique(load(name)[1], return_counts=True)[1]
        is_rare = len(count) == 2 and count.min() <= LARGEST_RARE_SHARE * count.sum()
        if is_rare and count.sum() >= LEAST_IMBALANCED:
            names.append(name)
    return names


@cache
def is_near_linear(kind: str, name: str) -> bool:
    """Whether a linear model is at least as good as a forest when most rows are known."""
    X, y = load(name)
    rows = np.random.default_rng(0).permutation(len(y))[:MOST_ROWS_OF_FOLDS]
    of_kind = StratifiedKFold if kind == "classification" else KFold
    linear, forest = (
        cross_val_score(
            make_pipeline(SimpleImputer(keep_empty_features=True), PEERS[kind][peer]()),
            X[rows],
            y[rows],
            scoring="balanced_accuracy" if kind == "classification" else "r2",
            cv=of_kind(5, shuffle=True, random_state=0),
        ).mean()
        for peer in ("logistic" if kind == "classification" else "ridge", "forest")
    )
    return bool(linear >= forest)


def draw_imbalanced(
    name: str, size: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Support and query rows of the classes' own frequencies; class 1 is the rare one."""
    X, y = load(name)
    values, count = np.unique(y, return_counts=True)
    y = (y == values[count.argmin()]).astype(int)
    rng = np.random.default_rng([zlib.crc32(name.encode()), size, seed])
    n_rare = max(3, round(size * y.mean()))
    rare, others = (rng.permutation(np.flatnonzero(y == c)) for c in (1, 0))
    support = rng.permutation(np.concatenate([rare[:n_rare], others[: size - n_rare]]))
    query = rng.permutation(np.setdiff1d(np.arange(len(y)), support))[: 5 * N_QUERY]
    return X[support], y[support], X[query], y[query]


def draw(
    kind: str, name: str, size: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Support and query rows of a set."""
    X, y = load(name)
    rng = np.random.default_rng([zlib.crc32(name.encode()), size, seed])
    if kind == "regression":
        rows = rng.permutation(len(y))
        support, query = rows[:size], rows[size:]
    else:
        y = np.unique(y, return_inverse=True)[1]
        size = min(size, MOST_SUPPORT.get(size, 500) // (y.max() + 1))
        parts = [rng.permutation(np.flatnonzero(y == c)) for c in range(y.max() + 1)]
        kept = [min(size, len(part) - max(1, len(part) // 3)) for part in parts]
        support = np.concatenate([part[:n] for part, n in zip(parts, kept, strict=True)])
        query = np.concatenate([part[n:] for part, n in zip(parts, kept, strict=True)])
        support, query = rng.permutation(support), rng.permutation(query)
        # At least one row of each class is predicted, as far as there are any.
        first = np.unique(y[query], return_index=True)[1]
        query = np.concatenate([query[first], np.delete(query, first)])
    query = query[:N_QUERY]
    return X[support], y[support], X[query], y[query]


# -- measures ------------------------------------------------------------------------------------


def classification_scores(p: np.ndarray, predicted: np.ndarray, y: np.ndarray) -> dict:
    """Each class counts alike."""
    weight = 1 / np.bincount(y, minlength=p.shape[1])[y]
    weight /= weight.sum()
    chosen = np.clip(p[np.arange(len(y)), y], 1e-7, 1)
    top, hit = p.max(1), (p.argmax(1) == y).astype(float)
    bins = np.minimum((10 * top).astype(int), 9)
    gaps = np.bincount(bins, weight * (top - hit), minlength=10)
    return {
        "accuracy": float(weight @ (predicted == y)),
        "log_loss": float(weight @ -np.log(chosen)),
        "brier": float(weight @ ((p - np.eye(p.shape[1])[y]) ** 2).sum(1)),
        "calibration": float(np.abs(gaps).sum()),
        "gaps": gaps,
    }


def calibration_floor(p: np.ndarray, n_draws: int = 5) -> float:
    """Calibration error where the labels are as the probabilities say."""
    rng = np.random.default_rng(0)
    drawn = (p.cumsum(1)[None] < rng.random((n_draws, len(p), 1))).sum(2).clip(max=p.shape[1] - 1)
    return float(np.mean([classification_scores(p, p.argmax(1), y)["calibration"] for y in drawn]))


def classify(model: BaseEstimator, part: tuple[np.ndarray, ...]) -> dict:
    """Scores of a classifier on one draw."""
    X, y, X_query, y_query = part
    began = time.perf_counter()
    model.fit(X, y)
    model = getattr(model, "best_estimator_", model)
    predicted = model.predict(X_query)
    if hasattr(model, "predict_proba"):
        p = model.predict_proba(X_query)
    else:
        folds = min(5, np.bincount(y)[np.unique(y)].min())
        if folds < 2:
            p = 0.5 * np.eye(y.max() + 1)[predicted] + 0.5 / (y.max() + 1)
        else:
            model = CalibratedClassifierCV(model, cv=int(folds), ensemble=False).fit(X, y)
            p = model.predict_proba(X_query)
    seconds = time.perf_counter() - began
    scores = classification_scores(p, predicted, y_query)
    if p.shape[1] == 2:
        scores["precision"] = float(average_precision_score(y_query, p[:, 1]))
    return scores | {"floor": calibration_floor(p), "seconds": seconds}


def regress(model: BaseEstimator | None, part: tuple[np.ndarray, ...]) -> dict:
    """Scores of a regressor on one draw; no model is the mean."""
    X, y, X_query, y_query = part
    began = time.perf_counter()
    mean = np.full(len(y_query), y.mean())
    low = high = None
    if model is None:
        predicted = mean
    elif isinstance(model, MetaFewShotRegressor):
        predicted = model.fit(X, y).predict(X_query)
        low, high = model.predict_quantiles(X_query, [0.05, 0.95]).T
    elif "gaussianprocessregressor" in getattr(model, "named_steps", {}):
        predicted, std = model.fit(X, y).predict(X_query, return_std=True)
        low, high = predicted - NORMAL_90 * std, predicted + NORMAL_90 * std
    else:
        predicted = model.fit(X, y).predict(X_query)
    scores = {"error": float(np.mean((predicted - y_query) ** 2) / np.mean((mean - y_query) ** 2))}
    if low is not None:
        scores["coverage"] = float(np.mean((low <= y_query) & (y_query <= high)))
    return scores | {"seconds": time.perf_counter() - began}


# -- ours ----------------------------------------------------------------------------------------


class Ours(NamedTuple):
    """Our estimator, with a prior that has not seen the origin of a set.

    Attributes
    ----------
    estimator : type
        The class of the estimator.
    priors : tuple of MetaPrior
        One, or one for each half of the origins.
    n_estimators : int or None
        Number of views.
    class_weight : str or None
        Weights of classes.
    """

    estimator: type[BaseEstimator]
    priors: tuple[MetaPrior, ...]
    n_estimators: int | None
    class_weight: str | None = None

    def for_set(self, name: str) -> BaseEstimator:
        """The estimator for a set."""
        half = half_of(name)
        for prior in self.priors:
            seen = prior.provenance.get("config", {}).get("origins", "none")
            if half is None or seen == "none" or seen in set(HALVES) - {half}:
                weight = {"class_weight": self.class_weight} if self.class_weight else {}
                return self.estimator(prior, n_estimators=self.n_estimators, device="cpu", **weight)
        raise ValueError(f"All priors have seen the origin of {name}. Pass another with --other.")

    def name(self) -> str:
        """Name in the results."""
        name = "prior-" + "+".join(prior.digest[:8] for prior in self.priors)
        name += f"-{self.n_estimators}" if self.n_estimators else ""
        return f"{name} {self.class_weight}" if self.class_weight else name


# -- running -------------------------------------------------------------------------------------


def read(path: Path) -> dict[tuple, dict]:
    """What is there, by method, set and size."""
    if not path.exists():
        return {}
    with gzip.open(path, "rt") as file:
        lines = [json.loads(line) for line in file]
    return {(row["method"], row["name"], row["size"]): row for row in lines}


def run(
    kind: str, methods: dict[str, Callable[[], BaseEstimator]], options: argparse.Namespace
) -> None:
    """Run what is missing."""
    done = read(options.results)
    one = classify if kind == "classification" else regress
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for method, name, size in jobs(kind, methods, options):
        make = methods[method]
        row = done.get((method, name, size), {"method": method, "name": name, "size": size})
        scores = row.setdefault("scores", [])
        if len(scores) >= options.draws:
            continue
        if kind == "regression" and len(load(name)[1]) < size + 10:
            continue
        if options.tuned and len(draw(kind, name, size, 0)[1]) < LEAST_TUNED.get(size, 0):
            continue
        for seed in range(len(scores), options.draws):
            with warnings.catch_warnings():
                # Of models that do not converge on so few rows.
                warnings.simplefilter("ignore")
                model = make.for_set(name) if isinstance(make, Ours) else make()
                if options.imbalanced:
                    part = draw_imbalanced(name, size, seed)
                else:
                    part = draw(kind, name, size, seed)
                found = one(model, part)
            scores.append({n: np.round(v, 6).tolist() for n, v in found.items()})
        with gzip.open(options.results, "at") as file:
            file.write(json.dumps(row) + "\n")


def sets_of(kind: str, options: argparse.Namespace) -> Sequence[str]:
    """The sets that the options ask for."""
    if options.imbalanced:
        return imbalanced_names()
    names = WIDE if options.wide else names_of(kind)[SETS[options.sets]]
    if options.near_linear:
        return [name for name in names if is_near_linear(kind, name)]
    return names


def jobs(
    kind: str, methods: dict[str, Callable[[], BaseEstimator]], options: argparse.Namespace
) -> Iterator[tuple[str, str, int]]:
    """Methods, sets and sizes; small ones first."""
    for size in options.sizes or SIZES[kind]:
        for name in sets_of(kind, options):
            for method in methods:
                yield method, name, size


def summarize(kind: str, methods: list[str], ours: str | None, options: argparse.Namespace) -> None:
    """Print means, ranks and differences."""
    done = read(options.results)
    measures = {
        "classification": ("accuracy", "log_loss", "brier", "calibration", "floor", "seconds"),
        "regression": ("error", "coverage", "seconds"),
    }[kind]
    if options.imbalanced:
        measures = ("accuracy", "precision", "log_loss", "seconds")
    for size in options.sizes or SIZES[kind]:
        names = sets_of(kind, options)
        names = [n for n in names if all((m, n, size) in done for m in methods)]
        if not names:
            continue
        n_draws = min(len(done[m, n, size]["scores"]) for m in methods for n in names)
        print(
            f"\n{size} rows{' a class' * (kind == 'classification' and not options.imbalanced)}: "
            f"{len(names)} sets, "
            f"{n_draws} draws"
        )
        table = {
            (m, measure): np.array(
                [
                    np.mean([s.get(measure, np.nan) for s in done[m, n, size]["scores"][:n_draws]])
                    for n in names
                ]
            )
            for m in methods
            for measure in measures
        }
        main, sign = measures[0], -1 if kind == "classification" else 1
        every = sign * np.stack([table[m, main] for m in methods])
        ranks = (
            1
            + (every[:, None] > every[None]).sum(1)
            + 0.5 * ((every[:, None] == every[None]).sum(1) - 1)
        )
        heads = (*measures, *["pooled"] * (kind == "classification"))
        print(f"{'method':24}" + "".join(f"{m:>13}" for m in heads) + f"{'rank':>8}  difference")
        for m, rank in zip(methods, ranks.mean(1), strict=True):
            line = f"{m:24}" + "".join(f"{table[m, x].mean():13.4f}" for x in measures)
            if kind == "classification":
                rows = [s for n in names for s in done[m, n, size]["scores"][:n_draws]]
                line += f"{np.abs(np.mean([s['gaps'] for s in rows], 0)).sum():13.4f}"
            else:
                line = line.replace("nan", " - ")
            print(line + f"{rank:8.2f}  " + difference(table, ours, m, main))


def difference(table: dict, ours: str | None, other: str, measure: str) -> str:
    """Ours minus the other's, with a 95% interval from a bootstrap over sets."""
    if ours is None or ours == other:
        return ""
    gap = table[ours, measure] - table[other, measure]
    rng = np.random.default_rng(0)
    means = gap[rng.integers(len(gap), size=(N_BOOTSTRAP, len(gap)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{gap.mean():+.4f} [{low:+.4f}, {high:+.4f}]"


# -- speed ---------------------------------------------------------------------------------------


def measure_speed(kind: str, ours: BaseEstimator, repeats: int = 5) -> list[dict]:
    """Seconds of processor time of ours and of a forest, and their ratio."""
    models = {"ours": ours, "forest": PEERS[kind]["forest"]()}
    make = make_classification if kind == "classification" else make_regression
    records = []
    for known in SPEED_ROWS:
        X, y = make(known + SPEED_QUERY, SPEED_COLUMNS, random_state=0)
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
        for _ in range(repeats):
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
        record |= {"threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1)}
        records.append(record)
    return records


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=tuple(SIZES))
    parser.add_argument("--prior", type=Path, help="file of a prior")
    parser.add_argument("--other", type=Path, help="prior for the sets that the first has seen")
    parser.add_argument("--n-estimators", type=int)
    parser.add_argument("--methods", nargs="*", help="peers; by default all")
    parser.add_argument("--sizes", type=int, nargs="*")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--sets", choices=tuple(SETS), default="all")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--summary", action="store_true", help="run nothing")
    parser.add_argument("--tuned", action="store_true", help="larger tables, tuned peers")
    parser.add_argument("--wide", action="store_true", help="tables of many columns")
    parser.add_argument("--near-linear", action="store_true", help="where linear models suffice")
    parser.add_argument("--imbalanced", action="store_true", help="classes of unequal size")
    parser.add_argument("--speed", action="store_true", help="time against a random forest")
    options = parser.parse_args()
    estimator = MetaFewShotClassifier if options.kind == "classification" else MetaFewShotRegressor
    prior = None if options.prior is None else MetaPrior.load(options.prior)
    if options.speed:
        ours = estimator(prior or "tabular", n_estimators=options.n_estimators, device="cpu")
        record = measure_speed(options.kind, ours)
        print(*map(json.dumps, record), sep="\n")
        path = RESULTS / f"small_tables-speed-{options.kind}.json"
        path.write_text(json.dumps(record, indent=1) + "\n")
        return
    if options.results is None:
        sets = "wide" if options.wide else options.kind
        sets = "imbalanced" if options.imbalanced else sets
        options.results = RESULTS / f"small_tables-{sets}.jsonl.gz"
    peers = (TUNED if options.tuned else PEERS)[options.kind]
    if options.tuned:
        options.sizes = options.sizes or TUNED_SIZES[options.kind]
    if options.wide:
        options.sizes = WIDE_SIZES
    if options.imbalanced:
        peers, options.sizes = IMBALANCED, IMBALANCED_SIZES
    methods = {n: peers[n] for n in (peers if options.methods is None else options.methods)}
    name = None
    if prior is not None:
        priors = (prior,) if options.other is None else (prior, MetaPrior.load(options.other))
        ours = Ours(estimator, priors, options.n_estimators)
        if options.imbalanced:
            methods[ours.name()] = ours
            ours = ours._replace(class_weight="balanced")
        name = ours.name()
        methods[name] = ours
    if not options.summary:
        run(options.kind, methods, options)
    summarize(options.kind, list(methods), name, options)


if __name__ == "__main__":
    main()
