"""Tables of R packages with two columns of groups, for `grouped.py --factors`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.lib.group_tables import half_of
from benchmarks.lib.r_tables import read_raw

__all__ = ["half_of", "load", "table_names"]

# Table of an R package, target, columns of groups, other columns, and a transformation.
TABLES: dict[str, tuple[str, list[str], list[str]]] = {
    # Crossed.
    "dslabs::movielens": ("rating", ["userId", "movieId"], ["year"]),
    "lme4::InstEval": ("y", ["s", "d"], ["studage", "lectage", "service"]),
    "lme4::Penicillin": ("diameter", ["plate", "sample"], []),
    "lme4::cake": ("angle", ["replicate", "recipe"], ["temp"]),
    "nlme::Machines": ("score", ["Worker", "Machine"], []),
    "lattice::barley": ("yield", ["variety", "site"], ["year"]),
    "MASS::coop": ("Conc", ["Lab", "Spc"], ["Bat"]),
    "dslabs::us_contagious_diseases": ("rate", ["state", "disease"], ["year"]),
    "ratdat::surveys": ("weight", ["species_id", "plot_id"], ["sex", "year", "month"]),
    "tidyr::cms_patient_experience": ("prf_rate", ["org_pac_id", "measure_cd"], []),
    "modeldata::lending_club": ("int_rate", ["sub_grade", "addr_state"], ["annual_inc", "term"]),
    "AER::ResumeNames": ("experience", ["name", "industry"], ["gender", "quality", "city"]),
    "AER::OECDGas": ("gas", ["country", "year"], ["income", "price", "cars"]),
    "Ecdat::Males": ("wage", ["industry", "occupation"], ["exper", "school", "union", "maried"]),
    "plm::Produc": ("unemp", ["state", "year"], ["pcap", "pc", "gsp", "emp"]),
    "COUNT::rwm5yr": ("hhninc", ["id", "year"], ["age", "educ", "female", "married"]),
    "carData::Migration": ("migrants", ["source", "destination"], ["distance"]),
    "datasets::occupationalStatus": ("Freq", ["origin", "destination"], []),
    "datasets::crimtab": ("Freq", ["Var1", "Var2"], []),
    "datasets::esoph": ("ncases", ["agegp", "alcgp"], ["tobgp"]),
    "vcd::Suicide": ("Freq", ["age", "method"], ["sex"]),
    "survival::solder": ("skips", ["Mask", "PadType"], ["Opening", "Solder", "Panel"]),
    "ordinal::wine": ("response", ["judge", "bottle"], ["temp", "contact"]),
    "nlme::Oats": ("yield", ["Block", "Variety"], ["nitro"]),
    "nlme::ergoStool": ("effort", ["Subject", "Type"], []),
    "DAAG::appletaste": ("aftertaste", ["panelist", "product"], []),
    "DAAG::tinting": ("csoa", ["id", "tint"], ["it", "target", "agegp"]),
    "reshape2::french_fries": ("potato", ["subject", "treatment"], ["time"]),
    "AER::Fatalities": ("fatal", ["state", "year"], ["beertax", "income", "miles", "unemp"]),
    "AER::Guns": ("violent", ["state", "year"], ["prisoners", "income", "density"]),
    "AER::USSeatBelts": ("fatalities", ["state", "year"], ["miles", "income", "age", "speed65"]),
    "Ecdat::Crime": ("crmrte", ["county", "year"], ["prbarr", "prbconv", "polpc", "density"]),
    "Ecdat::incidents.byCountryYr": ("Freq", ["country_txt", "iyear"], []),
    "tidyr::world_bank_pop": ("2010", ["country", "indicator"], []),
    "fpp2::prisonLF": ("count", ["state", "legal"], ["gender", "t"]),
    "causaldata::organ_donations": ("Rate", ["State", "Quarter"], []),
    "plm::SumHes": ("gdp", ["country", "year"], ["pop", "sr"]),
    "plm::Grunfeld": ("inv", ["firm", "year"], ["value", "capital"]),
    "plm::EmplUK": ("emp", ["firm", "year"], ["wage", "capital", "output"]),
    "plyr::baseball": ("h", ["id", "team"], ["year", "ab"]),
    "wooldridge::airfare": ("fare", ["id", "year"], ["dist", "passen", "concen"]),
    "wooldridge::countymurders": ("murders", ["countyid", "year"], ["popul", "percblack"]),
    "openintro::birds": ("speed", ["atype", "phase_of_flt"], ["height", "sky"]),
    # Nested.
    "plm::RiceFarms": ("goutput", ["region", "id"], ["size", "seed", "urea", "totlabor"]),
    "wooldridge::school93_98": ("math4", ["distid", "schid"], ["lunch", "enrol", "year"]),
    "lme4::Pastes": ("strength", ["batch", "sample"], []),
    "nlme::Wafer": ("current", ["Wafer", "Site"], ["voltage"]),
    "openintro::evals": (
        "score",
        ["prof_id", "rank"],
        ["age", "gender", "bty_avg"],
    ),
}
MAX_ROWS = 1500


class Table(NamedTuple):
    """A regression with columns of groups: codes (n, n_factors)."""

    name: str
    X: pd.DataFrame
    y: np.ndarray
    codes: np.ndarray
    task: str = "regression"


def load(name: str) -> Table:
    target, factors, columns = TABLES[name]
    frame = read_raw(*name.split("::"))
    if name == "dslabs::us_contagious_diseases":
        frame = frame[(frame["weeks_reporting"] > 0) & (frame["year"] % 5 == 0)]
        frame = frame.assign(rate=np.log1p(1e5 * frame["count"] / frame["population"]))
    if name == "nlme::Wafer":
        frame = frame.assign(Site=frame["Wafer"].astype(str) + "/" + frame["Site"].astype(str))
    frame = frame.dropna(subset=[target, *factors])
    # Whole groups of the first column.
    rng, first = np.random.default_rng(0), frame[factors[0]].astype(str)
    order = pd.Series(rng.permutation(first.nunique()), index=sorted(first.unique()))
    rank = first.map(order).to_numpy()
    counts = np.cumsum(np.bincount(rank))
    frame = frame[rank <= max(int(np.searchsorted(counts, MAX_ROWS)), 10)]
    if len(frame) > 2 * MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=0)
    X = frame[columns].reset_index(drop=True)
    X = X.apply(lambda c: c if pd.api.types.is_numeric_dtype(c) else c.astype(object))
    labels = [np.unique(frame[f].astype(str), return_inverse=True)[1] for f in factors]
    return Table(name, X, frame[target].to_numpy(float), np.column_stack(labels))


def table_names() -> list[str]:
    return [*TABLES]
