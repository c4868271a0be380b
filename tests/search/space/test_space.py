import json

import numpy as np
import pytest
from scipy.stats import expon, loguniform, randint, uniform
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.search.space import SearchSpace, candidate_key

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
