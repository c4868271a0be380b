"""Grouped tables: known groups, new groups with a few rows, and new groups without any.

    SKMETA_DATA=... python -m benchmarks.measure.grouped --methods grouped boosted_target
    python -m benchmarks.measure.grouped --summary
    SKMETA_DATA=... python -m benchmarks.measure.grouped --time     # later rows, in time
    python -m benchmarks.measure.grouped --factors                  # two columns of groups

Regimes of each of the 20 tables of ``groupbench`` and of the older grouped tables:

``known``  30 % of the rows of each group are held out, up to 3,000 of them;
``new``    a third of the groups of 15 rows or more (of ChickWeight: 12) is held out. Of up to 25 of
           them, 0, 1, 5 or 10 rows are known, at random, and up to 100 others are predicted, the
           same ones for each number.

Regimes and tables of ``--time`` are those of ``lib/time_tables.py``; all methods have the column of
time. Tables of ``--factors`` (``lib/factor_tables.py``) have two columns of groups: held out are
rows of known groups, groups of one column with 0 to 10 known rows, and groups of both. Each peer is
fitted again with the known rows of new groups. GroupedRegressor and GroupedClassifier are fitted
once without them, and get them by ``partial_fit``. Peers get encoded columns (one-hot, medians,
indicators); rounds and penalties are chosen within the rows to learn from, in time on the last
fifth of those of each group.

Errors are squared errors over the variance of all targets of the table, or log losses of
probabilities not below 0.001. Settings are chosen on tables of the development half. Each result is
a line of ``results/grouped.jsonl``, ``grouped_time.jsonl`` or ``grouped_factors.jsonl``.
"""

import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.lib import factor_peers, factor_tables, group_peers, group_tables, time_tables
from benchmarks.lib.group_peers import Case, Peer, Predictions, predict_grouped
from benchmarks.lib.resumable import RESULTS, read_lines, read_options, run_cells

SHOTS = (0, 1, 5, 10)
FEWEST_ROWS, MAX_GROUPS, MAX_QUERIES, MAX_KNOWN_QUERIES = 15, 25, 100, 3000
OWN = {
    "grouped": predict_grouped,
    # Not told which column is time.
    "grouped_unordered": partial(predict_grouped, with_order=False),
}


def make_cases(name: str, seed: int) -> dict[str, Case]:
    """Return the cases of a division of a table, by regime."""
    table = group_tables.load(name)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    groups, sizes = table.groups, np.bincount(table.groups)
    ranks = group_tables.rank_in_groups(groups, rng)
    is_test = ranks < np.round(0.3 * sizes[groups])
    test = rng.permutation(np.flatnonzero(is_test))[:MAX_KNOWN_QUERIES]
    none = np.empty(0, int)
    cases = {"known": Case(table, np.flatnonzero(~is_test), none, test)}
    fewest = min(FEWEST_ROWS, sizes.max())
    large = rng.permutation(np.flatnonzero(sizes >= fewest))
    held_out = large[: round(len(large) / 3)]
    train = np.flatnonzero(~np.isin(groups, held_out))
    is_tested = np.isin(groups, held_out[:MAX_GROUPS])
    most = max(SHOTS)
    test = np.flatnonzero(is_tested & (ranks >= most) & (ranks < most + MAX_QUERIES))
    for k in SHOTS:
        cases[f"new {k}"] = Case(table, train, np.flatnonzero(is_tested & (ranks < k)), test)
    return cases


def make_cases_in_time(name: str, seed: int) -> dict[str, Case]:
    """Return the cases of a division of a table in time, by regime."""
    given = time_tables.load(name)
    return {
        regime: Case(given.table, *time_tables.divide(given, regime, seed), given.time, given.times)
        for regime in ("later", "new")
    }


class Kind(NamedTuple):
    """A kind of tables, their cases, peers, and our estimators."""

    tables: Any
    make_cases: Callable[[str, int], dict[str, Case]]
    peers: dict[str, Peer]
    own: dict[str, Callable[[dict[str, Case]], Predictions]]


