"""Rows that are added to a fitted model, one after the other or at once, and fits that fail."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from marks import slow
from sklearn.base import clone

from skmeta import GroupedClassifier, GroupedRegressor

RNG = np.random.default_rng(0)
GROUP = np.repeat(np.arange(12), 6)
X = pd.DataFrame({"g": GROUP, "x": RNG.normal(size=72), "e": 2.0})
COUNTS = RNG.poisson(np.exp(0.5 * RNG.normal(size=12)[GROUP] + 1)).astype(float)
NEW = X[:3].assign(g=99)
TARGETS = {
    "count": (COUNTS, [3, -3.7, 2.5], r"whole numbers from 0 on, but y is -3\.7 in row 1"),
    "share": ((COUNTS + 1) / (COUNTS.max() + 2), [0.5, 1, 7], "from 0 to 1, but y is 7 in row 2"),
    "positive": (COUNTS + 0.5, [-1, 0, 2], "numbers from 0 on, but y is -1 in row 0"),
    "ordered": (np.clip(COUNTS, 1, 5), [1, 5, 9], "from 1 to 5, but y is 9 in row 2"),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_targets_of_another_kind_than_those_of_fit_are_refused(kind):
    y, wrong, message = TARGETS[kind]
    model = GroupedRegressor("g", target_type=kind, model="mixed").fit(X[["g", "x"]], y)
    before = model.predict(NEW[["g", "x"]])
    with pytest.raises(ValueError, match=f"target_type_='{kind}' needs .*{message}"):
        model.partial_fit(NEW[["g", "x"]], wrong)
    np.testing.assert_array_equal(model.predict(NEW[["g", "x"]]), before)


def test_counts_with_an_exposure_are_counts_later_too():
    model = GroupedRegressor("g", exposure="e", model="mixed").fit(X, COUNTS)
    with pytest.raises(ValueError, match=r"target_type_='count' needs .* y is 0\.5 in row 0"):
        model.partial_fit(NEW, [0.5, 1, 1])


@pytest.mark.parametrize("name", ["regressor", slow("classifier")])
def test_rows_that_threads_add_at_once_all_arrive(name):
    is_regressor = name == "regressor"
    model = (GroupedRegressor if is_regressor else GroupedClassifier)("g", model="mixed")
    model.fit(X, COUNTS if is_regressor else COUNTS > 2)
    n_calls, row = 200, [1.0] if is_regressor else [True]

    def add(k):
        model.partial_fit(pd.DataFrame({"g": [100 + k], "x": [0.0], "e": [1.0]}), row)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(n_calls)))
    assert sorted(model.groups_) == [*range(12), *range(100, 100 + n_calls)]
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert len(copied.partial_fit(NEW, row * 3).groups_) == 13 + n_calls
    assert clone(model).get_params() == model.get_params()


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    model = GroupedRegressor("g", model="mixed").fit(X, COUNTS)
    before, names = model.predict(X), list(model.feature_names_in_)
    with pytest.raises(ValueError, match="y is nan"):
        model.fit(X[["g", "x"]].rename(columns={"x": "z"}), np.append(COUNTS[:-1], np.nan))
    with pytest.raises(ValueError, match="groups='g' is a name, but X is ndarray"):
        model.fit(X.to_numpy(), COUNTS)
    assert list(model.feature_names_in_) == names
    np.testing.assert_array_equal(model.predict(X), before)
    model.partial_fit(NEW, COUNTS[:3])
    new = GroupedRegressor("g")
    with pytest.raises(ValueError, match="y is nan"):
        new.fit(X, np.full(72, np.nan))
    assert not hasattr(new, "n_features_in_")
