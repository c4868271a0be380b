"""Noise and shift as users meet them: wrong labels, outliers, noisy and missing columns.

    SKMETA_DATA=... python -m benchmarks.measure.robustness classes --tables 12
    SKMETA_DATA=... python -m benchmarks.measure.robustness numbers --tables 12
    SKMETA_DATA=... python -m benchmarks.measure.robustness groups
    python -m benchmarks.measure.robustness images
    python -m benchmarks.measure.robustness classes --summary

``classes``: report sets of ``measure/small_tables.py``, 10 rows of each class. ``numbers``: its
regressions, 50 rows. Our priors have not seen the origin of a set. ``groups``: tables of
``groupbench``; a third of the groups is left out, and its rows are predicted without any known
row. ``images``: 5-way 5-shot tasks of characters that meta-training has not seen; MAML and
ProtoNet are trained on the pixels of other characters. Conditions:

``wrong 0.2``   20 % of the known labels are those of another class
``outliers``    10 % of the known targets are moved by five standard deviations, up or down
``noise``       as many columns of noise as there are columns
``missing``     a third of the columns is missing (NaN) in the rows to predict, the same for all
``range``       known are rows below the 70 % quantile of the column that is most correlated with
                the target, and rows above are predicted
``balance``     known rows are balanced; four fifths of the rows to predict are of one class, and
                the share of right predictions counts

``weighed`` is skmeta with each row weighed by what the others say of its label (`Weighed`).
All methods see the same draws. Classes: balanced accuracy. Numbers: squared error over that of the
mean of the known rows (geometric mean), and how often the 90 % interval holds the target. Each
result is a line of ``results/robustness-<part>.jsonl.gz``, and a run goes on after those.
"""

import json
import zlib
from dataclasses import replace
from typing import Any, Self

import numpy as np
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from benchmarks.lib import group_tables
from benchmarks.lib.group_peers import PEERS as GROUP_PEERS
from benchmarks.lib.group_peers import Case, loss, predict_grouped, predict_peer
from benchmarks.lib.resumable import RESULTS, lines_by_cell, read_options, run_cells
from benchmarks.lib.table_scores import classify, regress
from benchmarks.lib.tabular_sets import SETS, draw, load, names_of
from benchmarks.measure.small_tables import PEERS, Ours
from skmeta.datasets import load_omniglot
from skmeta.few_shot import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.learners import MAML, ProtoNet
from skmeta.priors import MetaPrior
from skmeta.tasks import ClassEpisodes

WRONG = ("wrong 0.1", "wrong 0.2", "wrong 0.4")
CONDITIONS = {
    "classes": ("clean", *WRONG, "noise", "missing", "balance"),
    "numbers": ("clean", "outliers", "noise", "missing", "range"),
    "groups": ("clean", "outliers", "wrong 0.2"),
    "images": ("clean", *WRONG),
}
SIZES = {"classes": 10, "numbers": 50}
METHODS = {
    "classes": ("skmeta", "weighed", "logistic", "forest", "svc", "boosting"),
    "numbers": ("skmeta", "ridge", "forest", "process", "boosting"),
    "groups": ("grouped", "pooled", "boosted", "boosted_target"),
    "images": ("protonet", "maml", "logistic", "forest"),
}
PRIORS = {
    "classes": ("classification-first", "classification-second"),
    "numbers": (None, "regression-synthetic"),
}
N_IMAGE_TASKS = 40


def with_wrong_labels(rng: np.random.Generator, y: np.ndarray, share: float) -> np.ndarray:
    """Labels of which exactly a share, rounded, is another class."""
    y, classes = y.copy(), np.unique(y)
    for i in rng.permutation(len(y))[: round(share * len(y))]:
        y[i] = rng.choice(classes[classes != y[i]])
    return y


