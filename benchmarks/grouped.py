"""Grouped tables: known groups, new groups with a few rows, and new groups without any.

    SKMETA_DATA=... python benchmarks/grouped.py --methods grouped boosted_target
    python benchmarks/grouped.py --summary
    python benchmarks/grouped.py --time ...                 # grouped_time.py: rows in time

Regimes of each of the 20 tables of ``groupbench`` and of the older grouped tables:

``known``  30 % of the rows of each group are held out, up to 3,000 of them;
``new``    a third of the groups of 15 rows or more (of ChickWeight: 12) is held out. Of up to 25 of
           them, 0, 1, 5 or 10 rows are known, at random, and up to 100 others are predicted, the
           same ones for each number.

The known rows are added to the rows to learn from, and each peer is fitted again, so that a new
group is a known one to it. GroupedRegressor and GroupedClassifier are fitted once without them,
and get them by ``partial_fit``. Peers get encoded columns (one-hot, medians, indicators); rounds
and penalties are chosen within the rows to learn from.

Errors are squared errors over the variance of all targets of the table, or log losses of
probabilities not below 0.001. Every second table, by a hash of its name, is there to choose
settings on. Each result is a line of ``results/grouped.jsonl``, and a run goes on after those that
are there.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from group_tables import (
    FEWEST_ROWS,
    LEAST_PROBABILITY,
    Table,
    encode,
    is_development,
    load,
    table_names,
)
from resumable import read_lines, run_cells

RESULTS = Path(__file__).parent / "results" / "grouped.jsonl"
SHOTS = (0, 1, 5, 10)
REGIMES = ("known", *(f"new {k}" for k in SHOTS))
MOST_GROUPS, MOST_QUERIES, MOST_KNOWN_QUERIES, MOST_CODES = 25, 100, 3000, 10
MOST_ROUNDS = 300


class Case(NamedTuple):
    """Rows to learn from, further rows of new groups, and rows to predict."""

    table: Table
    train: np.ndarray
    few: np.ndarray
    test: np.ndarray

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


def make_cases(table: Table, seed: int) -> dict[str, Case]:
    """Return the cases of a division of a table, by regime."""
    rng = np.random.default_rng([seed, zlib.crc32(table.name.encode())])
    groups, sizes = table.groups, np.bincount(table.groups)
    ranks = np.empty(len(groups), int)
    for g in range(len(sizes)):
        rows = np.flatnonzero(groups == g)
        ranks[rows] = rng.permutation(len(rows))
    is_test = ranks < np.round(0.3 * sizes[groups])
    test = rng.permutation(np.flatnonzero(is_test))[:MOST_KNOWN_QUERIES]
    none = np.empty(0, int)
    cases = {"known": Case(table, np.flatnonzero(~is_test), none, test)}
    fewest = min(FEWEST_ROWS, sizes.max())
    large = rng.permutation(np.flatnonzero(sizes >= fewest))
    held_out = large[: round(len(large) / 3)]
    train = np.flatnonzero(~np.isin(groups, held_out))
    is_tested = np.isin(groups, held_out[:MOST_GROUPS])
    most = max(SHOTS)
    test = np.flatnonzero(is_tested & (ranks >= most) & (ranks < most + MOST_QUERIES))
    for k in SHOTS:
        cases[f"new {k}"] = Case(table, train, np.flatnonzero(is_tested & (ranks < k)), test)
    return cases


# ------------------------------------------------------------------------------------------ peers


def _encoded(case: Case) -> tuple[np.ndarray, np.ndarray]:
    X = encode(case.table.X, case.train)
    return X[case.rows], X[case.test]


def _labels(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return case.table.y[case.rows], case.table.groups[case.rows], case.table.groups[case.test]


def _outputs(case: Case, model: Any, X: Any) -> Prediction:
    if case.is_regression:
        return Prediction(np.asarray(model.predict(X)))
    proba = np.zeros((len(case.test), case.n_classes))
    proba[:, np.asarray(model.classes_, int)] = model.predict_proba(X)
    return Prediction(proba)


def pooled(case: Case) -> Prediction:
    """Ridge or logistic regression on all rows."""
    from sklearn.linear_model import LogisticRegression, RidgeCV

    X, at = _encoded(case)
    model = (
        RidgeCV(np.logspace(-3, 4, 22)) if case.is_regression else LogisticRegression(max_iter=2000)
    )
    return _outputs(case, model.fit(X, _labels(case)[0]), at)


def _trees(case: Case, **settings: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor if case.is_regression else HistGradientBoostingClassifier
    return trees(random_state=0, early_stopping=True, **settings)


def boosted(case: Case) -> Prediction:
    """Gradient-boosted trees, without the group."""
    X, at = _encoded(case)
    return _outputs(case, _trees(case).fit(X, _labels(case)[0]), at)


def boosted_target(case: Case) -> Prediction:
    """Gradient-boosted trees, with the group target-encoded."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import TargetEncoder

    X, at = _encoded(case)
    y, groups, at_groups = _labels(case)
    encoder = TargetEncoder(
        random_state=0, target_type="continuous" if case.is_regression else "auto"
    )
    columns = ColumnTransformer([("group", encoder, [0])], remainder="passthrough")
    model = make_pipeline(columns, _trees(case)).fit(np.column_stack([groups, X]), y)
    return _outputs(case, model, np.column_stack([at_groups, at]))


