"""Configurations as numbers."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import loguniform, norm, randint, uniform

from skmeta.search.space import Encoding, SearchSpace, candidate_key, parameter_names


@pytest.mark.parametrize(
    ("seen", "values", "expected"),
    [
        ([2, 4, 3], [2, 3, 4], [0, 0.5, 1]),
        # A logarithmic scale where numbers are more even there.
        (np.geomspace(1e-3, 1e3, 7), [1.0], [0.5]),
        (range(1, 101), [50.5], [0.5]),
        # Not for zero, negative or narrow ranges.
        ([0, 1, 10, 100, 1000], [500], [0.5]),
        ([-1, 1, 10, 100], [49.5], [0.5]),
        ([1, 2, 4, 8], [4.5], [0.5]),
        # Zero beside a wide range is its lower end.
        ([0.0, 1e-4, 1.0, 1e4], [0.0, 1e-4, 1.0, 1e4, 1e-9], [0, 0, 0.5, 1, -0.5]),
        # Numbers outside the range are clipped.
        (np.geomspace(1, 1000, 4), [0.0, -5.0, 1e300, float("inf")], [0, 0, 1.5, 1.5]),
    ],
)
def test_numbers_are_on_a_unit_scale(seen, values, expected):
    encoding = Encoding.from_configurations([{"a": value} for value in seen])
    found = encoding.transform([{"a": value} for value in values])
    np.testing.assert_allclose(found, np.transpose([expected]), rtol=1e-12)


@pytest.mark.parametrize(
    "values", [[True, "True"], [1, "1"], [None, "None"], [False, 0], [float("nan"), 1.0], ["a", 2]]
)
def test_kinds_differ_and_are_at_distance_1(values):
    encoding = Encoding.from_configurations([{"a": v} for v in values])
    first, second = encoding.transform([{"a": v} for v in values])
    assert np.linalg.norm(first - second) == pytest.approx(1)


FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(width=32), st.text(max_size=5)
)
NAMES = st.sampled_from(["a", "b", "c"])
CONFIGURATIONS = st.lists(st.dictionaries(NAMES, VALUES), min_size=1, max_size=8)

DISTRIBUTIONS = st.one_of(
    st.tuples(FINITE, st.floats(0, 1e6)).map(lambda t: (uniform(*t), t[0], t[0] + t[1])),
    st.tuples(st.floats(1e-6, 1e3), st.floats(1.01, 1e6)).map(
        lambda t: (loguniform(t[0], t[0] * t[1]), t[0], t[0] * t[1])
    ),
    st.tuples(st.integers(-100, 100), st.integers(1, 100)).map(
        lambda t: (randint(t[0], t[0] + t[1]), t[0], t[0] + t[1] - 1)
    ),
    st.tuples(FINITE, st.floats(0, 1e6)).map(lambda t: (norm(*t), -math.inf, math.inf)),
)
LISTS = st.lists(VALUES, min_size=1, max_size=6)


def is_within(value, low, high):
    tolerance = 1e-9 * max(1.0, abs(value))
    return low - tolerance <= value <= high + tolerance


@settings(deadline=None)
@given(DISTRIBUTIONS, st.integers(0, 2**32 - 1))
def test_candidates_and_their_neighbours_are_in_the_space(given_source, seed):
    source, low, high = given_source
    space = SearchSpace({"a": source})
    rng = np.random.default_rng(seed)
    candidates = space.sample(5, rng)
    near = [other for one in candidates for other in space.neighbours(one, 3, rng)]
    for candidate in [*candidates, *near]:
        assert is_within(candidate["a"], low, high)  # false for NaN


@settings(deadline=None)
@given(st.dictionaries(NAMES, LISTS, min_size=1), st.integers(0, 2**32 - 1))
def test_candidates_of_lists_are_listed_and_differ(lists, seed):
    space = SearchSpace(lists)
    rng = np.random.default_rng(seed)
    candidates = space.sample(10, rng)
    near = space.neighbours(candidates[0], 10, rng)
    for found in (candidates, [candidates[0], *near]):
        keys = [candidate_key(candidate) for candidate in found]
        assert len(set(keys)) == len(keys)
        for candidate in found:
            assert set(candidate) == set(lists)
            for name, value in candidate.items():
                assert any(value is listed for listed in space.spaces[0][name])


@settings(deadline=None)
@given(CONFIGURATIONS, CONFIGURATIONS)
def test_an_encoding_is_finite_bounded_and_reversible(fitted, others):
    encoding = Encoding.from_configurations(fitted)
    for configurations in (fitted, others):
        X = encoding.transform(configurations)
        assert X.shape == (len(configurations), encoding.n_columns)
        assert np.isfinite(X).all()
        assert X.min(initial=0) >= -0.5
        assert X.max(initial=0) <= 1.5
    assert len(encoding.groups) == encoding.n_columns
    assert set(encoding.parameters) <= parameter_names(fitted)
    assert Encoding.from_json(json.loads(json.dumps(encoding.to_json()))) == encoding


@settings(deadline=None)
@given(CONFIGURATIONS)
def test_an_encoding_does_not_depend_on_the_order_of_configurations(fitted):
    one, other = (Encoding.from_configurations(c) for c in (fitted, fitted[::-1]))
    assert one == other
    np.testing.assert_array_equal(one.transform(fitted), other.transform(fitted[::-1])[::-1])
