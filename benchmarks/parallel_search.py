"""Searches with many candidates in flight: simulated up to 256 workers, and eight real processes.

    python benchmarks/parallel_search.py
    SKMETA_TEST_POSTGRES=postgresql://... python benchmarks/parallel_search.py --processes
    python benchmarks/parallel_search.py --summary

The searches are those recorded for the shipped priors (``results/searches.parquet``), of eight
estimators on two sets each. A recorded search has about 60 candidates, which is too few for 256
workers. So a Gaussian process is fitted to its scores, and one sample from the posterior gives the
scores of 800 other candidates. The seconds of a candidate are those of the nearest recorded one.

**In flight.** Workers ask for a candidate as soon as they are free (``shared``), or wait until all
of a batch are finished (``batch``). In both, candidates that are in flight count with their
expected score. ``random`` draws candidates at random. The search is without prior, or with the
shipped prior without the set itself. Proposals take no time. Time is in units of a search's mean
seconds for one candidate. Reported are the candidates and the time after which the mean
(normalised) regret is that of one worker after 30 candidates.

**Processes.** Eight processes run ``SearchHistory(shared=True)`` on the database that
``SKMETA_TEST_POSTGRES`` names, without prior, 64 candidates, each of which sleeps. One of them is
killed by SIGKILL while it evaluates its second candidate, and another takes its place. Compared is
one process with ``batch_size=8``.

One line per run goes to ``benchmarks/results/parallel_search.jsonl``; what is there is not run
again.
"""

import argparse
import heapq
import json
import multiprocessing
import os
import pickle
import signal
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from resumable import read_lines, run_cells
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.utils import all_estimators

from skmeta.search import MetaLearnedSearchCV, SearchHistory, default_search_space
from skmeta.search.prior import load_shipped
from skmeta.search.space import (
    CandidateDescriber,
    Encoding,
    SearchSpace,
    parameter_names,
    plain_value,
)
from skmeta.search.surrogate import SearchStrategy

RESULTS = Path(__file__).parent / "results" / "parallel_search.jsonl"
RECORDED = RESULTS.with_name("searches.parquet")
ESTIMATORS = (
    "RandomForestClassifier",
    "MLPClassifier",
    "GradientBoostingClassifier",
    "SGDClassifier",
    "HistGradientBoostingRegressor",
    "ElasticNet",
    "ExtraTreesRegressor",
    "LogisticRegression",
)
N_SETS = 2  # per estimator
N_POOL = 800
WORKERS = (1, 8, 64, 256)
N_OF_MANY = 8  # searches with more than eight workers
N_REFERENCE = 30  # candidates of one worker
N_PROCESSES, N_ITER = 8, 64
N_SHARED = 10  # searches with processes
SLEEP = 0.25  # mean seconds of a candidate
LEASE_TIMEOUT = 10.0
# Method, and prior.
KINDS = (("shared", "none"), ("shared", "shipped"), ("random", "none"), ("batch", "none"))


# -- what is searched ----------------------------------------------------------------------------


