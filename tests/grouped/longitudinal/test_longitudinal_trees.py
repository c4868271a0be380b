"""Trees that know the earlier rows of a group: their targets, or their classes."""

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from skmeta import GroupedClassifier


def test_classes_that_last_are_carried_over():
    rng = np.random.default_rng(0)
    n_groups, n_rows = 60, 10
    stays = rng.random((n_groups, n_rows)) < 0.9
    state = np.empty((n_groups, n_rows), int)
    state[:, 0] = rng.integers(0, 2, n_groups)
    for week in range(1, n_rows):
        state[:, week] = np.where(stays[:, week], state[:, week - 1], 1 - state[:, week - 1])
    group, week = np.repeat(np.arange(n_groups), n_rows), np.tile(np.arange(n_rows), n_groups)
    X, y = pd.DataFrame({"patient": group, "week": week}), state.ravel()
    seen = week < 8
    model = GroupedClassifier("patient", order="week").fit(X[seen], y[seen])
    assert "trees that know earlier classes" in model.losses_.columns
    later = log_loss(y[~seen], model.predict_proba(X[~seen]))
    # The chain itself: the last class with the chance that it stays after one and two steps.
    chance = np.where(week[~seen] == 8, 0.9, 0.82)
    same = y[~seen] == np.repeat(state[:, 7], 2)
    best = -np.log(np.where(same, chance, 1 - chance)).mean()
    without = GroupedClassifier("patient").fit(X[seen].drop(columns="week"), y[seen])
    plain = log_loss(y[~seen], without.predict_proba(X[~seen].drop(columns="week")))
    assert best < later < best + 0.6 * (plain - best)
