"""A rare class in a table with groups: average precision and log loss, beside peers.

    python -m benchmarks.measure.rare_classes --draws 8

Drawn tables of 20,000 rows in 200 groups; .9 % are positive. Log odds are linear in four of
eight columns, with one interaction that is not, and differ by group (deviation .7). Three quarters
of the rows are known; the others, of the same groups, are predicted. "truth" has the probabilities.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import GroupedClassifier

N_ROWS, N_GROUPS, SHARE, KNOWN = 20_000, 200, 0.009, 0.75
Rows = tuple[np.ndarray, np.ndarray]


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return columns, groups, classes, probabilities, and which rows are known."""
    rng = np.random.default_rng(seed)
    group, x = rng.integers(N_GROUPS, size=N_ROWS), rng.normal(size=(N_ROWS, 8))
    log_odds = x @ np.array([0.8, -0.6, 0.4, 0.3, 0, 0, 0, 0])
    log_odds += 0.5 * np.maximum(x[:, 4], 0) * x[:, 0] + 0.7 * rng.normal(size=N_GROUPS)[group]
    p = expit(log_odds + brentq(lambda b: expit(log_odds + b).mean() - SHARE, -20, 5))
    return x, group, (rng.random(N_ROWS) < p).astype(int), p, rng.random(N_ROWS) < KNOWN


def logistic(known: Rows, y: np.ndarray, at: Rows) -> np.ndarray:
    """Logistic regression without the groups."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(known[0], y)
    return model.predict_proba(at[0])[:, 1]


def logistic_with_groups(known: Rows, y: np.ndarray, at: Rows) -> np.ndarray:
    """Logistic regression with a column for each group."""
    rows, others = (np.hstack([x, np.eye(N_GROUPS)[group]]) for x, group in (known, at))
    return LogisticRegression(max_iter=500).fit(rows, y).predict_proba(others)[:, 1]


def gpboost(known: Rows, y: np.ndarray, at: Rows) -> np.ndarray:
    """GPBoost's logistic mixed model."""
    import gpboost as gpb

    rows, others = (np.column_stack([np.ones(len(x)), x]) for x, _ in (known, at))
    model = gpb.GPModel(group_data=known[1], likelihood="bernoulli_logit")
    model.fit(y=y.astype(float), X=rows)
    return model.predict(X_pred=others, group_data_pred=at[1], predict_response=True)["mu"]


def grouped(known: Rows, y: np.ndarray, at: Rows) -> np.ndarray:
    """GroupedClassifier."""
    rows, others = (
        pd.DataFrame(x, columns=[f"x{k}" for k in range(x.shape[1])]).assign(group=group)
        for x, group in (known, at)
    )
    return GroupedClassifier("group").fit(rows, y).predict_proba(others)[:, 1]


METHODS: dict[str, Callable[[Rows, np.ndarray, Rows], np.ndarray]] = {
    "logistic": logistic,
    "logistic with groups": logistic_with_groups,
    "gpboost": gpboost,
    "grouped": grouped,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=8)
    draws, lines = parser.parse_args().draws, []
    warnings.simplefilter("ignore")
    for seed in range(1, draws + 1):
        x, group, y, p, known = draw(seed)
        predicted = {"truth": (p[~known], 0.0)}
        for name, method in METHODS.items():
            start = time.process_time()
            q = method((x[known], group[known]), y[known], (x[~known], group[~known]))
            predicted[name] = q, time.process_time() - start
        for name, (q, seconds) in predicted.items():
            scores = average_precision_score(y[~known], q), log_loss(y[~known], q)
            lines.append((name, *scores, seconds))
    columns = ["method", "average precision", "log loss", "seconds"]
    table = pd.DataFrame(lines, columns=columns).groupby("method", sort=False)
    print(table.mean().round(4).to_string())


if __name__ == "__main__":
    main()
