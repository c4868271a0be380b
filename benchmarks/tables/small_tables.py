"""Small tables, embeddings of texts, and tables of R packages."""

from typing import Any

import pandas as pd

from benchmarks.lib.comparison import figure, read_results, set_means
from benchmarks.lib.intervals import bootstrap_interval
from benchmarks.lib.resumable import RESULTS, read_records
from benchmarks.tables._pages import Rows, interval, number, table

PEER_LABELS = {
    "forest": "forest",
    "logistic": "logistic",
    "svc": "SVC",
    "process": "Gaussian process",
    "boosting": "boosting",
    "5-nn": "5-NN",
    "bayes": "naive Bayes",
    "ridge": "ridge",
}


def last_prior(results: dict) -> str:
    """Return the name of our method whose prior was measured last."""
    return [m for m, *_ in results if m.startswith("prior-")][-1]


def common_draws(results: dict, methods: list[str], size: Any) -> dict[str, list[list[dict]]]:
    """Return scores of the draws and sets that all methods have, one list per set."""
    cells = [[n for m, n, s in results if (m, s) == (method, size)] for method in methods]
    names = [name for name in cells[0] if all(name in each for each in cells)]
    draws = [min(len(results[m, n, size]) for m in methods) for n in names]
    n_draws = min(draws, default=0)
    return {m: [results[m, n, size][:n_draws] for n in names] for m in methods}


def difference(ours: list, theirs: list, measure: str, digits: int = 3) -> str:
    mean, *ends = bootstrap_interval(set_means(ours, measure) - set_means(theirs, measure))
    return interval(mean, *ends, digits=digits, sign="+")


def measures(
    results: dict,
    methods: list[str],
    sizes: dict[Any, str],
    rows_of: dict[str, str],
    of: str = "",
    ranked: str = "",
) -> Rows:
    """Return rows of measures for each size; our method is the first."""
    rows: Rows = []
    for size, label in sizes.items():
        present = [
            m for m in methods if any((m, s) == (k[0], k[2]) for k in results for s in [size])
        ]
        draws = common_draws(results, present, size)
        for k, (measure, name) in enumerate(rows_of.items()):
            cells = [number(figure(draws[m], measure)) if m in draws else None for m in methods]
            rows.append([label if k == 0 else None, name, *cells])
            if measure == of:
                others = [
                    difference(draws[present[0]], draws[m], of) if m in draws else None
                    for m in methods[1:]
                ]
                rows.append([None, "skmeta minus theirs", None, *others])
        if ranked:
            means = pd.DataFrame({m: set_means(draws[m], ranked) for m in present})
            ranks = means.rank(axis=1, ascending=ranked == "error").mean()
            cells = [number(ranks.get(m), 1) for m in methods]
            rows.append([None, "mean rank", *cells])
    return rows


def header(first: str, methods: list[str]) -> list[str]:
    return [first, "what", "skmeta", *(PEER_LABELS.get(m, m) for m in methods)]


@table("small_tables classification")
def small_classification() -> Rows:
    results = read_results(RESULTS / "small_tables-classification.jsonl.gz")
    peers = ["forest", "logistic", "svc", "boosting", "5-nn", "bayes"]
    shown = {"accuracy": "balanced accuracy", "log_loss": "log loss"}
    sizes = {k: str(k) for k in (3, 5, 10, 20)}
    rows = measures(results, [last_prior(results), *peers], sizes, shown, of="accuracy")
    return [header("rows a class", peers), *rows]


@table("small_tables regression")
def small_regression() -> Rows:
    results = read_results(RESULTS / "small_tables-regression.jsonl.gz")
    peers = ["forest", "process", "boosting", "ridge"]
    sizes = {k: str(k) for k in (10, 20, 50, 150)}
    methods = [last_prior(results), *peers]
    shown = {"error": "error", "coverage": "in 90% intervals"}
    rows = measures(results, methods, sizes, shown, of="error")
    return [header("rows", peers), *rows]


@table("small_tables tuned")
def small_tuned() -> Rows:
    classes = read_results(RESULTS / "small_tables-classification.jsonl.gz")
    numbers = read_results(RESULTS / "small_tables-regression.jsonl.gz")
    packages = ["RealMLP_TD", "CatBoost_TD", "LGBM_TD"]
    labels = ["logistic, ridge", "SVC, SVR", "forest", "boosting", "RealMLP-TD", "CatBoost-TD"]
    rows: Rows = [["known rows", "what", "skmeta", *labels, "LightGBM-TD"]]
    tuned = [f"tuned {name}" for name in ("logistic", "svc", "forest", "boosting")]
    sizes: dict[Any, str] = {k: f"{k} a class" for k in (100, 500)}
    shown = {"accuracy": "balanced accuracy", "log_loss": "log loss"}
    methods = [last_prior(classes), *tuned, *packages]
    rows += measures(classes, methods, sizes, shown, ranked="accuracy")
    tuned[:2] = "tuned ridge", "tuned svr"
    sizes, methods = {k: str(k) for k in (200, 500, 1000)}, [last_prior(numbers), *tuned, *packages]
    return rows + measures(numbers, methods, sizes, {"error": "error"}, ranked="error")


@table("raw_tables")
def raw_tables() -> Rows:
    kinds = {
        "classification": (["forest", "logistic", "svc"], ("3", "10", "20", "100r", "400r")),
        "regression": (["forest", "ridge", "process"], ("10", "50", "150", "400")),
    }
    rows: Rows = [["known rows", "tables", "what", "skmeta", "forest", "logistic, ridge"]]
    rows[0] += ["SVC, process", "skmeta minus best"]
    for kind, (peers, sizes) in kinds.items():
        results = read_results(RESULTS / f"raw_tables-{kind}.jsonl.gz")
        for size in sizes:
            draws = common_draws(results, ["ours", *peers], size)
            classes = {"accuracy": "balanced accuracy", "log_loss": "log loss"}
            if size.endswith("r"):
                classes["accuracy"] = "accuracy"
            shown = classes if kind == "classification" else {"error": "error"}
            unit = " in all" if size.endswith("r") else " a class"
            label = size.removesuffix("r") + (unit if kind == "classification" else "")
            for k, (measure, name) in enumerate(shown.items()):
                means = {m: figure(draws[m], measure) for m in draws}
                choose = max if measure == "accuracy" else min
                best = choose(peers, key=means.__getitem__)
                first = [label, len(draws["ours"])] if k == 0 else [None, None]
                cells = map(number, means.values())
                rows.append([*first, name, *cells, difference(draws["ours"], draws[best], measure)])
    return rows


@table("small_tables speed")
def small_tables_speed() -> Rows:
    rows: Rows = [["known rows", "kind", "skmeta", "forest", "ratio"]]
    kinds = ("classification", "regression")
    records = {kind: read_records(RESULTS / f"small_tables-speed-{kind}.json") for kind in kinds}
    for pair in zip(*records.values(), strict=True):
        for kind, one in zip(kinds, pair, strict=True):
            seconds = [one[f"{m}_fit"] + one[f"{m}_predict"] for m in ("ours", "forest")]
            rows.append([one["known"], kind, *(number(s, 2) for s in seconds)])
            rows[-1].append(number(one["ratio"], 1))
    return rows
