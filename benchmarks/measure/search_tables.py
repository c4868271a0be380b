"""Hyperparameter search on tables of measured configurations: regret after 1 to 30 evaluations.

    SKMETA_DATA=... python -m benchmarks.measure.search_tables --methods learned plain

Each table holds scores of random configurations of one estimator on about a hundred data sets
(``oboe``: 219 configurations of 12 estimators, so that the choice is among algorithms, on 211).
A search may try the rows of its task only. Regret is normalised, (best - incumbent) / (best -
worst) of the task; tasks whose rows all score alike are left out. The prior of ``learned`` comes
from the table's other data sets.

``plain`` is the same search without history. ``inverted`` and ``shuffled`` have a history that
misleads: scores negated, or permuted within each past task. ``random`` is not run: its expected
regret is exact by order statistics, for draws without replacement. ``syne-tune-zero-shot`` of
syne-tune 0.16 (``pip install "syne-tune[blackbox-repository]"``) knows the scores of the other data
sets, and learns nothing from those of the task.

Settings were chosen on the data sets of the development half (``--half dev``), decided by a hash
of the task's number; ``--half report`` holds the others. Results go to
``results/search_tables-<method>.jsonl.gz``, and their summary to ``search_tables.json``.
"""

import ast
import csv
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaln

from benchmarks.lib.intervals import ratio_interval
from benchmarks.lib.resumable import (
    RESULTS,
    lines_by_cell,
    read_options,
    read_records,
    report,
    run_cells,
)
from skmeta.search import SearchPrior
from skmeta.search.record import PastSearch
from skmeta.search.space import Encoding
from skmeta.search.surrogate import SearchStrategy

KEYS = ("table", "task", "seed")
N_EVALUATIONS = 30
SHOWN = (1, 3, 5, 10, 15, 20, 30)
GUARDED = ("inverted", "shuffled", "learned")
ARFF = {
    "forest": ("openml_pimp/random_forest.arff", "RandomForestClassifier"),
    "svc": ("openml_multitask/svm-offgrid.arff", "SVC"),
    "adaboost": ("openml_pimp/adaboost.arff", "AdaBoostClassifier"),
}
TABLES = (*ARFF, "oboe")
# Seeds of each method.
METHODS = {"learned": 1, "plain": 3, "inverted": 1, "shuffled": 1, "syne-tune-zero-shot": 1}


@dataclass(frozen=True)
class Task:
    """The rows of one data set."""

    name: str
    configurations: tuple[dict[str, Any], ...]
    scores: np.ndarray

    @property
    def half(self) -> str:
        return ("dev", "report")[hashlib.sha256(self.name.encode()).digest()[0] % 2]


@cache
def load_table(table: str) -> list[Task]:
    folder = Path(os.environ["SKMETA_DATA"]) / "searches"
    tasks = read_oboe(folder / "oboe") if table == "oboe" else read_arff(folder, *ARFF[table])
    return [task for task in tasks if np.ptp(task.scores) > 1e-9]


def read_arff(folder: Path, name: str, estimator: str) -> list[Task]:
    """Tables whose last two columns are the score and the task."""
    lines = (line.strip() for line in (folder / name).read_text().splitlines())
    lines = [line for line in lines if line and not line.startswith("%")]
    named = [line.split()[1] for line in lines if line.lower().startswith("@attribute")]
    names = [canonical(one, estimator) for one in named[:-2]]
    tasks: dict[str, list[tuple[dict[str, Any], float]]] = {}
    for line in lines:
        if not line.startswith("@"):
            *values, score, task = line.split(",")
            row = dict(zip(names, map(parse, values), strict=True))
            tasks.setdefault(task, []).append((row, float(score)))
    return [
        Task(task, tuple(row for row, _ in rows), np.array([score for _, score in rows]))
        for task, rows in tasks.items()
    ]


def canonical(name: str, estimator: str) -> str:
    """``SVC.C``, whatever the step was called."""
    *steps, parameter = name.split("__")
    owner = {"base_estimator": "DecisionTreeClassifier", "imputer": "SimpleImputer"}
    return f"{owner.get(steps[-1], estimator) if steps else estimator}.{parameter}"


