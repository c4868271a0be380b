"""How often ``summary_`` of grouped estimators says that groups matter, where the truth is known.

Tables of 50 groups of 20 rows have a linear and a curved column, one without effect, and noise.
Effects of groups have a share of the variance of the target that is left by the columns; with share
0 the groups are drawn at random. Classes are the target above its median.

Rows go to a CSV file as they come, and tables that it has are not fitted again::

    python -m benchmarks.measure.verdicts --tables 200 --shares 0 0.05 --results verdicts.csv
"""

import argparse
import csv
import itertools
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from skmeta import GroupedClassifier, GroupedRegressor

N_GROUPS, N_ROWS = 50, 20
ESTIMATORS = {"regression": GroupedRegressor, "classification": GroupedClassifier}
FIELDS = ("kind", "share", "seed", "matters")


def make_table(kind, share, seed):
    """Return a table with groups in the first column, and its target."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(N_GROUPS), N_ROWS)
    X = rng.normal(size=(len(group), 3))
    noise = np.sqrt(1 - share) * rng.normal(size=len(group))
    noise += np.sqrt(share) * rng.normal(size=N_GROUPS)[group]
    y = X[:, 0] + np.sin(2 * X[:, 1]) + noise
    y = (y > np.median(y)).astype(int) if kind == "classification" else y
    return np.column_stack([group, X]), y


def matters(kind, share, seed):
    """Return whether the summary of a table says that the group matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The other members have no part in the verdict.
        model = ESTIMATORS[kind](0, combine="both").fit(*make_table(kind, share, seed))
    return "The group matters" in model.summary_


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", nargs="+", default=list(ESTIMATORS), choices=list(ESTIMATORS))
    parser.add_argument("--shares", nargs="+", type=float, default=[0, 0.01, 0.02, 0.05, 0.1])
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--results", type=Path, default=Path("verdicts.csv"))
    options = parser.parse_args()
    done = set()
    if options.results.exists():
        with options.results.open() as file:
            done = {(r["kind"], float(r["share"]), int(r["seed"])) for r in csv.DictReader(file)}
    with options.results.open("a", newline="") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow(FIELDS)
        tables = itertools.product(range(options.tables), options.kinds, options.shares)
        for seed, kind, share in tables:
            if (kind, share, seed) not in done:
                writer.writerow([kind, share, seed, int(matters(kind, share, seed))])
                file.flush()
    found = pd.read_csv(options.results).groupby(["kind", "share"])["matters"]
    print(found.agg(["size", "mean"]).rename(columns={"size": "tables", "mean": "says matters"}))


if __name__ == "__main__":
    main()
