"""What each mechanism of the rooms of tables buys: losses without it, on small development tables.

    SKMETA_DATA=... python -m benchmarks.measure.ablations --mechanisms "scales of groups"
    SKMETA_DATA=... python -m benchmarks.measure.ablations --had "models of single columns"
    python -m benchmarks.measure.ablations --summary

``ablations-before.jsonl`` has losses of the code before all members of grouped tables were one
mixture (commit 94580c9b), with mechanisms that are gone since.

A mechanism is switched off by a patch, and all else stays. For what was taken away, ``--had NAME``
at an earlier commit keeps the losses of the code that had it, to compare with those of today.
Tables are those of the development halves of the other benchmarks, cut to whole groups of about 150
rows: with one column of groups, two of them, counts and amounts, rows in time, and small tables
without groups. Each has one division: a third of the rows of each group ("known"), a third of the
groups, of which no row or three rows are known ("new", "new 3"), later rows ("later"), or half of a
small table ("rows").

The loss is the squared error, or the quantile loss of counts and amounts, or the log loss. Ratios
are losses without the mechanism over losses with it; means are geometric, over tables.
"""

from __future__ import annotations

import copy
import importlib
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import joblib
import numpy as np
import pandas as pd

from benchmarks.lib import factor_tables, group_tables, published, time_tables
from benchmarks.lib.resumable import read_lines, read_options, run_cells
from benchmarks.measure import published_models, raw_tables, targets
from skmeta._tabular import DECILES, quantile_loss

RESULTS = Path(__file__).parents[1] / "results" / "ablations.jsonl"
N_ROWS, N_SMALL = 150, 5
HAD = "had "
LEVELS = np.concatenate([[0.05], DECILES, [0.95]])


class Given(NamedTuple):
    """A table, its columns of groups and of time, and the divisions by regime."""

    X: pd.DataFrame
    y: np.ndarray
    factors: list[str]
    order: str | None
    is_regression: bool
    divisions: dict[str, group_tables.Division]


# ---------------------------------------------------------------------------------------- tables


