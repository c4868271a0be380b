"""Methods compared on data sets, with several sizes and draws: resumable runs and their summary.

A file of results (``.jsonl.gz``) has one line for each method, data set and size, with the scores
of its draws. If two lines are of the same, the later one counts. A line is written when all its
draws are done, and what a file has is not run again. The summary prints means over data sets of the
means over draws, and our difference to each method with a 95% interval from a bootstrap over sets.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib.intervals import bootstrap_interval
from benchmarks.lib.resumable import add_line, lines_by_cell

Size = int | str
Results = dict[tuple[str, str, Size], list[dict]]


def read_results(path: Path) -> Results:
    """Scores of the draws, by method, data set and size."""
    lines = lines_by_cell(path, ("method", "name", "size"))
    return {cell: line["scores"] for cell, line in lines.items()}


def compare(
    options: argparse.Namespace,
    path: Path,
    sizes: Sequence[Size],
    methods: dict[str, Callable[[str], Any]],
    names: Sequence[str],
    score: Callable[[Any, str, Size, int], dict | None],
    measures: Sequence[str],
    ours: str | None = None,
) -> None:
    """Run what is missing, unless only the summary is asked for, and print the summary.

    `methods` make an estimator for the data set whose name they are given; `score(model, name,
    size, seed)` returns its scores on a draw, or None if the data set has too few rows. `measures`
    are the columns of the summary. The other methods are compared with `ours` by the first.
    """
    chosen = [m for m in options.methods or methods if m in methods and m != ours]
    chosen = chosen if ours is None else [*chosen, ours]
    if not options.summary:
        run({m: methods[m] for m in chosen}, names, sizes, score, path, options.draws)
    done = read_results(path)
    for size in sizes:
        shown = [m for m in chosen if any((m, n, size) in done for n in names)]
        common = [n for n in names if shown and all((m, n, size) in done for m in shown)]
        scores = {m: [done[m, n, size][: options.draws] for n in common] for m in shown}
        print(f"\n{size}: {len(common)} sets\n{'':24}" + "".join(f"{m:>13}" for m in measures))
        for method in shown if common else ():
            figures = "".join(f"{figure(scores[method], m):13.4f}" for m in measures)
            difference = ""
            if ours in shown and method != ours:
                own, other = (set_means(scores[m], measures[0]) for m in (ours, method))
                mean, low, high = bootstrap_interval(own - other)
                difference = f"  {mean:+.4f} ({low:+.4f} to {high:+.4f})"
            print(f"{method:24}{figures}{difference}")


def run(methods, names, sizes, score, path, n_draws) -> None:
    """Run the draws that the results do not have yet."""
    done = read_results(path)
    for method, name, size in product(methods, names, sizes):
        scores = list(done.get((method, name, size), []))
        first = len(scores)
        for seed in range(first, n_draws):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Some models do not converge on so few rows.
                drawn = score(methods[method](name), name, size, seed)
            if drawn is None:
                break
            scores.append({key: round(float(value), 6) for key, value in drawn.items()})
        if len(scores) > first:
            add_line(path, {"method": method, "name": name, "size": size, "scores": scores})


def set_means(scores: list[list[dict]], measure: str) -> np.ndarray:
    """Mean of a measure over the draws of each data set."""
    return np.array([np.mean([s.get(measure, np.nan) for s in draws]) for draws in scores])


def figure(scores: list[list[dict]], measure: str) -> float:
    """Mean of a measure over data sets that have it."""
    means = set_means(scores, measure)
    return float(np.mean(means[~np.isnan(means)])) if not np.isnan(means).all() else np.nan
