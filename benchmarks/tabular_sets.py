"""Sets of ``tabular/index.csv`` and ``tabular/uci_regression``, in the folder ``SKMETA_DATA``."""

import csv
import gzip
import os
from functools import cache
from pathlib import Path

import numpy as np

SETS = {"all": slice(None), "development": slice(0, None, 2), "report": slice(1, None, 2)}
MOST_FEATURES, MOST_CLASSES = 30, 10


def names_of(kind: str) -> list[str]:
    """The sets of a kind, in order."""
    folder = Path(os.environ["SKMETA_DATA"]) / "tabular"
    with open(folder / "index.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["task"].endswith(kind)]
    if kind == "regression":
        uci = (folder / "uci_regression").glob("*.csv.gz")
        return [row["name"] for row in rows] + sorted(
            f"uci/{path.name.removesuffix('.csv.gz')}" for path in uci
        )
    return [
        row["name"]
        for row in rows
        if int(row["p"]) <= MOST_FEATURES and int(row["ny"]) <= MOST_CLASSES
    ]


@cache
def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and target of a set."""
    folder = Path(os.environ["SKMETA_DATA"]) / "tabular"
    if name.startswith("uci/"):
        path = folder / "uci_regression" / f"{name.removeprefix('uci/')}.csv.gz"
        table = np.genfromtxt(path, delimiter=",")
        return table[:, :-1], table[:, -1]
    with gzip.open(folder / f"{name}.tsv.gz", "rt") as file:
        columns = file.readline().rstrip("\n").split("\t")
        table = np.genfromtxt(file, delimiter="\t")
    target = columns.index("target")
    return np.delete(table, target, 1), table[:, target]
