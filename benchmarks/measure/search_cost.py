"""What a search costs beyond its fits: seconds of a whole search, milliseconds of a suggestion.

    python -m benchmarks.measure.search_cost
    python -m benchmarks.measure.search_cost --repeats 20

``SVC()`` on iris, 20 candidates, everything else as it is by default (the default space, five
folds), beside RandomizedSearchCV on the same space:

``shipped``            the prior that ships with the package; nothing but ``n_iter`` is set
``plain``              without a prior
``history``            a prior from 100 past searches of 200 candidates each
``history, shipped``   both priors, which is the default for a user with that history

The searches take turns, in one process, each repeat with another seed. Seconds are processor time,
so that other work on the machine disturbs them little. *Beyond* is the time of a search less that
of the RandomizedSearchCV of the same repeat. A *suggestion* is all that happens between the last
score of a candidate and the first fit of the next one, but for the writing of the candidate to the
history, which has a figure of its own; medians are over all repeats but the first. *Before* is the
time from the call of ``fit`` to the first fit, in the first search of its kind in the process (it
loads or learns the prior) and in later ones. The past searches are read from a history and learned
from anew in each repeat, as a search that ended since then has added to them.

The bars: at most 0.3 s beyond RandomizedSearchCV for ``shipped``, and at most 5 ms per suggestion
for ``shipped`` and ``history``. Results go to ``benchmarks/results/search_cost.json``.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import sklearn.svm
from sklearn.datasets import load_iris
from sklearn.model_selection import RandomizedSearchCV
from tqdm import trange

from benchmarks.lib.resumable import read_options, report
from skmeta.search import MetaLearnedSearchCV, SearchHistory, default_search_space

RESULTS = Path(__file__).parents[1] / "results" / "search_cost.json"
METHODS = ("random", "shipped", "plain", "history", "history, shipped")
N_ITER, N_FOLDS = 20, 5
N_PAST, N_PAST_CANDIDATES = 100, 200

# Processor time at the begin of each fit, and after each score.
_begun, _scored = [], []
_written = []  # seconds of each writing to a history


class SVC(sklearn.svm.SVC):
    """SVC that notes when it is fitted and scored. Its name is that of the class with a prior."""

    def fit(self, X, y):
        """Fit, and note when that began."""
        _begun.append(time.process_time())
        return super().fit(X, y)

    def score(self, X, y):
        """Return the accuracy, and note when it was known."""
        accuracy = super().score(X, y)
        _scored.append(time.process_time())
        return accuracy


class TimedHistory(SearchHistory):
    """History that notes how long it takes to write a candidate."""

    def _record(self, fingerprint, *candidates):
        """Write candidates, and note the seconds."""
        start = time.process_time()
        super()._record(fingerprint, *candidates)
        _written.append(time.process_time() - start)


def make_history(path):
    """Write past searches with scores from a smooth function and some noise."""
    rng = np.random.default_rng(0)
    with SearchHistory(path) as history:
        for k in range(N_PAST):
            C, gamma = (
                10 ** rng.uniform(low, high, N_PAST_CANDIDATES) for low, high in ((-2, 3), (-4, 1))
            )
            peak, slope = rng.normal([1.0, -1.5], 0.5), rng.uniform(0.02, 0.05)
            distance = (np.log10(C) - peak[0]) ** 2 + (np.log10(gamma) - peak[1]) ** 2
            scores = 0.9 - slope * distance + rng.normal(0, 0.01, N_PAST_CANDIDATES)
            params = [{"C": c, "gamma": g, "kernel": "rbf"} for c, g in zip(C, gamma, strict=True)]
            history.add(SVC(), params, scores, scoring="accuracy", dataset=f"set {k}")


def make_search(method, seed, history):
    """Return an unfitted search."""
    common = {"n_iter": N_ITER, "random_state": seed}
    if method == "random":
        return RandomizedSearchCV(SVC(), default_search_space(SVC()), **common)
    options = {
        "shipped": {"history": None},
        "plain": {"history": None, "prior": None},
        "history": {"history": history, "prior": "history"},
        "history, shipped": {"history": history},
    }
    return MetaLearnedSearchCV(SVC(), verbose=0, **common, **options[method])


def measure(method, seed, history):
    """Return seconds of a search and before its first fit, of suggestions and of writing."""
    X, y = load_iris(return_X_y=True)
    # Other rows in each repeat, since a search learns nothing from searches on the same ones.
    X, y = np.delete(X, seed % len(X), axis=0), np.delete(y, seed % len(y))
    search = make_search(method, seed, history)
    _begun.clear()
    _scored.clear()
    _written.clear()
    start = time.process_time()
    search.fit(X, y)
    seconds = time.process_time() - start
    last = np.array(_scored).reshape(N_ITER, N_FOLDS)[:, -1]
    first = np.array(_begun[: N_ITER * N_FOLDS]).reshape(N_ITER, N_FOLDS)[:, 0]
    written = np.array(_written or [0.0] * N_ITER)
    return seconds, first[0] - start, first[1:] - last[:-1] - written[:-1], written


def run(n_repeats):
    """Return seconds of each repeat, and of the suggestions, by method."""
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
    base = np.array([run[0] for run in runs["random"]])
    summary = {"repeats": len(base), "random, seconds": round(float(np.median(base)), 3)}
    for method in METHODS[1:]:
        own = np.array([run[0] for run in runs[method]])
        before = [run[1] for run in runs[method]]
        asked = 1000 * np.array([run[2] for run in runs[method][1:]])
        written = 1000 * np.array([run[3] for run in runs[method][1:]])
        summary[method] = {
            "seconds beyond random": round(float(np.median(own - base)), 3),
            "times random": round(float(np.median(own / base)), 2),
            "milliseconds of a suggestion, median": round(float(np.median(asked)), 2),
            "milliseconds of a suggestion, 10th and 90th percentile": np.percentile(asked, [10, 90])
            .round(2)
            .tolist(),
            "milliseconds to write a candidate, median": round(float(np.median(written)), 2),
            "seconds before the first fit, first and later": [
                round(float(before[0]), 3),
                round(float(np.median(before[1:])), 3),
            ],
        }
    return summary


def main():
    report(describe(run(max(2, read_options(__doc__, repeats=10).repeats))), RESULTS)


if __name__ == "__main__":
    main()