def parse(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def read_oboe(folder: Path) -> list[Task]:
    with open(folder / "error_matrix.csv", newline="") as file:
        header, *rows = csv.reader(file)
    described = [ast.literal_eval(text) for text in header[1:]]
    configurations = tuple(
        {"estimator": d["algorithm"]}
        | {f"{d['algorithm']}.{name}": value for name, value in d["hyperparameters"].items()}
        for d in described
    )
    return [Task(row[0], configurations, -np.array(row[1:], dtype=float)) for row in rows]


@cache
def learn_prior(table: str, kind: str) -> SearchPrior:
    """Prior from all of a table's data sets."""
    rng = np.random.default_rng(0)
    change: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "learned": lambda scores: scores,
        "inverted": lambda scores: -scores,
        "shuffled": rng.permutation,
    }
    tasks = [replace(t, scores=change[kind](t.scores)) for t in load_table(table)]
    names = ("configurations", "scores")
    return SearchPrior.from_searches(
        [PastSearch(dataset=t.name, **{n: getattr(t, n) for n in names}) for t in tasks]
    )


def tried_rows(
    configurations: Sequence[dict[str, Any]], scores: np.ndarray, prior: Any, n: int, seed: int = 0
) -> list[int]:
    """Rows of measured configurations, in the order in which a search tries them."""
    strategy = SearchStrategy(configurations, prior, rng=np.random.default_rng(seed))
    rows: list[int] = []
    while len(rows) < min(n, len(scores)):
        rows.append(strategy.ask()[0].index)
        strategy.tell(rows[-1:], scores[rows[-1:]])
    return rows


def syne_tune_rows(table: str, task: Task, seed: int) -> list[int]:
    """Rows nearest to what syne-tune 0.16 proposes, which knows scores of the other data sets."""
    from syne_tune.optimizer.schedulers.transfer_learning.transfer_learning_task_evaluation import (
        TransferLearningTaskEvaluations as Evaluations,
    )
    from syne_tune.optimizer.schedulers.transfer_learning.zero_shot import ZeroShotTransfer

    tasks = load_table(table)
    every = [c for t in tasks for c in t.configurations]
    encoding = Encoding.from_configurations(every)
    space = syne_tune_space(every, encoding)
    here = pd.DataFrame([{n: as_text(c[n]) for n in space} for c in task.configurations])
    at = next(i for i, t in enumerate(tasks) if t.name == task.name)
    evaluations = {
        t.name: Evaluations(space, here, ["loss"], -interpolated(table)[i][at].reshape(-1, 1, 1, 1))
        for i, t in enumerate(tasks)
        if i != at
    }
    scheduler = ZeroShotTransfer(
        space, "loss", evaluations, sort_transfer_learning_evaluations=False, random_seed=seed
    )
    values = {name: {as_text(c[name]): c[name] for c in every} for name in space}
    X = encoding.transform(task.configurations)
    rows: list[int] = []
    while len(rows) < min(N_EVALUATIONS, len(task.scores)):
        proposed = scheduler.get_config()  # `suggest` draws at random.
        if proposed is None:  # It has proposed all of its candidates.
            break
        params = {name: values[name].get(value, value) for name, value in proposed.items()}
        params = task.configurations[0] | params  # Those that are constant are not proposed.
        distance = ((X - encoding.transform([params], encoding.parameters)) ** 2).sum(1)
        distance[rows] = np.inf
        rows.append(int(distance.argmin()))
    return rows


@cache
def interpolated(table: str) -> list[list[np.ndarray]]:
    """Scores of each data set at the configurations of each, by boosted trees as in syne-tune.

    Its own imputation draws other configurations for each data set, and fails in version 0.16.
    """
    import xgboost

    tasks = load_table(table)
    encoding = Encoding.from_configurations([c for t in tasks for c in t.configurations])
    X = [encoding.transform(t.configurations) for t in tasks]
    models = [xgboost.XGBRegressor().fit(x, t.scores) for x, t in zip(X, tasks, strict=True)]
    return [[model.predict(x) for x in X] for model in models]


def as_text(value: Any) -> Any:
    """syne-tune's categories are texts."""
    return str(value) if isinstance(value, bool | str) or value is None else value


def syne_tune_space(configurations: Sequence[dict[str, Any]], encoding: Encoding) -> dict[str, Any]:
    from syne_tune import config_space

    logs = {d["name"]: d["log"] for d in encoding.to_json()}
    space: dict[str, Any] = {}
    for name in encoding.parameters:
        values = {as_text(c[name]) for c in configurations}
        if any(isinstance(v, str) for v in values) and len(values) > 1:
            space[name] = config_space.choice(sorted(map(str, values)))
        elif len(values) > 1:
            kind = "randint" if all(isinstance(v, int) for v in values) else "uniform"
            make = getattr(config_space, "log" * bool(logs[name]) + kind)
            space[name] = make(min(values), max(values))
    return space


