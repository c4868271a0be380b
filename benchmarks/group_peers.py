"""What `grouped.py` and `grouped_time.py` share: cases, peers, the grouped estimators, results."""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from group_tables import Table, encode
from resumable import run_cells

LEAST_PROBABILITY, MOST_ROUNDS = 1e-3, 300


@dataclass(frozen=True)
class Case:
    """Rows to learn from, further rows of new groups, rows to predict, and the column of times."""

    table: Table
    train: np.ndarray
    few: np.ndarray
    test: np.ndarray
    time: str | None = None
    times: np.ndarray | None = None

    @cached_property
    def X(self) -> np.ndarray:
        """The columns as numbers."""
        return encode(self.table.X, self.train)

    @property
    def rows(self) -> np.ndarray:
        return np.concatenate([self.train, self.few])

    @property
    def is_regression(self) -> bool:
        return self.table.task == "regression"

    @property
    def n_classes(self) -> int:
        return int(self.table.y.max()) + 1


class Prediction(NamedTuple):
    """Means or probabilities of the rows to predict; 5 % and 95 % quantiles if there are some."""

    y: np.ndarray
    interval: np.ndarray | None = None


Peer = Callable[[Case], np.ndarray | None]


def loss(case: Case, y: np.ndarray, outputs: np.ndarray) -> float:
    """Mean squared error over the variance of all targets, or log loss."""
    if case.is_regression:
        return float(np.mean((outputs - y) ** 2) / case.table.y.var())
    p = np.clip(outputs, LEAST_PROBABILITY, None)
    p = p / p.sum(1, keepdims=True)
    return float(-np.log(p[np.arange(len(y)), y.astype(int)]).mean())


def outputs(case: Case, model: Any, X: Any) -> np.ndarray:
    """Predictions, or probabilities of all classes of the table."""
    if case.is_regression:
        return np.asarray(model.predict(X))
    proba = np.zeros((X.shape[0], case.n_classes))
    proba[:, np.asarray(model.classes_, int)] = model.predict_proba(X)
    return proba


# ------------------------------------------------------------------------------------------ peers


def linear(case: Case, penalties: np.ndarray) -> np.ndarray:
    """Ridge or logistic regression on the columns."""
    from sklearn.linear_model import LogisticRegression, RidgeCV

    model = RidgeCV(penalties) if case.is_regression else LogisticRegression(max_iter=2000)
    model.fit(case.X[case.rows], case.table.y[case.rows])
    return outputs(case, model, case.X[case.test])


