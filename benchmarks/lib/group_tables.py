"""Grouped tables, for `grouped.py`."""

import csv
import hashlib
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

GROUPED = {
    "Exam": ("school", "normexam", "standLRT sex vr intake type schgend schavg"),
    "Hsb82": ("school", "mAch", "minrty sx ses meanses sector"),
    "ChickWeight": ("Chick", "weight", "Time Diet"),
}


class Table(NamedTuple):
    """A grouped table."""

    name: str
    task: str
    X: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray


class Division(NamedTuple):
    """Rows to learn from, further known rows of new groups, and rows to predict."""

    train: np.ndarray
    few: np.ndarray
    test: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """All known rows."""
        return np.concatenate([self.train, self.few])


def read_list(name: str) -> dict[str, dict[str, str]]:
    """Read a list of tables beside this file; the first column is the key."""
    with (Path(__file__).parent / f"{name}.csv").open(newline="") as file:
        return {next(iter(row.values())): row for row in csv.DictReader(file)}


def rank_in_groups(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the place (n,) of each row in a random order of its group."""
    ranks = np.empty(len(groups), int)
    for g in range(groups.max() + 1):
        rows = np.flatnonzero(groups == g)
        ranks[rows] = rng.permutation(len(rows))
    return ranks


def table_names() -> list[str]:
    index = pd.read_csv(Path(os.environ["SKMETA_DATA"]) / "groupbench" / "index.csv")
    return [*index["name"], *GROUPED]


def load(name: str) -> Table:
    folder = Path(os.environ["SKMETA_DATA"])
    if name in GROUPED:
        group, target, columns = GROUPED[name]
        table = pd.read_csv(folder / "grouped" / f"{name}.csv")
        X, task = table[columns.split()].copy(), "regression"
        if name == "ChickWeight":
            X["Diet"] = X["Diet"].astype(str)
    else:
        index = pd.read_csv(folder / "groupbench" / "index.csv", index_col="name")
        table = pd.read_csv(folder / "groupbench" / f"{name}.csv.gz")
        group, target, task = "group", "target", index.loc[name, "task"]
        X = table.drop(columns=["group", "target"])
    y = table[target].to_numpy()
    y = y.astype(float) if task == "regression" else np.unique(y, return_inverse=True)[1]
    groups = np.unique(table[group].astype(str), return_inverse=True)[1]
    return Table(name, task, X, y, groups)


def half_of(name: str) -> str:
    """Return "development", the tables that settings may be chosen on, or "report"."""
    digest = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    return "report" if digest % 2 else "development"


def encode(X: pd.DataFrame, train: np.ndarray) -> np.ndarray:
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    settings = {"min_frequency": 20, "handle_unknown": "infrequent_if_exist"}
    categories = OneHotEncoder(**settings, drop="if_binary", sparse_output=False)
    encoder = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_exclude="number")),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found unknown categories")
        encoder.fit(X.iloc[train])
        return np.asarray(encoder.transform(X), float)
