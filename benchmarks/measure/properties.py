"""Properties of estimators on random tables: what has no effect, and what predictions are.

    python -m benchmarks.measure.properties --tables 300

The checks are those of ``tests/table_properties.py``; the tests check a few tables of each. What
fails is printed, and is in ``results/properties.jsonl.gz``.
"""

import sys
from collections import Counter
from pathlib import Path

from benchmarks.lib.resumable import lines_by_cell, read_options, run_cells

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from table_properties import ESTIMATORS, failures

RESULTS = Path(__file__).parents[1] / "results" / "properties.jsonl.gz"


def main():
    options = read_options(__doc__, tables=300, estimators=[*ESTIMATORS], minutes=float("inf"))
    cells = [(name, seed) for seed in range(options.tables) for name in options.estimators]
    run_cells(cells, run, RESULTS, options.minutes)
    checked, failed = Counter(), Counter()
    for (name, seed), line in sorted(lines_by_cell(RESULTS).items()):
        for key, error in line["errors"].items():
            checked[name, key] += 1
            failed[name, key] += error is not None
            if error is not None:
                print(f"{name}, {key}, table {seed}: {error}")
    for name, key in sorted(checked):
        print(f"{name:22} {key:30} {failed[name, key]:3} of {checked[name, key]} tables fail")


def run(cell):
    """Return what fails on a table."""
    return {"cell": cell, "errors": failures(*cell)}


if __name__ == "__main__":
    main()