KINDS = {
    "": Kind(group_tables, make_cases, group_peers.PEERS, {"grouped": predict_grouped}),
    "_time": Kind(time_tables, make_cases_in_time, group_peers.PEERS_IN_TIME, OWN),
    "_factors": Kind(factor_tables, factor_peers.make_cases, factor_peers.PEERS, factor_peers.OWN),
}


def run(cell: tuple[str, int, str], kind: Kind) -> dict[str, Any] | None:
    """Return the line of a table, a division and a method; None without predictions."""
    name, seed, method = cell
    cases = kind.make_cases(name, seed)
    if method in kind.own:
        predictions: Predictions = kind.own[method](cases)
    else:
        predictions = group_peers.predict_peer(kind.peers[method], cases)
    error, seconds, covered = {}, {}, {}
    for regime, (prediction, taken) in predictions.items():
        case = cases[regime]
        y = case.table.y[case.test]
        error[regime] = round(group_peers.loss(case, y, prediction.y), 5)
        seconds[regime] = round(taken, 2)
        if prediction.interval is not None:
            low, high = prediction.interval.T
            covered[regime] = round(float(np.mean((y >= low) & (y <= high))), 4)
    task = next(iter(cases.values())).table.task
    line = {"cell": cell, "task": task, "error": error, "seconds": seconds, "covered": covered}
    return line if error else None


def read(path: Path, splits: int, is_shown: Callable[[str], bool]) -> pd.DataFrame:
    """Return one row for each table, method and regime that has all splits: means over them."""
    rows = [
        (line["task"], name, method, regime, value, line.get("covered", {}).get(regime))
        for line in read_lines(path)
        for name, seed, method in [line["cell"]]
        if seed < splits and is_shown(name)
        for regime, value in line["error"].items()
    ]
    columns = ["task", "table", "method", "regime", "error", "covered"]
    frame = pd.DataFrame(rows, columns=columns).astype({"covered": float})
    cells = frame.groupby(columns[:4])
    cells = cells.filter(lambda each: len(each) == splits).groupby(columns[:4], as_index=False)
    return cells.mean(numeric_only=True)


def summarise(results: pd.DataFrame) -> None:
    """Print mean errors, and ratios to the best method of each table.

    A method without a result on a table has the largest error of it.
    """
    for (task, regime), chosen in results.groupby(["task", "regime"], sort=False):
        table = chosen.pivot(index="table", columns="method", values="error")
        table = table.apply(lambda row: row.fillna(row.max()), axis=1)
        ratios = table.div(table.min(axis=1), axis=0)
        shown = pd.DataFrame({"mean": table.mean(), "over best": np.exp(np.log(ratios).mean())})
        shown["worst over best"] = ratios.max()
        shown["covered"] = chosen.groupby("method")["covered"].mean()
        print(f"\n{task}, {regime}, {len(table)} tables\n{shown.round(3).to_string()}")


def main() -> None:
    given = {"time": False, "factors": False, "methods": [], "sets": [], "splits": 1}
    given |= {"half": ("both", "development", "report", "reserve"), "minutes": 600.0}
    options = read_options(__doc__, **given, summary=False, results=Path)
    suffix = "_time" * options.time + "_factors" * options.factors
    kind = KINDS[suffix]
    path = options.results or RESULTS / f"grouped{suffix}.jsonl"
    halves = ("development", "report") if options.half == "both" else (options.half,)

    def is_shown(name: str) -> bool:
        return kind.tables.half_of(name) in halves

    if options.summary:
        summarise(read(path, options.splits, is_shown))
        return
    cells = [
        (name, seed, method)
        for seed in range(options.splits)
        for name in options.sets or filter(is_shown, kind.tables.table_names())
        for method in options.methods or [*kind.peers, *kind.own]
    ]
    run_cells(cells, partial(run, kind=kind), path, options.minutes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
