"""The estimator as it is given is one of the candidates."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import loguniform, randint
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta.exceptions import SkmetaWarning
from skmeta.search import MetaLearnedSearchCV, SearchPrior
from skmeta.search.record import PastSearch

X, y = load_iris(return_X_y=True)
C = loguniform(1e-2, 1e3)


def search(estimator, space=None, n_iter=6, **settings):
    settings = {"cv": 3, "random_state": 0, "prior": None, "verbose": 0} | settings
    return MetaLearnedSearchCV(estimator, space, n_iter=n_iter, **settings).fit(X, y)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(("value", "prior", "place"), [(7.5, None, 1), (0.011, "shipped", 4)])
def test_it_is_the_second_candidate_or_with_a_prior_that_expects_little_the_fifth(
    batch_size, value, prior, place
):
    found = search(SVC(C=value), {"C": C}, batch_size=batch_size, prior=prior).cv_results_
    assert [k for k, source in enumerate(found["source"]) if source == "as given"] == [place]
    assert found["params"][place] == {"C": value}
    assert np.isnan(found["predicted_mean_score"][place])


def test_it_is_the_second_candidate_on_more_rows_than_the_past_has():
    searches = [
        PastSearch(
            dataset=f"past {t}",
            configurations=tuple({"SVC.C": float(c)} for c in np.geomspace(1e-2, 1e3, 9)),
            scores=-((np.arange(9) - 6 + 0.1 * t) ** 2),
            estimator="SVC",
            metric="accuracy",
        )
        for t in range(3)
    ]
    for n_rows, place in ((100, 1), (200, 4)):
        features = {"log_rows": float(np.log(n_rows))}
        past = [replace(one, dataset_features=features) for one in searches]
        prior = SearchPrior.from_searches(past)
        sources = search(SVC(C=0.011), {"C": C}, prior=prior).cv_results_["source"]
        assert list(sources).index("as given") == place


def test_a_space_that_excludes_it_is_kept_to():
    for space in ({"C": loguniform(10, 100)}, {"C": [0.1, 0.2, 0.3] * 3, "gamma": C}):
        found = search(SVC(C=1.0, gamma="auto"), space)
        assert "as given" not in found.cv_results_["source"]


def test_a_zero_outside_a_logarithmic_distribution_can_be_tried():
    space = {"ccp_alpha": loguniform(1e-3, 1), "max_depth": [None, 3]}
    tree = DecisionTreeClassifier(random_state=0)
    tried = search(tree, space, n_iter=2, start=[{"ccp_alpha": 0.0}])
    assert tried.cv_results_["params"][0] == {"ccp_alpha": 0.0, "max_depth": None}


@pytest.mark.parametrize("racing", [False, True])
def test_a_search_that_ends_behind_it_says_so(racing):
    space = {"C": loguniform(1e-5, 1e-4)}
    match = r"as given has a score of 0\.96.*best of 10 candidates 0\..*does not contain C=1\.0"
    with pytest.warns(SkmetaWarning, match=match):
        found = search(SVC(), space, n_iter=10, racing=racing)
    assert len(found.cv_results_["params"]) == 10
    assert found.best_params_["C"] < 1e-3


@pytest.mark.parametrize(("low", "n_iter"), [(10, 10), (1e-5, 9)])
def test_nothing_is_said_of_one_that_is_behind_or_of_few_candidates(low, n_iter):
    search(SVC(C=1e-3), {"C": loguniform(low, 10 * low)}, n_iter=n_iter)


def test_a_default_space_does_not_exclude_it(tmp_path):
    path = tmp_path / "history.db"
    first = search(make_pipeline(StandardScaler(), SVC()), history=path, name="ours")
    given = first.cv_results_["params"][1]
    assert given["svc__gamma"] == "scale"
    # It can be read from a history again, although the space does not contain it.
    again = search(make_pipeline(StandardScaler(), SVC()), history=path, name="ours")
    assert again.n_resumed_ == 6
    assert again.cv_results_["params"][1] == given
    assert again.cv_results_["source"][1] == "as given"


def test_it_is_kept_unless_another_candidate_is_better():
    # Depths beyond that of the whole tree make no difference.
    constant = {"max_depth": randint(1, 40)}
    found = search(DecisionTreeClassifier(max_depth=33, random_state=0), constant, n_iter=5)
    best = found.cv_results_["mean_test_score"].max()
    given = list(found.cv_results_["source"]).index("as given")
    assert found.cv_results_["mean_test_score"][given] == best
    assert found.best_index_ == given
    assert found.best_params_ == {"max_depth": 33}

    better = search(SVC(C=1e-2), {"C": C})
    assert better.best_score_ > better.cv_results_["mean_test_score"][1]
    assert better.best_index_ != 1
