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
from benchmarks.lib.resumable import add_line, read_lines

RESULTS = Path(__file__).parents[1] / "results"
Size = int | str
Results = dict[tuple[str, str, Size], list[dict]]


def read_results(path: Path) -> Results:
    """Scores of the draws, by method, data set and size."""
    lines = read_lines(path)
    return {(line["method"], line["name"], line["size"]): line["scores"] for line in lines}


def add_options(parser: argparse.ArgumentParser, sets: Sequence[str], size: type = int) -> None:
    """Add the options that all comparisons have."""
    parser.add_argument("--sets", choices=sets, default=sets[0])
    parser.add_argument("--sizes", type=size, nargs="*")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--methods", nargs="*", help="beside ours; by default all")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--summary", action="store_true", help="run nothing")


def compare(
    options: argparse.Namespace,
    methods: dict[str, Callable[[str], Any]],
    names: Sequence[str],
    score: Callable[[Any, str, Size, int], dict | None],
    measures: Sequence[str],
    ours: str | None = None,
) -> None:
    """Run what is missing, unless only the summary is asked for, and print the summary.

    `methods` make an estimator for the data set whose name they are given; `score(model, name,
    size, seed)` returns its scores on a draw, or None if the data set has too few rows. `measures`
    are the columns of the summary: scores, "pooled" or "geometric" (see `figure`). The other
    methods are compared with `ours` by the first.
    """
    chosen = [m for m in options.methods or methods if m in methods and m != ours]
    chosen = chosen if ours is None else [*chosen, ours]
    if not options.summary:
        run({m: methods[m] for m in chosen}, names, score, options)
    done = read_results(options.results)
    for size in options.sizes:
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


def run(
    methods: dict[str, Callable[[str], Any]],
    names: Sequence[str],
    score: Callable[[Any, str, Size, int], dict | None],
    options: argparse.Namespace,
) -> None:
    """Run the draws that the results do not have yet."""
    done = read_results(options.results)
    for method, name, size in product(methods, names, options.sizes):
        scores = list(done.get((method, name, size), []))
        first = len(scores)
        for seed in range(first, options.draws):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Some models do not converge on so few rows.
                drawn = score(methods[method](name), name, size, seed)
            if drawn is None:
                break
            scores.append({key: np.round(value, 6).tolist() for key, value in drawn.items()})
        if len(scores) > first:
            line = {"method": method, "name": name, "size": size, "scores": scores}
            add_line(options.results, line)


def set_means(scores: list[list[dict]], measure: str) -> np.ndarray:
    """Mean of a measure over the draws of each data set."""
    return np.array([np.mean([s.get(measure, np.nan) for s in draws]) for draws in scores])


def figure(scores: list[list[dict]], measure: str) -> float:
    """Mean of a measure over data sets that have it.

    "pooled" is the calibration error of all draws together, and "geometric" the geometric mean of
    the error or the log loss.
    """
    if measure == "pooled":
        gaps = [draw["gaps"] for draws in scores for draw in draws]
        return float(np.abs(np.mean(gaps, axis=0)).sum())
    if measure == "geometric":
        loss = set_means(scores, "error" if "error" in scores[0][0] else "log_loss")
        return float(np.exp(np.log(np.maximum(loss, 1e-3)).mean()))
    means = set_means(scores, measure)
    return float(np.mean(means[~np.isnan(means)])) if not np.isnan(means).all() else np.nan
