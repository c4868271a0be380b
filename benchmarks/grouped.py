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
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from group_peers import (
    Case,
    Peer,
    add_options,
    gp_linear,
    gp_trees,
    line_of,
    linear,
    outputs,
    predict_grouped,
    predict_peer,
    run_all,
)
from group_peers import lightgbm as lightgbm_chosen_on
from group_peers import mixed_lm as mixed_lm_with
from group_tables import Table, is_development, load, table_names
from resumable import read_lines

RESULTS = Path(__file__).parent / "results" / "grouped.jsonl"
SHOTS = (0, 1, 5, 10)
REGIMES = ("known", *(f"new {k}" for k in SHOTS))
FEWEST_ROWS, MOST_GROUPS, MOST_QUERIES, MOST_KNOWN_QUERIES = 15, 25, 100, 3000
MOST_SLOPES = 8
PENALTIES = np.logspace(-3, 4, 22)


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


def pooled(case: Case) -> np.ndarray:
    """Ridge or logistic regression on all rows."""
    return linear(case, PENALTIES)


def _trees(case: Case) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor if case.is_regression else HistGradientBoostingClassifier
    return trees(random_state=0, early_stopping=True)


def boosted(case: Case) -> np.ndarray:
    """Gradient-boosted trees, without the group."""
    model = _trees(case).fit(case.X[case.rows], case.table.y[case.rows])
    return outputs(case, model, case.X[case.test])


def boosted_target(case: Case) -> np.ndarray:
    """Gradient-boosted trees, with the group target-encoded."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import TargetEncoder

    target_type = "continuous" if case.is_regression else "auto"
    encoder = TargetEncoder(random_state=0, target_type=target_type)
    columns = ColumnTransformer([("group", encoder, [0])], remainder="passthrough")
    Z = np.column_stack([case.table.groups, case.X])
    model = make_pipeline(columns, _trees(case)).fit(Z[case.rows], case.table.y[case.rows])
    return outputs(case, model, Z[case.test])


def lightgbm(case: Case) -> np.ndarray:
    """LightGBM with the group as a category; its rounds are chosen on a seventh of the rows."""
    from sklearn.model_selection import train_test_split

    labels = None if case.is_regression else case.table.y[case.rows]
    first, last = train_test_split(case.rows, test_size=1 / 7, random_state=0, stratify=labels)
    return lightgbm_chosen_on(case, first, last)


def lego(case: Case) -> np.ndarray:
    """scikit-lego: a ridge or logistic regression per group, shrunken towards that of all rows."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler
    from sklego.meta import HierarchicalClassifier, HierarchicalRegressor

    X, at = case.X[case.rows], case.X[case.test]
    y, groups, at_groups = (
        case.table.y[case.rows],
        case.table.groups[case.rows],
        case.table.groups[case.test],
    )
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
    return outputs(case, model.fit(frame, y), at_frame)


def mixed_lm(case: Case) -> np.ndarray | None:
    """The random-intercept model of statsmodels; regressions only."""
    return mixed_lm_with(case, np.ones((len(case.X), 1)))


def gp_intercepts(case: Case) -> np.ndarray:
    """GPBoost's mixed model with random intercepts."""
    return gp_linear(case)


def gp_slopes(case: Case) -> np.ndarray:
    """GPBoost's mixed model with random intercepts and slopes, of columns that vary in groups."""
    X, groups = case.X[case.rows], case.table.groups[case.rows]
    within = pd.DataFrame(X).groupby(groups).transform(lambda v: v - v.mean()).var().to_numpy()
    chosen = np.argsort(-within / np.maximum(X.var(0), 1e-12))[:MOST_SLOPES]
    chosen = chosen[within[chosen] > 1e-6]
    return gp_linear(case, case.X[:, chosen] if len(chosen) else None)


_ROUNDS: dict[tuple[str, bytes], dict[int, int]] = {}


def gp_boosted(case: Case) -> np.ndarray:
    """GPBoost's trees with random intercepts; rounds are chosen once, over groups to learn from."""
    from sklearn.model_selection import GroupKFold

    def folds(rows: np.ndarray) -> list:
        return list(GroupKFold(4).split(rows, groups=case.table.groups[rows]))

    chosen = _ROUNDS.setdefault((case.table.name, case.train.tobytes()), {})
    return gp_trees(case, np.arange(len(case.train)), folds, chosen)


PEERS: dict[str, Peer] = {
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
METHODS = [*PEERS, "grouped"]


# ---------------------------------------------------------------------------------------- results


def run(cell: tuple[str, int, str]) -> dict[str, Any] | None:
    name, seed, method = cell
    cases = make_cases(load(name), seed)
    own = method == "grouped"
    found = predict_grouped(cases) if own else predict_peer(PEERS[method], cases)
    return line_of(cell, cases, found)


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
    add_options(parser, METHODS, RESULTS)
    parser.add_argument("--development", action="store_true", help="tables to choose settings on")
    arguments = parser.parse_args()
    if arguments.summary:
        summarise(read(arguments.results, arguments.splits))
        return
    names = arguments.sets or table_names()
    if arguments.development:
        names = [name for name in names if is_development(name)]
    run_all(arguments, names, run)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if "--time" in sys.argv:
        import grouped_time

        grouped_time.main([word for word in sys.argv[1:] if word != "--time"])
    else:
        main()
