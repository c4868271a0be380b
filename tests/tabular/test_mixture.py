"""Weights of the members of the mixture."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmeta import GroupedRegressor
from skmeta.tabular import Outputs, Table, _weights, mix, sharpen
from skmeta.tabular._weights import fall_back, find_slope, gain_of_known_rows, join_levels, weigh


def members(errors, sizes, rng):
    """Return targets of groups, predictions with errors (m, n_groups), and codes."""
    codes = np.repeat(np.arange(len(sizes)), sizes)
    y = rng.normal(size=len(codes))
    return y, y + np.asarray(errors)[:, codes], codes


def find(y, outputs, codes):
    return weigh(outputs, np.ones(outputs.shape), y, np.ones(len(y)), codes, 1.0).weights


def test_a_member_that_is_better_in_all_groups_gets_the_weight():
    rng = np.random.default_rng(0)
    y, outputs, codes = members([[0.1] * 30, [1.0] * 30], [10] * 30, rng)
    # The best share of the worse member is 0.
    assert find(y, outputs, codes)[0] > 0.97


def test_errors_that_cancel_are_averaged():
    rng = np.random.default_rng(0)
    y, outputs, codes = members([[1.0] * 30, [-1.0] * 30], [10] * 30, rng)
    weights = find(y, outputs, codes)
    np.testing.assert_allclose(weights, 0.5, atol=0.05)
    assert abs(mix(outputs, weights) - y).max() < 0.1


def test_groups_count_alike():
    rng = np.random.default_rng(0)
    # The first member is better in one large group, and the second in all others.
    errors = np.array([[0.0] + [1.0] * 20, [1.0] + [0.0] * 20])
    y, outputs, codes = members(errors, [500] + [5] * 20, rng)
    assert find(y, outputs, codes)[1] > 0.9


@pytest.mark.parametrize("n_groups", [4, 64])
def test_few_groups_leave_the_weights_open(n_groups):
    rng = np.random.default_rng(0)
    # In three groups of four the first is better, and in the others it is worse.
    better = np.tile([True, True, True, False], n_groups // 4)
    errors = np.where([better, ~better], 0.5, 1.0)
    y, outputs, codes = members(errors, [10] * n_groups, rng)
    share = find(y, outputs, codes)[0]
    assert 0.55 < share < 0.9 if n_groups == 4 else share > 0.9


def test_unsure_members_fall_back_on_the_population():
    means, stds = np.array([[1.0, 1.0], [3.0, 3.0]]), np.array([[1.0, 1.0], [0.5, 2.0]])
    moved = fall_back(means, stds, precision=1.0)
    # The second member is twice as unsure as the population is wrong in the second row.
    np.testing.assert_allclose(moved, [[1.0, 1.0], [3.0, 1.5]])
    np.testing.assert_allclose(fall_back(means, stds, precision=0.0), means)


def test_known_rows_of_one_kind_do_less_harm_to_rows_of_another(monkeypatch):
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 25)
    x = (2 * rng.random(40) - 1)[group] + 0.25 * rng.normal(size=1000)
    z = rng.normal(size=1000)
    effects = 0.5 * rng.normal(size=40)[group] * z + 0.3 * rng.normal(size=40)[group]
    y = 2 * np.tanh(3 * x) + effects + 0.1 * rng.normal(size=1000)
    # Ten rows of a new group are of one kind, and have little variation in z.
    x_new = np.append(rng.normal(-0.9, 0.1, 10), rng.normal(0.9, 0.1, 60))
    z_new = np.append(rng.normal(0, 0.3, 10), rng.normal(0, 3, 60))
    X_new, y_new = np.column_stack([np.full(70, 99), x_new, z_new]), 2 * np.tanh(3 * x_new)
    errors = []
    for most_loss in (-1.0, _weights._MAX_LOSS):
        monkeypatch.setattr(_weights, "_MAX_LOSS", most_loss)
        model = GroupedRegressor(0).fit(np.column_stack([group, x, z]), y)
        model.partial_fit(X_new[:10], y_new[:10])
        errors.append(np.mean((model.predict(X_new[10:]) - y_new[10:]) ** 2))
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.parametrize("power", [0.9, 1.2])
def test_the_slope_of_probabilities_is_found_beside_its_prior(power):
    rng = np.random.default_rng(0)
    true = rng.dirichlet([1, 1, 1], 5000)
    y = (rng.random((5000, 1)) > true.cumsum(1)).sum(1)
    stated = sharpen(true, 1 / power)
    assert find_slope(stated, y, np.ones(5000), 5000) == pytest.approx(power, abs=0.05)
    assert find_slope(stated, y, np.ones(5000), 1e-6) == pytest.approx(1.05, abs=0.01)
    assert_allclose(sharpen(stated, power), true)
    assert_allclose(sharpen(stated, np.full(5000, power)), true)


def test_members_that_say_nothing_gain_nothing():
    """Weights that were chosen on the same rows would seem to gain."""
    rng, n, n_groups, changes, seeming = np.random.default_rng(1), 300, 30, [], []
    none = np.empty((n, 0))
    group = np.repeat(np.arange(n_groups), n // n_groups)
    for _ in range(15):
        y, noise = rng.normal(size=n), 0.2 * rng.normal(size=(2, n))
        place = np.arange(n)
        at = Table(none, y, y, np.ones(n), group[:, None], place, place, y, none)
        outputs = [Outputs(each, np.ones(n)) for each in (np.zeros(n), *noise)]
        parts = [(at, np.full(n_groups, 9), outputs)]
        known = join_levels({np.inf: parts}, *[np.ones(3, bool)] * 2, 0, 1, False)[-1]
        new = join_levels({np.inf: parts}, *[np.arange(3) < 1] * 2, 0, 1, False)[-1]
        changes.append(gain_of_known_rows(parts, [outputs], new, known))
        seeming.append(known.losses[-1] / new.losses[-1] - 1)
    value, low, high = np.array(changes).T
    assert np.mean(seeming) < 0 < value.mean()
    assert np.all(low < value)
    assert np.all(high > 0)
