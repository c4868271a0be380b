"""Searches on real data sets: best test score against evaluations and against seconds.

    SKMETA_DATA=... python benchmarks/search_end_to_end.py
    SKMETA_DATA=... python benchmarks/search_end_to_end.py --methods history plain --again
    python benchmarks/search_end_to_end.py --summary
    python benchmarks/search_end_to_end.py --tables
    python benchmarks/search_end_to_end.py --overhead

Sixteen classification sets of PMLB, no two of the same origin. Up to 400 rows are there to search
on, by cross-validation with three folds, the same for every method; up to 2,000 others are the
test set, which no search sees. The score is balanced accuracy. Tuned are an SVC in a scaling
pipeline (C, gamma, kernel) and a random forest of 32 trees; 30 candidates each.

``random``      RandomizedSearchCV
``halving``     HalvingRandomSearchCV: 90 candidates on a ninth of the rows, the best third of them
                on a third, the best third of those on all: the rows of 30 candidates
``optuna``      OptunaSearchCV with its default sampler (TPE)
``plain``       MetaLearnedSearchCV without history and prior
``history``     MetaLearnedSearchCV with a history file: the searches of ``random`` with the same
                seed on the *other* fifteen sets

After each candidate the best one so far by cross-validation is refitted, and scored on the test
set; that time is not counted. All fits run in one process, one after the other, and seconds are
those of its processor time, so that a busy machine disturbs them little.

``--overhead`` measures what a search costs beyond its fits: seconds of 20 candidates, three folds,
SVC on iris, less those of RandomizedSearchCV; by the clock and of the processor, of a first search
in a process and of a second one. The history of ``history`` has 100 searches of 200 made-up scores
each.

A line a run goes to ``benchmarks/results/search_end_to_end.jsonl``; what is there is not run again,
save with ``--again``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import loguniform, randint, uniform
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import (
    RandomizedSearchCV,
    StratifiedKFold,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

from skmeta.search import MetaLearnedSearchCV, SearchHistory

try:
    from sklearn.model_selection import HalvingRandomSearchCV
except ImportError:  # up to scikit-learn 1.9
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

RESULTS = Path(__file__).parent / "results"
DATA = (
    "analcatdata_authorship",
    "balance_scale",
    "car",
    "cmc",
    "credit_g",
    "diabetes",
    "kr_vs_kp",
    "mfeat_zernike",
    "pendigits",
    "phoneme",
    "satimage",
    "segmentation",
    "spambase",
    "tic_tac_toe",
    "vehicle",
    "vowel",
)
METHODS = ("random", "halving", "optuna", "plain", "history")
N_CANDIDATES, N_FOLDS, N_TRAIN, N_TEST = 30, 3, 400, 2000
SHOWN = (3, 5, 10, 20, 30)
TIMES = (0.25, 0.5, 1.0, 2.0)  # of the seconds that `random` takes for all its candidates
N_BOOTSTRAP = 10_000

Space = dict[str, Any]
Problem = tuple[Any, Any, Any, Any]

# When each fold was scored: all methods call the scorer once a fold, in the order of candidates.
_clock: list[float] = []


def balanced_accuracy(estimator: Any, X: Any, y: Any) -> float:
    """Balanced accuracy, which notes the time."""
    score = float(balanced_accuracy_score(y, estimator.predict(X)))
    _clock.append(time.process_time())
    return score


def estimators() -> dict[str, tuple[Any, Space]]:
    """What is tuned, and the space: ``("log" or "linear" or "integer" or "choice", values)``."""
    svc = make_pipeline(StandardScaler(), SVC(max_iter=20_000))
    forest = RandomForestClassifier(32, random_state=0)
    return {
        "svc": (
            svc,
            {
                "svc__C": ("log", 1e-2, 1e3),
                "svc__gamma": ("log", 1e-4, 1e1),
                "svc__kernel": ("choice", "rbf", "poly"),
            },
        ),
        "forest": (
            forest,
            {
                "max_features": ("linear", 0.05, 1.0),
                "min_samples_leaf": ("integer", 1, 20),
                "criterion": ("choice", "gini", "entropy"),
                "bootstrap": ("choice", True, False),
            },
        ),
    }


def for_sklearn(kind: str, *values: Any) -> Any:
    if kind == "log":
        return loguniform(*values)
    if kind == "linear":
        return uniform(values[0], values[1] - values[0])
    return randint(values[0], values[1] + 1) if kind == "integer" else list(values)


def for_optuna(kind: str, *values: Any) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if kind == "choice":
        return CategoricalDistribution(values)
    if kind == "integer":
        return IntDistribution(*values)
    return FloatDistribution(*values, log=kind == "log")


def translate(space: Space, how: Callable[..., Any]) -> Space:
    return {name: how(*dimension) for name, dimension in space.items()}


# -- the searches ------------------------------------------------------------------------------


def make_search(method: str, estimator: Any, space: Space, seed: int, **options: Any) -> Any:
    """An unfitted search, and all that its ``fit`` needs imported."""
    n, common = options.pop("n_iter", N_CANDIDATES), {"refit": False} | options
    if method == "random":
        given = translate(space, for_sklearn)
        return RandomizedSearchCV(estimator, given, n_iter=n, random_state=seed, **common)
    if method == "halving":
        return HalvingRandomSearchCV(
            estimator,
            translate(space, for_sklearn),
            n_candidates=3 * n,
            min_resources=common.pop("n_rows") // 9,
            factor=3,
            random_state=seed,
            return_train_score=False,
            **common,
        )
    if method.startswith("optuna"):
        import optuna
        from optuna_integration import OptunaSearchCV

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.GPSampler(seed=seed) if method == "optuna-gp" else None
        study = optuna.create_study(direction="maximize", sampler=sampler)
        given = translate(space, for_optuna)
        return OptunaSearchCV(
            estimator,
            given,
            n_trials=n,
            random_state=seed,
            study=study if sampler is not None else None,
            **common,
        )
    given = translate(space, for_sklearn)
    # Nothing is known but what the history says: the priors that ship saw these data sets.
    known = {"prior": "history"} if "history" in common else {"history": False, "prior": None}
    return MetaLearnedSearchCV(estimator, given, n_iter=n, random_state=seed, **known, **common)


def tried(search: Any) -> tuple[list[dict[str, Any]], list[float], list[float]]:
    """Parameters, scores and costs (in candidates on all rows) in the order of evaluation."""
    if hasattr(search, "trials_"):
        trials = [trial for trial in search.trials_ if trial.value is not None]
        return [t.params for t in trials], [t.value for t in trials], [1.0] * len(trials)
    results = search.cv_results_
    costs = np.ones(len(results["params"]))
    if "n_resources" in results:
        costs = results["n_resources"] / np.max(results["n_resources"])
    return list(results["params"]), list(results["mean_test_score"]), list(costs)


def incumbents(scores: list[float], costs: list[float]) -> Iterator[tuple[int, int]]:
    """Yield each moment that has a best candidate, and it: after each rung of a halving search."""
    best: int | None = None
    for k, (score, cost) in enumerate(zip(scores, costs, strict=True)):
        # Scores on few rows do not compare with those on more.
        if best is None or cost > costs[best] or score > scores[best]:
            best = k
        end_of_rung = k + 1 == len(costs) or costs[k + 1] != cost
        if len(set(costs)) == 1 or end_of_rung:
            yield k, best


def run_search(search: Any, problem: Problem) -> dict[str, Any]:
    """Fit a search; its best candidate's scores after each evaluation."""
    X, y, X_test, y_test = problem
    _clock.clear()
    begun = time.process_time()
    search.fit(X, y)
    total = time.process_time() - begun
    folds = np.array(_clock) - begun
    params, scores, costs = tried(search)
    known: dict[int, float] = {}
    found: dict[str, Any] = {"cost": [], "score": [], "test": [], "seconds": []}
    for k, best in incumbents(scores, costs):
        if best not in known:
            model = clone(search.estimator).set_params(**params[best]).fit(X, y)
            known[best] = float(balanced_accuracy_score(y_test, model.predict(X_test)))
        found["cost"].append(round(float(np.sum(costs[: k + 1])), 2))
        found["score"].append(round(float(scores[best]), 4))
        found["test"].append(round(known[best], 4))
        found["seconds"].append(round(float(folds[N_FOLDS * (k + 1) - 1]), 3))
    return found | {"total": round(total, 3)}


