"""Displays of the effects of groups."""

import numpy as np
import pytest

from skmeta import GroupedRegressor
from skmeta.plotting import GroupEffectsDisplay


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    user, item = np.divmod(np.arange(144), 12)
    effect = rng.normal(size=12)
    X = np.column_stack([user, item, rng.normal(size=144)])
    return X, effect[user] + 0.1 * item + X[:, 2] + 0.1 * rng.normal(size=144), effect


def test_groups_are_sorted_by_effect_with_intervals_around_them(table):
    X, y, effect = table
    model = GroupedRegressor(0, model="mixed").fit(X[:, [0, 2]], y)
    with pytest.raises(ValueError, match="There is no effect 'intercpt'"):
        GroupEffectsDisplay.from_estimator(model, effect="intercpt")
    display = GroupEffectsDisplay.from_estimator(model)
    assert [display.names[k] for k in display.order_] == np.argsort(effect).tolist()
    assert len(display.names) == 12
    points = display.ax_.lines[0].get_xdata()
    np.testing.assert_array_equal(points, np.sort(display.estimate))
    half = 1.959964 * display.std[display.order_]
    ends = np.array([line[:, 0] for line in display.ax_.collections[0].get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([points - half, points + half]), rtol=1e-4)


def test_of_several_columns_one_is_drawn(table):
    X, y, effect = table
    model = GroupedRegressor([0, 1], model="mixed").fit(X, y)
    first, second = (GroupEffectsDisplay.from_estimator(model, column=c) for c in ("0", "1"))
    of_users = dict(zip(first.names, first.estimate, strict=True))
    assert np.corrcoef([of_users[k] for k in range(12)], effect)[0, 1] > 0.99
    of_items = dict(zip(second.names, second.estimate, strict=True))
    assert np.corrcoef([of_items[k] for k in range(12)], np.arange(12))[0, 1] > 0.99
    assert second.reference == 0.0
    with pytest.raises(ValueError, match=r"no column of groups 'user'.*'0', '1'"):
        GroupEffectsDisplay.from_estimator(model, column="user")


def test_a_frame_of_losses_has_a_line_for_each_part_of_the_mixture():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 15)
    X = np.column_stack([groups, rng.normal(size=180)])
    y = rng.normal(size=12)[groups] + X[:, 1] + 0.1 * rng.normal(size=180)
    model = GroupedRegressor(0).fit(X, y)
    ax = model.losses_.plot(marker="o")
    assert [line.get_label() for line in ax.lines] == list(model.losses_.columns)
    mixture = model.losses_["mixture"]
    assert list(mixture.index) == ["0", "1", "3", "most"]
    # An intercept per group explains half of the variance, once rows are known.
    assert mixture.iloc[0] > 0.3
    assert mixture.iloc[-1] < 0.1
    for loss in mixture:
        assert f"mixture {loss:.3f}" in model.summary_
