"""Tables with groups, panels, intervals, and tables under noise and shift."""

from itertools import product

import numpy as np
import pandas as pd

from benchmarks.lib.resumable import RESULTS, lines_by_cell, read_lines
from benchmarks.tables._pages import Rows, number, percent, table


@table("grouped regression", "grouped classification")
def grouped(task: str) -> Rows:
    from benchmarks.measure import grouped

    splits = 3 if task == "regression" else 1
    results = grouped.read(RESULTS / "grouped.jsonl", splits, lambda name: True)
    labels = {
        "grouped": "Grouped estimator",
        "lightgbm": "LightGBM, group as category",
        "boosted_target": "boosted, group target-encoded",
        "gp_intercepts": "GPBoost, intercepts",
        "boosted": "boosted, without group",
        "pooled": "pooled ridge" if task == "regression" else "pooled logistic",
    }
    errors = results[(results["task"] == task) & results["method"].isin([*labels])].pivot_table(
        index=["regime", "table"], columns="method", values="error"
    )
    errors = errors.apply(lambda row: row.fillna(row.max()), axis=1)
    over = np.exp(np.log(errors.div(errors.min(axis=1), axis=0)).mean())
    within = (errors["grouped"] / errors.drop(columns="grouped").min(axis=1) <= 1.02).mean()
    means = errors.groupby("regime").mean().loc[["known", *(f"new {k}" for k in (0, 1, 5, 10))]]
    rows: Rows = [["method", "known groups", "new, no rows", "1 row", "5 rows", "10 rows"]]
    rows[0] += ["over the best", "within 2%"]
    for method in over.sort_values().index:
        shown = [labels[method], *map(number, means[method]), number(over[method], 2)]
        rows.append([*shown, percent(within) if method == "grouped" else None])
    if task == "regression":
        covered = results[results["task"] == task].groupby("regime")["covered"].mean()
        rows.append(["in our intervals of 90%", *(percent(covered[r]) for r in means.index)])
    return rows


@table("grouped_factors report")
def grouped_factors() -> Rows:
    from benchmarks.lib import factor_peers, factor_tables
    from benchmarks.measure import grouped

    path = RESULTS / "grouped_factors.jsonl"
    results = grouped.read(path, 1, lambda name: factor_tables.half_of(name) == "report")
    cells = results.pivot_table(index=["regime", "table"], columns="method", values="error")
    peers = [p for p in factor_peers.PEERS if p in cells]
    inside = results[results["method"] == "grouped"].set_index(["regime", "table"])["covered"]
    labels = {"known pairs": "known pairs"}
    for k, factor in product(factor_peers.SHOTS, factor_peers.FACTORS):
        rows = {0: "no row", 1: "1 row"}.get(k, f"{k} rows")
        labels[f"new {factor} {k}"] = f"a new group, {rows}"
    labels["both new 0"] = "two new groups"
    others = {
        "over the first column": ["grouped_first"],
        "over the better column": ["grouped_first", "grouped_second"],
        "over ridge": ["ridge"],
        "over bias": ["bias"],
        "over LightGBM": ["lightgbm"],
        "over the best peer": peers,
    }
    shown: Rows = [["regime", "cases", *others, "intervals of 90 % hold"]]
    for label in dict.fromkeys(labels.values()):
        own = cells.loc[[labels[regime] == label for regime in cells.index.get_level_values(0)]]
        own = own[own["grouped"].notna()]
        ratios = [np.log(own["grouped"] / own[of].min(axis=1)).mean() for of in others.values()]
        ratios = [number(np.exp(r), 2) for r in ratios]
        shown.append([label, len(own), *ratios, percent(inside.loc[own.index].mean())])
    return shown


@table("grouped_time report")
def grouped_time() -> Rows:
    from benchmarks.lib import time_tables
    from benchmarks.measure import grouped

    path = RESULTS / "grouped_time.jsonl"
    results = grouped.read(path, 1, lambda name: time_tables.half_of(name) == "report")
    labels = {
        "grouped": "Grouped regressor, order",
        "grouped_unordered": "without order",
        "lightgbm_lags": "LightGBM, earlier rows as columns",
        "gp_slopes": "GPBoost, slopes",
        "mixed_lm": "statsmodels, slopes",
        "last_value": "last value",
    }
    rows: Rows = [["method", "later", "over the best", "new", "over the best"]]
    errors = results[results["task"] == "regression"].pivot_table(
        index=["regime", "table"], columns="method", values="error"
    )
    errors = errors.apply(lambda row: row.fillna(row.max()), axis=1)
    over = np.log(errors.div(errors.min(axis=1), axis=0)).groupby("regime").mean()
    means = errors.groupby("regime").mean()
    for method, label in labels.items():
        cells = [
            (number(means[method][r]), number(np.exp(over[method][r]), 2)) for r in ("later", "new")
        ]
        rows.append([label, *cells[0], *cells[1]])
    return rows


