"""How often a few-shot estimator warns of units, behind a scaler and without; and what it costs.

    SKMETA_DATA=... python -m benchmarks.measure.prior_in_a_pipeline --seeds 5

Rates: the tables with groups of ``SKMETA_DATA``, the digits of scikit-learn, and tables of eight
classes or more, whose tasks are pairs of classes. A third of the groups or classes is new. Supports
of 5 and 15 rows of a new task are given as they are (an alarm is false), after a scaler that was
fitted to them, and after one that was fitted to all rows of their task. The bound of scores was
chosen on other divisions of the tables with groups and the digits. Accuracy: the digits, with a
prior of rows as they are: alone, behind a scaler fitted to each task, and a prior of scaled rows
behind the same, frozen scaler.
"""

from functools import partial
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from benchmarks.lib import tabular_sets
from benchmarks.lib.group_tables import load, table_names
from benchmarks.lib.resumable import RESULTS, run_or_summarize
from skmeta import MetaFewShotClassifier
from skmeta._columns import FrameEncoder
from skmeta.learners import MAML, ProtoNet
from skmeta.priors import tensors_of_rows
from skmeta.priors._units import find_misfit
from skmeta.tasks import ClassEpisodes, EpisodeSplit, GroupEpisodes, split_tasks

SIZES, N_TASKS, N_WAY = (5, 15), 60, 2
SCALERS = {"standard": StandardScaler, "robust": RobustScaler, "minmax": MinMaxScaler}
LEARNERS = {
    "MAML": partial(MAML, n_iterations=300, n_inner_steps=5),
    "ProtoNet": partial(ProtoNet, n_iterations=300),
}

Cell = tuple[str, str, int]


def cells(seeds: Any) -> list[Cell]:
    rows, _ = tabular_sets.index()
    classes = [r for r in rows if r["task"].endswith("classification") and int(r["ny"]) >= 8]
    names = [*table_names(), "digits", *(row["name"] for row in classes)]
    rates = [("rates", name, seed) for seed in seeds for name in names]
    return rates + [("accuracy", name, seed) for seed in seeds for name in LEARNERS]


def run(cell: Cell) -> dict[str, Any]:
    kind, name, seed = cell
    values = measure_rates(name, seed) if kind == "rates" else measure_accuracy(name, seed)
    return {"cell": list(cell), **values}


def measure_rates(name: str, seed: int) -> dict[str, Any]:
    """Return the number of alarms and of supports, by what was done to them and their size."""
    rng = np.random.default_rng([7, seed])
    is_grouped = name in table_names()
    if is_grouped:
        X, y, tasks = load(name)[2:]
    else:
        X, tasks = load_digits(return_X_y=True) if name == "digits" else tabular_sets.load(name)
        y = tasks
    names = rng.permutation(np.unique(tasks))
    is_new = np.isin(tasks, names[: len(names) // 3])
    old = np.flatnonzero(~is_new)
    if not is_grouped:
        size = min(5, int(np.unique(y[old], return_counts=True)[1].min()) // 2)
        sampler: Any = ClassEpisodes(y[old], N_WAY, size, size)
    else:
        encoder = FrameEncoder.learn(X.iloc[old], False)
        X = np.asarray(X, float) if encoder is None else encoder.encode(X)
        sampler = GroupEpisodes(y[old].astype(float), tasks[old], 5, 15)

    def draw(rng: np.random.Generator) -> np.ndarray:
        task = sampler.sample(rng)
        return np.unique(np.concatenate([task.support, task.query]))

    tensors = tensors_of_rows(X[old], None, tasks[old], draw, is_image=False)
    alarms: dict[str, list[bool]] = {}
    for _ in range(N_TASKS):
        drawn = rng.choice(np.unique(tasks[is_new]), 1 if is_grouped else N_WAY, replace=False)
        rows = rng.permutation(np.flatnonzero(np.isin(tasks, drawn)))
        for size in [n for n in SIZES if n <= len(rows)]:
            few = X[rows[:size]]
            given = {"as they are": few}
            for scaler, cls in SCALERS.items():
                given[f"{scaler} of the support set"] = cls().fit_transform(few)
            given["standard of the task"] = StandardScaler().fit(X[rows]).transform(few)
            for what, support in given.items():
                is_alarm = find_misfit(tensors, support) is not None
                alarms.setdefault(f"{what}, {size} rows", []).append(is_alarm)
    return {name: [int(sum(found)), len(found)] for name, found in alarms.items()}


def measure_accuracy(learner: str, seed: int) -> dict[str, float]:
    """Return the accuracy on new digits, by what stands in front of the prior."""
    X, y = load_digits(return_X_y=True)
    old, new = split_tasks(y, (6, 4), random_state=seed)
    settings = {"n_way": 3, "n_shot": 5, "n_query": 10, "validation": 0, "random_state": seed}
    scaler = StandardScaler().fit(X[old])
    raw, scaled = (
        MetaFewShotClassifier(LEARNERS[learner](**settings, device="cpu").fit(rows, y[old]).prior_)
        for rows in (X[old], scaler.transform(X[old]))
    )
    cv = EpisodeSplit(n_way=3, n_shot=5, n_query=15, n_episodes=50, random_state=seed)
    models = {
        "alone": raw,
        "behind StandardScaler()": make_pipeline(StandardScaler(), raw),
        "both behind a frozen scaler": make_pipeline(FrozenEstimator(scaler), scaled),
    }
    scores = {n: cross_val_score(m, X[new], y[new], cv=cv).mean() for n, m in models.items()}
    return {name: round(float(score), 4) for name, score in scores.items()}


def summarize(lines: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """Return rates over all tables by what was done, and mean accuracies."""
    summary: dict[str, Any] = {}
    rates = [line for cell, line in lines.items() if cell[0] == "rates"]
    for what in ("as they are", *(f"{s} of the support" for s in SCALERS), "standard of the task"):
        pairs = [line[name] for line in rates for name in line if name.startswith(what)]
        found, n = np.sum(pairs, axis=0)
        summary[what] = f"{found} of {n} ({found / n:.2%})"
    for learner in LEARNERS:
        own = [line for cell, line in lines.items() if cell[:2] == ("accuracy", learner)]
        for name in own[0].keys() - {"cell"} if own else ():
            summary[f"{learner}: {name}"] = round(float(np.mean([n[name] for n in own])), 3)
    return summary


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, RESULTS / "prior_in_a_pipeline.jsonl")
