"""Trees that know the earlier rows of a group: their targets, or their classes."""

import numpy as np
import pandas as pd
import pytest
from grouped_tables import timed_rows
from sklearn.metrics import log_loss

from skmeta import GroupedClassifier
from skmeta.grouped.longitudinal._trees import _draw, lag_columns, step_columns


def test_columns_of_steps_describe_the_rows_before():
    codes, times = np.array([0, 0, 0, 2]), np.array([1.0, 2.0, 4.0, 3.0])
    y = np.array([1.0, 3.0, 4.0, 9.0])
    known = timed_rows(times, y, codes, np.array([[0.0], [1.0], [5.0], [0.0]]))
    at = timed_rows([5.0, 3.5, 5.0], np.zeros(3), [0, 0, 1], np.full((3, 1), 7.0))
    columns = step_columns(known, at)
    nan = np.nan
    expected = [
        [4, 1, 8 / 3, 1, 1, 3, 5, 7, 2],
        [3, 2, 2, 2, 1.5, 2, 3.5, 7, 6],
        [nan, nan, nan, nan, nan, 0, 5, 7, nan],
    ]
    np.testing.assert_allclose(columns, expected)


def test_columns_are_the_earlier_classes():
    known = timed_rows([3, 1, 2, 1], np.array([1, 0, 0, 1]), [0, 0, 0, 2])
    columns = lag_columns(known, timed_rows([5, 2.5, 9, 0], np.zeros(4), [0, 0, 1, 2]), 2)
    nan = np.nan
    expected = [
        # Time, last class, shares of both, fading shares, known rows before, time since.
        [5, 0, 1, 2 / 3, 1 / 3, 0.357 / 0.657, 0.3 / 0.657, 3, 2],
        [2.5, 1, 0, 1, 0, 1, 0, 2, 0.5],
        [9, nan, nan, nan, nan, nan, nan, 0, nan],
        [0, nan, nan, nan, nan, nan, nan, 0, nan],
    ]
    np.testing.assert_allclose(columns, expected)


@pytest.mark.slow
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


def test_a_case_with_many_rows_counts_more_but_not_as_many_times():
    codes = np.repeat([0, 1], [400, 100])
    rows = timed_rows(np.arange(500.0), np.zeros(500), codes)
    share = np.mean(codes[_draw(rows)] == 0)
    # The 400 rows of one case count as 20, the 100 of the other as 10.
    assert share == pytest.approx(2 / 3, abs=0.06)
    heavy = rows._replace(weight=np.where(codes == 0, 1.0, 4.0))
    assert np.mean(codes[_draw(heavy)] == 0) == pytest.approx(1 / 3, abs=0.06)
    np.testing.assert_array_equal(_draw(rows), _draw(rows._replace(weight=3 * rows.weight)))