def with_outliers(rng: np.random.Generator, y: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Targets of which a share is moved by five standard deviations."""
    y, rows = y.astype(float), rng.permutation(len(y))[: round(share * len(y))]
    y[rows] += 5 * y.std() * rng.choice([-1, 1], len(rows))
    return y


def change(part: tuple, condition: str, rng: np.random.Generator, whole: tuple) -> tuple | None:
    """Change a draw (X, y, X_query, y_query) of a table (X, y); None if it has too few rows."""
    X, y, X_query, y_query = part
    if condition.startswith("wrong"):
        y = with_wrong_labels(rng, y, float(condition.split()[1]))
    elif condition == "outliers":
        y = with_outliers(rng, y)
    elif condition == "noise":
        X, X_query = (np.hstack([x, rng.standard_normal(x.shape)]) for x in (X, X_query))
    elif condition == "missing":
        X_query = X_query.astype(float)
        n = X.shape[1]
        X_query[:, rng.permutation(n)[: max(1, n // 3)]] = np.nan
    elif condition == "balance":
        often = np.flatnonzero(y_query == rng.integers(y.max() + 1))
        others = np.flatnonzero(y_query != y_query[often[0]])
        chosen = rng.choice(often, 160), rng.choice(others, 40)
        X_query, y_query = X_query[np.concatenate(chosen)], y_query[np.concatenate(chosen)]
    elif condition == "range":
        X_all, y_all = whole
        strength = [abs(spearmanr(x, y_all).statistic) if np.ptp(x) > 0 else 0 for x in X_all.T]
        column = X_all[:, int(np.nanargmax(strength))]
        is_above = column > np.quantile(column, 0.7)
        below, above = (rng.permutation(np.flatnonzero(m)) for m in (~is_above, is_above))
        if len(below) < len(y) or len(above) < 10:
            return None
        below, above = below[: len(y)], above[:400]
        return X_all[below], y_all[below], X_all[above], y_all[above]
    return X, y, X_query, y_query


class Weighed(ClassifierMixin, BaseEstimator):
    """A classifier for which rows whose label the other rows contradict count less.

    The weight of a row is the probability of its label over that of the most probable class, by
    models of five folds that have not seen the row.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit with weights."""
        n_folds = min(5, np.unique(y, return_counts=True)[1].min())
        weight = np.ones(len(y))
        if n_folds > 1:
            folds = StratifiedKFold(n_folds, shuffle=True, random_state=0)
            p = cross_val_predict(self.estimator, X, y, cv=folds, method="predict_proba")
            own = p[np.arange(len(y)), np.unique(y, return_inverse=True)[1]]
            weight = own / p.max(1)
        self.fitted_ = clone(self.estimator).fit(X, y, sample_weight=weight / weight.mean())
        self.classes_ = self.fitted_.classes_
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict probabilities."""
        return self.fitted_.predict_proba(X)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predict classes."""
        return self.fitted_.predict(X)


def run_table(part: str, priors: Ours, cell: tuple) -> dict | None:
    name, condition, seed, method = cell
    kind = "classification" if part == "classes" else "regression"
    drawn = draw(kind, name, SIZES[part], seed)
    rng = np.random.default_rng([zlib.crc32(name.encode()), 7, seed])
    drawn = drawn and change(drawn, condition, rng, load(name))
    if drawn is None:
        return None
    is_ours = method in ("skmeta", "weighed")
    model = priors(name) if is_ours else clone(PEERS[kind][method])
    if method == "weighed":
        model = Weighed(model)
    scores = classify(model, drawn) if part == "classes" else regress(model, drawn)
    if condition == "balance":
        scores["accuracy"] = float(np.mean(model.predict(drawn[2]) == drawn[3]))
    kept = {n: v for n, v in scores.items() if n in ("accuracy", "error", "coverage", "log_loss")}
    return {"cell": cell, **kept}


def run_groups(cell: tuple) -> dict | None:
    name, condition, seed, method = cell
    table = group_tables.load(name)
    is_regression = table.task == "regression"
    if condition != "clean" and is_regression != (condition == "outliers"):
        return None
    rng = np.random.default_rng([zlib.crc32(name.encode()), 7, seed])
    held_out = rng.permutation(np.unique(table.groups))
    is_new = np.isin(table.groups, held_out[: len(held_out) // 3])
    train, test = np.flatnonzero(~is_new), rng.permutation(np.flatnonzero(is_new))[:2000]
    y = table.y.copy()
    if condition != "clean":
        y[train] = with_outliers(rng, y[train]) if is_regression else (
            with_wrong_labels(rng, y[train], 0.2)
        )  # fmt: skip
    case = Case(table._replace(y=y), train, np.empty(0, int), test)
    cases = {"new 0": case}
    predict = predict_grouped if method == "grouped" else None
    predictions = predict(cases) if predict else predict_peer(GROUP_PEERS[method], cases)
    prediction, _ = predictions["new 0"]
    clean = replace(case, table=table)
    line = {"cell": cell, "error": float(loss(clean, table.y[test], prediction.y))}
    if prediction.interval is not None:
        low, high = prediction.interval.T
        line["coverage"] = float(np.mean((table.y[test] >= low) & (table.y[test] <= high)))
    return line


def image_prior(method: str) -> MetaPrior:
    """Meta-train on the pixels of the characters for training, or read what was trained."""
    path = RESULTS / "runs" / f"robustness-{method}.skmeta"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        X, y = load_omniglot(subset="train", return_X_y=True)
        settings = {"backbone": "mlp", "n_way": 5, "n_shot": 5, "n_iterations": 600}
        settings |= {"backbone_params": {"hidden": (64, 64)}, "random_state": 0, "device": "cpu"}
        learner = ProtoNet(**settings) if method == "protonet" else MAML(**settings)
        learner.fit(X.reshape(len(X), -1), y).prior_.save(path)
    return MetaPrior.load(path)


def run_images(cell: tuple) -> dict:
    _, condition, seed, method = cell
    X, y = load_omniglot(subset="test", return_X_y=True)
    X = X.reshape(len(X), -1).astype(float)
    sampler, rng = ClassEpisodes(y, 5, 5, 15), np.random.default_rng(seed)
    own, scores = np.random.default_rng(seed + 1), []
    for _ in range(N_IMAGE_TASKS):
        X_known, y_known, X_query, y_query = sampler.sample(rng).take(X)
        if condition != "clean":
            y_known = with_wrong_labels(own, y_known, float(condition.split()[1]))
        if method in ("protonet", "maml"):
            model = MetaFewShotClassifier(image_prior(method), device="cpu")
        else:
            model = clone(PEERS["classification"][method])
        scores.append(float(np.mean(model.fit(X_known, y_known).predict(X_query) == y_query)))
    return {"cell": cell, "accuracy": float(np.mean(scores))}


def summarise(part: str) -> dict[str, dict[str, dict[str, float]]]:
    """Means over the draws that all methods have, by condition and method."""
    lines = lines_by_cell(RESULTS / f"robustness-{part}.jsonl.gz")
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for condition in CONDITIONS[part]:
        draws: dict[tuple, dict] = {}
        for (name, at, seed, method), line in lines.items():
            if at == condition:
                draws.setdefault((name, seed), {})[method] = line
        whole = [each for each in draws.values() if set(METHODS[part]) <= set(each)]
        for method in METHODS[part] if whole else ():
            means = {"n": len(whole)}
            for score in ("accuracy", "error", "coverage"):
                values = [each[method][score] for each in whole if score in each[method]]
                if values:
                    mean = np.exp(np.mean(np.log(values))) if score == "error" else np.mean(values)
                    means[score] = round(float(mean), 3)
            summary.setdefault(condition, {})[method] = means
    return summary


def main() -> None:
    options = read_options(
        __doc__, part_=tuple(CONDITIONS), tables=12, draws=1, minutes=float("inf"), summary=False
    )
    part = options.part
    if options.summary:
        print(json.dumps({part: summarise(part)}, indent=1))
        return
    run, names = run_groups, ["omniglot"]
    if part in SIZES:
        is_classes = part == "classes"
        files = [MetaPrior.load(RESULTS / f"table_priors-{f}.skmeta") for f in PRIORS[part] if f]
        if not is_classes:
            files.insert(0, MetaPrior.load_shipped("regression"))
        estimator = MetaFewShotClassifier if is_classes else MetaFewShotRegressor
        priors = Ours(estimator, tuple(files), {})
        names = names_of("classification" if is_classes else "regression")[SETS["report"]]
        names = [name for name in names if priors.unseen_by(name)]

        def run(cell: tuple) -> dict | None:
            return run_table(part, priors, cell)

    elif part == "groups":
        names = [n for n in group_tables.table_names() if group_tables.half_of(n) == "report"]
    else:
        run = run_images
    step = max(1, len(names) // options.tables)
    cells = [
        (name, condition, seed, method)
        for seed in range(options.draws)
        for name in names[::step][: options.tables]
        for condition in CONDITIONS[part]
        for method in METHODS[part]
    ]
    run_cells(cells, run, RESULTS / f"robustness-{part}.jsonl.gz", options.minutes)


if __name__ == "__main__":
    main()