def _of_groups(X: pd.DataFrame, y: np.ndarray, codes: np.ndarray, name: str, kind: str) -> Given:
    """Cut a table to whole groups of the first column (n, F), and divide it."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    order = rng.permutation(codes[:, 0].max() + 1)
    sizes = np.cumsum(np.bincount(codes[:, 0])[order])
    groups = order[: max(int(np.searchsorted(sizes, N_ROWS)), 8)]
    rows = np.flatnonzero(np.isin(codes[:, 0], groups))
    rows = np.sort(rng.permutation(rows)[: 2 * N_ROWS])
    X = X.iloc[rows].reset_index(drop=True)
    factors = [f"group {f}" for f in range(codes.shape[1])]
    for f, factor in enumerate(factors):
        X[factor] = [f"g{code}" for code in codes[rows, f]]
    table = published.Published(name, kind, X, y[rows], factors, "", rows)
    first = {regime: each[0] for regime, each in published_models.divide(table).items()}
    return Given(X, y[rows], factors, None, kind == "continuous", first)


def one_column(name: str) -> Given:
    table = group_tables.load(name)
    kind = "continuous" if table.task == "regression" else "binary"
    return _of_groups(table.X, table.y, table.groups[:, None], name, kind)


def two_columns(name: str) -> Given:
    table = factor_tables.load(name)
    return _of_groups(table.X, table.y, table.codes, name, "continuous")


def counts(name: str) -> Given:
    table = targets.load(name)
    return _of_groups(table.X, table.y, table.groups[:, None], name, "continuous")


def in_time(name: str) -> Given:
    given = time_tables.load(name)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    order = rng.permutation(given.table.groups.max() + 1)
    sizes = np.cumsum(np.bincount(given.table.groups)[order])
    kept = np.isin(given.table.groups, order[: max(int(np.searchsorted(sizes, N_ROWS)), 8)])
    groups = np.unique(given.table.groups[kept], return_inverse=True)[1]
    X, y = given.table.X[kept].reset_index(drop=True), given.table.y[kept]
    table = given.table._replace(X=X, y=y, groups=groups)
    cut = given._replace(table=table, times=given.times[kept])
    divisions = {
        regime: group_tables.Division(*time_tables.divide(cut, regime, 0))
        for regime in ("later", "new")
    }
    X = X.assign(**{"group 0": [f"g{g}" for g in groups]})
    return Given(X, y, ["group 0"], given.time, True, divisions)


def _small(kind: str, n_rows: int) -> Callable[[str], Given]:
    def load(name: str) -> Given:
        X, y = raw_tables.load(kind, name)
        rows = np.random.default_rng(zlib.crc32(name.encode())).permutation(len(y))[:n_rows]
        half = len(rows) // 2
        division = group_tables.Division(rows[:half], rows[:0], rows[half:])
        return Given(X, y, [], None, kind == "regression", {"rows": division})

    return load


def _development(names: Any, half_of: Callable[[str], str]) -> list[str]:
    return [name for name in names if half_of(name) == "development"]


def table_sets() -> dict[str, tuple[Callable[[str], Given], list[str]]]:
    """Return how tables of each set are loaded, and their names."""
    small = {
        kind: raw_tables.sets(kind)[:: len(raw_tables.sets(kind)) // N_SMALL][:N_SMALL]
        for kind in ("regression", "classification")
    }
    return {
        "one column": (
            one_column,
            _development(group_tables.table_names(), group_tables.half_of)[::2],
        ),
        "two columns": (
            two_columns,
            _development(factor_tables.TABLES, factor_tables.half_of)[1::5],
        ),
        "counts": (counts, _development(targets.TABLES, group_tables.half_of)[::3]),
        "time": (in_time, list(time_tables.FIRST)[::4]),
        "regression": (_small("regression", N_ROWS), small["regression"]),
        "classification": (_small("classification", N_ROWS), small["classification"]),
        "regression, 250 rows": (_small("regression", 500), small["regression"]),
        "classification, 250 rows": (_small("classification", 500), small["classification"]),
    }


# ------------------------------------------------------------------------------------ mechanisms


class Mechanism(NamedTuple):
    """How a mechanism is switched off, on which sets of tables, and its lines of code."""

    off: Callable[[], AbstractContextManager[Any]]
    sets: tuple[str, ...]
    lines: int = 0


def _set(*places: str, **values: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return a patch of names in modules of the package, such as ``grouped._fit``."""

    @contextmanager
    def patched() -> Iterator[None]:
        with ExitStack() as stack:
            for place in places:
                for name, value in values.items():
                    stack.enter_context(patch(f"skmeta.{place}.{name}", value))
            yield

    return patched


def _without_members(*left_out: str) -> Callable[[], AbstractContextManager[Any]]:
    """Return a patch that leaves members of grouped tables out."""

    def off() -> AbstractContextManager[Any]:
        from skmeta.grouped import _fit

        name_all = _fit.names_of_members

        def name_rest(*given: Any) -> list[str]:
            return [name for name in name_all(*given) if name not in left_out]

        return patch.object(_fit, "names_of_members", name_rest)

    return off


def _without_model(name: str) -> Callable[[], AbstractContextManager[Any]]:
    """Return a patch that leaves a model of small tables out."""

    def off() -> AbstractContextManager[Any]:
        from skmeta.few_shot import _members

        choose = _members._choose_members
        return patch.object(
            _members,
            "_choose_members",
            lambda *given: {key: fit for key, fit in choose(*given).items() if key != name},
        )

    return off


def _without_beliefs() -> AbstractContextManager[Any]:
    from skmeta._tabular import _weights

    find = _weights.find_level

    def find_by_losses(*given: Any) -> Any:
        return find(*given[:-1], np.ones(len(given[-1])))

    return patch.object(_weights, "find_level", find_by_losses)


