"""Runs that can be stopped and continued: a line of JSON for each cell of an experiment."""

import json
import time
import warnings

from tqdm import tqdm


def read_lines(path):
    """Return what was run."""
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def run_cells(cells, run, path, minutes):
    """Run the cells that have no line yet, until the time is over.

    Parameters
    ----------
    cells : iterable of tuple
        The experiment. The key "cell" of a line is its cell.
    run : callable
        Given a cell, returns its line, or None if the cell does not apply.
    path : pathlib.Path
        Where the lines are.
    minutes : float
        No cell begins later.
    """
    end = time.monotonic() + 60 * minutes
    done = {tuple(line["cell"]) for line in read_lines(path)}
    for cell in tqdm([cell for cell in cells if cell not in done]):
        if time.monotonic() > end:
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            line = run(cell)
        if line is None:
            continue
        with path.open("a") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