@table("targets report", "targets five")
def targets(part: str) -> Rows:
    from benchmarks.measure import targets

    lines = {tuple(line["cell"]): line for line in read_lines(RESULTS / "targets.jsonl")}
    five = part == "five"
    labels = {
        "grouped": "GroupedRegressor",
        "gpboost": "GPBoost, negative binomial or gamma",
        "lightgbm_counts": "LightGBM, Poisson or Tweedie",
        "statsmodels_glm": "GLM (statsmodels), no groups",
    }
    others = [n for n in targets.TABLES if n not in targets.FIVE]
    names = targets.FIVE if five else [n for n in others if targets.half_of(n) == "report"]
    names = [n for n in names if all((n, 0, method) in lines for method in labels)]
    rows: Rows = [["method", "known groups", "new groups", "new, five known rows"]]
    rows[0].append("intervals of 90% hold")
    for method, label in labels.items():
        cells, held = [], []
        for regime in ("known", "new 0", "new 5"):
            records = [lines[name, 0, method].get(regime) for name in names]
            loss = np.array([1.0 if f is None else f["quantile"] for f in records])
            mean, median = number(loss.mean(), 2), number(float(np.median(loss)), 2)
            cells.append(mean if five else f"{mean} ({median})")
            held.append(percent(float(np.mean([f["covered"] for f in records if f is not None]))))
        rows.append([label, *cells, ", ".join(held) if method == "grouped" else None])
    return rows


@table("verdicts")
def verdicts() -> Rows:
    lines = read_lines(RESULTS / "verdicts.jsonl")
    results = pd.DataFrame(
        [dict(zip(("kind", "share"), line["cell"][:2], strict=True)) | line for line in lines]
    )
    results["holds"] = results["change"].between(results["low"], results["high"])
    rows: Rows = [["tables", "variance between groups", "number", "said to matter"]]
    rows[0] += ["a test that knows the columns", "interval of the change holds"]
    for (kind, share), own in results.groupby(["kind", "share"], sort=False):
        shares = [percent(own[name].mean()) for name in ("matters", "oracle", "holds")]
        rows.append([f"{kind}s", percent(share), len(own), *shares])
    return rows


EIGHT = ("tourism", "accommodation", "prison", "retail", "scripts", "livestock", "flights", "load")


@table("panels report")
def panels() -> Rows:
    frame = pd.DataFrame(read_lines(RESULTS / "panels.jsonl"))
    frame = frame[(frame["half"] == "report") & frame["panel"].isin(EIGHT)]
    labels = {
        "grouped": "order",
        "grouped without order": "without order",
        "ridge": "ridge",
        "boosting": "LightGBM with lags",
        "level and season": "level and mean season",
        "naive": "seasonal naive",
        "ets": "AutoETS",
        "theta": "AutoTheta",
    }
    frame["steps"] = frame["regime"].replace(
        dict.fromkeys(["known 60", "known 120", "known 504"], "most")
    )
    regimes = {
        "known 8": "8",
        "known 20": "20",
        "most": "most, 60 to 504",
        "new 0": "new series, 0",
    }
    regimes |= {f"new {k}": f"new, {k}" for k in (1, 4, 12)}
    rows: Rows = [["known steps", "panels", *labels.values()]]
    for regime, label in regimes.items():
        wide = frame[frame["steps"] == regime].pivot(index="panel", columns="method", values="mase")
        means = np.exp(np.log(wide).mean()).where(wide.notna().all())
        rows.append([label, len(wide), *(number(means.get(method), 2) for method in labels)])
    return rows


