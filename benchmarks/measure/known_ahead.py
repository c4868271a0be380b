"""What columns that are known ahead add to ``order=``: later rows of groups, with and without them.

    SKMETA_DATA=... python -m benchmarks.measure.known_ahead

Tables are those of ``lib/time_tables.py`` for development whose columns vary in time, such as the
price and the income in ``petrol``. The last 40 % of the rows of each group are predicted. Printed
are squared errors over the variance of the target, and what 90 % intervals hold.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

from benchmarks.lib.time_tables import LATER, load
from skmeta import GroupedRegressor

TABLES = ("petrol", "firms", "employment", "states", "incomes", "airlines", "hours")


def run(name: str) -> np.ndarray:
    """Return errors and shares (2, 2), without the columns and with them."""
    table = load(name)
    groups, y = table.table.groups, table.table.y
    X = table.table.X.assign(group=groups.astype(str))
    rank = X.groupby("group")[table.time].rank(method="first", pct=True)
    later = (rank > 1 - LATER).to_numpy()
    found = []
    for columns in (["group", table.time], list(X)):
        model = GroupedRegressor("group", order=table.time)
        model.fit(X.loc[~later, columns], y[~later])
        low, high = model.predict_quantiles(X.loc[later, columns], (0.05, 0.95)).T
        error = np.mean((model.predict(X.loc[later, columns]) - y[later]) ** 2)
        inside = np.mean((low <= y[later]) & (y[later] <= high))
        found.append((error / y[later].var(), inside))
    return np.array(found)


def main() -> None:
    """Run the tables, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="*", default=TABLES)
    warnings.simplefilter("ignore")
    ratios = []
    for name in parser.parse_args().tables:
        (without, inside_without), (known, inside) = run(name)
        ratios.append(known / without)
        print(
            f"{name}: without {without:.4f}, with {known:.4f}, ratio {ratios[-1]:.2f}; "
            f"intervals hold {inside_without:.2f}, {inside:.2f}",
            flush=True,
        )
    print(f"geometric mean of ratios {np.exp(np.mean(np.log(ratios))):.2f}")


if __name__ == "__main__":
    main()
