"""Sets of ``tabular/index.csv`` and ``tabular/uci_regression``, in the folder ``SKMETA_DATA``.

A draw is known rows and their targets, and rows to be predicted and theirs.
"""

import csv
import os
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

SETS = {"all": slice(None), "development": slice(0, None, 2), "report": slice(1, None, 2)}
MAX_FEATURES, MAX_CLASSES = 30, 10
N_QUERY = 400
# Known rows of all classes together, by rows of each class: at most, and at least.
MAX_KNOWN, MIN_KNOWN = {500: 1000}, {100: 200, 500: 500}
Draw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def index() -> tuple[list[dict[str, str]], list[str]]:
    """The rows of the index, and the names of the sets of UCI."""
    folder = Path(os.environ["SKMETA_DATA"]) / "tabular"
    with open(folder / "index.csv") as file:
        rows = list(csv.DictReader(file))
    uci = (folder / "uci_regression").glob("*.csv.gz")
    return rows, sorted(f"uci/{path.name.removesuffix('.csv.gz')}" for path in uci)


def names_of(kind: str) -> list[str]:
    """The sets of a kind, in order."""
    rows, uci = index()
    rows = [row for row in rows if row["task"].endswith(kind)]
    if kind == "regression":
        return [row["name"] for row in rows] + uci
    return [
        row["name"]
        for row in rows
        if int(row["p"]) <= MAX_FEATURES and int(row["ny"]) <= MAX_CLASSES
    ]


def path_of(name: str) -> Path:
    """File of a set."""
    folder = Path(os.environ["SKMETA_DATA"]) / "tabular"
    if name.startswith(("uci/", "uci_")):
        return folder / "uci_regression" / f"{name[4:]}.csv.gz"
    return folder / f"{name}.tsv.gz"


@cache
def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and target of a set."""
    if name.startswith(("uci/", "uci_")):
        frame = pd.read_csv(path_of(name), header=None)
        return frame.iloc[:, :-1].to_numpy(float), frame.iloc[:, -1].to_numpy(float)
    frame = pd.read_csv(path_of(name), sep="\t")
    return frame.drop(columns="target").to_numpy(float), frame["target"].to_numpy(float)


def draw(kind: str, name: str, size: int, seed: int) -> Draw | None:
    """Draw so many rows of a regression, or of each class; None if the set has too few."""
    X, y = load(name)
    rng = np.random.default_rng([zlib.crc32(name.encode()), size, seed])
    if kind == "regression":
        if len(y) < size + 10:
            return None
        rows = rng.permutation(len(y))
        known, others = rows[:size], rows[size:]
    else:
        y = np.unique(y, return_inverse=True)[1]
        most = MAX_KNOWN.get(size, 500) // (y.max() + 1)
        known, others = split_classes(rng, y, min(size, most))
        if len(known) < MIN_KNOWN.get(size, 0):
            return None
        known, others = rng.permutation(known), rng.permutation(others)
        # At least one row of each class is predicted, as far as there are any.
        first = np.unique(y[others], return_index=True)[1]
        others = np.concatenate([others[first], np.delete(others, first)])
    others = others[:N_QUERY]
    return X[known], y[known], X[others], y[others]


def split_classes(
    rng: np.random.Generator, y: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw known rows of each class, at most two thirds of it; return them and the other rows."""
    classes = [rng.permutation(np.flatnonzero(y == c)) for c in range(y.max() + 1)]
    kept = [min(size, len(part) - max(1, len(part) // 3)) for part in classes]
    known = np.concatenate([part[:n] for part, n in zip(classes, kept, strict=True)])
    return known, np.concatenate([part[n:] for part, n in zip(classes, kept, strict=True)])