METHOD_LABELS = {
    "weighed": "skmeta, weighed",
    "svc": "SVC",
    "process": "Gaussian process",
    "grouped": "grouped estimators",
    "pooled": "linear, pooled",
    "boosted": "boosted trees",
    "boosted_target": "boosted trees, target encoding",
    "protonet": "ProtoNet",
    "maml": "MAML",
}
CONDITION_LABELS = {
    **{f"wrong {share}": f"{100 * share:.0f} % wrong labels" for share in (0.1, 0.2, 0.4)},
    "outliers": "10 % outliers",
    "noise": "as many columns of noise",
    "missing": "a third of the columns missing",
    "balance": "another class balance",
    "range": "a range left out",
}


@table(*(f"robustness {part}" for part in ("classes", "numbers", "groups", "images")))
def robustness(part: str) -> Rows:
    from benchmarks.measure.robustness import METHODS, summarise

    summary, methods = summarise(part), METHODS[part]
    labels = [METHOD_LABELS.get(method, method) for method in methods]
    if part == "images":
        labels[2:] = [f"{label}, pixels" for label in labels[2:]]
    intervals = {m for each in summary.values() for m in each if "coverage" in each[m]}
    if part == "groups":  # each kind of table has its own conditions
        intervals = {"grouped"}
    ordered = [m for m in methods if m in intervals]
    rows: Rows = [["condition", *labels, *(f"{METHOD_LABELS.get(m, m)}, in 90 %" for m in ordered)]]
    for condition, each in summary.items():
        scores = [number(each[m].get("error", each[m].get("accuracy"))) for m in methods]
        inside = [number(each[m].get("coverage"), 2) for m in ordered]
        rows.append([CONDITION_LABELS.get(condition, condition), *scores, *inside])
    return rows


@table("published_models")
def published_models() -> Rows:
    from benchmarks.measure import published_models as measure

    results = measure.read("report")
    labels = {
        "grouped": "Grouped estimator",
        "few_shot": "Few-shot estimator, groups as categories",
        "published": "published model (lme4)",
        "one_hot": "ridge, groups as columns",
        "lightgbm": "LightGBM, group as category",
        "mixed_lm": "statsmodels, intercepts",
        "gpboost": "GPBoost, intercepts",
    }
    results = results[(results["kind"] == "continuous") & results["method"].isin([*labels])]
    columns, counts = {}, {}
    for regime in measure.REGIMES:
        chosen = results[results["regime"] == regime]
        error = chosen.pivot(index="table", columns="method", values="error")
        error = error.clip(1e-4, measure.LARGEST).dropna()
        columns[regime] = np.exp(np.log(error).mean()).map(number)
        counts[regime] = len(error)
    names = {"known": "known groups", "new": "new groups", "new 3": "new groups, three rows"}
    rows: Rows = [["method", *(f"{names[r]} ({n} tables)" for r, n in counts.items())]]
    for method in columns["known"].sort_values().index:
        rows.append([labels[method], *(columns[regime][method] for regime in columns)])
    return rows


@table("contrasts")
def contrasts() -> Rows:
    from benchmarks.measure import contrasts as measure

    summary = measure.summarize(lines_by_cell(measure.PATH))
    names = "trials", "holds", "right model", "width", "single groups"
    rows: Rows = [["target", *names]]
    for name, one in summary.items():
        if name.endswith(" 20 groups"):
            continue
        shares = (" ".join(number(x, 2) for x in one[of]) for of in ("held", "right"))
        groups = "" if one["groups"] is None else number(one["groups"], 2)
        parts = *shares, number(one["width"], 2), groups
        rows.append([*name.split(", "), *parts])
    return rows


@table("confounders")
def confounders() -> Rows:
    from benchmarks.measure import confounders as measure

    summary = measure.summarize(lines_by_cell(measure.PATH))
    sizes = measure.SIZES["real"]
    rows: Rows = [["table", *(f"{n} rows" for n in sizes), "widths"]]
    for groups, shape in product(list(measure.N_GROUPS)[:3], measure.SHAPES):  # others: in words
        each = [summary[f"{shape}, {groups}, real, {n}"] for n in sizes]
        held = [" ".join(number(share, 2) for share in one["held"]) for one in each]
        widths = " ".join(number(one["width"], 2) for one in each)
        rows.append([f"{groups}, {shape}", *held, widths])
    return rows


@table("rates")
def rates() -> Rows:
    from benchmarks.measure import rates as measure

    summary = measure.summarize(lines_by_cell(measure.PATH))
    rows: Rows = [["places", "intervals of 90 % that hold", "width of the logarithm"]]
    for kind, one in summary.items():
        rows.append([kind, number(one["held"]), number(one["width"], 2)])
    return rows
