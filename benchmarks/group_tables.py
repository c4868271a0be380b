"""Grouped tables, their splits, and what a prediction of new groups is worth; for `grouped.py`."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

GROUPED = {
    "Exam": (
        "school",
        "normexam",
        ["standLRT", "sex", "vr", "intake", "type", "schgend", "schavg"],
    ),
    "Hsb82": ("school", "mAch", ["minrty", "sx", "ses", "meanses", "sector"]),
    "ChickWeight": ("Chick", "weight", ["Time", "Diet"]),
}
SHOTS = (5, 10)
FEWEST_ROWS, MOST_GROUPS, MOST_QUERIES = 15, 25, 100
LEAST_PROBABILITY = 1e-3


class Table(NamedTuple):
    """A grouped table."""

    name: str
    task: str
    X: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray


class Split(NamedTuple):
    """Groups to learn from, and groups to be tested."""

    name: str
    task: str
    frame: pd.DataFrame
    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    train: np.ndarray
    tests: list[tuple[np.ndarray, np.ndarray]]
    seed: int

    @property
    def n_classes(self) -> int:
        return int(self.y.max()) + 1


class Prediction(NamedTuple):
    """Of the queries of one group: means or probabilities; variances and 5% and 95% quantiles."""

    y: np.ndarray
    variance: np.ndarray | None = None
    interval: np.ndarray | None = None


def table_names() -> list[str]:
    index = pd.read_csv(Path(os.environ["SKMETA_DATA"]) / "groupbench" / "index.csv")
    return [*index["name"], *GROUPED]


def load(name: str) -> Table:
    folder = Path(os.environ["SKMETA_DATA"])
    if name in GROUPED:
        group, target, columns = GROUPED[name]
        table = pd.read_csv(folder / "grouped" / f"{name}.csv")
        X, task = table[columns].copy(), "regression"
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


def is_development(name: str) -> bool:
    """Whether settings may be chosen on a set."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 0


def encode(X: pd.DataFrame, train: np.ndarray) -> np.ndarray:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = X.select_dtypes("number").columns
    categories = [c for c in X.columns if c not in numbers]
    encoder = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(
                    SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
                ),
                numbers,
            ),
            (
                "categories",
                OneHotEncoder(
                    min_frequency=20,
                    handle_unknown="infrequent_if_exist",
                    drop="if_binary",
                    sparse_output=False,
                ),
                categories,
            ),
        ]
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found unknown categories")
        encoder.fit(X.iloc[train])
        return np.asarray(encoder.transform(X), float)


def split_table(table: Table, n_shot: int, seed: int) -> Split:
    rng = np.random.default_rng(
        [seed, int(hashlib.sha256(table.name.encode()).hexdigest()[:8], 16)]
    )
    sizes = np.bincount(table.groups)
    fewest = FEWEST_ROWS if sizes.max() >= FEWEST_ROWS else sizes.max()
    large = rng.permutation(np.flatnonzero(sizes >= fewest))
    held_out = large[: round(len(large) / 3)]
    train = np.flatnonzero(~np.isin(table.groups, held_out))
    tests = []
    for group in held_out[:MOST_GROUPS]:
        rows = rng.permutation(np.flatnonzero(table.groups == group))
        known, queries = rows[: max(SHOTS)], rows[max(SHOTS) :][:MOST_QUERIES]
        tests.append((known[:n_shot], queries))
    return Split(
        table.name,
        table.task,
        table.X,
        encode(table.X, train),
        table.y,
        table.groups,
        train,
        tests,
        seed,
    )


def _proba(prediction: Prediction) -> np.ndarray:
    p = np.clip(prediction.y, LEAST_PROBABILITY, None)
    return p / p.sum(1, keepdims=True)


def errors(split: Split, prediction: Prediction, rows: np.ndarray) -> np.ndarray:
    """Squared errors, or log losses."""
    y = split.y[rows]
    if split.task == "regression":
        return (prediction.y - y) ** 2
    return -np.log(_proba(prediction)[np.arange(len(y)), y])


def class_shares(split: Split, y: np.ndarray) -> np.ndarray:
    """Shares of the classes, with half a row added to each."""
    counts = np.bincount(y, minlength=split.n_classes) + 0.5
    return counts / counts.sum()