def run(method: str, tables: Sequence[str], half: str) -> None:
    tasks = {(table, task.name): task for table in tables for task in load_table(table)}
    cells = [
        (table, name, seed)
        for (table, name), task in tasks.items()
        for seed in range(METHODS[method])
        # syne-tune has no conditional space.
        if half in ("all", task.half) and not (method.startswith("syne") and table == "oboe")
    ]

    def run_one(cell: Any) -> dict[str, Any]:
        (table, name, seed), task = cell, tasks[cell[:2]]
        if method.startswith("syne"):
            rows = syne_tune_rows(table, task, seed)
        else:
            is_plain = method == "plain"
            prior = None if is_plain else learn_prior(table, method).without(datasets=[name])
            rows = tried_rows(task.configurations, task.scores, prior, N_EVALUATIONS, seed)
        best = task.scores.max() - np.maximum.accumulate(task.scores[rows])
        regret = (best / np.ptp(task.scores)).round(4).tolist()
        return dict(zip(KEYS, cell, strict=True)) | {"regret": regret}

    run_cells(cells, run_one, RESULTS / f"search_tables-{method}.jsonl.gz", keys=KEYS)


def random_regret(scores: np.ndarray) -> np.ndarray:
    """Expected regret of random search after 1 to n draws without replacement."""
    n = len(scores)
    regret = (scores.max() - np.sort(scores)[::-1]) / np.ptp(scores)
    k, i = np.arange(1, n + 1)[:, None], np.arange(n)[None, :]
    # All k draws are among the n - i worst rows: C(n - i, k) / C(n, k).
    log_ratio = gammaln(n - i + 1) - gammaln(np.maximum(n - i - k, 0) + 1)
    log_ratio = log_ratio - gammaln(n + 1) + gammaln(n - k + 1)
    at_least = np.where(n - i >= k, np.exp(log_ratio), 0.0)
    return (at_least - np.append(at_least[:, 1:], np.zeros((n, 1)), axis=1)) @ regret


def evaluations_needed(curve: np.ndarray, regret: float) -> float:
    """Evaluations after which a falling curve reaches a regret; its length where it does not."""
    reached = np.flatnonzero(curve <= regret)
    k = int(reached[0]) if len(reached) else len(curve)
    if k in (0, len(curve)):
        return float(max(k, 1))
    return float(k + (curve[k - 1] - regret) / (curve[k - 1] - curve[k]))


def curves(method: str, table: str, half: str) -> np.ndarray | None:
    """Regrets of shape (n_tasks, n_evaluations), mean over seeds; None where some are missing."""
    tasks = [t for t in load_table(table) if half in ("all", t.half)]
    if method == "random":
        return np.array([random_regret(t.scores) for t in tasks])
    lines = lines_by_cell(RESULTS / f"search_tables-{method}.jsonl.gz", KEYS)
    each = [[lines.get((table, t.name, s)) for s in range(METHODS[method])] for t in tasks]
    if any(line is None for seeds in each for line in seeds):
        return None
    return np.array([np.mean([line["regret"] for line in seeds], axis=0) for seeds in each])


def summarise(half: str) -> dict[str, Any]:
    """Return mean and median regrets, and ratios to the search without history."""
    summary: dict[str, Any] = {}
    at = [k - 1 for k in SHOWN]
    for table in TABLES:
        each = {m: c for m in ("random", *METHODS) if (c := curves(m, table, half)) is not None}
        for method, curve in each.items():
            record: dict[str, Any] = {"n_tasks": len(curve)}
            for name, of in (("mean", np.mean), ("median", np.median)):
                record[name] = {k: round(float(of(curve[:, k - 1])), 4) for k in SHOWN}
            if method in GUARDED and "plain" in each:
                ratio = ratio_interval(curve[:, at], each["plain"][:, at], 1e-9)
                record["over plain"] = np.round(ratio, 2).T.tolist()
            summary.setdefault(table, {})[method] = record
    return summary


def main() -> None:
    options = read_options(
        __doc__, methods=[], tables=[*TABLES], half=("all", "dev", "report"), summary=False
    )
    for method in options.methods:
        run(method, options.tables, options.half)
    if options.summary:
        path = RESULTS / "search_tables.json"
        report(read_records(path) | {options.half: summarise(options.half)}, path)


if __name__ == "__main__":
    main()