def fit_lightgbm(
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


def lightgbm(case: Case, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """LightGBM with the group as a category; its rounds are chosen on the last rows."""
    Z = np.column_stack([case.table.groups, case.X])
    model = fit_lightgbm(case, Z, case.table.y, first, last, categorical_feature=[0])
    return outputs(case, model, Z[case.test])


def independent_columns(case: Case) -> np.ndarray:
    """Columns that vary and are not linear combinations of others, and ones."""
    from scipy.linalg import qr

    varying = case.X[:, case.X[case.rows].std(0) > 1e-9]
    X = np.column_stack([np.ones(len(varying)), varying])
    known = X[case.rows]
    r, pivots = qr(known / np.linalg.norm(known, axis=0), mode="r", pivoting=True)
    rank = int((abs(np.diag(r)) > 1e-8).sum())
    return np.asarray(X[:, np.sort(pivots[:rank])])


def mixed_lm(case: Case, effects: np.ndarray) -> np.ndarray | None:
    """The model of statsmodels with random effects (n, k); regressions only."""
    import statsmodels.api as sm

    if not case.is_regression:
        return None
    X, y, groups, rows = independent_columns(case), case.table.y, case.table.groups, case.rows
    scale, none = y[rows].std(), np.zeros(effects.shape[1])
    try:
        model = sm.MixedLM(y[rows] / scale, X[rows], groups[rows], effects[rows])
        fitted = model.fit(reml=True)
        learned = {g: np.asarray(v) for g, v in fitted.random_effects.items()}
    except (np.linalg.LinAlgError, ValueError):  # A variance of 0 makes its matrices singular.
        return None
    own = np.array([learned.get(g, none) for g in groups[case.test]])
    fixed = X[case.test] @ fitted.fe_params
    return np.asarray(scale * (fixed + (own * effects[case.test]).sum(1)))


def gp_linear(case: Case, slopes: np.ndarray | None = None) -> np.ndarray:
    """GPBoost's mixed model with random intercepts, and slopes of columns (n, k)."""
    X, rows, groups = independent_columns(case), case.rows, case.table.groups
    own, at = {}, {}
    if slopes is not None:
        own = {"ind_effect_group_rand_coef": [1] * slopes.shape[1]}
        own["group_rand_coef_data"] = slopes[rows]
        at = {"group_rand_coef_data_pred": slopes[case.test]}

    def predict(k: int, target: np.ndarray) -> np.ndarray:
        model = _gp_model(case, groups[rows], **own)
        model.fit(y=target, X=X[rows])
        return model.predict(
            group_data_pred=groups[case.test], X_pred=X[case.test], predict_response=True, **at
        )["mu"]

    return _gp_outputs(case, predict)


def gp_trees(
    case: Case, cases_of_folds: np.ndarray, folds: Callable, chosen: dict[int, int] | None = None
) -> np.ndarray:
    """GPBoost's trees with random intercepts; rounds are chosen by folds of some of the rows.

    Parameters
    ----------
    case : Case
        The case.
    cases_of_folds : ndarray of int
        Positions, among the rows to learn from, of those that are divided into folds.
    folds : callable
        Given the numbers of these rows, returns pairs of positions among them.
    chosen : dict of int to int, optional
        Rounds by class, chosen before; those of other classes are added.
    """
    import gpboost as gpb

    X, groups = case.X[case.rows], case.table.groups[case.rows]
    settings = {"learning_rate": 0.1, "verbose": -1, "num_threads": 1}
    settings["objective"] = "regression" if case.is_regression else "binary"
    metric = {"metric": "l2" if case.is_regression else "binary_logloss"}
    chosen = {} if chosen is None else chosen

    def predict(k: int, target: np.ndarray) -> np.ndarray:
        if k not in chosen:
            some = cases_of_folds
            tried = gpb.cv(
                settings | metric,
                gpb.Dataset(X[some], target[some]),
                gp_model=_gp_model(case, groups[some]),
                num_boost_round=MOST_ROUNDS,
                early_stopping_rounds=10,
                folds=folds(case.rows[some]),
                verbose_eval=False,
            )
            chosen[k] = len(next(v for n, v in tried.items() if n.endswith("-mean")))
        trees = gpb.train(
            settings,
            gpb.Dataset(X, target),
            gp_model=_gp_model(case, groups),
            num_boost_round=chosen[k],
        )
        at = {"data": case.X[case.test], "group_data_pred": case.table.groups[case.test]}
        return np.asarray(trees.predict(**at, pred_latent=False)["response_mean"])

    return _gp_outputs(case, predict)


def _gp_model(case: Case, groups: np.ndarray, **slopes: Any) -> Any:
    import gpboost as gpb

    likelihood = "gaussian" if case.is_regression else "bernoulli_logit"
    return gpb.GPModel(group_data=groups, likelihood=likelihood, num_parallel_threads=1, **slopes)


def _gp_outputs(case: Case, predict: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """Predict the targets, or each class against the others."""
    y = case.table.y[case.rows]
    if case.is_regression:
        return np.asarray(y.std() * predict(0, y / y.std()))
    if case.n_classes == 2:
        p = predict(0, y.astype(float))
        return np.column_stack([1 - p, p])
    p = np.column_stack([predict(c, (y == c).astype(float)) for c in range(case.n_classes)])
    return np.asarray(p / p.sum(1, keepdims=True))


# ------------------------------------------------------------------------------------ the package

Predictions = dict[str, tuple[Prediction, float]]


def predict_grouped(
    cases: dict[str, Case], with_order: bool = True, **settings: Any
) -> Predictions:
    """GroupedRegressor or GroupedClassifier, fitted once for the same rows; with seconds."""
    from skmeta import GroupedClassifier, GroupedRegressor

    predictions, fitted = {}, {}
    for regime, case in cases.items():
        began = time.process_time()
        X, y = case.table.X.assign(group=[f"g{g}" for g in case.table.groups]), case.table.y
        key = case.train.tobytes()
        if key not in fitted:
            kind = GroupedRegressor if case.is_regression else GroupedClassifier
            model = kind("group", order=case.time if with_order else None, **settings)
            fitted[key] = model.fit(X.iloc[case.train], y[case.train])
        model = fitted[key]
        if len(case.few):
            model = copy.deepcopy(model).partial_fit(X.iloc[case.few], y[case.few])
        at = X.iloc[case.test]
        interval = model.predict_quantiles(at, (0.05, 0.95)) if case.is_regression else None
        prediction = Prediction(outputs(case, model, at), interval)
        predictions[regime] = prediction, time.process_time() - began
    return predictions


def predict_peer(peer: Peer, cases: dict[str, Case]) -> Predictions:
    """A peer, fitted anew for each case; with seconds."""
    predictions = {}
    for regime, case in cases.items():
        began = time.process_time()
        predicted = peer(case)
        if predicted is not None:
            predictions[regime] = Prediction(predicted), time.process_time() - began
    return predictions


# ---------------------------------------------------------------------------------------- results


def line_of(cell: tuple, cases: dict[str, Case], predictions: Predictions) -> dict | None:
    """Return the line of results of a table, a division and a method; None without predictions."""
    error, seconds, covered = {}, {}, {}
    for regime, (prediction, taken) in predictions.items():
        case = cases[regime]
        y = case.table.y[case.test]
        error[regime], seconds[regime] = round(loss(case, y, prediction.y), 5), round(taken, 2)
        if prediction.interval is not None:
            low, high = prediction.interval.T
            covered[regime] = round(float(np.mean((y >= low) & (y <= high))), 4)
    if not error:
        return None
    task = next(iter(cases.values())).table.task
    return {"cell": cell, "task": task, "error": error, "seconds": seconds, "covered": covered}


def add_options(parser: argparse.ArgumentParser, methods: list[str], results: Path) -> None:
    """Add the options that both comparisons have."""
    parser.add_argument("--methods", nargs="+", choices=methods, default=methods)
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--results", type=Path, default=results)


def run_all(options: argparse.Namespace, names: list[str], run: Callable) -> None:
    """Run the methods on the tables, where there is no line yet."""
    seeds = range(options.splits)
    cells = [(name, seed, method) for seed in seeds for name in names for method in options.methods]
    run_cells(cells, run, options.results, options.minutes)
