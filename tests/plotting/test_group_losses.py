"""The display of losses draws those of groups held out, by the number of known rows."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skmeta import GroupedRegressor
from skmeta.plotting import GroupLossDisplay


def test_a_line_for_each_part_of_the_mixture():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 15)
    X = np.column_stack([groups, rng.normal(size=180)])
    y = rng.normal(size=12)[groups] + X[:, 1] + 0.1 * rng.normal(size=180)
    model = GroupedRegressor(0).fit(X, y)
    display = GroupLossDisplay.from_estimator(model)
    assert display.n_known == ["0", "1", "3", "most"]
    assert [line.get_label() for line in display.lines_] == list(model.losses_.columns)
    mixture = display.lines_[-1].get_ydata()
    np.testing.assert_array_equal(mixture, model.losses_["mixture"])
    # An intercept per group explains half of the variance, once rows are known.
    assert mixture[0] > 0.3
    assert mixture[-1] < 0.1
    for loss in mixture:
        assert f"mixture {loss:.3f}" in model.summary_
    plt.close("all")


def test_several_columns_of_groups_have_no_losses():
    user, item = np.divmod(np.arange(144), 12)
    X = np.column_stack([user, item])
    y = np.random.default_rng(0).normal(size=144)
    model = GroupedRegressor([0, 1], combine="learner").fit(X, y)
    with pytest.raises(AttributeError, match="no losses_: with several columns of groups"):
        GroupLossDisplay.from_estimator(model)
