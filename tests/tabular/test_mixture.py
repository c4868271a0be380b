"""Weights of the members of the mixture."""

import numpy as np

from skmeta.tabular import Outputs, Table, find_level, mix
from skmeta.tabular._weights import gain_of_known_rows, join_levels


def members(errors, sizes, rng):
    """Return targets of groups, predictions with errors (m, n_groups), and codes."""
    codes = np.repeat(np.arange(len(sizes)), sizes)
    y = rng.normal(size=len(codes))
    return y, y + np.asarray(errors)[:, codes], codes


def table_of(y, group):
    none, place = np.empty((len(y), 0)), np.arange(len(y))
    return Table(none, y, y, np.ones(len(y)), group[:, None], place, place, y, none)


def find(y, outputs, codes, beliefs=(1.0, 1.0)):
    used = np.ones(len(outputs), bool)
    stds = np.ones(outputs.shape)
    return find_level(outputs, stds, table_of(y, codes), 1.0, used, np.array(beliefs)).weights


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


def test_members_that_say_nothing_gain_nothing():
    rng, n, n_groups, changes = np.random.default_rng(1), 300, 30, []
    group, equal = np.repeat(np.arange(n_groups), n // n_groups), np.ones(3)
    for _ in range(15):
        y, noise = rng.normal(size=n), 0.2 * rng.normal(size=(2, n))
        at = table_of(y, group)
        outputs = [Outputs(each, np.ones(n)) for each in (np.zeros(n), *noise)]
        parts = [(at, np.full(n_groups, 9), outputs)]
        known = join_levels({np.inf: parts}, *[np.ones(3, bool)] * 2, equal, 0, 1)[-1]
        new = join_levels({np.inf: parts}, *[np.arange(3) < 1] * 2, equal, 0, 1)[-1]
        changes.append(gain_of_known_rows(parts, [outputs], new, known))
    value, low, high = np.array(changes).T
    assert value.mean() > 0
    assert np.all(low < value)
    assert np.all(high > 0)