@cache
def load(name: str, seed: int) -> Problem:
    """Rows to search on and rows to test on, drawn anew for each seed."""
    path = Path(os.environ["SKMETA_DATA"]) / "tabular" / f"{name}.tsv.gz"
    table = pd.read_csv(path, sep="\t")
    X, y = table.drop(columns="target").to_numpy(float), table["target"].to_numpy()
    n_train = min(N_TRAIN, int(0.6 * len(y)))
    n_test = min(N_TEST, len(y) - n_train)
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=n_train, test_size=n_test, stratify=y, random_state=seed
    )
    return X, y, X_test, y_test


def folds_of(seed: int) -> StratifiedKFold:
    return StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)


# Fitted searches of ``random``, which are past searches of the other data sets' histories.
_fitted: dict[tuple[str, str, int], Any] = {}


def random_search(estimator: str, name: str, seed: int) -> Any:
    """The search of ``random`` on a data set."""
    if (estimator, name, seed) not in _fitted:
        model, space = estimators()[estimator]
        options = {"scoring": balanced_accuracy, "cv": folds_of(seed)}
        search = make_search("random", model, space, seed, **options)
        X, y, _, _ = load(name, seed)
        _fitted[estimator, name, seed] = search.fit(X, y)
    return _fitted[estimator, name, seed]


