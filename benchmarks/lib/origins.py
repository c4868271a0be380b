"""Which tabular sets are of the same origin: they must be left out together.

Names that begin alike and are listed by their prefix, and published searches on OpenML tasks,
which are known by number, rows and classes only: those of about the same size count as the same.
"""

import csv
import json
import os
import re
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["HALVES", "features_at_rows", "half_of", "name_at_rows", "origin", "same_origin"]

HALVES = ("first", "second")
# Rows of the searches of make/searches_at_sizes.py.
SIZES = (300, 1_000, 3_000, 10_000, 30_000)
# What `name_at_rows` adds to the name of a table.
ROWS = re.compile(r" \(\d+ rows\)$")
# Iris, wine, both sets of breast cancer of Wisconsin, and digits.
OF_SCIKIT_LEARN = ("iris", "wine_recognition", "breast_cancer_wisconsin", "breast", "optdigits")

GROUPS = (
    ("australian", "buggyCrx", "credit_a", "crx"),
    ("breast", "breast_w"),
    ("breast_cancer_wisconsin", "wdbc"),
    ("cleve", "cleveland", "cleveland_nominal", "heart_c", "heart_h", "heart_statlog", "hungarian"),
    ("diabetes", "pima"),
    ("credit_g", "german"),
    ("glass", "glass2", "prnn_fglass"),
    ("colic", "horse_colic"),
    ("house_votes_84", "vote"),
    ("allbp", "allhyper", "allhypo", "allrep", "ann_thyroid", "dis", "hypothyroid"),
    ("auto", "cars", "cars1", "195_auto_price", "uci_autos"),
    ("car", "car_evaluation"),
    ("cmc", "contraceptive"),
    ("chess", "kr_vs_kp"),
    ("agaricus_lepiota", "mushroom"),
    ("flare", "solar_flare_1", "solar_flare_2"),
    ("dna", "splice"),
    ("cloud", "210_cloud"),
    ("satimage", "294_satellite_image"),
    ("197_cpu_act", "227_cpu_small", "562_cpu_small", "573_cpu_act"),
    ("201_pol", "uci_pol"),
    ("537_houses", "uci_housing"),
    ("556_analcatdata_apnea2", "557_analcatdata_apnea1"),
)
PREFIXES = ("mfeat_", "monk", "Hill_Valley", "GAMETES", "analcatdata_boxing", "analcatdata_cyyoung")


def origin(name: str) -> str:
    """Name of the group that a tabular set belongs to, whatever its rows are cut to."""
    name = ROWS.sub("", name)
    named = [group[0] for group in GROUPS if name in group]
    named += [prefix for prefix in PREFIXES if name.startswith(prefix)]
    return [*named, "fri" if "_fri_" in name else name][0]


def half_of(name: str) -> str | None:
    """The half of all origins that a set belongs to; None for the sets that scikit-learn ships.

    Models that learned from the sets of one half are tested on the other half.
    """
    own = origin(name.replace("/", "_"))
    return None if own in OF_SCIKIT_LEARN else HALVES[zlib.crc32(own.encode()) % 2]


def name_at_rows(dataset: str, n_rows: int) -> str:
    """Return the name of a data set that is cut to a number of rows."""
    return f"{dataset} ({n_rows} rows)"


def features_at_rows(features: Mapping[str, float], n_rows: int) -> dict[str, float]:
    """Return the features of a data set that is cut to a number of rows."""
    changed = dict(features)
    if changed:
        changed["log_rows"] = float(np.log(n_rows))
        changed["log_rows_per_column"] = changed["log_rows"] - changed["log_columns"]
    return changed


def same_origin(name: str) -> set[str]:
    """Every data set of the origin of `name`: tabular sets, and ``"openml <task>"``.

    Tables that are cut to some rows are among them, if `name` is one of these or a tabular set.
    """
    known = sizes() | published()
    group = {other for other in known if origin(other) == origin(name)}
    cut = {name_at_rows(one, n) for one in {ROWS.sub("", name), *group} for n in SIZES}
    alike = {
        other
        for other in known
        if (other in published() or name in published()) and _alike(known, group, other)
    }
    return {name, ROWS.sub("", name)} | cut | group | alike


def _alike(known: dict[str, tuple[int, int]], group: set[str], other: str) -> bool:
    n_rows, n_classes = known[other]
    return any(
        abs(known[one][0] - n_rows) <= 0.02 * known[one][0] and known[one][1] == n_classes
        for one in group
    )


@cache
def sizes() -> dict[str, tuple[int, int]]:
    """Rows and classes of every tabular set."""
    path = Path(os.environ["SKMETA_DATA"]) / "tabular" / "index.csv"
    with path.open() as lines:
        return {row["name"]: (int(row["n"]), int(row["ny"])) for row in csv.DictReader(lines)}


@cache
def published() -> dict[str, tuple[int, int]]:
    """Rows and classes of the OpenML tasks with published searches."""
    path = Path(os.environ["SKMETA_DATA"]) / "searches" / "openml_pimp" / "task_qualities.json"
    return {
        f"openml {task}": (int(q["NumberOfInstances"]), int(q["NumberOfClasses"]))
        for task, q in json.loads(path.read_text()).items()
    }