def _moved(
    quantiles: np.ndarray, mean: np.ndarray, spread: float, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move and narrow distributions, in place of reshaping them."""
    from skmeta._tabular import LEVELS as KNOTS

    moved = mean[:, None] + spread * (quantiles - quantiles.mean(1, keepdims=True))
    return moved.std(1), np.stack([np.interp(levels, KNOTS, row) for row in moved])


def _without_in_time(*left_out: str) -> Callable[[], AbstractContextManager[Any]]:
    """Return a patch that gives members of tables in time no weight."""

    def off() -> AbstractContextManager[Any]:
        from skmeta.grouped.longitudinal import _model, _weights

        weigh, complete, names = _weights.average_weights, _model.Members.complete, list[str]()

        def complete_and_name(members: Any, outputs: dict[str, Any], *rest: Any) -> Any:
            names[:] = [*outputs, _model.TREES]
            return complete(members, outputs, *rest)

        def weigh_rest(*given: Any, **settings: Any) -> np.ndarray:
            weights = weigh(*given, **settings) * [name not in left_out for name in names]
            return np.asarray(weights / weights.sum(-1, keepdims=True))

        stack = ExitStack()
        stack.enter_context(patch.object(_weights, "average_weights", weigh_rest))
        stack.enter_context(patch.object(_model.Members, "complete", complete_and_name))
        return stack

    return off


def _without_season_tests() -> AbstractContextManager[Any]:
    from skmeta.grouped import _fit

    learn = _fit.learn_calendar

    def only_dates(times: Any, y: Any, codes: Any, season: Any, is_date: bool, *units: Any) -> Any:
        return learn(times, y, codes, season if is_date else None, is_date, *units)

    return patch.object(_fit, "learn_calendar", only_dates)


GROUPED = ("one column", "two columns", "counts", "time")
SMALL = ("regression", "classification", "regression, 250 rows", "classification, 250 rows")
MECHANISMS: dict[str, Mechanism] = {
    "none": Mechanism(nullcontext, (*GROUPED, *SMALL)),
    # Grouped tables.
    "scales of groups": Mechanism(
        _set("grouped._fit", residual_scales=lambda *_: None), ("one column", "counts"), 40
    ),
    "choice of the scale: logarithm": Mechanism(
        _set("grouped._target_scale", choose_scale=lambda *given: given[-1][-1]), ("counts",), 95
    ),
    "prior of the share of known targets": Mechanism(
        _set("_tabular._units", _N_OF_PRIOR=0.0), ("counts",), 5
    ),
    "model of counts": Mechanism(_set("grouped._fit", _MAX_COUNTS=0), ("counts",), 55),
    "powers of probabilities": Mechanism(
        _set("_tabular._weights", find_slope=lambda *_: 1.0), ("one column",), 25
    ),
    "beliefs in members": Mechanism(_without_beliefs, GROUPED[:3], 5),
    "trees on the learner": Mechanism(_without_members("trees"), GROUPED[:3], 30),
    "trees that know the group": Mechanism(_without_members("rows"), GROUPED[:3], 30),
    "both kinds of trees beside the learner": Mechanism(
        _without_members("trees", "rows"), GROUPED[:3], 75
    ),
    "process": Mechanism(_without_members("process"), GROUPED[:3]),
    "table prior": Mechanism(_without_members("prior"), GROUPED[:3]),
    "process and table prior": Mechanism(_without_members("process", "prior"), GROUPED[:3]),
    "randomised trees": Mechanism(_set("_tabular._population", _MAX_RANDOMISED=0), GROUPED[:3], 40),
    "linear share for rare classes": Mechanism(
        _set("_tabular._population", _RARE=0.0), ("one column",), 75
    ),
    "effects of pairs": Mechanism(
        _set("grouped.members._crossed", _MAX_PAIRS=0.0), ("two columns",), 30
    ),
    # Rows in time.
    "trees on the last value": Mechanism(
        _without_in_time("trees on the last value"), ("time",), 100
    ),
    "last value": Mechanism(_without_in_time("last value"), ("time",)),
    "group effects in time": Mechanism(_without_in_time("group effects"), ("time",), 50),
    "exponential smoothing": Mechanism(_without_in_time("exponential smoothing"), ("time",), 60),
    "last value of the phase": Mechanism(
        _without_in_time("last value of the phase"), ("time",), 15
    ),
    "curves": Mechanism(_without_in_time("slopes", "slopes of logarithms"), ("time",)),
    "slopes around curves": Mechanism(
        _without_in_time("slopes around a curve", "slopes around a curve of logarithms"),
        ("time",),
        20,
    ),
    "curves of logarithms": Mechanism(
        _without_in_time("slopes of logarithms", "slopes around a curve of logarithms"),
        ("time",),
        20,
    ),
    "tests for seasons in whole numbers": Mechanism(_without_season_tests, ("time",), 110),
    # Small tables.
    "indicators of categories": Mechanism(
        _set("_tabular.table_prior._prior", choose_indicators=lambda *_: None), SMALL, 45
    ),
    "belief in shares": Mechanism(_set("few_shot._members", _N_OF_PRIOR=0.0), SMALL, 5),
    "reshaped distributions": Mechanism(
        _set("few_shot._members", reshape_distributions=_moved), SMALL[::2], 40
    ),
    "boosting beside the prior": Mechanism(_without_model("boosting"), SMALL[2:], 30),
    "forest beside the prior": Mechanism(_without_model("forest"), SMALL[3:], 15),
    "ridge beside the prior": Mechanism(_without_model("ridge"), SMALL[3:], 60),
}

# What is fitted for one mechanism is not fitted again for another: by what was given.
_FITS: dict[str, Any] = {}
_FITTERS = {
    "_tabular._population": ("fit_population",),
    "grouped.members._trees": ("fit_population",),
    "grouped._fit": ("fit_population",),
    "grouped.longitudinal._effects": ("fit_population",),
    "grouped.members._group_effects": ("fit_groups",),
    "grouped.members._crossed": ("fit",),
    "grouped.members._row_models": ("fit_process",),
    "few_shot._members": ("fit_process", "fit_forest", "fit_boosting", "fit_ridge"),
}


def _remembering() -> AbstractContextManager[Any]:
    """Return a patch with which a fit to the same values is done once."""
    stack = ExitStack()
    for place, names in _FITTERS.items():
        module = importlib.import_module(f"skmeta.{place}")
        for name in names:
            stack.enter_context(patch.object(module, name, _remembered(getattr(module, name))))
    return stack


def _remembered(fit: Callable[..., Any]) -> Callable[..., Any]:
    def again(*args: Any, **kwargs: Any) -> Any:
        switches = vars(importlib.import_module("skmeta._tabular._population"))
        key = joblib.hash([fit.__qualname__, _plain((args, kwargs)), switches["_RARE"]])
        key = f"{key} {switches['_MAX_RANDOMISED']}"
        if key not in _FITS:
            _FITS[key] = fit(*args, **kwargs)
        return _FITS[key]

    return again


def _plain(value: Any) -> Any:
    """Return a value without functions, which have no content to compare."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return [(key, _plain(one)) for key, one in value.items()]
    return None if callable(value) and not hasattr(value, "get_params") else value


# ---------------------------------------------------------------------------------------- losses


_LAST: list[str] = []


def run(cell: tuple[str, str, str]) -> dict[str, Any]:
    """Return the losses of a table with a mechanism switched off."""
    mechanism, kind, name = cell
    load, _ = table_sets()[kind]
    given = load(name)
    line: dict[str, Any] = {"cell": cell, "loss": {}, "quantiles": {}, "seconds": 0.0}
    fitted: dict[bytes, Any] = {}
    off = MECHANISMS[mechanism].off if mechanism in MECHANISMS else nullcontext
    if [kind, name] != _LAST:
        _FITS.clear()
        _LAST[:] = [kind, name]
    with _remembering(), off():
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

    family = "Grouped" if given.factors else "MetaFewShot"
    kind = getattr(skmeta, family + ("Regressor" if given.is_regression else "Classifier"))
    settings: dict[str, Any] = {}
    if given.factors:
        settings["groups"] = given.factors if len(given.factors) > 1 else given.factors[0]
        settings["order"] = given.order
    return kind(**settings).fit(given.X.iloc[rows], given.y[rows])


def _losses(
    given: Given, model: Any, division: group_tables.Division
) -> tuple[float, float | None]:
    """Return the squared error or log loss over that of known rows, and the quantile loss."""
    X, y = given.X.iloc[division.test], given.y[division.test]
    if not given.is_regression:
        proba = np.full((len(y), int(given.y.max()) + 1), 1e-3)
        proba[:, np.asarray(model.classes_, int)] = np.maximum(model.predict_proba(X), 1e-3)
        proba /= proba.sum(1, keepdims=True)
        return float(-np.log(proba[np.arange(len(y)), y.astype(int)]).mean()), None
    known = given.y[division.rows]
    mean_error = np.mean((known.mean() - y) ** 2)
    error = np.mean((model.predict(X) - y) ** 2) / max(mean_error, 1e-300)
    nothing = quantile_loss(y, np.tile(np.quantile(known, LEVELS), (len(y), 1)), LEVELS).mean()
    loss = quantile_loss(y, model.predict_quantiles(X, LEVELS), LEVELS).mean()
    return float(error), float(loss / max(nothing, 1e-300))


# --------------------------------------------------------------------------------------- summary


def summary(path: Path = RESULTS) -> pd.DataFrame:
    """Return one row per mechanism, set and regime: changes in % without it."""
    lines = {tuple(line["cell"]): line for line in read_lines(path)}
    rows = []
    for (mechanism, kind, name), line in lines.items():
        base = lines.get(("none", kind, name))
        if mechanism == "none" or base is None:
            continue
        for measure in ("loss", "quantiles"):
            for regime, value in line[measure].items():
                ratio = np.log(max(value, 1e-4) / max(base[measure][regime], 1e-4))
                ratio = -ratio if mechanism.startswith(HAD) else ratio
                rows.append((mechanism.removeprefix(HAD), kind, regime, measure, name, ratio))
    columns = ["mechanism", "tables", "regime", "measure", "table", "change"]
    frame = pd.DataFrame(rows, columns=columns)
    rows = []
    for key, part in frame.groupby(columns[:4], sort=False):
        each = part.set_index("table")["change"]
        error = each.std() / np.sqrt(len(each)) if len(each) > 1 else np.nan
        changes = 100 * np.expm1([each.mean(), each.max(), each.min()])
        rows.append((*key, len(each), *changes, 100 * error, each.idxmax()))
    names = ["n", "mean %", "worst %", "best %", "error", "worst table"]
    return pd.DataFrame(rows, columns=[*columns[:4], *names])


def lines_of(mechanism: str) -> int:
    """Return the lines of code of a mechanism; 0 if they were not counted."""
    return MECHANISMS[mechanism].lines if mechanism in MECHANISMS else 0


def main() -> None:
    options = read_options(
        __doc__,
        mechanisms=[*MECHANISMS],
        had=str,  # a mechanism that the code of this commit still has
        sets=[*GROUPED, *SMALL],
        minutes=600.0,
        summary=False,
    )
    if options.summary:
        print(summary().round(2).to_string(index=False))
        return
    sets = table_sets()
    chosen = {name: MECHANISMS[name].sets for name in ("none", *options.mechanisms)}
    if options.had:
        chosen = {HAD + options.had: MECHANISMS["none"].sets}
    cells = [
        (mechanism, kind, name)
        for kind in options.sets
        for name in sets[kind][1]
        for mechanism, kinds in chosen.items()
        if kind in kinds
    ]
    run_cells(cells, run, RESULTS, options.minutes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
