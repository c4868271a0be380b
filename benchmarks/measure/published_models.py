"""Small tables whose mixed models are published: our estimators beside those models and peers.

    python -m benchmarks.measure.published_models --half development

Tables and formulas are those of ``lib/published.py``, half of them for reports by the hash of their
names. Each of three regimes has three divisions, in which each row is predicted at most once:

``known``  a third of the rows of each group;
``new``    a third of the groups, at least one (tables of four groups or more);
``new 3``  the rows of those groups after the first three, which are known (groups of five rows or
           more).

All methods have the columns that the published formula names. ``grouped`` is told the columns of
groups, fitted once for new groups, and given their known rows by ``partial_fit``; the others have
groups as categories and are fitted again. ``published`` is lme4 (counts: Poisson; two classes:
binomial) or the cumulative model of ``ordinal``; nonlinear formulas have none.

The error is the sum of squares over that of the mean of the known rows, at most 2, or log loss over
that of their frequencies. The summary has geometric means over the tables that all shown methods
have. The prior for regressions that ships has seen none of the tables; that for classes has.
"""

import copy
import time
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.lib import group_peers, published
from benchmarks.lib.group_tables import Division, Table
from benchmarks.lib.resumable import RESULTS, read_lines, read_options, run_cells

PATH = RESULTS / "published_models.jsonl"
REGIMES = ("known", "new", "new 3")
N_DIVISIONS, N_KNOWN, FEWEST_GROUPS, FEWEST_IN_GROUP, LARGEST = 3, 3, 4, 5, 2.0
MIN_PROBABILITY = group_peers.MIN_PROBABILITY


Predictions = list[tuple[np.ndarray, np.ndarray | None] | None]  # outputs, 90 % intervals
Method = Callable[[published.Published, list[Division]], Predictions]


def divide(table: published.Published) -> dict[str, list[Division]]:
    """Return the divisions of a table, by regime."""
    rng = np.random.default_rng(zlib.crc32(table.name.encode()))
    groups = np.unique(table.X[table.factors[0]], return_inverse=True)[1]
    order = rng.permutation(len(groups))
    rank = np.empty(len(groups), int)
    for g in range(groups.max() + 1):
        rows = order[groups[order] == g]
        rank[rows] = np.arange(len(rows))
    sizes, none = np.bincount(groups), np.empty(0, int)
    dealt = rng.permutation(len(sizes)) % N_DIVISIONS
    divisions: dict[str, list[Division]] = {regime: [] for regime in REGIMES}
    for k in range(N_DIVISIONS):
        test = ((rank + dealt[groups]) % N_DIVISIONS == k) & (sizes[groups] > 1)
        divisions["known"].append(Division(np.flatnonzero(~test), none, np.flatnonzero(test)))
        if len(sizes) < FEWEST_GROUPS:
            continue
        held_out = dealt[groups] == k
        train = np.flatnonzero(~held_out)
        divisions["new"].append(Division(train, none, np.flatnonzero(held_out)))
        large = held_out & (sizes[groups] >= FEWEST_IN_GROUP)
        few, test = large & (rank < N_KNOWN), large & (rank >= N_KNOWN)
        if test.any():
            divisions["new 3"].append(Division(train, np.flatnonzero(few), np.flatnonzero(test)))
    return {
        regime: kept
        for regime, each in divisions.items()
        if (kept := [d for d in each if len(d.test) and len(np.unique(table.y[d.train])) > 1])
    }


def is_regression(table: published.Published) -> bool:
    return table.kind in ("continuous", "count")