def lightgbm(case: Case) -> Prediction:
    """LightGBM with the group as a category; its rounds are chosen on a seventh of the rows."""
    import lightgbm as lgb
    from sklearn.model_selection import train_test_split

    X, at = _encoded(case)
    y, groups, at_groups = _labels(case)
    Z, at = np.column_stack([groups, X]), np.column_stack([at_groups, at])
    kind = lgb.LGBMRegressor if case.is_regression else lgb.LGBMClassifier
    settings = {"n_jobs": 1, "verbose": -1, "random_state": 0}
    first, rest = train_test_split(
        np.arange(len(y)),
        test_size=1 / 7,
        random_state=0,
        stratify=None if case.is_regression else y,
    )
    model = kind(n_estimators=MOST_ROUNDS, **settings).fit(
        Z[first],
        y[first],
        eval_set=[(Z[rest], y[rest])],
        categorical_feature=[0],
        callbacks=[lgb.early_stopping(20, verbose=False)],
    )
    rounds = max(1, int(model.best_iteration_))
    model = kind(n_estimators=rounds, **settings).fit(Z, y, categorical_feature=[0])
    return _outputs(case, model, at)


def lego(case: Case) -> Prediction:
    """scikit-lego: a ridge or logistic regression per group, shrunken towards that of all rows."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler
    from sklego.meta import HierarchicalClassifier, HierarchicalRegressor

    X, at = _encoded(case)
    y, groups, at_groups = _labels(case)
    scaler = StandardScaler().fit(X)
    frame, at_frame = pd.DataFrame(scaler.transform(X)), pd.DataFrame(scaler.transform(at))
    frame.columns = at_frame.columns = [f"x{k}" for k in range(X.shape[1])]
    frame["group"], at_frame["group"] = groups, at_groups
    settings = {"shrinkage": "min_n_obs", "shrinkage_kwargs": {"min_n_obs": 10}}
    settings["fallback_method"] = "parent"
    if case.is_regression:
        model = HierarchicalRegressor(Ridge(), "group", **settings)
    else:

        class Logistic(LogisticRegression):
            """Has all classes: a row of small weight of each is added to a group's."""

            def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
                X, c = np.asarray(X), case.n_classes
                rows, labels = np.vstack([X, np.tile(X.mean(0), (c, 1))]), np.r_[y, np.arange(c)]
                weight = np.r_[np.ones(len(X)), np.full(c, 0.1)]
                return super().fit(rows, labels, weight)

        model = HierarchicalClassifier(Logistic(max_iter=500), "group", **settings)
    return _outputs(case, model.fit(frame, y), at_frame)


def mixed_lm(case: Case) -> Prediction | None:
    """The random-intercept model of statsmodels; regressions only."""
    import statsmodels.api as sm

    if not case.is_regression:
        return None
    X, at = _encoded(case)
    y, groups, at_groups = _labels(case)
    keep = X.std(0) > 1e-9
    design, scale = sm.add_constant(X[:, keep], has_constant="add"), y.std()
    # Columns that are linear combinations of others have no estimate.
    _, pivots = _independent(design)
    try:
        fitted = sm.MixedLM(y / scale, design[:, pivots], groups).fit(reml=True)
        effects = {g: float(v.iloc[0]) for g, v in fitted.random_effects.items()}
    except (np.linalg.LinAlgError, ValueError):  # A variance of 0 makes its matrices singular.
        return None
    fixed = sm.add_constant(at[:, keep], has_constant="add")[:, pivots] @ fitted.fe_params
    return Prediction(scale * (fixed + np.array([effects.get(g, 0.0) for g in at_groups])))


