"""Parameters in units of the target: models and searches do not depend on the target's unit."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from skmeta.search import MetaLearnedSearchCV, SearchHistory, default_search_space

UNIT = 1000.0
# Powers of the target's unit by which parameters are multiplied.
POWERS = {"SVR": {"C": 1, "epsilon": 1}, "Lasso": {"alpha": 1}}


@pytest.fixture(scope="module")
def rows():
    X, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(X[:80]), y[:80] / y[:80].std()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("prior", [None, "shipped"])
@pytest.mark.parametrize("name", POWERS)
def test_a_search_does_not_depend_on_the_unit(name, prior, rows):
    X, y = rows
    found = []
    for unit in (1.0, UNIT):
        # The estimator as given is a candidate too, so that it has to be in the unit.
        model = {
            "SVR": SVR(C=unit, epsilon=0.1 * unit, tol=1e-6 * unit),
            "Lasso": Lasso(alpha=unit, tol=1e-8),
        }[name]
        # Given, so that the parameters that are set are searched too.
        space = default_search_space(type(model)(), target_scale=unit)
        search = MetaLearnedSearchCV(model, space, n_iter=4, cv=3, random_state=0, prior=prior)
        found.append(search.fit(X, y * unit).cv_results_)
    np.testing.assert_array_equal(found[0]["source"], found[1]["source"])
    for one, other in zip(found[0]["params"], found[1]["params"], strict=True):
        for param, value in one.items():
            unit = UNIT ** POWERS[name].get(param, 0)
            is_number = isinstance(value, float)
            assert other[param] == (pytest.approx(value * unit) if is_number else value)
    scores = [results["mean_test_score"] for results in found]
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-3)


def test_a_history_keeps_values_and_priors_learn_relative_ones(rows, path):
    X, y = rows
    space = {"C": [1.0, 10.0, 100.0], "gamma": [0.01]}
    settings = {"cv": 3, "history": path}
    with SearchHistory(path) as history:
        for factor in (1, UNIT):
            own = {**space, "C": [factor * c for c in space["C"]]}
            MetaLearnedSearchCV(SVR(), param_grid=own, name=f"times {factor}", **settings).fit(
                X, factor * y
            )
        history.add(SVR(), [{"C": 5.0}], [0.5], dataset="added", X=X, y=5 * y)
        recorded = {one.record.dataset: one for one in history}
        past = {one.dataset: one for one in history.searches(estimator="SVR")}
    large = recorded[f"times {UNIT}"]
    assert large.record.target_scale == pytest.approx(UNIT)
    assert [e.configuration["SVR.C"] for e in large.candidates] == [1e3, 1e4, 1e5]
    for dataset in ("times 1", f"times {UNIT}"):
        found = [c["SVR.C"] for c in past[dataset].configurations]
        assert found == pytest.approx(space["C"])
    assert past["added"].configurations[0]["SVR.C"] == pytest.approx(1.0)
