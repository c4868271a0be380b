"""Weights of the members of the mixture."""

from types import SimpleNamespace

import numpy as np
import pytest

from skmeta._stacking import mix
from skmeta.grouped._effects import _line
from skmeta.grouped._mixture import weigh


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


@pytest.mark.parametrize(("mixed", "said"), [(0.5, False), (0.6, True)])
def test_a_mixture_that_is_behind_a_part_says_so(mixed, said):
    members = {"population": None, "learner": None}
    mixture = SimpleNamespace(members=members, known_levels=[None])
    level = SimpleNamespace(
        n_known=2.0, losses=np.array([0.8, 0.5, mixed]), weights=np.array([0.3, 0.7])
    )
    text = _line(SimpleNamespace(mixture=mixture), level)
    assert text.startswith("  2 known rows: population 0.800 (weight 0.30), ")
    assert text.endswith(" alone)") == said
