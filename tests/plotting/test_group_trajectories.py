"""The display of trajectories draws known rows, predictions ahead and their intervals."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta.plotting import GroupTrajectoryDisplay


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    group, day = np.repeat(np.arange(12), 8), np.tile(np.arange(8), 12)
    X = pd.DataFrame({"animal": [f"a{g}" for g in group], "day": day})
    y = rng.normal(size=12)[group] + day * (1 + rng.normal(size=12)[group] / 4)
    return X, pd.Series(y + 0.1 * rng.normal(size=96), name="weight")


@pytest.fixture(scope="module")
def model(table):
    X, y = table
    return GroupedRegressor("animal", order="day").fit(X[X["day"] < 5], y[X["day"] < 5])


def test_known_rows_and_what_is_predicted_are_drawn(table, model):
    X, y = table
    seen = X["day"] < 5
    # Rows in any order.
    rows = np.random.default_rng(0).permutation(96)
    X, y, seen = X.iloc[rows], y.iloc[rows], seen.iloc[rows]
    display = GroupTrajectoryDisplay.from_estimator(
        model, X[seen], y[seen], X[~seen], y[~seen], groups=["a3", "a7"]
    )
    assert len(display.axes_) == 2
    assert display.names == ("day", "weight")
    ax = display.axes_[1]
    assert ax.get_title() == "a7"
    known, mean, came = ax.lines
    of_group = X["animal"] == "a7"
    np.testing.assert_array_equal(known.get_xdata(), np.arange(5))
    at = X[of_group & ~seen].sort_values("day")
    np.testing.assert_allclose(mean.get_ydata(), model.predict(at))
    np.testing.assert_allclose(came.get_ydata(), y[at.index])
    low, high = model.predict_quantiles(at, (0.05, 0.95)).T
    np.testing.assert_allclose(display.trajectories["a7"].low, low)
    np.testing.assert_allclose(display.trajectories["a7"].high, high)
    plt.close("all")


def test_axes_may_be_given_and_groups_counted(table, model):
    X, y = table
    seen = X["day"] < 5
    _, axes = plt.subplots(1, 3)
    display = GroupTrajectoryDisplay.from_estimator(
        model, X[seen], y[seen], X[~seen], n_groups=3, level=0.5, axes=axes
    )
    assert [ax.get_title() for ax in display.axes_] == ["a0", "a1", "a2"]
    assert display.axes_[0].get_legend_handles_labels()[1] == ["50% interval", "known", "predicted"]
    plt.close("all")


def test_what_cannot_be_drawn_is_an_error(table, model):
    X, y = table
    with pytest.raises(ValueError, match=r"need times and intervals\. Fit GroupedRegressor"):
        GroupTrajectoryDisplay.from_estimator(GroupedClassifier("animal", order="day"), X, y, X)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        GroupTrajectoryDisplay.from_estimator(model, X, y, X, level=90)
    with pytest.raises(ValueError, match=r"Group 'a77' has no rows in X_ahead\. Did you mean 'a7'"):
        GroupTrajectoryDisplay.from_estimator(model, X, y, X, groups=["a77"])
    with pytest.raises(ValueError, match="one column of groups, got groups=None"):
        GroupTrajectoryDisplay.from_estimator(GroupedRegressor(order="day"), X, y, X)