@cache
def recorded():
    """Return the chosen recorded searches, by name."""
    frame = pd.read_parquet(RECORDED)
    frame = frame[frame["estimator"].isin(ESTIMATORS)]
    found: list[dict[str, pd.DataFrame]] = [{} for _ in range(N_SETS)]
    for estimator in ESTIMATORS:
        every = list(frame[frame["estimator"] == estimator].groupby("fingerprint", sort=False))
        for number, (name, own) in enumerate(every[3 :: len(every) // N_SETS][:N_SETS]):
            found[number][name] = own
    # The first set of each estimator, then the second.
    return {name: own for part in found for name, own in part.items()}


@cache
def world(name):
    """Return the candidates of a pool, their configurations, normalised regret and seconds."""
    own = recorded()[name]
    metric = own["refit_metric"].iloc[0]
    scores = np.array([np.mean(numbers(json.loads(text)[metric])) for text in own["scores"]])
    if json.loads(own["details"].iloc[0])["metrics"].get(metric, 1) < 0:
        scores = -scores
    seconds = np.array(
        [
            np.mean(numbers(json.loads(fit))) + np.mean(numbers(json.loads(score)))
            for fit, score in zip(own["fit_times"], own["score_times"], strict=True)
        ]
    )
    known = np.isfinite(scores)
    estimator = dict(all_estimators())[own["estimator"].iloc[0]]()
    rng = np.random.default_rng(0)
    space = SearchSpace(default_search_space(estimator))
    candidates = space.sample(N_POOL, rng)
    pool = CandidateDescriber(estimator)(candidates)
    measured = [json.loads(text) for text in own["configuration"]]
    measured = [{parameter: one[parameter] for parameter in pool[0]} for one in measured]
    encoding = Encoding.from_configurations([*pool, *measured])
    names = parameter_names(pool)
    X, Z = encoding.transform(pool, names), encoding.transform(measured, names)
    nearest = ((X[:, None] - Z[None]) ** 2).sum(2).argmin(1)
    values = scores[known]
    low = np.median(values) - 3 * np.subtract(*np.percentile(values, [75, 25]))
    values = np.maximum(values, low)  # one outlier would be all that the process explains
    kernel = ConstantKernel() * Matern(np.ones(X.shape[1]), (0.05, 20.0), nu=2.5)
    process = GaussianProcessRegressor(
        kernel + WhiteKernel(0.01, (1e-4, 0.3)), normalize_y=True, random_state=0
    ).fit(Z[known], values)
    drawn = process.sample_y(X, random_state=0)[:, 0]
    regret = (drawn.max() - drawn) / np.ptp(drawn)
    return candidates, pool, regret, np.maximum(seconds[nearest], 1e-3)


def numbers(values):
    """Return a list of the history's JSON as floats."""
    return [float("nan") if value is None else float(value) for value in values]


@cache
def prior_of(name):
    """Return the shipped prior without the search's own data set."""
    own = recorded()[name]
    shipped = load_shipped(own["estimator"].iloc[0], own["refit_metric"].iloc[0])
    details = json.loads(own["details"].iloc[0])
    return shipped.without(
        datasets=[own["dataset"].iloc[0]],
        data_digests=[own["data_digest"].iloc[0]],
        data_sketch=details.get("data_sketch", ()),
    )


# -- simulation ----------------------------------------------------------------------------------


def simulate(cell):
    """Return the regret after each candidate, in the order in which they finish, and the times."""
    name, method, prior, n_workers = cell
    _, pool, regret, seconds = world(name)
    seconds = seconds / seconds.mean()
    n_iter = 2 * N_REFERENCE + n_workers + min(n_workers, 64)
    rng = np.random.default_rng(n_workers)
    if method == "random":
        order = iter(rng.permutation(N_POOL).tolist())
    else:
        strategy = SearchStrategy(pool, prior_of(name) if prior == "shipped" else None, rng=rng)
    running: list[tuple[float, int]] = []  # when it ends, candidate
    finished: list[tuple[float, float]] = []
    now, n_begun, n_asks = 0.0, 0, 0
    begun = time.process_time()
    while len(finished) < n_iter:
        waits = method == "batch" and running and n_begun % n_workers == 0
        while len(running) < n_workers and n_begun < n_iter and not waits:
            index = next(order) if method == "random" else strategy.ask()[0].index
            heapq.heappush(running, (now + seconds[index], index))
            n_begun, n_asks = n_begun + 1, n_asks + 1
            waits = method == "batch" and n_begun % n_workers == 0
        ended: list[tuple[float, int]] = [heapq.heappop(running)]
        while method == "batch" and running:
            ended.append(heapq.heappop(running))
        now = ended[-1][0]
        for end, index in ended:
            finished.append((end, float(regret[index])))
        if method != "random":
            indices = [index for _, index in ended]
            strategy.tell(indices, -regret[indices])
    times, found = np.array(finished).T
    return {
        "cell": cell,
        "regret": np.minimum.accumulate(found).round(5).tolist(),
        "time": times.round(3).tolist(),
        "milliseconds": round(1000 * (time.process_time() - begun) / n_asks, 2),
    }


def summarise_simulation(lines):
    """Return a row per method, prior and number of workers."""
    runs = {tuple(line["cell"]): line for line in lines if len(line["cell"]) == 4}
    rows = []
    for method, prior in KINDS:
        for n_workers in WORKERS:
            names = sorted({cell[0] for cell in runs})
            needed = [(method, prior, n_workers), ("shared", prior, 1)]
            names = [name for name in names if all((name, *kind) in runs for kind in needed)]
            if not names:
                continue
            own = [runs[name, method, prior, n_workers] for name in names]
            # What one worker finds with 30 candidates.
            base = [runs[name, "shared", prior, 1] for name in names]
            rows.append(compare(prior, method, n_workers, own, base))
    return rows


def compare(prior, method, n_workers, own, base):
    """Return candidates and time until the mean regret is that of one worker, with intervals."""
    grid = np.geomspace(0.02, 200, 400)
    counts = np.arange(1, len(own[0]["regret"]) + 1)
    by_count = np.array([line["regret"] for line in own])
    by_time = np.array([at_times(line, grid) for line in own])
    base_by_count = np.array([line["regret"][N_REFERENCE - 1] for line in base])
    base_by_time = np.array([at_times(line, grid) for line in base])
    drawn = np.random.default_rng(0).integers(len(own), size=(2000, len(own)))
    rows = [np.arange(len(own)), *drawn]
    found = []
    for row in rows:
        target = base_by_count[row].mean()
        time_alone = first(grid, base_by_time[row].mean(0), target)
        found.append(
            (
                first(counts, by_count[row].mean(0), target),
                time_alone / first(grid, by_time[row].mean(0), target),
            )
        )
    candidates, speed = np.array(found).T
    return {
        "prior": prior,
        "method": method,
        "workers": n_workers,
        "searches": len(own),
        "candidates": number(candidates[0]),
        "candidates interval": [number(v) for v in np.percentile(candidates[1:], [2.5, 97.5])],
        "speed-up": number(speed[0]),
        "speed-up interval": [number(v) for v in np.percentile(speed[1:], [2.5, 97.5])],
        "milliseconds": round(float(np.mean([line["milliseconds"] for line in own])), 1),
    }


def at_times(line, grid):
    """Return the best regret at each time; 1 before the first candidate is finished."""
    n = np.searchsorted(line["time"], grid, side="right")
    return np.array([1.0, *line["regret"]])[n]


def first(positions, regrets, target):
    """Return the first position at which the regret is no larger; infinity if there is none."""
    reached = np.flatnonzero(regrets <= target + 1e-12)
    return float(positions[reached[0]]) if len(reached) else np.inf


def number(value):
    """Return a rounded number; None if the regret was not reached."""
    return None if not np.isfinite(value) or value == 0 else round(float(value), 2)


# -- processes -----------------------------------------------------------------------------------


def make_search(known, address, hangs_at=None, **settings):
    """Return a search over the pool of a world, and its data.

    Parameters
    ----------
    known : tuple
        Estimator, candidates, regret, seconds, a number that identifies the search, and the file
        in which fits are counted (None: they do not sleep).
    address : str or False
        Path or URL of the history.
    hangs_at : int or None
        Number of the fit that does not end.
    """
    estimator, candidates, regret, seconds, number_of_world, log = known
    rows = {as_key(params): row for row, params in enumerate(candidates)}
    names = sorted(candidates[0])
    n_fits = 0

    def fit(self, X, y):
        nonlocal n_fits
        n_fits += 1
        row = rows[as_key({name: getattr(self, name) for name in names})]
        if log:
            with open(log, "a") as file:
                file.write(f"{os.getpid()} {row}\n")
            time.sleep(3600 if n_fits == hangs_at else SLEEP * seconds[row] / seconds.mean())
        self.classes_, self.row_ = np.unique(y), row
        return self

    def score(self, X, y):
        return -float(regret[self.row_])

    known_class = dict(all_estimators())[estimator]
    simulated = type(estimator, (known_class,), {"fit": fit, "score": score})
    space = [{name: [value] for name, value in params.items()} for params in candidates]
    search = MetaLearnedSearchCV(
        simulated(),
        space,
        n_iter=N_ITER,
        history=address,
        prior=None,
        cv=[([0, 1], [2, 3])],
        refit=False,
        random_state=0,
        progress=False,
        **settings,
    )
    X = number_of_world + np.arange(4.0)[:, None]
    return search, X, np.array([0, 1, 0, 1])


def as_key(params):
    return tuple(repr(plain_value(params[name])) for name in sorted(params))


def work(known, address, result, hangs_at):
    """Run one worker, and write its results into a file."""
    begun = time.process_time()
    history = SearchHistory(address, shared=True, lease_timeout=LEASE_TIMEOUT)
    search, X, y = make_search(known, history, hangs_at)
    search.fit(X, y)
    with open(result, "wb") as file:
        pickle.dump((search.cv_results_, time.process_time() - begun), file)


def run_processes(cell):
    """Return the regret after each candidate of both searches, and what was counted."""
    name = cell[0]
    estimator = recorded()[name]["estimator"].iloc[0]
    candidates, _, regret, seconds = world(name)
    number_of_world = 1000.0 * list(recorded()).index(name) + time.time()  # never resumed
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__"])
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "fits")
        address = os.environ.get("SKMETA_TEST_POSTGRES") or os.path.join(folder, "searches.db")
        known = (estimator, candidates, regret, seconds, number_of_world, log)
        workers = []

        def start():
            result = os.path.join(folder, f"{len(workers)}.pickle")
            hangs_at = None if workers else 2
            workers.append(context.Process(target=work, args=(known, address, result, hangs_at)))
            workers[-1].start()

        for _ in range(N_PROCESSES):
            start()
        victim = str(workers[0].pid)
        while [process for process, _ in fits(log)].count(victim) < 2:
            if not workers[0].is_alive():
                raise RuntimeError("The search was over before the second candidate of a worker.")
            time.sleep(0.05)
        os.kill(workers[0].pid, signal.SIGKILL)
        start()
        for worker in workers:
            worker.join()
        found = []
        for k in range(1, len(workers)):
            with open(os.path.join(folder, f"{k}.pickle"), "rb") as file:
                found.append(pickle.load(file))
        lines = fits(log)
    counts = Counter(row for _, row in lines)
    held = [row for process, row in lines if process == victim][-1]
    columns = found[0][0]
    search, X, y = make_search((*known[:-1], None), False, batch_size=N_PROCESSES)
    alone = search.fit(X, y).cv_results_
    return {
        "cell": cell,
        "server": "://" in address,
        "candidates": len(columns["params"]),
        "evaluated twice": sum(n > 1 for row, n in counts.items() if row != held),
        "fits of the killed worker's candidate": counts[held],
        "lost": N_ITER - int(np.isfinite(columns["mean_test_score"]).sum()),
        "equal results": all(same(columns, other) for other, _ in found),
        # Beyond the fits, which sleep.
        "milliseconds": round(1000 * sum(seconds for _, seconds in found) / N_ITER, 1),
        "shared": regrets_of(columns),
        "batch": regrets_of(alone),
    }


def fits(log):
    """Return process and row of each fit."""
    path = Path(log)
    return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []


def same(one, other):
    return list(one) == list(other) and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f")
        if name != "params"
        else one[name] == other[name]
        for name in one
    )


