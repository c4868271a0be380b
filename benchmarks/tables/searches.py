"""Searches and what belongs to them."""

from itertools import product

import numpy as np
import pandas as pd

from benchmarks.lib.resumable import RESULTS, lines_by_cell, read_lines, read_records
from benchmarks.tables._pages import Rows, interval, number, percent, table


@table("search_tables")
def search_tables() -> Rows:
    records = read_records(RESULTS / "search_tables.json")["report"]
    tables = {"forest": "random forest", "svc": "SVC", "adaboost": "AdaBoost", "oboe": "oboe"}
    methods = {
        "random": "random search",
        "plain": "no history",
        "syne-tune-zero-shot": "syne-tune, other data sets",
        "learned": "skmeta, other data sets",
        "inverted": "inverted history",
        "shuffled": "shuffled history",
    }
    after = (1, 3, 5, 10, 20)
    lines = pd.DataFrame(read_lines(RESULTS / "search_tables-syne-tune-zero-shot.jsonl.gz"))
    rows: Rows = [["table", "search", *(f"after {k}" for k in after)]]
    for name, method in product(tables, methods):
        if method.startswith("syne-tune"):
            by_task = lines[lines["table"] == name].groupby("task")["regret"]
            curves = [np.mean([*each], axis=0) for _, each in by_task]
            means = np.mean(curves, axis=0)[np.array(after) - 1] if curves else None
        else:
            one = records[name].get(method)
            means = [one["mean"][str(k)] for k in after] if one else None
        if means is not None:
            rows.append([tables[name], methods[method], *map(number, means)])
    return rows


@table("search_day_one ranks")
def day_one_ranks() -> Rows:
    records = read_records(RESULTS / "search_day_one.json")["test scores"]
    labels = {
        "shipped": ("skmeta, default space and prior", "10"),
        "plain": ("skmeta without prior", "10"),
        "optuna": ("OptunaSearchCV (TPE)", "30"),
        "random": ("RandomizedSearchCV", "60"),
        "defaults": ("scikit-learn's defaults", "0"),
    }
    rows: Rows = [["search", "candidates", "mean rank", "ours better, equal"]]
    for method, label in labels.items():
        against = records.get(f"against {method}", {})
        shares = ", ".join(percent(against[k]) for k in ("better", "equal")) if against else None
        rows.append([*label, number(records["mean rank"][method], 2), shares])
    return rows


@table("search_day_one optuna")
def day_one_optuna() -> Rows:
    records = read_records(RESULTS / "search_day_one.json")
    labels = {
        "random": "random search (expected)",
        "optuna": "Optuna, TPE",
        "plain": "skmeta without prior",
        "shipped": "skmeta, default space and prior",
    }
    rows: Rows = [["search", "pairs", *(f"after {k}" for k in (1, 3, 5, 10, 20))]]
    for part in ("beside TPE", "beside both"):
        for method in [m for m in labels if m in records[part]]:
            one = records[part][method]
            cells = [f"{m:.3f} ({a:.3f})" for m, a in zip(one["median"], one["mean"], strict=True)]
            rows.append([labels[method], records[part]["pairs"], *cells])
    return rows


@table("promises calibration")
def promises_calibration() -> Rows:
    rows: Rows = [["probability", "promises", "mean probability", "better"]]
    for low, high, n, said, better in read_records(RESULTS / "promises.json")["bins"]:
        rows.append([f"{low:g} to {high:g}", n, number(said, 2), percent(better)])
    return rows


@table("search_cost")
def search_cost() -> Rows:
    records = read_records(RESULTS / "search_cost.json")
    labels = {
        "shipped": "shipped prior",
        "plain": "no prior",
        "history": "100 past searches of 200 candidates",
        "history, shipped": "both",
    }
    rows: Rows = [["search", "seconds beyond RandomizedSearchCV"]]
    rows[0] += [f"milliseconds {what}" for what in ("of a suggestion", "to write a candidate")]
    for name, label in labels.items():
        one = records[name]
        written = one["milliseconds to write a candidate, median"] or None
        cells = one["seconds beyond random"], one["milliseconds of a suggestion, median"], written
        rows.append([label, *(number(c, d) for c, d in zip(cells, (2, 1, 1), strict=True))])
    return rows


@table("racing")
def racing() -> Rows:
    from benchmarks.measure.racing import summarize

    records = summarize(lines_by_cell(RESULTS / "racing.jsonl"))
    labels = {"forest": "random forest", "boosting": "histogram boosting", "lightgbm": "LightGBM"}
    rows: Rows = [["estimator", "share of fits", "share of seconds", "test, all folds"]]
    rows[0] += ["test, racing", "difference", "difference, cross-validated"]
    for name, one in records.items():
        shares = [number(one[f"share of {what}"], 2) for what in ("fits", "seconds")]
        validated = number(one["difference in cross-validated score"], 4)
        difference = interval(one["difference"], *one["interval"], digits=4)
        label = labels.get(name, f"all {one['pairs']} runs")
        rows.append([label, *shares, *map(number, one["means"]), difference, validated])
    return rows


@table("nested")
def nested() -> Rows:
    from benchmarks.measure.nested import KEYS, PATH, summarize

    rows: Rows = [["outer folds", "draws", "searches learn from", "past searches"]]
    rows[0] += ["mean accuracy", "standard error"]
    for one in summarize(lines_by_cell(PATH, KEYS)):
        for name, label in (("default", "other rows only"), ("same data", "the same rows, too")):
            if name in one:
                figures = [number(value, 4) for value in one[name]]
                n_past = one[f"{name}, past searches"]
                rows.append([one["folds"], one["draws"], label, n_past, *figures])
    return rows


@table("shipped_priors")
def shipped_priors() -> Rows:
    cases = [*read_records(RESULTS / "shipped_priors.json").values()]
    after = cases[0]["after"]
    ratios = np.array([one["with over without"] for one in cases])
    lower = np.array([[interval[0] for interval in one["interval"]] for one in cases])
    means = np.exp(np.log(np.maximum(ratios, 0.01)).mean(axis=0))
    return [
        [f"{len(cases)} cases", *(f"after {k}" for k in after)],
        ["regret over that without a prior, geometric mean", *(number(m, 2) for m in means)],
        ["cases in which it is above 1", *(ratios > 1).sum(axis=0)],
        ["and its 95% interval is, too", *(lower > 1).sum(axis=0)],
    ]
