"""Groups in time: later rows of known groups, and new groups from their first rows.

    SKMETA_DATA=... python benchmarks/grouped.py --time
    python benchmarks/grouped.py --time --summary

Regimes and tables are those of ``time_tables.py``. All methods have the column of time, and learn
from the same rows; the known rows of new groups are added to them, and GroupedRegressor and
GroupedClassifier get them by ``partial_fit``. Rounds and penalties of peers are chosen on the last
fifth of the rows to learn from of each group. Errors are squared errors over the variance of all
targets of the table, or log losses. Each result is a line of ``results/grouped_time.jsonl``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from group_peers import (
    Case,
    Peer,
    add_options,
    fit_lightgbm,
    gp_linear,
    gp_trees,
    line_of,
    linear,
    loss,
    outputs,
    predict_grouped,
    predict_peer,
    run_all,
)
from group_peers import lightgbm as lightgbm_chosen_on
from group_peers import mixed_lm as mixed_lm_with
from resumable import read_lines
from time_tables import CLASSES, FRESH, REGRESSIONS, TimeTable, divide, half_of, load

RESULTS = Path(__file__).parent / "results" / "grouped_time.jsonl"
REGIMES = ("later", "new")
MOST_PAIRS = 40_000
PENALTIES = np.logspace(-3, 4, 15)


def make_case(given: TimeTable, regime: str, seed: int) -> Case:
    return Case(given.table, *divide(given, regime, seed), given.time, given.times)


def validation(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to learn from, and the last fifth of those of each group."""
    return _last(case.rows, case.table.groups, case.times, 0.2)