def past(estimator: str, left_out: str, seed: int, path: Path) -> Path:
    """A history file with the random searches on the other data sets."""
    with SearchHistory(path) as history:
        for name in DATA:
            if name != left_out:
                X, y, _, _ = load(name, seed)
                search = random_search(estimator, name, seed)
                history.add(search, dataset=name, X=X, y=y, scoring="balanced_accuracy")
    return path


def run(method: str, estimator: str, name: str, seed: int) -> dict[str, Any]:
    """One line of the results."""
    model, space = estimators()[estimator]
    problem = load(name, seed)
    options: dict[str, Any] = {"scoring": balanced_accuracy, "cv": folds_of(seed)}
    if method == "halving":
        options["n_rows"] = len(problem[1])
    with tempfile.TemporaryDirectory() as folder:
        if method == "history":
            options["history"] = past(estimator, name, seed, Path(folder) / "searches.db")
        try:
            search = make_search(method, model, space, seed, **options)
            found = run_search(search, problem)
            if method == "random":
                _fitted[estimator, name, seed] = search
        except Exception as error:  # a peer that does not run here is a result too
            if method in ("plain", "history", "random"):
                raise
            found = {"error": f"{type(error).__name__}: {error}"[:200]}
    return {"estimator": estimator, "data": name, "seed": seed, "method": method} | found


# -- all of them -------------------------------------------------------------------------------


def wanted(methods: list[str], n_seeds: int) -> list[tuple[str, str, str, int]]:
    return [
        (method, estimator, name, seed)
        for seed in range(n_seeds)
        for estimator in estimators()
        for name in DATA
        for method in methods
    ]


