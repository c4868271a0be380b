"""What weights do to intervals and errors: equal ones, rows twice, random ones.

    python -m benchmarks.measure.weights --seeds 100
    python -m benchmarks.measure.weights --summary

A table has 40 rows and an interaction (``few-shot``), 150 rows of 15 groups (``grouped``), or rows
of three categories and a class (``categories``), which agree by chance. It is predicted without
weights, with all weights 3, with all rows twice, and with weights of 1 or 2 at random. A weight
says how much a row counts, and not how sure we are: 90 % intervals of 300 other rows should hold
as before. Tables of categories are given weights of 3 only: where all their rows are given twice,
they are twice as many rows. Tables go to ``results/weights.jsonl`` as they come: the share of
intervals that hold, or the log loss of classes, and the mean squared error, or the Brier score.
"""

from pathlib import Path

import numpy as np

from benchmarks.lib.resumable import run_or_summarize
from skmeta import GroupedClassifier, GroupedRegressor, MetaFewShotClassifier, MetaFewShotRegressor

RESULTS = Path(__file__).parents[1] / "results" / "weights.jsonl"
N_ROWS = {"few-shot": 40, "grouped": 150, "categories": 60, "categories-grouped": 150}
WEIGHTS = ("none", "three", "twice", "random")
N_NEW, LEVELS = 300, (0.05, 0.95)


def draw(kind, rng):
    """Return rows and targets."""
    n = N_ROWS[kind] + N_NEW
    group = rng.integers(0, 15, n)
    effect = rng.normal(size=15)[group]
    if kind.startswith("categories"):
        X = np.column_stack([rng.integers(0, size, n) for size in (4, 2, 2)])
        score = X[:, 0] - 1.5 + X[:, 1] + (effect if kind.endswith("grouped") else 0.0)
        y = rng.random(n) < 1 / (1 + np.exp(-score))
        return (np.column_stack([group, X]) if kind.endswith("grouped") else X), y.astype(int)
    if kind == "grouped":
        x = rng.normal(size=(n, 2))
        return np.column_stack([group, x]), x[:, 0] + effect + 0.5 * rng.normal(size=n)
    x = rng.normal(size=(n, 3))
    return x, x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.5 * rng.normal(size=n)


MODELS = {
    "few-shot": lambda: MetaFewShotRegressor(device="cpu"),
    "grouped": lambda: GroupedRegressor(0),
    "categories": lambda: MetaFewShotClassifier(device="cpu"),
    "categories-grouped": lambda: GroupedClassifier(0),
}


def run(cell):
    """Return the line of a table."""
    kind, given, seed = cell
    rng = np.random.default_rng([seed, *kind.encode()])
    X, y = draw(kind, rng)
    rows, n = np.arange(N_ROWS[kind]), N_ROWS[kind]
    weight = {"three": np.full(n, 3.0), "random": rng.integers(1, 3, n) * 1.0}.get(given)
    if given == "twice":
        rows = np.repeat(rows, 2)
    model = MODELS[kind]().fit(X[rows], y[rows], sample_weight=weight)
    X, y = X[n:], y[n:]
    if kind.startswith("categories"):
        p = model.predict_proba(X)
        held, error = -np.log(p[np.arange(len(y)), y]).mean(), 2 * np.mean((p[:, 1] - y) ** 2)
    else:
        low, high = model.predict_quantiles(X, LEVELS).T
        held, error = np.mean((low <= y) & (y <= high)), np.mean((model.predict(X) - y) ** 2)
    return {"cell": cell, "held": round(float(held), 4), "error": round(float(error), 5)}


def cells(seeds):
    """Yield the tables."""
    for seed in seeds:
        for kind in MODELS:
            is_chance = kind.startswith("categories")
            yield from (
                (kind, given, seed) for given in WEIGHTS if given != "twice" or not is_chance
            )


def summarize(lines):
    """Return means by kind and weights, and errors over those without weights."""
    summary = {}
    for kind in MODELS:
        for given in WEIGHTS:
            own = {seed: line for (k, g, seed), line in lines.items() if (k, g) == (kind, given)}
            pairs = [(own[s]["error"], lines[kind, "none", s]["error"]) for s in own]
            if pairs:
                error, before = np.mean(pairs, axis=0)
                held = float(np.mean([line["held"] for line in own.values()]))
                parts = {"tables": len(own), "held": held, "error ratio": float(error / before)}
                summary[f"{kind}, {given}"] = parts
    return summary


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, RESULTS)