def regrets_of(columns):
    return np.minimum.accumulate(-columns["mean_test_score"]).round(5).tolist()


def summarise_processes(lines):
    """Return counts, and regret of shared searches beside that of batches."""
    runs = [line for line in lines if line["cell"][1] == "processes"]
    if not runs:
        return {}
    return {
        "searches": len(runs),
        "on a server": sum(line["server"] for line in runs),
        "candidates": sorted({line["candidates"] for line in runs}),
        "evaluated twice, but for those of killed workers": sum(
            line["evaluated twice"] for line in runs
        ),
        "lost": sum(line["lost"] for line in runs),
        "searches with equal results of all workers": sum(line["equal results"] for line in runs),
        "regret after": compare_regrets(
            [line["shared"] for line in runs], [line["batch"] for line in runs]
        ),
    }


def summarise_eight(lines):
    """Return the regret of eight workers beside that of batches of eight, in the simulation."""
    runs = {tuple(line["cell"]): line["regret"] for line in lines if len(line["cell"]) == 4}
    pairs = [
        (regret, runs[name, "batch", prior, n_workers])
        for (name, method, prior, n_workers), regret in runs.items()
        if method == "shared" and n_workers == 8 and (name, "batch", prior, 8) in runs
    ]
    return compare_regrets(*zip(*pairs, strict=True)) if pairs else {}