def key_of(line: dict[str, Any]) -> tuple[str, str, str, int]:
    return line["method"], line["estimator"], line["data"], line["seed"]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def run_all(path: Path, methods: list[str], n_seeds: int, again: bool) -> None:
    lines = [line for line in read(path) if not (again and line["method"] in methods)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = {key_of(line) for line in lines}
    for cell in tqdm([cell for cell in wanted(methods, n_seeds) if cell not in done]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            line = run(*cell)
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


# -- what it says ------------------------------------------------------------------------------


def at(line: dict[str, Any], axis: str, limit: float, of: str) -> float:
    """Value of the best candidate when `axis` (cost or seconds) is at `limit`."""
    reached = np.searchsorted(line[axis], limit + 1e-6, side="right")
    return line[of][reached - 1] if reached else np.nan


def table_of(lines: list[dict[str, Any]], of: str) -> pd.DataFrame:
    """One row a run, one column a moment; of what all methods have run."""
    by_key = {key_of(line): line for line in lines if "error" not in line}
    methods = {method for method, *_ in by_key}
    by_key = {k: v for k, v in by_key.items() if all((m, *k[1:]) in by_key for m in methods)}
    rows = []
    for (method, estimator, name, seed), line in by_key.items():
        whole = by_key["random", estimator, name, seed]["seconds"][-1]
        row: dict[str, Any] = {"method": method, "estimator": estimator, "data": name, "seed": seed}
        row |= {f"{k} evaluations": at(line, "cost", k, of) for k in SHOWN}
        row |= {f"{t:g} x seconds": at(line, "seconds", t * whole, of) for t in TIMES}
        if method == "halving" and of == "score":  # on a part of the rows, until its last rung
            row |= {name: np.nan for name in row if "evaluations" in name} | {
                f"{N_CANDIDATES} evaluations": line[of][-1]
            }
        rows.append(row)
    return pd.DataFrame(rows).set_index(["estimator", "data", "seed", "method"])


def interval(gaps: pd.Series, digits: int = 2) -> str:
    """Mean over data sets, with a 95% interval from a bootstrap over data sets."""
    means = gaps.groupby("data").mean().dropna().to_numpy()
    if len(means) == 0:
        return ""
    drawn = means[np.random.default_rng(0).integers(len(means), size=(N_BOOTSTRAP, len(means)))]
    low, high = np.quantile(drawn.mean(1), [0.025, 0.975])
    mean, low, high = (f"{100 * value:.{digits}f}" for value in (means.mean(), low, high))
    return f"{mean} ({low} to {high})"


def summarise(path: Path) -> None:
    lines = read(path)
    failed = {(line["method"], line["error"]) for line in lines if "error" in line}
    for method, error in sorted(failed):
        print(f"{method} failed: {error}")
    pd.set_option("display.width", 220, "display.max_columns", 30)
    for estimator in estimators():
        mine = [line for line in lines if line["estimator"] == estimator]
        print(f"\n== {estimator}")
        for of, title in (("test", "test score"), ("score", "cross-validated score")):
            table = table_of(mine, of).xs(estimator, level="estimator")
            shown = [m for m in METHODS if m in table.index.get_level_values("method")]
            wide = {c: table[c].unstack("method")[shown] for c in table.columns}
            print(f"\n{title}, mean of {len(wide['3 evaluations'])} runs, in percent")
            print(
                (
                    100 * pd.DataFrame({c: w[shown].mean(skipna=False) for c, w in wide.items()})
                ).round(2)
            )
            print(f"\n{title}, mean rank (1 is best)")
            ranks = {
                c: w[shown].fillna(-1).round(4).rank(axis=1, ascending=False).mean()
                for c, w in wide.items()
            }
            print(pd.DataFrame(ranks).round(2))
            print(f"\n{title}: history minus others, in percent points, mean (95% interval)")
            gaps = {
                c: {m: interval(w["history"] - w[m]) for m in shown if m != "history"}
                for c, w in wide.items()
                if c.endswith("evaluations")
            }
            print(pd.DataFrame(gaps).to_string())
        seconds = pd.DataFrame(
            [
                {"method": line["method"], "seconds": line["total"]}
                for line in mine
                if "total" in line
            ]
        )
        print("\nseconds of a search, median")
        print(seconds.groupby("method")["seconds"].median().round(2).to_string())


TITLES = {
    "svc": "SVC",
    "forest": "random forest",
    "random": "RandomizedSearchCV",
    "halving": "HalvingRandomSearchCV",
    "optuna": "OptunaSearchCV (TPE)",
    "plain": "skmeta, nothing known",
    "history": "skmeta, 15 past searches",
}


def list_table(rows: list[list[str]]) -> str:
    """A table of reStructuredText, with the header in its first row."""
    text = ".. list-table::\n   :header-rows: 1\n\n"
    for row in rows:
        text += "   * - " + "\n     - ".join(row) + "\n"
    return "\n".join(line.rstrip() for line in text.splitlines())


def print_tables(path: Path) -> None:
    """The tables of the documentation."""
    lines = read(path)
    scores = [["test score after", *(f"{k} candidates" for k in SHOWN)]]
    gaps = [["with history, minus that of", *(f"{k} candidates" for k in SHOWN)]]
    for estimator in estimators():
        table = table_of([line for line in lines if line["estimator"] == estimator], "test")
        table = table.xs(estimator, level="estimator")
        wide = [table[f"{k} evaluations"].unstack("method") for k in SHOWN]
        for method in [m for m in METHODS if m in wide[0]]:
            title = f"{TITLES[estimator]}: {TITLES[method]}"
            means = [100 * w[method].mean(skipna=False) for w in wide]
            scores.append([title, *("" if np.isnan(m) else f"{m:.1f}" for m in means)])
            if method != "history":
                gaps.append([title, *(interval(w["history"] - w[method], 1) for w in wide)])
    print(list_table(scores), list_table(gaps), sep="\n\n")


# -- overhead ----------------------------------------------------------------------------------

OVERHEADS = ("random", "plain", "history", "optuna-gp", "optuna")


def made_up_history(path: Path) -> None:
    """20,000 evaluations: 100 searches of 200, with scores from a smooth function."""
    rng = np.random.default_rng(0)
    with SearchHistory(path) as history:
        for k in range(100):
            C, gamma = 10 ** rng.uniform(-2, 3, 200), 10 ** rng.uniform(-4, 1, 200)
            peak, slope = rng.normal([1.0, -1.5], 0.5), rng.uniform(0.02, 0.05)
            distance = (np.log10(C) - peak[0]) ** 2 + (np.log10(gamma) - peak[1]) ** 2
            scores = 0.9 - slope * distance + rng.normal(0, 0.01, 200)
            params = [{"C": c, "gamma": g, "kernel": "rbf"} for c, g in zip(C, gamma, strict=True)]
            history.add(SVC(), params, scores, dataset=f"set {k}", scoring="accuracy")


def time_one(method: str, history: str | None) -> list[list[float]]:
    """Seconds of fit, and of a second one, in this process: by the clock and of its processor."""
    X, y = load_iris(return_X_y=True)
    space = {
        "C": ("log", 1e-2, 1e3),
        "gamma": ("log", 1e-4, 1e1),
        "kernel": ("choice", "rbf", "poly"),
    }
    seconds = []
    for seed in range(2):
        options = {"history": history} if history else {}
        search = make_search(
            method,
            SVC(max_iter=20_000),
            space,
            seed,
            n_iter=20,
            cv=3,
            scoring="accuracy",
            refit=True,
            **options,
        )
        begun = time.perf_counter(), time.process_time()
        search.fit(X[seed:], y[seed:])  # other data: the same search would resume
        seconds.append([time.perf_counter() - begun[0], time.process_time() - begun[1]])
    return seconds


def overhead(path: Path, n_repeats: int) -> None:
    """Seconds over RandomizedSearchCV; each measured in a process of its own."""
    found: dict[str, list[Any]] = {method: [] for method in OVERHEADS}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        made_up_history(Path(folder) / "past.db")
        for _ in tqdm(range(n_repeats)):
            for method in [m for m in OVERHEADS if m not in failed]:
                command = [sys.executable, __file__, "--overhead-one", method]
                if method == "history":
                    copy = Path(folder) / "copy.db"
                    copy.write_bytes((Path(folder) / "past.db").read_bytes())
                    command += ["--with-history", str(copy)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    failed[method] = done.stderr.strip().splitlines()[-1][:200]
                else:
                    found[method].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {method: np.median(runs, axis=0) for method, runs in found.items() if runs}
    line: dict[str, Any] = {"repeats": n_repeats, "failed": failed}
    for k, clock in enumerate(("clock", "processor")):
        base = medians["random"][:, k]
        line[clock] = {"random": base.round(3).tolist()} | {
            f"{method} minus random": (medians[method][:, k] - base).round(3).tolist()
            for method in OVERHEADS[1:]
            if method in medians
        }
    print(json.dumps(line, indent=1))
    path.write_text(json.dumps(line) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="run the methods anew")
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--tables", action="store_true", help="print those of the documentation")
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--overhead-one", choices=OVERHEADS, help=argparse.SUPPRESS)
    parser.add_argument("--with-history", help=argparse.SUPPRESS)
    args = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "search_end_to_end.jsonl"
    if args.overhead_one:
        warnings.simplefilter("ignore")
        print(json.dumps(time_one(args.overhead_one, args.with_history)))
    elif args.overhead:
        overhead(RESULTS / "search_end_to_end-overhead.jsonl", args.repeats)
    elif args.tables:
        print_tables(path)
    elif args.summary:
        summarise(path)
    else:
        run_all(path, args.methods, args.seeds, args.again)
        summarise(path)


if __name__ == "__main__":
    main()