def outputs(table: published.Published, model: Any, X: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictions and 90 % intervals, or probabilities of all classes."""
    if is_regression(table):
        has_quantiles = hasattr(model, "predict_quantiles")
        interval = model.predict_quantiles(X, (0.05, 0.95)) if has_quantiles else None
        return np.asarray(model.predict(X)), interval
    proba = np.zeros((len(X), int(table.y.max()) + 1))
    proba[:, np.asarray(model.classes_, int)] = model.predict_proba(X)
    return proba, None


def of_kind(table: published.Published, name: str, *factors: Any) -> Any:
    """Return an estimator of ours for the target of a table."""
    import skmeta

    settings = {"target_type": np.unique(table.y).tolist()} if table.kind == "ordinal" else {}
    suffix = "Regressor" if is_regression(table) else "Classifier"
    return getattr(skmeta, name + suffix)(*factors, **settings)


def grouped(table: published.Published, divisions: list[Division]) -> Predictions:
    """GroupedRegressor or GroupedClassifier with all columns of groups."""
    factors = table.factors if len(table.factors) > 1 else table.factors[0]
    predictions: Predictions = []
    for division in divisions:
        train, few = division.train, division.few
        key = table.name, train.tobytes()
        if key not in _FITTED:
            _FITTED.clear()
            model = of_kind(table, "Grouped", factors).fit(table.X.iloc[train], table.y[train])
            _FITTED[key] = model
        model = _FITTED[key]
        if len(few):
            model = copy.deepcopy(model).partial_fit(table.X.iloc[few], table.y[few])
        predictions.append(outputs(table, model, table.X.iloc[division.test]))
    return predictions


_FITTED: dict[tuple[str, bytes], Any] = {}


def few_shot(table: published.Published, divisions: list[Division]) -> Predictions:
    """MetaFewShotRegressor or MetaFewShotClassifier with the groups as categories."""
    X, y = table.X, table.y
    models = [of_kind(table, "MetaFewShot").fit(X.iloc[d.rows], y[d.rows]) for d in divisions]
    tests = [X.iloc[division.test] for division in divisions]
    return [outputs(table, model, at) for model, at in zip(models, tests, strict=True)]


def published_model(table: published.Published, divisions: list[Division]) -> Predictions:
    """The published model."""
    cases = [(division.rows, division.test) for division in divisions]
    predictions = published.predict_published(table, cases)
    return [None if y is None else (y, None) for y in predictions]


def peer(
    predict: group_peers.Peer, table: published.Published, divisions: list[Division]
) -> Predictions:
    """A peer of ``lib/group_peers.py``; the first column of groups is its group."""
    task = "regression" if is_regression(table) else "classification"
    groups = np.unique(table.X[table.factors[0]], return_inverse=True)[1]
    X = table.X.drop(columns=table.factors[0])
    # A peer of trees or a mixed model needs a column.
    X = X if X.shape[1] else pd.DataFrame({"none": np.zeros(len(X))})
    given = Table(table.name, task, X, table.y, groups)
    predictions: Predictions = []
    for division in divisions:
        y = predict(group_peers.Case(given, *division))
        predictions.append(None if y is None else (y, None))
    return predictions


def one_hot(case: group_peers.Case) -> np.ndarray:
    """Ridge or logistic regression on the columns, and one for each group."""
    own = case.table.groups[:, None] == np.unique(case.table.groups[case.rows])
    with_groups = group_peers.Case(case.table, case.train, case.few, case.test)
    with_groups.__dict__["X"] = np.column_stack([case.X, own])
    return group_peers.pooled(with_groups)


METHODS: dict[str, Method] = {
    "grouped": grouped,
    "few_shot": few_shot,
    "published": published_model,
    "one_hot": partial(peer, one_hot),
    "lightgbm": partial(peer, group_peers.lightgbm),
    "mixed_lm": partial(peer, group_peers.mixed_lm),
    "gpboost": partial(peer, group_peers.gp_intercepts),
}


def losses(table: published.Published, division: Division, y: np.ndarray) -> tuple[float, float]:
    """Return the summed loss of predictions, and of the mean or the frequencies of known rows."""
    known, target = table.y[division.rows], table.y[division.test]
    if is_regression(table):
        return float(((y - target) ** 2).sum()), float(((known.mean() - target) ** 2).sum())
    p = np.clip(y, MIN_PROBABILITY, None)
    p = p / p.sum(1, keepdims=True)
    shares = np.bincount(known, minlength=p.shape[1]) + 0.5
    shares = np.log(shares / shares.sum())
    return float(-np.log(p[np.arange(len(target)), target]).sum()), float(-shares[target].sum())


def run(cell: tuple[str, str]) -> dict[str, Any] | None:
    """Return the line of a table and a method; None without predictions."""
    name, method = cell
    table = published.load(name)
    line: dict[str, Any] = {"cell": cell, "kind": table.kind, "rows": len(table.y)}
    error, seconds, covered = {}, {}, {}
    for regime, divisions in divide(table).items():
        began = time.process_time()
        predictions = METHODS[method](table, divisions)
        seconds[regime] = round((time.process_time() - began) / len(divisions), 2)
        if any(each is None for each in predictions):
            continue
        summed, inside = [], []
        for division, (y, interval) in zip(divisions, predictions, strict=True):
            summed.append(losses(table, division, y))
            if interval is not None:
                target, (low, high) = table.y[division.test], interval.T
                inside.append((target >= low) & (target <= high))
        own, mean_loss = np.sum(summed, axis=0)
        error[regime] = round(float(own / mean_loss), 4)
        if inside:
            covered[regime] = round(float(np.concatenate(inside).mean()), 3)
    return line | {"error": error, "seconds": seconds, "covered": covered} if error else None


def read(half: str, path: Path = PATH) -> pd.DataFrame:
    """Return one row per table, method and regime, of one half or of all."""
    rows = [
        (line["kind"], *line["cell"], regime, error, line["covered"].get(regime))
        for line in read_lines(path)
        if half in ("all", published.half_of(line["cell"][0]))
        for regime, error in line["error"].items()
    ]
    columns = ["kind", "table", "method", "regime", "error", "covered"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates(columns[1:4], keep="last")


def summarise(results: pd.DataFrame) -> None:
    """Print geometric means over the tables that all methods but the published one have."""
    is_continuous = results["kind"] == "continuous"
    for (continuous, regime), own in results.groupby([is_continuous, "regime"], sort=False):
        error = own.pivot(index="table", columns="method", values="error").clip(1e-4, LARGEST)
        both = error.dropna(subset=[m for m in error if m != "published"])
        shown = pd.DataFrame({"error": np.exp(np.log(both).mean())})
        shown["covered"] = own[own["table"].isin(both.index)].groupby("method")["covered"].mean()
        kind = "continuous" if continuous else "counts and classes"
        print(f"\n{kind}, {regime}, {len(both)} tables\n{shown.round(3).to_string()}")


def main() -> None:
    options = read_options(
        __doc__,
        methods=[*METHODS],
        tables=[],  # such as nlme::Oats/1
        half=("development", "report", "all"),
        results=PATH,
        minutes=600.0,
        summary=False,
    )
    if options.summary:
        summarise(read(options.half, options.results))
        return
    halves = (options.half, *(("development", "report") if options.half == "all" else ()))
    names = [n for n in published.table_names() if published.half_of(n) in halves]
    cells = [(name, m) for m in options.methods for name in options.tables or names]
    run_cells(cells, run, options.results, options.minutes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
