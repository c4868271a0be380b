"""Noise and shift as users meet them: wrong labels, outliers, noisy and missing columns.

    SKMETA_DATA=... python -m benchmarks.measure.robustness classes --tables 24
    SKMETA_DATA=... python -m benchmarks.measure.robustness numbers --tables 24

``classes``: report sets of ``measure/small_tables.py``, 10 rows of each class. ``numbers``: its
regressions, 50 rows. Our priors have not seen the origin of a set. Conditions:

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
mean of the known rows (geometric mean), and how often the 90 % interval holds the target.
"""

import json
import zlib
from typing import Any, Self

import numpy as np
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from benchmarks.lib.resumable import RESULTS, lines_by_cell, read_options, run_cells
from benchmarks.lib.table_scores import classify, regress
from benchmarks.lib.tabular_sets import SETS, draw, load, names_of
from benchmarks.measure.small_tables import PEERS, Ours
from skmeta.few_shot import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.priors import MetaPrior

CONDITIONS = {
    "classes": ("clean", "wrong 0.1", "wrong 0.2", "wrong 0.4", "noise", "missing", "balance"),
    "numbers": ("clean", "outliers", "noise", "missing", "range"),
}
METHODS = {
    "classes": ("skmeta", "weighed", "logistic", "forest", "svc", "boosting"),
    "numbers": ("skmeta", "ridge", "forest", "process", "boosting"),
}
KINDS = {"classes": ("classification", 10), "numbers": ("regression", 50)}  # and known rows


def change(part: tuple, condition: str, rng: np.random.Generator, whole: tuple) -> tuple | None:
    """Change a draw (X, y, X_query, y_query) of a table (X, y); None if it has too few rows."""
    X, y, X_query, y_query = part
    if condition.startswith("wrong"):
        y, classes = y.copy(), np.unique(y)
        for i in rng.permutation(len(y))[: round(float(condition.split()[1]) * len(y))]:
            y[i] = rng.choice(classes[classes != y[i]])
    elif condition == "outliers":
        y, rows = y.astype(float), rng.permutation(len(y))[: round(0.1 * len(y))]
        y[rows] += 5 * y.std() * rng.choice([-1, 1], len(rows))
    elif condition == "noise":
        X, X_query = (np.hstack([x, rng.standard_normal(x.shape)]) for x in (X, X_query))
    elif condition == "missing":
        X_query = X_query.astype(float)
        n = X.shape[1]
        X_query[:, rng.permutation(n)[: max(1, n // 3)]] = np.nan
    elif condition == "balance":
        often = np.flatnonzero(y_query == rng.integers(y.max() + 1))
        others = np.flatnonzero(y_query != y_query[often[0]])
        chosen = np.concatenate([rng.choice(often, 160), rng.choice(others, 40)])
        X_query, y_query = X_query[chosen], y_query[chosen]
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
        return self.fitted_.predict_proba(X)

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.fitted_.predict(X)


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
        __doc__, part_=tuple(CONDITIONS), tables=24, draws=1, minutes=float("inf"), summary=False
    )
    part, (kind, size) = options.part, KINDS[options.part]
    if options.summary:
        print(json.dumps(summarise(part), indent=1))
        return
    if part == "classes":
        halves = ("classification-first", "classification-second")
        estimator, shipped = MetaFewShotClassifier, []
    else:
        halves, shipped = ("regression-synthetic",), [MetaPrior.load_shipped("regression")]
        estimator = MetaFewShotRegressor
    files = [MetaPrior.load(RESULTS / f"table_priors-{half}.skmeta") for half in halves]
    priors = Ours(estimator, (*shipped, *files), {})

    def run(cell: tuple) -> dict | None:
        name, condition, seed, method = cell
        rng = np.random.default_rng([zlib.crc32(name.encode()), 7, seed])
        drawn = draw(kind, name, size, seed)
        drawn = drawn and change(drawn, condition, rng, load(name))
        if drawn is None:
            return None
        is_ours = method in ("skmeta", "weighed")
        model = priors(name) if is_ours else clone(PEERS[kind][method])
        model = Weighed(model) if method == "weighed" else model
        scores = classify(model, drawn) if part == "classes" else regress(model, drawn)
        if condition == "balance":
            scores["accuracy"] = float(np.mean(model.predict(drawn[2]) == drawn[3]))
        kept = ("accuracy", "error", "coverage", "log_loss")
        return {"cell": cell, **{n: v for n, v in scores.items() if n in kept}}

    names = [name for name in names_of(kind)[SETS["report"]] if priors.unseen_by(name)]
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
