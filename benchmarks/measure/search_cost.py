"""What a search costs beyond its fits: seconds of a whole search, milliseconds of a suggestion.

    python -m benchmarks.measure.search_cost --repeats 20

``SVC()`` on iris, 20 candidates, everything else as it is by default (the default space, five
folds), beside RandomizedSearchCV on the same space: with the prior that ships (``shipped``), with
none (``plain``), with one from 100 past searches of 200 candidates each (``history``), and with
both, the default for a user with that history. The searches take turns, in one process, each
repeat with another seed. Seconds are processor time. *Beyond* is the time of a search less that of
the RandomizedSearchCV of the same repeat. A *suggestion* is all that happens between the last score
of a candidate and the first fit of the next one, but for the writing of the candidate to the
history, which has a figure of its own; medians are over all repeats but the first. The past
searches are read from a history and learned from anew in each repeat.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import sklearn.svm
from sklearn.datasets import load_iris
from sklearn.model_selection import RandomizedSearchCV
from tqdm import trange

from benchmarks.lib.resumable import RESULTS, read_options, report
from skmeta.search import MetaLearnedSearchCV, SearchHistory, default_search_space

METHODS = ("random", "shipped", "plain", "history", "history, shipped")
N_ITER, N_FOLDS = 20, 5
N_PAST, N_PAST_CANDIDATES = 100, 200
# Processor time at the begin of each fit and after each score; seconds of each writing.
_begun, _scored, _written = [], [], []


class SVC(sklearn.svm.SVC):
    """SVC that notes when it is fitted and scored. Its name is that of the class with a prior."""

    def fit(self, X, y):
        _begun.append(time.process_time())
        return super().fit(X, y)

    def score(self, X, y):
        accuracy = super().score(X, y)
        _scored.append(time.process_time())
        return accuracy


class TimedHistory(SearchHistory):
    """History that notes how long it takes to write a candidate."""

    def _record(self, fingerprint, *candidates):
        start = time.process_time()
        super()._record(fingerprint, *candidates)
        _written.append(time.process_time() - start)


def make_history(path):
    """Write past searches with scores from a smooth function and some noise."""
    rng, n = np.random.default_rng(0), N_PAST_CANDIDATES
    with SearchHistory(path) as history:
        for k in range(N_PAST):
            C, gamma = (10 ** rng.uniform(low, high, n) for low, high in ((-2, 3), (-4, 1)))
            peak, slope = rng.normal([1.0, -1.5], 0.5), rng.uniform(0.02, 0.05)
            distance = (np.log10(C) - peak[0]) ** 2 + (np.log10(gamma) - peak[1]) ** 2
            scores = 0.9 - slope * distance + rng.normal(0, 0.01, n)
            params = [{"C": c, "gamma": g, "kernel": "rbf"} for c, g in zip(C, gamma, strict=True)]
            history.add(SVC(), params, scores, scoring="accuracy", dataset=f"set {k}")


def measure(method, seed, history):
    """Return seconds of a search, of suggestions and of writing."""
    X, y = load_iris(return_X_y=True)
    # Other rows in each repeat, since a search learns nothing from searches on the same ones.
    X, y = np.delete(X, seed % len(X), axis=0), np.delete(y, seed % len(y))
    common = {"n_iter": N_ITER, "random_state": seed}
    if method == "random":
        search = RandomizedSearchCV(SVC(), default_search_space(SVC()), **common)
    else:
        common["history"] = history if "history" in method else None
        if method in ("plain", "history"):
            common["prior"] = None if method == "plain" else "history"
        search = MetaLearnedSearchCV(SVC(), verbose=0, **common)
    for times in (_begun, _scored, _written):
        times.clear()
    start = time.process_time()
    search.fit(X, y)
    seconds = time.process_time() - start
    last = np.array(_scored).reshape(N_ITER, N_FOLDS)[:, -1]
    first = np.array(_begun[: N_ITER * N_FOLDS]).reshape(N_ITER, N_FOLDS)[:, 0]
    written = np.array(_written or [0.0] * N_ITER)
    return seconds, first[1:] - last[:-1] - written[:-1], written


def run(n_repeats):
    """Return what was measured in each repeat, by method."""
    runs = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "past.db"
        make_history(path)
        measure("random", 0, None)  # what only the first search of a process does
        for repeat in trange(n_repeats):
            for method in METHODS:
                copy = Path(folder) / f"{repeat}-{method}.db"
                copy.write_bytes(path.read_bytes())
                with TimedHistory(copy) as history:
                    runs[method].append(measure(method, repeat, history))
    return runs


def describe(runs):
    """Return the summary of the runs."""
    seconds = {method: np.array([run[0] for run in each]) for method, each in runs.items()}
    summary = {"random, seconds": round(float(np.median(seconds["random"])), 3)}
    for method in METHODS[1:]:
        asked, written = (
            round(1000 * float(np.median([run[k] for run in runs[method][1:]])), 2) for k in (1, 2)
        )
        beyond = float(np.median(seconds[method] - seconds["random"]))
        summary[method] = {
            "seconds beyond random": round(beyond, 3),
            "milliseconds of a suggestion, median": asked,
            "milliseconds to write a candidate, median": written,
        }
    return summary


if __name__ == "__main__":
    repeats = max(2, read_options(__doc__, repeats=10).repeats)
    report(describe(run(repeats)), RESULTS / "search_cost.json")
