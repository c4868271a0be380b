"""Spaces, and configurations as numbers."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import expon, loguniform, norm, randint, uniform
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.search.space import Encoding, SearchSpace, candidate_key, parameter_names

MIXED = [
    {"clf": [SVC()], "clf__C": loguniform(1e-3, 1e3), "clf__kernel": ["rbf", "poly"]},
    {
        "clf": [RandomForestClassifier()],
        "clf__max_depth": [1, 2, 3, None],
        "clf__min_samples_leaf": randint(1, 20),
    },
]


class OnlyRvs:
    """A distribution of the user's own."""

    def rvs(self, random_state=None):
        return random_state.uniform()


@pytest.mark.parametrize(
    ("source", "value", "low", "high"),
    [
        (loguniform(1e-3, 1e3), 1.0, 1e-3, 1e3),
        (uniform(2, 3), 2.0, 2, 5),
        (randint(1, 20), 19, 1, 19),
        (expon(scale=3), 5.0, 0, np.inf),
        (list(range(50)), 25, 0, 49),
        (OnlyRvs(), 0.5, 0, 1),
    ],
)
def test_neighbours_stay_in_the_space_and_near(source, value, low, high):
    space = SearchSpace({"a": source})
    near = [c["a"] for c in space.neighbours({"a": value}, 60, np.random.default_rng(0))]
    assert len(near) >= 4
    assert len(set(near)) == len(near)
    assert all(low <= a <= high for a in near)
    assert value not in near
    if hasattr(source, "cdf"):
        steps = np.abs(source.cdf(near) - source.cdf(value))
        assert 0.03 < np.median(steps) < 0.2
    if isinstance(value, int):
        assert all(isinstance(a, int) for a in near)


def test_a_candidate_is_rebuilt_from_its_code():
    space = SearchSpace([*MIXED, {"clf__gamma": ["scale", 0.1], "clf__tol": OnlyRvs()}])
    for candidate in space.sample(60, np.random.default_rng(0)):
        code = space.encode(candidate)
        rebuilt = space.decode(code)
        assert candidate_key(rebuilt) == candidate_key(candidate)
        assert json.loads(code)
    assert space.encode({"clf__C": 3.0}) == ""
    for foreign in ("", "[9, {}]", "not json", '[0, {"clf": ["listed", 7]}]', "[]"):
        assert space.decode(foreign) is None


@pytest.mark.parametrize(
    ("spaces", "match"),
    [
        ({"clf__D": [1]}, "'clf__D'.* Did you mean 'clf__C'"),
        ({"C": [1]}, "'C' for estimator Pipeline.* Did you mean 'clf__C'"),
        ({"clf__zzzzz": loguniform(1, 2)}, "'clf__zzzzz'.*Valid parameters are"),
        ({"clf": [RandomForestClassifier()], "clf__C": [1]}, "'clf__C'"),
        ({"clf": [SVC(), RandomForestClassifier()], "clf__C": [1]}, "'clf__C'"),
    ],
)
def test_parameters_that_the_estimator_does_not_have(spaces, match):
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", SVC())])
    with pytest.raises(ValueError, match=match):
        SearchSpace(spaces).check(pipeline)


class OnlyNan:
    def rvs(self, random_state=None):
        return float("nan")


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (loguniform(2, 1), r"'p', loguniform\(2, 1\), cannot be sampled"),
        (OnlyNan(), "'p', OnlyNan, returned NaN"),
    ],
)
def test_distributions_that_have_no_values(source, match):
    with pytest.raises(ValueError, match=match):
        SearchSpace({"p": source}).sample(3, np.random.default_rng(0))


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


@settings(deadline=None)
@given(DISTRIBUTIONS, st.integers(0, 2**32 - 1))
def test_candidates_and_their_neighbours_are_in_the_space(given_source, seed):
    source, low, high = given_source
    space = SearchSpace({"a": source})
    rng = np.random.default_rng(seed)
    candidates = space.sample(5, rng)
    near = [other for one in candidates for other in space.neighbours(one, 3, rng)]
    for candidate in [*candidates, *near]:
        tolerance = 1e-9 * max(1.0, abs(candidate["a"]))
        assert low - tolerance <= candidate["a"] <= high + tolerance  # false for NaN


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
