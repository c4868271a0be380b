"""Divide tables of R packages into a development and a report half; writes ``raw_tables.csv``.

    SKMETA_DATA=... python benchmarks/raw_halves.py

Only tables of which the tested priors have seen nothing are taken: those of the second half of
all origins (``real_tables.py``). Tables that share rows are twins. If the tested priors have seen a
twin, a table is left out; of other twins one is kept. A whole family of packages goes to one half,
and gives at most ten tables of each kind, so that no textbook decides a figure; those with three
and more columns of words come first.

The target is the last column that fits: of 2 to 10 values, each in at least ten rows, for a
classification; numbers of more than ten values, of which none is half of all, for a regression.
Tables in which one column alone gives the target are left out.
"""

import csv
import zlib
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
from origins import half_of
from r_tables import read_frame
from raw_tables import MOST_CLASSES, SETS, is_words
from real_tables import all_names, found_of_r, whole

# Packages that share authors or tables.
FAMILIES = (
    ("fpp2", "fpp3", "forecast", "datasets"),
    ("nlme", "lme4", "mlmRev", "HLMdiag", "geepack"),
    ("survival", "KMsurv", "asaur", "mstate", "rpart", "medicaldata"),
    ("vcd", "vcdExtra", "COUNT"),
    ("ggplot2", "ggplot2movies", "dplyr", "tidyr", "plyr", "reshape2", "nycflights13"),
    ("carData", "heplots", "sem", "psych"),
    ("AER", "pscl", "sandwich", "betareg", "plm", "Ecdat"),
    ("Stat2Data", "mosaicData", "openintro"),
    ("gapminder", "dslabs", "modeldata", "palmerpenguins"),
    ("causaldata", "MatchIt", "mediation", "stevedata"),
    ("MASS", "boot", "robustbase", "cluster", "lattice"),
)
MOST_OF_FAMILY, LEAST_ROWS, LEAST_OF_CLASS, LARGEST_SHARE = 10, 40, 10, 0.5
MANY = 3  # Columns of words.
# Columns whose runs of values are compared, rows of them, and the share of equal runs of twins.
N_COLUMNS, MOST_ROWS, LEAST_EQUAL, LEAST_RUNS = 12, 3000, 0.2, 8


def family(name: str) -> str:
    """The family of the package of a table."""
    package = name.split("::")[0]
    return next((group[0] for group in FAMILIES if package in group), package)


def n_words(frame: pd.DataFrame) -> int:
    """Number of columns of words."""
    return sum(is_words(frame[c]) for c in frame)


def runs(values: np.ndarray) -> set[int]:
    """Hashes of three values that follow each other in a column of many values.

    Parts of a table have runs of it, too. Equal steps, as those of years, are left out.
    """
    found: set[int] = set()
    many = sorted((-len(np.unique(x)), j) for j, x in enumerate(values.T))[:N_COLUMNS]
    for n, j in many:
        x = values[:MOST_ROWS, j]
        if -n < 20:
            continue
        largest = np.abs(np.nan_to_num(x)).max()
        if largest == 0:
            continue
        x = np.round(x / largest, 7)
        three = np.lib.stride_tricks.sliding_window_view(x, 3)
        step = np.diff(three, axis=1)
        uneven = (np.abs(step[:, 0] - step[:, 1]) > 1e-6) & (step != 0).all(1)
        found |= {hash(t) for t in map(tuple, three[uneven].tolist())}
    return found


def join_twins(tables: dict[str, np.ndarray]) -> dict[str, str]:
    """The first twin of each table."""
    own = {name: runs(values) for name, values in tables.items()}
    holders = defaultdict(list)
    for name, hashes in own.items():
        for h in hashes:
            holders[h].append(name)
    shared: Counter = Counter()
    for names in holders.values():
        if len(names) < 10:  # Runs of many tables say nothing.
            shared.update((a, b) for i, a in enumerate(names) for b in names[i + 1 :])
    first = {name: name for name in tables}

    def root(name: str) -> str:
        while first[name] != name:
            name = first[name]
        return name

    for (a, b), n in shared.items():
        if n >= max(LEAST_RUNS, LEAST_EQUAL * min(len(own[a]), len(own[b]))):
            first[root(b)] = root(a)
    return {name: root(name) for name in tables}


def gives_target(column: pd.Series, y: pd.Series) -> bool:
    """Whether a column gives the target, or the order of its values, up to a few rows."""
    known = column.notna().to_numpy()
    x, y = column[known], y[known]
    if len(x) < 10:
        return False
    if is_words(y) or y.nunique() <= MOST_CLASSES:
        table = pd.crosstab(x.astype(str), y.astype(str)).to_numpy()
        return len(table) <= 3 * MOST_CLASSES and table.max(1).sum() >= 0.995 * len(x)
    if is_words(x):
        return False
    return abs(x.astype(float).rank().corr(y.astype(float).rank())) > 0.999


def find_target(frame: pd.DataFrame, kind: str) -> str | None:
    """The last column that fits, unless another gives it."""
    for name in frame.columns[::-1]:
        y = frame[name]
        count = y.value_counts()
        if kind == "classification":
            fits = 2 <= len(count) <= MOST_CLASSES and count.min() >= LEAST_OF_CLASS
            fits = fits and y.notna().mean() > 0.8
        else:
            fits = not is_words(y) and len(count) > MOST_CLASSES and y.notna().mean() > 0.8
            fits = fits and count.max() <= LARGEST_SHARE * len(y)
        if fits:
            others = frame.drop(columns=name)
            if any(gives_target(others[c], y) for c in others.columns):
                return None
            return str(name)
    return None


def main() -> None:
    """Write the file."""
    found = found_of_r()
    tables = {name: table.values for name, table in found.items()}
    seen = [name for name in all_names() if half_of(name) == "first"]
    twin = join_twins(tables | {name: whole(name).astype(float) for name in seen})
    bad = {twin[n] for n, table in found.items() if half_of(table.origin) != "second"}
    bad |= {twin[n] for n in seen}
    frames = {n: read_frame(n) for n, table in found.items() if half_of(table.origin) == "second"}
    rows, kept, n_of_family = [], set(), Counter()
    for name in sorted(frames, key=lambda n: (n_words(frames[n]) <= MANY, zlib.crc32(n.encode()))):
        frame = frames[name]
        if twin[name] in bad | kept or found[name].origin in kept:
            continue
        if frame.shape[1] < 2 or len(frame) < LEAST_ROWS:
            continue
        for kind in ("classification", "regression"):
            target = find_target(frame, kind)
            if target is None or n_of_family[family(name), kind] >= MOST_OF_FAMILY:
                continue
            n_of_family[family(name), kind] += 1
            kept |= {twin[name], found[name].origin}
            others = frame.drop(columns=target)
            shape = len(frame), others.shape[1], n_words(others)
            rows.append([kind, family(name), name, target, *shape])
    # The family with most tables goes first, to the half that has fewer.
    sizes = Counter(row[1] for row in rows)
    half, count = {}, dict.fromkeys(("development", "report"), 0)
    for group in sorted(sizes, key=lambda g: (-sizes[g], g)):
        half[group] = min(count, key=lambda h: (count[h], h))
        count[half[group]] += sizes[group]
    with SETS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["half", "kind", "family", "name", "target", "rows", "columns", "words"])
        writer.writerows(sorted([half[row[1]], *row] for row in rows))
    print(count)


if __name__ == "__main__":
    main()