def _last(
    rows: np.ndarray, groups: np.ndarray, times: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    order = rows[np.lexsort((times[rows], groups[rows]))]
    sizes = np.bincount(groups[order], minlength=groups.max() + 1)
    starts = np.cumsum(sizes) - sizes
    place, n = np.arange(len(order)) - starts[groups[order]], sizes[groups[order]]
    is_last = (place >= n - np.maximum(np.round(share * n), 1)) & (place > 0)
    return order[~is_last], order[is_last]


# ------------------------------------------------------------------------------------------ peers


def last_value(case: Case) -> np.ndarray:
    """The last known row of the group: its target, or its class and half a row of each."""
    found, y = np.zeros((len(case.test), case.n_classes if not case.is_regression else 1)), None
    share = (
        np.bincount(case.table.y[case.rows].astype(int), minlength=case.n_classes)
        if not case.is_regression
        else None
    )
    for at, known in _of_groups(case):
        y = case.table.y[known]
        if case.is_regression:
            found[at] = y[-1] if len(y) else case.table.y[case.rows].mean()
            continue
        assert share is not None
        found[at] = share / share.sum()
        if len(y):
            found[at, y[-1].astype(int)] += 1
        found[at] /= found[at][0].sum()
    return found[:, 0] if case.is_regression else found


def _of_groups(case: Case) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield positions among the rows to predict, and known rows in time, of each group."""
    groups, times = case.table.groups, case.times
    known = case.rows[np.argsort(times[case.rows], kind="stable")]
    for group in np.unique(groups[case.test]):
        yield np.flatnonzero(groups[case.test] == group), known[groups[known] == group]


def trend(case: Case) -> np.ndarray | None:
    """A straight line of time for each group."""
    if not case.is_regression:
        return None
    found, t, y = np.empty(len(case.test)), case.times, case.table.y
    for at, known in _of_groups(case):
        if len(np.unique(t[known])) > 1:
            found[at] = np.polyval(np.polyfit(t[known], y[known], 1), t[case.test[at]])
        else:
            found[at] = y[known].mean() if len(known) else y[case.rows].mean()
    return found


def ridge_groups(case: Case) -> np.ndarray:
    """Ridge or logistic regression with a column and a slope of time for each group."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression, Ridge

    groups, n = case.table.groups, len(case.X)
    t = _scaled_times(case)
    shape = (n, int(groups.max()) + 1)
    own = csr_matrix((np.ones(n), (np.arange(n), groups)), shape=shape)
    slopes = csr_matrix((t, (np.arange(n), groups)), shape=shape)
    Z = hstack([csr_matrix(case.X), own, slopes]).tocsr()

    def fit(rows: np.ndarray, penalty: float) -> Any:
        if case.is_regression:
            model: Any = Ridge(penalty, solver="lsqr")
        else:
            model = LogisticRegression(C=1 / penalty, max_iter=500)
        return model.fit(Z[rows], case.table.y[rows])

    penalty = _best(case, PENALTIES, lambda rows, p: fit(rows, p), lambda m, rows: (m, Z[rows]))
    return outputs(case, fit(case.rows, penalty), Z[case.test])


def ridge(case: Case) -> np.ndarray:
    """Ridge or logistic regression on the columns."""
    return linear(case, PENALTIES)


def _best(case: Case, settings: Any, fit: Callable, at: Callable) -> Any:
    first, last = validation(case)
    losses = []
    for setting in settings:
        model, Z = at(fit(first, setting), last)
        losses.append(loss(case, case.table.y[last], outputs(case, model, Z)))
    return settings[int(np.argmin(losses))]


def lightgbm(case: Case) -> np.ndarray:
    """LightGBM with the group as a category."""
    return lightgbm_chosen_on(case, *validation(case))


def lightgbm_lags(case: Case) -> np.ndarray:
    """LightGBM on pairs of known rows and a later row, at any horizon."""
    groups, times, y = case.table.groups, case.times, case.table.y
    order = case.rows[np.lexsort((times[case.rows], groups[case.rows]))]
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    pairs = [
        (rows[: k + 1], rows[j])
        for rows in parts
        for k in range(len(rows) - 1)
        for j in range(k + 1, len(rows))
    ]
    rng = np.random.default_rng(0)
    pairs = [pairs[k] for k in rng.permutation(len(pairs))[:MOST_PAIRS]]
    Z = np.array([_lags(case, known, row) for known, row in pairs])
    targets = np.array([y[row] for _, row in pairs])
    last = np.isin([row for _, row in pairs], validation(case)[1])
    model = fit_lightgbm(case, Z, targets, np.flatnonzero(~last), np.flatnonzero(last))
    at = np.empty((len(case.test), Z.shape[1]))
    for positions, known in _of_groups(case):
        at[positions] = [_lags(case, known, case.test[k]) for k in positions]
    return outputs(case, model, at)


def _lags(case: Case, known: np.ndarray, row: int) -> np.ndarray:
    """Columns of a row, beside the last targets of its group and what changed since."""
    if not len(known):
        return np.concatenate([case.X[row], np.full(6, np.nan)])
    y, t = case.table.y[known].astype(float), case.times[known]
    gap = case.times[row] - t[-1]
    pair = len(y) > 1
    before = y[-2] if pair else np.nan
    slope = (y[-1] - y[0]) / (t[-1] - t[0]) if pair and t[-1] > t[0] else np.nan
    return np.concatenate([case.X[row], [y[-1], before, y.mean(), slope, gap, len(y)]])


def mixed_lm(case: Case) -> np.ndarray | None:
    """The model of statsmodels with random intercepts and slopes of time."""
    return mixed_lm_with(case, np.column_stack([np.ones(len(case.X)), _scaled_times(case)]))


def _scaled_times(case: Case) -> np.ndarray:
    t = case.times
    return np.asarray((t - t[case.rows].mean()) / max(t[case.rows].std(), 1e-12))


def gp_intercepts(case: Case) -> np.ndarray:
    """GPBoost's mixed model with random intercepts."""
    return gp_linear(case)


def gp_slopes(case: Case) -> np.ndarray:
    """GPBoost's mixed model with random intercepts and slopes of time."""
    return gp_linear(case, _scaled_times(case)[:, None])


def gp_boosted(case: Case) -> np.ndarray:
    """GPBoost's trees with random intercepts; rounds chosen on later rows."""

    def folds(rows: np.ndarray) -> list:
        return [tuple(np.flatnonzero(np.isin(rows, part)) for part in validation(case))]

    return gp_trees(case, np.arange(len(case.rows)), folds)


PEERS: dict[str, Peer] = {
    f.__name__: f
    for f in (
        last_value,
        trend,
        ridge,
        ridge_groups,
        lightgbm,
        lightgbm_lags,
        mixed_lm,
        gp_intercepts,
        gp_slopes,
        gp_boosted,
    )
}


OWN = {
    "grouped": predict_grouped,
    # Not told which column is time.
    "grouped_unordered": partial(predict_grouped, with_order=False),
}
METHODS = [*PEERS, *OWN]


# ---------------------------------------------------------------------------------------- results


def run(cell: tuple[str, int, str]) -> dict[str, Any] | None:
    name, seed, method = cell
    given = load(name)
    cases = {regime: make_case(given, regime, seed) for regime in REGIMES}
    own = OWN.get(method)
    return line_of(cell, cases, own(cases) if own else predict_peer(PEERS[method], cases))


def read(path: Path = RESULTS, half: str | None = None) -> pd.DataFrame:
    rows = [
        (
            line["task"],
            name,
            seed,
            method,
            regime,
            value,
            line.get("covered", {}).get(regime, np.nan),
        )
        for line in read_lines(path)
        for name, seed, method in [line["cell"]]
        if half is None or half_of(name) == half
        for regime, value in line["error"].items()
    ]
    columns = ["task", "table", "seed", "method", "regime", "error", "covered"]
    found = pd.DataFrame(rows, columns=columns)
    keys = ["task", "table", "method", "regime"]
    return found.groupby(keys, as_index=False).mean(numeric_only=True)


def summarise(found: pd.DataFrame) -> None:
    """Print mean errors, geometric means over the best method of each table, and coverage."""
    for task, of_task in found.groupby("task"):
        for regime in REGIMES:
            of_regime = of_task[of_task["regime"] == regime]
            table = of_regime.pivot(index="table", columns="method", values="error")
            table = table[table.notna().sum(axis=1) >= 2]
            filled = table.apply(lambda row: row.fillna(row.max()), axis=1)
            best = table.min(axis=1)
            covered = of_regime.pivot(index="method", columns="table", values="covered")
            shown = pd.DataFrame(
                {
                    "mean": filled.mean(),
                    "over best": np.exp(np.log(filled.div(best, axis=0)).mean()),
                    "worst over best": filled.div(best, axis=0).max(),
                    "first": table.eq(best, axis=0).sum(),
                    "covered": covered.mean(axis=1),
                    "least covered": covered.min(axis=1),
                }
            ).sort_values("mean")
            print(f"\n{task}, {regime}, {len(table)} tables\n{shown.round(3).to_string()}")


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, METHODS, RESULTS)
    parser.add_argument("--half", choices=("development", "report", "reserve"))
    parser.add_argument("--classes", action="store_true", help="classifications, too")
    arguments = parser.parse_args(given)
    if arguments.summary:
        summarise(read(arguments.results, arguments.half))
        return
    names = arguments.sets or [*REGRESSIONS, *FRESH, *(CLASSES if arguments.classes else ())]
    halves = (arguments.half,) if arguments.half else ("development", "report")
    names = [n for n in names if half_of(n) in halves]
    run_all(arguments, names, run)
