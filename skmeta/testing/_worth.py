"""Whether meta-training pays: a learner beside its start and beside plain models, on made tasks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone

from skmeta.datasets import make_sinusoid_tasks
from skmeta.exceptions import PriorWarning
from skmeta.learners import MetaLearner, Validation
from skmeta.testing._bench import Table

_N_CLASSES, _N_ROWS, _N_COLUMNS = 100, 20, 8
_N_ITERATIONS = 300
# Of the plain models in learning_curve_, those that see no other task than the one they predict.
_PLAIN = ("nearest_mean", "logistic_regression", "task_ridge")


def compare_with_plain(learner: MetaLearner, kind: str) -> str:
    """Return what does as well as the learner on 200 held-out tasks, or an empty string.

    Tasks are sinusoids, or classes that differ in two of eight columns. The learner trains for at
    most 300 iterations.
    """
    table, settings = _made_table(learner, kind), _settings(learner)
    if "meta_lr" not in settings:
        return ""  # A closed form has no start and no validation.
    with warnings.catch_warnings(action="ignore", category=PriorWarning):
        history = clone(learner).set_params(**settings).fit(*table).learning_curve_
        settings |= {"n_iterations": 1, "meta_lr": 1e-12}
        start = clone(learner).set_params(**settings).fit(*table).learning_curve_
    own = max(history["validation_score"])
    others = {
        name.replace("_", " "): history[f"{name}_score"][0]
        for name in _PLAIN
        if f"{name}_score" in history
    }
    others["its start, before meta-training"] = start["validation_score"][0]
    best = max(others, key=others.__getitem__)
    if own > others[best]:
        return ""
    measure = "accuracy" if kind == "classification" else "minus the squared error"
    return f"{measure} {own:.3g}, but {best} has {others[best]:.3g}"


def _settings(learner: MetaLearner) -> dict[str, Any]:
    settings = {
        "n_iterations": min(getattr(learner, "n_iterations", 0), _N_ITERATIONS),
        "meta_lr": getattr(learner, "meta_lr", None),
        "validation": Validation(0.2, n_tasks=200, every=100),
        "device": "cpu",
        "verbose": 0,
        "random_state": 0,
    }
    return {name: value for name, value in settings.items() if name in learner.get_params()}


def _made_table(learner: MetaLearner, kind: str) -> Table:
    if kind == "regression":
        X, y, groups = make_sinusoid_tasks(n_tasks=500, n_samples=_N_ROWS, random_state=0)
        return X, y, groups
    rng = np.random.default_rng(0)
    names = np.repeat(np.arange(_N_CLASSES), _N_ROWS)
    X = rng.normal(size=(len(names), _N_COLUMNS))
    X[:, :2] += 3 * rng.normal(size=(_N_CLASSES, 2))[names]
    if learner.algorithm(learner).resolve_head(kind, "classes") != "learned":
        return X, names, None
    # Outputs mean the same in every task: a side of a line that differs between groups.
    slope = rng.normal(size=(_N_CLASSES, 2))[names]
    return X, (np.sum(slope * X[:, :2], axis=1) > 0).astype(int), names
