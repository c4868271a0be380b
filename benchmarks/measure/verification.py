"""How often a verified resume refuses an honest record, and how often it finds changed data.

    python -m benchmarks.measure.verification --replays 100

A search of four candidates, three folds, is recorded on a random half of a data set of
scikit-learn, and run again. Where nothing has changed, a refusal is false. Where values that a
transformer reads from outside, and which no fingerprint sees, have changed, it is right: columns
are mixed with noise of ``--changes`` times their deviation. Results are in
``results/verification.jsonl``.
"""

import argparse
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.lib.resumable import lines_by_cell, run_cells
from skmeta.search import MetaLearnedSearchCV

RESULTS = Path(__file__).parents[1] / "results" / "verification.jsonl"
OF_CLASSES, OF_NUMBERS = (load_iris, load_wine, load_breast_cancer), (load_diabetes,)
LEAVES, STRENGTH = {"min_samples_leaf": [1, 3, 8, 20]}, {"C": [0.01, 0.1, 1.0, 10.0]}
RATES = {"learning_rate": [0.03, 0.1, 0.3, 1.0]}
# Name -> estimator, its grid, metric. The first ones draw random numbers anew in each fit.
SEARCHES = {
    "forest of 5 trees": (RandomForestClassifier(5), LEAVES, "accuracy"),
    "forest of 25 trees, log loss": (RandomForestClassifier(25), LEAVES, "neg_log_loss"),
    "forest of regression": (RandomForestRegressor(10), LEAVES, "r2"),
    "extra trees of regression": (
        ExtraTreesRegressor(10),
        LEAVES,
        "neg_mean_absolute_error",
    ),
    "tree": (DecisionTreeClassifier(max_features=1), LEAVES, "accuracy"),
    "boosting with subsamples": (
        GradientBoostingClassifier(n_estimators=10, subsample=0.5),
        RATES,
        "accuracy",
    ),
    "network": (MLPClassifier((5,), max_iter=30), {"alpha": [1e-4, 1e-2, 1.0, 10.0]}, "accuracy"),
    "support vectors": (SVC(), STRENGTH, "accuracy"),
    "logistic regression": (LogisticRegression(max_iter=50), STRENGTH, "neg_log_loss"),
    "ridge": (Ridge(), {"alpha": [0.01, 0.1, 1.0, 10.0]}, "r2"),
    "boosting": (HistGradientBoostingClassifier(max_iter=5), RATES, "accuracy"),
}
DRAWN = list(SEARCHES)[:7]
CHANGES = (0.0, 0.1, 0.3, 1.0, 3.0)
OUTSIDE = {"noise": np.zeros(1)}


class FromOutside(TransformerMixin, BaseEstimator):
    """Add what is outside of it, as a file may be that a transformer reads."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        noise = globals()["OUT" + "SIDE"]["noise"]  # so that it is not found in the code
        return X[:, :-1] + noise[X[:, -1].astype(int)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replays", type=int, default=100)
    parser.add_argument("--searches", nargs="*", default=[*SEARCHES])
    parser.add_argument("--changes", nargs="*", type=float, default=CHANGES)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    cells = [
        (name, change, seed)
        for seed in range(options.replays)
        for change in options.changes
        for name in options.searches
    ]
    run_cells(cells, run, RESULTS, options.minutes)
    lines = lines_by_cell(RESULTS).values()
    print(f"{'':30} {'noise':>5} {'replays':>8} {'refused':>8} {'score moves by':>15}")
    for group in ("drawn", "not drawn", *SEARCHES):
        for change in CHANGES:
            own = [o for o in lines if o["cell"][1] == change and is_of(o["cell"][0], group)]
            if own:
                refused = np.mean([one["refused"] for one in own])
                moves = np.median([abs(one["moved"]) for one in own])
                print(f"{group:30} {change:5} {len(own):8} {refused:8.3f} {moves:15.4f}")


def is_of(name, group):
    return name == group or group == ("drawn" if name in DRAWN else "not drawn")


@cache
def data(load):
    return load(return_X_y=True)


def run(cell):
    """Return whether recorded scores were refused, and how much the best score has changed."""
    name, change, seed = cell
    estimator, grid, scoring = SEARCHES[name]
    is_regression = not is_classifier(estimator)
    loads = OF_NUMBERS if is_regression else OF_CLASSES
    X, y = data(loads[seed % len(loads)])
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(y))[: min(len(y) // 2, 150)]
    X, y = np.column_stack([X[rows], np.arange(len(rows))]), y[rows]
    grid = {f"{type(estimator).__name__.lower()}__{key}": values for key, values in grid.items()}
    search = MetaLearnedSearchCV(
        make_pipeline(FromOutside(), StandardScaler(), estimator),
        grid,
        n_iter=4,
        cv=3,
        scoring=scoring,
        prior=None,
        random_state=0,
        refit=False,
    )
    found = []
    with tempfile.TemporaryDirectory() as folder:
        search.set_params(history=str(Path(folder) / "history.db"))
        for size in (0.0, change):
            noise = size * X[:, :-1].std(0) * rng.normal(size=X[:, :-1].shape)
            OUTSIDE["noise"] = noise
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(search.fit(X, y))
            found[-1] = (search.n_resumed_, search.cv_results_["mean_test_score"].max())
    return {
        "cell": cell,
        "refused": found[1][0] == 0,
        "moved": round(float(found[1][1] - found[0][1]), 5),
    }


if __name__ == "__main__":
    main()
