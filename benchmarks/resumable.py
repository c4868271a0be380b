"""Runs that can be stopped and continued: a line of JSON for each cell of an experiment."""

import gzip
import json
import time
import warnings

from tqdm import tqdm


def read_lines(path):
    """Return what was run."""
    if not path.exists():
        return []
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
        return [json.loads(text) for text in file]


def run_cells(cells, run, path, minutes, keys=None):
    """Run the cells that have no line yet, until the time is over.

    Parameters
    ----------
    cells : iterable of tuple
        The experiment.
    run : callable
        Given a cell, returns its line, or None if the cell does not apply.
    path : pathlib.Path
        Where the lines are.
    minutes : float
        No cell begins later.
    keys : sequence of str, default=None
        Where a line has the parts of its cell; None if its key "cell" is the cell.
    """
    end = time.monotonic() + 60 * minutes
    lines = read_lines(path)
    done = {tuple([line[k] for k in keys] if keys else line["cell"]) for line in lines}
    for cell in tqdm([cell for cell in cells if cell not in done], smoothing=0.02):
        if time.monotonic() > end:
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            line = run(cell)
        if line is None:
            continue
        with (gzip.open if path.suffix == ".gz" else open)(path, "at") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
