"""New groups of grouped tables, from 5 or 10 of their rows.

    SKMETA_DATA=... python benchmarks/groups.py --methods pooled intercept hierarchical
    SKMETA_DATA=... python benchmarks/groups.py --sets Exam Hsb82 --methods slopes
    python benchmarks/groups.py --summary --methods pooled intercept hierarchical

A third of the groups of 15 rows or more (of ChickWeight: of 12) is held out, at most 25 of them
are tested, and all other groups are there to learn from. Of each tested group 5 (or 10) rows are
known, at random, and the same up to 100 others are predicted in both cases. Encoders are fitted on
the rows to learn from.

Methods:

``pooled``        ridge or logistic regression on all rows to learn from;
``boosted``       gradient-boosted trees on the same;
``own``           ridge or logistic regression on the known rows;
``pooled_own``    ``pooled`` with the known rows added, at a weight that is chosen on groups to
                  learn from;
``intercept``     random intercept: of regressions, statsmodels' MixedLM with a ridge penalty's
                  pooled slopes; of classifications, an intercept for each group beside a pooled
                  logistic regression, by quadrature;
``slopes``        random intercept and slopes with a diagonal covariance, fixed effects estimated
                  jointly (EM; Laplace's approximation for classes);
``shipped``       the prior for small tables that ships, on the known rows;
``hierarchical``  HierarchicalLinear, default settings;
``alpaca``        ALPaCA;
``in_context``    InContextLearner, fine-tuned from the prior that ships;
``metasgd``, ``maml``  those, on groups;
``protonet``      ProtoNet, for classifications, from 1 to 5 rows of each class; a class without
                  known rows has probability 0;
``auto``          AutoLearner, within ``--time-budget`` seconds of processor time. Its leaderboards
                  are in ``results/groups-auto.jsonl``.

A learner of the package has one prior for both numbers of known rows; its ``seconds`` are in the
line of 5 rows. The baselines ``intercept`` and ``slopes`` are written here, apart from the package.

Squared errors are over the variance of the targets of all queries of a split, log losses are of
probabilities over all classes, not below 0.001. Every second set, by a hash of its name, is there
to choose settings on; ``--summary`` reports both halves, with intervals from a bootstrap over sets.
Each result is one line of ``results/groups.csv``, and a run goes on after those that are there.
``results/group_calibration.csv`` has, for ten bins of the predicted probabilities of all classes,
their number, their sum and the number of rows of the class.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from group_baselines import BASELINES
from group_tables import (
    SHOTS,
    Prediction,
    Split,
    class_shares,
    errors,
    is_development,
    load,
    split_table,
    table_names,
)

from skmeta.learners import TaskSampling

_PRIORS: dict = {}
RESULTS = Path(__file__).parent / "results" / "groups.csv"
CALIBRATION = RESULTS.with_name("group_calibration.csv")
N_BINS = 10
LEADERBOARDS = RESULTS.with_name("groups-auto.jsonl")
TIME_BUDGET = 300.0
COLUMNS = (
    "set",
    "task",
    "split",
    "method",
    "shots",
    "error",
    "log_density",
    "accuracy",
    "covered",
    "seconds",
)


def _with_prior(split: Split, prior) -> list[Prediction]:
    """Predictions of a prior whose classes are 0, 1, ..., all of which get a probability."""
    import torch

    from skmeta.learners import LEARNERS
    from skmeta.learners._core import read_prior

    n_outputs = split.n_classes if split.task == "classification" else 1
    session, state = read_prior(
        prior, LEARNERS[prior.learner], classes=range(n_outputs), device="cpu", precision="float64"
    )
    learner, context, adapter = session.learner, session.context, session.adapter
    found = []
    for known, queries in split.tests:
        rows = adapter.rows(adapter.upload(split.X[known]), split.y[known], np.ones(len(known)))
        x = adapter.inputs(adapter.upload(split.X[queries]))
        with torch.no_grad():
            adapted = learner.adapt(context, state, rows)
            outputs = learner.forward(context, adapted, x)
            if split.task == "classification":
                found.append(Prediction(torch.softmax(outputs, 1).numpy()))
                continue
            mean = adapter.targets(outputs[:, 0])
            if not hasattr(learner, "predict_distribution"):
                found.append(Prediction(mean))
                continue
            levels = torch.tensor([0.05, 0.95], dtype=torch.float64)
            _, std, interval = learner.predict_distribution(context, adapted, x, levels)
            spread = adapter.targets(std) - adapter.targets(torch.zeros_like(std))
            found.append(Prediction(mean, spread**2, adapter.targets(interval)))
    return found


def _meta_trained(split: Split, learner) -> list[Prediction]:
    return _with_prior(split, _meta_trained_prior(split, learner))


def _meta_trained_prior(split: Split, learner):
    """One prior for both numbers of known rows."""
    key = (split.name, split.seed, type(learner).__name__)
    if key in _PRIORS:
        return _PRIORS[key]
    from skmeta.exceptions import UnusedDataWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedDataWarning)
        names = learner.get_params(deep=False)
        if "sampling" in names and not learner.needs_every_class("learned"):
            learner.set_params(sampling=TaskSampling("task"))
        if "task_type" in names:
            learner.set_params(task_type=split.task)
        learner.set_params(random_state=split.seed)
        learner.fit(split.X[split.train], split.y[split.train], groups=split.groups[split.train])
    _PRIORS[key] = learner.prior_
    return learner.prior_


def hierarchical(split: Split) -> list[Prediction]:
    from skmeta.learners import HierarchicalLinear

    return _meta_trained(split, HierarchicalLinear())


def alpaca(split: Split) -> list[Prediction]:
    from skmeta.learners import ALPaCA

    return _meta_trained(split, ALPaCA(n_iterations=500, n_shot=SHOTS))


def in_context(split: Split) -> list[Prediction]:
    from skmeta.learners import InContextLearner

    settings = {"n_iterations": 200, "n_shot": SHOTS, "meta_lr": 2e-4}
    return _meta_trained(split, InContextLearner(prior="tabular", **settings))


def metasgd(split: Split) -> list[Prediction]:
    from skmeta.learners import MetaSGD

    return _meta_trained(split, MetaSGD(n_iterations=500, n_shot=SHOTS))


def maml(split: Split) -> list[Prediction]:
    from skmeta.learners import MAML

    return _meta_trained(split, MAML(n_iterations=500, n_shot=SHOTS))


def protonet(split: Split) -> list[Prediction]:
    from skmeta import MetaFewShotClassifier
    from skmeta.learners import ProtoNet

    learner = ProtoNet(n_iterations=500, n_shot=(1, 5), n_query=5)
    clf = MetaFewShotClassifier(_meta_trained_prior(split, learner))
    return [_of_seen_classes(split, clf, split.X, known, q) for known, q in split.tests]


def _of_seen_classes(split: Split, clf, X, known: np.ndarray, queries: np.ndarray) -> Prediction:
    """Probabilities of the classes of the known rows; shares, if these have a single class."""
    y = split.y[known]
    if len(np.unique(y)) == 1:
        return Prediction(np.tile(class_shares(split, y), (len(queries), 1)))
    clf.fit(X[known], y)
    proba = np.zeros((len(queries), split.n_classes))
    proba[:, clf.classes_] = clf.predict_proba(X[queries])
    return Prediction(proba)


def shipped(split: Split) -> list[Prediction]:
    from skmeta import MetaFewShotClassifier, MetaFewShotRegressor

    found = []
    for known, queries in split.tests:
        X, Xq, y = split.frame.iloc[known], split.frame.iloc[queries], split.y[known]
        if split.task == "regression":
            reg = MetaFewShotRegressor("tabular").fit(X, y)
            mean, std = reg.predict(Xq, return_std=True)
            found.append(Prediction(mean, std**2, reg.predict_quantiles(Xq, (0.05, 0.95))))
        else:
            clf = MetaFewShotClassifier("tabular")
            found.append(_of_seen_classes(split, clf, split.frame.iloc, known, queries))
    return found


def auto(split: Split) -> list[Prediction]:
    """One prior for both numbers of known rows, within ``--time-budget`` seconds."""
    from skmeta.learners import AutoLearner

    key = (split.name, split.seed, "AutoLearner")
    if key not in _PRIORS:
        learner = AutoLearner(
            TIME_BUDGET, task_type=split.task, n_shot=SHOTS, random_state=split.seed
        )
        start = time.process_time()
        # Processor time, so that the result does not depend on what else the machine does.
        with mock.patch("time.perf_counter", time.process_time):
            rows = split.train
            learner.fit(split.X[rows], split.y[rows], groups=split.groups[rows])
        row = {"set": split.name, "split": split.seed, "budget": TIME_BUDGET}
        row |= {"seconds": time.process_time() - start, "summary": learner.summary_}
        row["leaderboard"] = learner.leaderboard_.to_dict("records")
        with LEADERBOARDS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        _PRIORS[key] = learner.prior_
    return _with_prior(split, _PRIORS[key])


METHODS: dict[str, Callable[[Split], list[Prediction]]] = {
    **BASELINES,
    "shipped": shipped,
    "hierarchical": hierarchical,
    "alpaca": alpaca,
    "in_context": in_context,
    "metasgd": metasgd,
    "maml": maml,
    "protonet": protonet,
    "auto": auto,
}

# ------------------------------------------------------------------------------------------ scores


def scores(split: Split, predictions: list[Prediction]) -> dict[str, float]:
    rows = [queries for _, queries in split.tests]
    pairs = list(zip(predictions, rows, strict=True))
    error = np.concatenate([errors(split, p, r) for p, r in pairs])
    if split.task == "classification":
        hits = np.concatenate([p.y.argmax(1) == split.y[r] for p, r in pairs])
        return {"error": error.mean(), "accuracy": hits.mean()}
    variance = split.y[np.concatenate(rows)].var()
    found = {"error": error.mean() / variance}
    if all(p.variance is not None for p in predictions):
        of = np.concatenate([p.variance for p in predictions])
        found["log_density"] = -0.5 * (error / of + np.log(2 * np.pi * of / variance)).mean()
    if all(p.interval is not None for p in predictions):
        inside = [
            (p.interval[:, 0] <= split.y[r]) & (split.y[r] <= p.interval[:, 1]) for p, r in pairs
        ]
        found["covered"] = np.concatenate(inside).mean()
    return found


def calibration(split: Split, predictions: list[Prediction]) -> list[dict]:
    """Of each bin of the probabilities of all classes: number, sum, and rows of the class."""
    y = np.concatenate([split.y[queries] for _, queries in split.tests])
    p = np.concatenate([prediction.y for prediction in predictions])
    hit, bins = (
        y[:, None] == np.arange(p.shape[1]),
        np.minimum((p * N_BINS).astype(int), N_BINS - 1),
    )
    found = []
    for k in range(N_BINS):
        inside = bins == k
        found.append({"bin": k, "n": int(inside.sum()), "sum": float(p[inside].sum())})
        found[-1]["hits"] = int(hit[inside].sum())
    return found


def calibration_error(rows: pd.DataFrame) -> float:
    """Mean distance of probabilities and frequencies; each set has the same weight."""
    total = rows.groupby("set")["n"].transform("sum")
    shares = rows.assign(sum=rows["sum"] / total, hits=rows["hits"] / total)
    bins = shares.groupby("bin")[["sum", "hits"]].sum()
    return float((bins["sum"] - bins["hits"]).abs().sum() / rows["set"].nunique())


def read() -> pd.DataFrame:
    return pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=COLUMNS)


def write(rows: list[dict], path: Path, columns: tuple[str, ...]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def run(names: list[str], methods: list[str], n_splits: int) -> None:
    done = set(read()[["set", "split", "method", "shots"]].itertuples(index=False, name=None))
    for seed in range(n_splits):
        for name in names:
            table = load(name)
            _PRIORS.clear()
            for n_shot in SHOTS:
                split = split_table(table, n_shot, seed)
                for of in methods:
                    is_known = (name, seed, of, n_shot) in done
                    if is_known or (of == "protonet" and table.task == "regression"):
                        continue
                    start = time.perf_counter()
                    predictions = METHODS[of](split)
                    found = scores(split, predictions)
                    found["seconds"] = time.perf_counter() - start
                    row = {
                        "set": name,
                        "task": table.task,
                        "split": seed,
                        "method": of,
                        "shots": n_shot,
                    }
                    if table.task == "classification":
                        key = {n: row[n] for n in ("set", "split", "method", "shots")}
                        bins = [key | of_bin for of_bin in calibration(split, predictions)]
                        write(bins, CALIBRATION, (*key, "bin", "n", "sum", "hits"))
                    write([row | {k: float(v) for k, v in found.items()}], RESULTS, COLUMNS)
                    print(
                        name,
                        seed,
                        of,
                        n_shot,
                        {k: round(float(v), 4) for k, v in found.items()},
                        flush=True,
                    )


def summary(methods: list[str], reference: str = "hierarchical") -> None:
    """Print means over the splits that all methods have run on."""
    results = read()
    results = results[results["method"].isin(methods)]
    n_methods = results["method"].nunique()
    key = ["set", "split", "shots"]
    results = results[results.groupby(key)["method"].transform("size") == n_methods]
    results["half"] = np.where(results["set"].map(is_development), "development", "report")
    bins = pd.read_csv(CALIBRATION) if CALIBRATION.exists() else None
    rng = np.random.default_rng(0)
    for (task, half), part in results.groupby(["task", "half"]):
        for n_shot, rows in part.groupby("shots"):
            mean = rows.pivot_table(index="set", columns="method", values="error")
            mean = mean[[m for m in METHODS if m in mean]]
            whole = mean.dropna(axis=1)
            draws = rng.integers(len(mean), size=(2000, len(mean)))
            print(f"\n{task}, {half} half ({len(mean)} sets), {n_shot} known rows")
            ranks = whole.rank(axis=1).mean()
            for name in whole:
                text = f"{name:14s} {whole[name].mean():.4f}  rank {ranks[name]:.2f}"
                for column in ("accuracy", "log_density", "covered"):
                    value = rows[rows["method"] == name][column].mean()
                    if np.isfinite(value):
                        text += f"  {column} {value:.3f}"
                if task == "classification" and bins is not None:
                    is_of = bins["set"].isin(mean.index) & (bins["shots"] == n_shot)
                    of = bins[is_of & (bins["method"] == name)]
                    if of["set"].nunique() == len(mean):
                        text += f"  calibration {calibration_error(of):.3f}"
                if reference in whole and name != reference:
                    gap = (whole[reference] - whole[name]).to_numpy()
                    low, high = np.quantile(gap[draws].mean(1), [0.025, 0.975])
                    worst = (whole[reference] / whole[name] - 1).max()
                    text += f"  {reference} minus it {gap.mean():+.4f} [{low:+.4f}, {high:+.4f}]"
                    text += f", at worst {worst:+.1%}"
                print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--time-budget", type=float, default=TIME_BUDGET, help="of auto")
    arguments = parser.parse_args()
    globals()["TIME_BUDGET"] = arguments.time_budget
    if arguments.summary:
        summary(arguments.methods)
    else:
        run(arguments.sets or table_names(), arguments.methods, arguments.splits)


if __name__ == "__main__":
    main()
