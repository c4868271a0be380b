"""Options, files of results, and runs that can be stopped and continued."""

import argparse
import fcntl
import gzip
import json
import time
import warnings
from pathlib import Path

import numpy as np
from tqdm import tqdm

RESULTS = Path(__file__).parents[1] / "results"


def read_lines(path):
    """Return what was run."""
    if not path.exists():
        return []
    with open_text(path, "rt") as file:
        return [json.loads(text) for text in file]


def add_line(path, line):
    """Add a line of JSON."""
    with open_text(path, "at") as file:
        file.write(json.dumps(line, separators=(",", ":"), default=repr) + "\n")


def open_text(path, mode):
    """Open a file, compressed if its name ends in ``.gz``."""
    return (gzip.open if path.suffix == ".gz" else open)(path, mode)


def read_records(path):
    """Return the stored records, by name."""
    return json.loads(path.read_text()) if path.exists() else {}


def store(path, name, record, indent=1):
    """Add a record to a file of JSON, or replace it; runs at the same time wait for each other."""
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        records = read_records(path) | {name: record}
        path.write_text(json.dumps(records, indent=indent, default=repr) + "\n")


def report(summary, path):
    """Keep a summary, and print it."""
    text = json.dumps(summary, indent=1, default=repr)
    path.write_text(text + "\n")
    print(text)


def read_options(doc, **options):
    """Return the options of a command that the first line of `doc` describes.

    The default of an option says what it takes. False is a flag; a list takes values like its
    items, and a tuple one of its items, the first if none is given; a type has no default. A name
    that ends with an underscore is an argument without dashes.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for name, default in options.items():
        takes = {"type": type(default), "default": default}
        if default is False:
            takes = {"action": "store_true"}
        elif isinstance(default, list):
            takes = {"nargs": "*", "type": type(default[0]) if default else str, "default": default}
        elif isinstance(default, tuple):
            takes = {"choices": default, "default": default[0]}
        elif isinstance(default, type):
            takes = {"type": default}
        flag = name.removesuffix("_") if name.endswith("_") else f"--{name.replace('_', '-')}"
        parser.add_argument(flag, **takes)
    return parser.parse_args()


def read_settings(texts):
    """Return settings from texts ``NAME=JSON``."""
    return {name: json.loads(value) for name, _, value in (t.partition("=") for t in texts)}


def run_or_summarize(doc, cells, run, summarize, path, keys=None):
    """Run an experiment from the command line, or print a summary of its lines by cell.

    The first line of `doc` describes the command. `cells`, given the seeds, which are the numbers
    below the option ``--seeds``, returns the cells. For the others, see `run_cells`.
    """
    options = read_options(doc, summary=False, seeds=1, minutes=float("inf"))
    if options.summary:
        print(json.dumps(summarize(lines_by_cell(path, keys)), indent=1))
        return
    run_cells(cells(range(options.seeds)), run, path, options.minutes, keys)


def lines_by_cell(path, keys=None):
    """Return what was run, by cell; of lines of the same cell, the last."""
    lines = read_lines(path)
    return {tuple([line[k] for k in keys] if keys else line["cell"]): line for line in lines}


def run_cells(cells, run, path, minutes=np.inf, keys=None):
    """Run the cells that have no line yet; none begins after the given minutes.

    `run`, given a cell, returns its line, or None if the cell does not apply. `keys` name where a
    line has the parts of its cell; by default, its key "cell" is the cell.
    """
    end = time.monotonic() + 60 * minutes
    done = lines_by_cell(path, keys)
    for cell in tqdm([cell for cell in cells if cell not in done], smoothing=0.02):
        if time.monotonic() > end:
            break
        with warnings.catch_warnings(action="ignore"):
            line = run(cell)
        if line is not None:
            add_line(path, line)


def group_lines(lines, of):
    """Return the lines of each value of `of`, a function of a cell, in their order."""
    groups = {}
    for cell, line in lines.items():
        groups.setdefault(of(cell), []).append(line)
    return groups
