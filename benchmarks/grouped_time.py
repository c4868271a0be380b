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
import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from group_tables import LEAST_PROBABILITY, Table, encode
from resumable import read_lines, run_cells
from time_tables import CLASSES, FRESH, REGRESSIONS, Division, TimeTable, divide, half_of, load

RESULTS = Path(__file__).parent / "results" / "grouped_time.jsonl"
REGIMES = ("later", "new")
MOST_ROUNDS, MOST_PAIRS = 300, 40_000
PENALTIES = np.logspace(-3, 4, 15)


class Case(NamedTuple):
    """A division of a table, and its columns as numbers."""

    given: TimeTable
    division: Division
    X: np.ndarray

    @property
    def table(self) -> Table:
        return self.given.table

    @property
    def rows(self) -> np.ndarray:
        return np.concatenate([self.division.train, self.division.few])

    @property
    def test(self) -> np.ndarray:
        return self.division.test

    @property
    def is_regression(self) -> bool:
        return self.table.task == "regression"

    @property
    def n_classes(self) -> int:
        return int(self.table.y.max()) + 1

    def validation(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows to learn from, and the last fifth of those of each group."""
        return _last(self.rows, self.table.groups, self.given.times, 0.2)


class Prediction(NamedTuple):
    """Means or probabilities; 5 % and 95 % quantiles if there are some."""

    y: np.ndarray
    interval: np.ndarray | None = None


def make_case(given: TimeTable, regime: str, seed: int) -> Case:
    division = divide(given, regime, seed)
    return Case(given, division, encode(given.table.X, division.train))


def _last(
    rows: np.ndarray, groups: np.ndarray, times: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    order = rows[np.lexsort((times[rows], groups[rows]))]
    sizes = np.bincount(groups[order], minlength=groups.max() + 1)
    starts = np.cumsum(sizes) - sizes
    place, n = np.arange(len(order)) - starts[groups[order]], sizes[groups[order]]
    is_last = (place >= n - np.maximum(np.round(share * n), 1)) & (place > 0)
    return order[~is_last], order[is_last]


def _loss(case: Case, y: np.ndarray, outputs: np.ndarray) -> float:
    if case.is_regression:
        return float(np.mean((outputs - y) ** 2))
    p = np.clip(outputs, LEAST_PROBABILITY, None)
    p = p / p.sum(1, keepdims=True)
    return float(-np.log(p[np.arange(len(y)), y.astype(int)]).mean())


def _outputs(case: Case, model: Any, X: np.ndarray) -> np.ndarray:
    if case.is_regression:
        return np.asarray(model.predict(X))
    proba = np.zeros((X.shape[0], case.n_classes))
    proba[:, np.asarray(model.classes_, int)] = model.predict_proba(X)
    return proba


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
    groups, times = case.table.groups, case.given.times
    known = case.rows[np.argsort(times[case.rows], kind="stable")]
    for group in np.unique(groups[case.test]):
        yield np.flatnonzero(groups[case.test] == group), known[groups[known] == group]


def trend(case: Case) -> np.ndarray | None:
    """A straight line of time for each group."""
    if not case.is_regression:
        return None
    found, t, y = np.empty(len(case.test)), case.given.times, case.table.y
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
    t = case.given.times
    t = (t - t[case.rows].mean()) / max(t[case.rows].std(), 1e-12)
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
    return _outputs(case, fit(case.rows, penalty), Z[case.test])


def ridge(case: Case) -> np.ndarray:
    """Ridge or logistic regression on the columns."""
    from sklearn.linear_model import LogisticRegression, RidgeCV

    model = RidgeCV(PENALTIES) if case.is_regression else LogisticRegression(max_iter=2000)
    model.fit(case.X[case.rows], case.table.y[case.rows])
    return _outputs(case, model, case.X[case.test])


def _best(case: Case, settings: Any, fit: Callable, at: Callable) -> Any:
    first, last = case.validation()
    losses = []
    for setting in settings:
        model, Z = at(fit(first, setting), last)
        losses.append(_loss(case, case.table.y[last], _outputs(case, model, Z)))
    return settings[int(np.argmin(losses))]


def _lightgbm(
    case: Case, Z: np.ndarray, y: np.ndarray, first: np.ndarray, last: np.ndarray, **fit: Any
) -> Any:
    """Fit LightGBM to all rows, with the rounds that are best on the last ones.

    If all rows are last ones, in groups of two rows, it has its default number of rounds.
    """
    import lightgbm as lgb

    kind = lgb.LGBMRegressor if case.is_regression else lgb.LGBMClassifier
    settings = {"n_jobs": 1, "verbose": -1, "random_state": 0}
    last = last[np.isin(y[last], y[first])] if not case.is_regression else last
    if not len(first):
        return kind(**settings).fit(Z[last], y[last], **fit)
    model = kind(n_estimators=MOST_ROUNDS, **settings).fit(
        Z[first],
        y[first],
        eval_set=[(Z[last], y[last])],
        callbacks=[lgb.early_stopping(20, verbose=False)],
        **fit,
    )
    rounds = max(1, int(model.best_iteration_))
    rows = np.concatenate([first, last])
    return kind(n_estimators=rounds, **settings).fit(Z[rows], y[rows], **fit)


def lightgbm(case: Case) -> np.ndarray:
    """LightGBM with the group as a category."""
    Z = np.column_stack([case.table.groups, case.X])
    model = _lightgbm(case, Z, case.table.y, *case.validation(), categorical_feature=[0])
    return _outputs(case, model, Z[case.test])


def lightgbm_lags(case: Case) -> np.ndarray:
    """LightGBM on pairs of known rows and a later row, at any horizon."""
    groups, times, y = case.table.groups, case.given.times, case.table.y
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
    last = np.isin([row for _, row in pairs], case.validation()[1])
    model = _lightgbm(case, Z, targets, np.flatnonzero(~last), np.flatnonzero(last))
    at = np.empty((len(case.test), Z.shape[1]))
    for positions, known in _of_groups(case):
        at[positions] = [_lags(case, known, case.test[k]) for k in positions]
    return _outputs(case, model, at)


def _lags(case: Case, known: np.ndarray, row: int) -> np.ndarray:
    """Columns of a row, beside the last targets of its group and what changed since."""
    if not len(known):
        return np.concatenate([case.X[row], np.full(6, np.nan)])
    y, t = case.table.y[known].astype(float), case.given.times[known]
    gap = case.given.times[row] - t[-1]
    pair = len(y) > 1
    before = y[-2] if pair else np.nan
    slope = (y[-1] - y[0]) / (t[-1] - t[0]) if pair and t[-1] > t[0] else np.nan
    return np.concatenate([case.X[row], [y[-1], before, y.mean(), slope, gap, len(y)]])


def mixed_lm(case: Case) -> np.ndarray | None:
    """The model of statsmodels with random intercepts and slopes of time."""
    import statsmodels.api as sm

    if not case.is_regression:
        return None
    design, t = _independent(case), _scaled_times(case)
    Z, y, groups = np.column_stack([np.ones(len(t)), t]), case.table.y, case.table.groups
    rows, scale = case.rows, case.table.y[case.rows].std()
    try:
        fitted = sm.MixedLM(y[rows] / scale, design[rows], groups[rows], Z[rows]).fit(reml=True)
        effects = {g: np.asarray(v) for g, v in fitted.random_effects.items()}
    except (np.linalg.LinAlgError, ValueError):  # A variance of 0 makes its matrices singular.
        return None
    own = np.array([effects.get(g, np.zeros(2)) for g in groups[case.test]])
    fixed = design[case.test] @ fitted.fe_params
    return np.asarray(scale * (fixed + (own * Z[case.test]).sum(1)))


def _scaled_times(case: Case) -> np.ndarray:
    t = case.given.times
    return np.asarray((t - t[case.rows].mean()) / max(t[case.rows].std(), 1e-12))


def _independent(case: Case) -> np.ndarray:
    """Columns that vary and are not linear combinations of others, and ones."""
    from scipy.linalg import qr

    X = np.column_stack([np.ones(len(case.X)), case.X])
    of_rows = X[case.rows]
    scale = np.linalg.norm(of_rows, axis=0)
    r, pivots = qr(of_rows / np.where(scale > 0, scale, 1), mode="r", pivoting=True)
    rank = int((abs(np.diag(r)) > 1e-8).sum())
    return np.asarray(X[:, np.sort(pivots[:rank])])


def _gp_targets(case: Case, y: np.ndarray) -> list[np.ndarray]:
    if case.is_regression:
        return [y]
    of_classes = [1] if case.n_classes == 2 else range(case.n_classes)
    return [(y == c).astype(float) for c in of_classes]


def _gp_joined(case: Case, found: list[np.ndarray]) -> np.ndarray:
    if case.is_regression:
        return found[0]
    if len(found) == 1:
        return np.column_stack([1 - found[0], found[0]])
    p = np.column_stack(found)
    return np.asarray(p / p.sum(1, keepdims=True))


def _gp_model(case: Case, groups: np.ndarray, t: np.ndarray | None = None) -> Any:
    import gpboost as gpb

    slopes: dict[str, Any] = {}
    if t is not None:
        slopes = {"group_rand_coef_data": t[:, None], "ind_effect_group_rand_coef": [1]}
    likelihood = "gaussian" if case.is_regression else "bernoulli_logit"
    return gpb.GPModel(group_data=groups, likelihood=likelihood, num_parallel_threads=1, **slopes)


def _gp_linear(case: Case, with_slopes: bool) -> np.ndarray:
    X, t, rows, found = _independent(case), _scaled_times(case), case.rows, []
    scale = case.table.y[rows].std() if case.is_regression else 1.0
    at = {"group_rand_coef_data_pred": t[case.test][:, None]} if with_slopes else {}
    for target in _gp_targets(case, case.table.y[rows]):
        model = _gp_model(case, case.table.groups[rows], t[rows] if with_slopes else None)
        model.fit(y=target / scale, X=X[rows])
        of = model.predict(
            group_data_pred=case.table.groups[case.test],
            X_pred=X[case.test],
            predict_response=True,
            **at,
        )
        found.append(scale * of["mu"])
    return _gp_joined(case, found)


def gp_intercepts(case: Case) -> np.ndarray:
    """GPBoost's mixed model with random intercepts."""
    return _gp_linear(case, with_slopes=False)


def gp_slopes(case: Case) -> np.ndarray:
    """GPBoost's mixed model with random intercepts and slopes of time."""
    return _gp_linear(case, with_slopes=True)


def gp_boosted(case: Case) -> np.ndarray:
    """GPBoost's trees with random intercepts; rounds chosen on later rows."""
    import gpboost as gpb

    rows, y, groups, found = case.rows, case.table.y, case.table.groups, []
    scale = y[rows].std() if case.is_regression else 1.0
    settings = {"learning_rate": 0.1, "verbose": -1, "num_threads": 1}
    settings["objective"] = "regression" if case.is_regression else "binary"
    first, last = case.validation()
    folds = [(np.flatnonzero(np.isin(rows, first)), np.flatnonzero(np.isin(rows, last)))]
    for target in _gp_targets(case, y / scale):
        tried = gpb.cv(
            settings | {"metric": "l2" if case.is_regression else "binary_logloss"},
            gpb.Dataset(case.X[rows], target[rows]),
            gp_model=_gp_model(case, groups[rows]),
            num_boost_round=MOST_ROUNDS,
            early_stopping_rounds=10,
            folds=folds,
            verbose_eval=False,
        )
        rounds = len(next(v for n, v in tried.items() if n.endswith("-mean")))
        trees = gpb.train(
            settings,
            gpb.Dataset(case.X[rows], target[rows]),
            gp_model=_gp_model(case, groups[rows]),
            num_boost_round=rounds,
        )
        of = trees.predict(
            data=case.X[case.test], group_data_pred=groups[case.test], pred_latent=False
        )
        found.append(scale * np.asarray(of["response_mean"]))
    return _gp_joined(case, found)


PEERS: dict[str, Callable[[Case], np.ndarray | None]] = {
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


# ------------------------------------------------------------------------------------ the package


def grouped(case: Case, with_order: bool = True, **settings: Any) -> Prediction:
    """GroupedRegressor or GroupedClassifier, told which column is time."""
    from skmeta import GroupedClassifier, GroupedRegressor

    kind = GroupedRegressor if case.is_regression else GroupedClassifier
    X = case.table.X.assign(group=[f"g{g}" for g in case.table.groups])
    order = case.given.time if with_order else None
    y, division = case.table.y, case.division
    model = kind("group", order=order, **settings).fit(X.iloc[division.train], y[division.train])
    if len(division.few):
        model = copy.deepcopy(model).partial_fit(X.iloc[division.few], y[division.few])
    at = X.iloc[case.test]
    outputs = _outputs(case, model, at)
    interval = model.predict_quantiles(at, (0.05, 0.95)) if case.is_regression else None
    return Prediction(outputs, interval)


def grouped_unordered(case: Case) -> Prediction:
    """The same, not told which column is time."""
    return grouped(case, with_order=False)


OWN = {f.__name__: f for f in (grouped, grouped_unordered)}
METHODS = (*PEERS, *OWN)


def predict(method: str, case: Case) -> Prediction | None:
    if method in OWN:
        return OWN[method](case)
    found = PEERS[method](case)
    return None if found is None else Prediction(found)


# ---------------------------------------------------------------------------------------- results


def run(cell: tuple[str, int, str]) -> dict[str, Any] | None:
    name, seed, method = cell
    given = load(name)
    line: dict[str, Any] = {"cell": cell, "task": given.table.task}
    line |= {"error": {}, "seconds": {}, "covered": {}}
    for regime in REGIMES:
        case = make_case(given, regime, seed)
        began = time.process_time()
        found = predict(method, case)
        seconds = time.process_time() - began
        if found is None:
            continue
        y = case.table.y[case.test]
        loss = _loss(case, y, found.y) / (case.table.y.var() if case.is_regression else 1.0)
        line["error"][regime], line["seconds"][regime] = round(loss, 5), round(seconds, 2)
        if found.interval is not None:
            low, high = found.interval.T
            line["covered"][regime] = round(float(np.mean((y >= low) & (y <= high))), 4)
    return line if line["error"] else None


def read(path: Path = RESULTS, half: str | None = None) -> pd.DataFrame:
    rows = [
        (line["task"], name, seed, method, regime, value, line["covered"].get(regime, np.nan))
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
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--half", choices=("development", "report", "reserve"))
    parser.add_argument("--classes", action="store_true", help="classifications, too")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args(given)
    if arguments.summary:
        summarise(read(arguments.results, arguments.half))
        return
    names = arguments.sets or [*REGRESSIONS, *FRESH, *(CLASSES if arguments.classes else ())]
    halves = (arguments.half,) if arguments.half else ("development", "report")
    names = [n for n in names if half_of(n) in halves]
    splits = range(arguments.splits)
    cells = [(name, seed, m) for seed in splits for m in arguments.methods for name in names]
    run_cells(cells, run, arguments.results, arguments.minutes)