def _independent(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.linalg import qr

    r, pivots = qr(X / np.linalg.norm(X, axis=0), mode="r", pivoting=True)
    rank = int((abs(np.diag(r)) > 1e-8).sum())
    return r, np.sort(pivots[:rank])


def _gp_targets(case: Case, y: np.ndarray) -> list[np.ndarray]:
    """Targets of the models: one, or one for each of several classes."""
    if case.is_regression:
        return [y]
    if case.n_classes == 2:
        return [y.astype(float)]
    return [(y == c).astype(float) for c in range(case.n_classes)]


def _gp_joined(case: Case, found: list[np.ndarray]) -> Prediction:
    if case.is_regression:
        return Prediction(found[0])
    if len(found) == 1:
        return Prediction(np.column_stack([1 - found[0], found[0]]))
    p = np.column_stack(found)
    return Prediction(p / p.sum(1, keepdims=True))


def _gp_model(case: Case, with_slopes: bool) -> Prediction:
    X, at = _encoded(case)
    y, groups, at_groups = _labels(case)
    keep = X.std(0) > 1e-9
    X, at = X[:, keep], at[:, keep]
    X, at = np.column_stack([np.ones(len(X)), X]), np.column_stack([np.ones(len(at)), at])
    _, pivots = _independent(X)
    X, at = X[:, pivots], at[:, pivots]
    slopes: dict[str, Any] = {}
    within = pd.DataFrame(X).groupby(groups).transform(lambda v: v - v.mean()).var().to_numpy()
    chosen = np.argsort(-within / np.maximum(X.var(0), 1e-12))[:8]
    chosen = chosen[within[chosen] > 1e-6]
    if with_slopes and len(chosen):
        slopes = {
            "group_rand_coef_data": X[:, chosen],
            "ind_effect_group_rand_coef": [1] * len(chosen),
        }
        at_slopes = {"group_rand_coef_data_pred": at[:, chosen]}
    else:
        at_slopes = {}
    found, scale = [], y.std() if case.is_regression else 1.0
    for target in _gp_targets(case, y):
        model = _gp_intercept(case, groups, **slopes)
        model.fit(y=target / scale, X=X)
        of = model.predict(group_data_pred=at_groups, X_pred=at, predict_response=True, **at_slopes)
        found.append(scale * of["mu"])
    return _gp_joined(case, found)


def gp_intercepts(case: Case) -> Prediction:
    """GPBoost's mixed model with random intercepts."""
    return _gp_model(case, with_slopes=False)


def gp_slopes(case: Case) -> Prediction:
    """GPBoost's mixed model with random intercepts and slopes."""
    return _gp_model(case, with_slopes=True)


def gp_boosted(case: Case) -> Prediction:
    """GPBoost's trees with random intercepts; its rounds are chosen over groups."""
    import gpboost as gpb

    X, at = _encoded(case)
    y, groups, at_groups = _labels(case)
    scale, found = (y.std() if case.is_regression else 1.0), []
    settings = {"learning_rate": 0.1, "verbose": -1, "num_threads": 1}
    settings["objective"] = "regression" if case.is_regression else "binary"
    n = len(case.train)
    for k, target in enumerate(_gp_targets(case, y / scale)):
        rounds = _gp_rounds(case, k, settings, X[:n], target[:n], groups[:n])
        effects = _gp_intercept(case, groups)
        trees = gpb.train(
            settings, gpb.Dataset(X, target), gp_model=effects, num_boost_round=rounds
        )
        of = trees.predict(data=at, group_data_pred=at_groups, pred_latent=False)
        found.append(scale * np.asarray(of["response_mean"]))
    return _gp_joined(case, found)


def _gp_intercept(case: Case, groups: np.ndarray, **slopes: Any) -> Any:
    import gpboost as gpb

    likelihood = "gaussian" if case.is_regression else "bernoulli_logit"
    return gpb.GPModel(group_data=groups, likelihood=likelihood, num_parallel_threads=1, **slopes)


_ROUNDS: dict[tuple[str, bytes, int], int] = {}


def _gp_rounds(
    case: Case, k: int, settings: dict, X: np.ndarray, y: np.ndarray, groups: np.ndarray
) -> int:
    """Return the number of rounds, chosen once for all numbers of known rows."""
    import gpboost as gpb
    from sklearn.model_selection import GroupKFold

    key = case.table.name, case.train.tobytes(), k
    if key not in _ROUNDS:
        tried = gpb.cv(
            settings | {"metric": "l2" if case.is_regression else "binary_logloss"},
            gpb.Dataset(X, y),
            gp_model=_gp_intercept(case, groups),
            num_boost_round=MOST_ROUNDS,
            early_stopping_rounds=10,
            folds=list(GroupKFold(4).split(X, y, groups)),
            verbose_eval=False,
        )
        _ROUNDS[key] = len(next(v for n, v in tried.items() if n.endswith("-mean")))
    return _ROUNDS[key]


PEERS = {
    f.__name__: f
    for f in (
        pooled,
        boosted,
        boosted_target,
        lightgbm,
        lego,
        mixed_lm,
        gp_intercepts,
        gp_slopes,
        gp_boosted,
    )
}


# ------------------------------------------------------------------------------------ the package


def grouped(cases: dict[str, Case], **settings: Any) -> dict[str, tuple[Prediction, float]]:
    """GroupedRegressor or GroupedClassifier, with seconds."""
    import copy

    from skmeta import GroupedClassifier, GroupedRegressor

    found, fitted = {}, {}
    for regime, case in cases.items():
        began = time.process_time()
        X = case.table.X.assign(group=[f"g{g}" for g in case.table.groups])
        key = regime.split()[0]
        if key not in fitted:
            kind = GroupedRegressor if case.is_regression else GroupedClassifier
            fitted[key] = kind("group", **settings).fit(
                X.iloc[case.train], case.table.y[case.train]
            )
        model = fitted[key]
        if len(case.few):
            model = copy.deepcopy(model).partial_fit(X.iloc[case.few], case.table.y[case.few])
        at = X.iloc[case.test]
        prediction = _outputs(case, model, at)
        if case.is_regression:
            prediction = prediction._replace(interval=model.predict_quantiles(at, (0.05, 0.95)))
        found[regime] = prediction, time.process_time() - began
    return found


METHODS = (*PEERS, "grouped")


def predict(method: str, cases: dict[str, Case]) -> dict[str, tuple[Prediction, float]]:
    if method == "grouped":
        return grouped(cases)
    found = {}
    for regime, case in cases.items():
        began = time.process_time()
        prediction = PEERS[method](case)
        if prediction is not None:
            found[regime] = prediction, time.process_time() - began
    return found


# ---------------------------------------------------------------------------------------- results


def error(case: Case, prediction: Prediction) -> float:
    y = case.table.y[case.test]
    if case.is_regression:
        return float(np.mean((prediction.y - y) ** 2) / case.table.y.var())
    p = np.clip(prediction.y, LEAST_PROBABILITY, None)
    p = p / p.sum(1, keepdims=True)
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def run(cell: tuple[str, int, str]) -> dict[str, Any] | None:
    name, seed, method = cell
    table = load(name)
    cases = make_cases(table, seed)
    found = predict(method, cases)
    if not found:
        return None
    line: dict[str, Any] = {"cell": cell, "task": table.task, "error": {}, "seconds": {}}
    covered = {}
    for regime, (prediction, seconds) in found.items():
        line["error"][regime] = round(error(cases[regime], prediction), 5)
        line["seconds"][regime] = round(seconds, 2)
        if prediction.interval is not None:
            low, high = prediction.interval.T
            y = table.y[cases[regime].test]
            covered[regime] = round(float(np.mean((y >= low) & (y <= high))), 4)
    return line | ({"covered": covered} if covered else {})


def read(path: Path = RESULTS, splits: int = 1) -> pd.DataFrame:
    """Return one row for each table, method and regime that has all splits: means over them."""
    rows = []
    for line in read_lines(path):
        name, seed, method = line["cell"]
        if seed >= splits:
            continue
        for regime, value in line["error"].items():
            covered = line.get("covered", {}).get(regime, np.nan)
            rows.append(
                (line["task"], name, seed, method, regime, value, line["seconds"][regime], covered)
            )
    columns = ["task", "table", "seed", "method", "regime", "error", "seconds", "covered"]
    found = pd.DataFrame(rows, columns=columns)
    cells = found.groupby(["task", "table", "method", "regime"])
    cells = cells.filter(lambda of_cell: len(of_cell) == splits).groupby(cells.keys, as_index=False)
    return cells.mean(numeric_only=True)


def summarise(found: pd.DataFrame, methods: list[str] | None = None) -> None:
    """Print mean errors, ratios to the best method of each table, and shares within 2 %."""
    for task, of_task in found.groupby("task"):
        for regime in REGIMES:
            table = of_task[of_task["regime"] == regime].pivot(
                index="table", columns="method", values="error"
            )
            if methods:
                table = table[[m for m in methods if m in table]]
            table = table.dropna(axis=1, how="all").dropna()
            if table.empty:
                continue
            best = table.min(axis=1)
            peers = table.drop(columns=[c for c in table if c.startswith("grouped")]).min(axis=1)
            shown = pd.DataFrame(
                {
                    "mean": table.mean(),
                    "over best": np.exp(np.log(table.div(best, axis=0)).mean()),
                    "within 2 %": (table.div(peers, axis=0) <= 1.02).mean(),
                    "rank": table.rank(axis=1).mean(),
                }
            ).sort_values("mean")
            print(f"\n{task}, {regime}, {len(table)} tables\n{shown.round(3).to_string()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--development", action="store_true", help="tables to choose settings on")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.summary:
        summarise(read(arguments.results, arguments.splits))
        return
    names = arguments.sets or table_names()
    if arguments.development:
        names = [name for name in names if is_development(name)]
    splits = range(arguments.splits)
    cells = [(name, seed, m) for seed in splits for name in names for m in arguments.methods]
    run_cells(cells, run, arguments.results, arguments.minutes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if "--time" in sys.argv:
        import grouped_time

        grouped_time.main([word for word in sys.argv[1:] if word != "--time"])
    else:
        main()