def compare_regrets(shared, batch):
    """Return mean regrets after some numbers of candidates, and intervals of the difference."""
    shared, batch = np.array(shared), np.array(batch)
    drawn = np.random.default_rng(0).integers(len(shared), size=(2000, len(shared)))
    regret = {"searches": len(shared)}
    for n in (8, 16, 24, 32, 48, 64):
        gap = shared[:, n - 1] - batch[:, n - 1]
        regret[str(n)] = {
            "shared": round(float(shared[:, n - 1].mean()), 4),
            "batch_size=8": round(float(batch[:, n - 1].mean()), 4),
            "difference": round(float(gap.mean()), 4),
            "interval": np.percentile(gap[drawn].mean(1), [2.5, 97.5]).round(4).tolist(),
        }
    return regret


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", action="store_true", help="run eight real processes")
    parser.add_argument("--summary", action="store_true", help="run nothing")
    parser.add_argument("--minutes", type=float, default=15)
    args = parser.parse_args()
    if args.processes and not args.summary:
        names = list(recorded())[:N_SHARED]
        cells = [(name, "processes") for name in names]
        run_cells(cells, run_processes, RESULTS, args.minutes)
    elif not args.summary:
        cells = [
            (name, method, prior, n_workers)
            for n_workers in WORKERS
            for method, prior in (KINDS if n_workers <= N_PROCESSES else KINDS[:3])
            for name in list(recorded())[: None if n_workers <= N_PROCESSES else N_OF_MANY]
        ]
        run_cells(cells, simulate, RESULTS, args.minutes)
    lines = read_lines(RESULTS)
    summary = {
        "in flight": summarise_simulation(lines),
        "regret with eight workers": summarise_eight(lines),
        "processes": summarise_processes(lines),
    }
    print(pd.DataFrame(summary["in flight"]).to_string(index=False))
    print(json.dumps(summary["regret with eight workers"], indent=1))
    print(json.dumps(summary["processes"], indent=1))
    RESULTS.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
