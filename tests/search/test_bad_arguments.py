"""What a search refuses before any fit, and what it says."""

import numpy as np
import pytest
from scipy.stats import loguniform
from searching import GRID, QUALITY, SPACE, past_search
from sklearn.metrics import accuracy_score
from sklearn.svm import SVC

from skmeta.exceptions import HistoryError, PriorError, SearchWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory, SearchPrior
from skmeta.search.prior import AlgorithmSelectionPrior

NO_SPACE = {"param_distributions": None}
TWO = {"scoring": ["accuracy", "f1_macro"]}


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"param_grid": GRID}, ValueError, "were both given"),
        ({"param_distributions": {}}, ValueError, "names no parameter"),
        ({"param_distributions": {"C": []}}, ValueError, "non-empty sequence"),
        ({"param_distributions": []}, ValueError, "is an empty list. Pass a dict"),
        ({"param_distributions": {"C": np.array([])}}, ValueError, "non-empty sequence"),
        ({"param_distributions": {"C": "rbf"}}, TypeError, "needs to be a list or a numpy array"),
        ({"param_distributions": {**SPACE, "C": "rbf"}}, TypeError, "a list or a numpy array"),
        ({"param_distributions": {"C": 3}}, TypeError, "needs to be a list or a numpy array"),
        ({"param_distributions": {"C": np.ones((2, 2))}}, ValueError, "one-dimensional"),
        ({"param_distributions": [{"C": [1]}, 3]}, TypeError, "is not a dict"),
        ({"param_distributions": "C"}, ValueError, "'param_distributions' parameter"),
        ({"param_distributions": {"c": [1]}}, ValueError, "Did you mean 'C'"),
        ({"param_distributions": None, "param_grid": SPACE}, ValueError, "'C' has a dist"),
        ({"n_iter": 0}, ValueError, "'n_iter' parameter"),
        ({"estimator": SVC}, TypeError, r"estimator is the class SVC\. Pass an instance of it"),
        ({"n_iter": "some"}, ValueError, "'n_iter' parameter"),
        ({"batch_size": 0}, ValueError, "'batch_size' parameter"),
        ({"time_budget": 0}, ValueError, "'time_budget' parameter"),
        ({"target_score": np.nan}, ValueError, "'target_score' parameter"),
        ({"patience": 0}, ValueError, "'patience' parameter"),
        ({"history": True}, ValueError, "'history' parameter"),
        ({"history": 3}, ValueError, "'history' parameter"),
        ({"prior": 3}, ValueError, "'prior' parameter"),
        ({"scoring": "acuracy"}, ValueError, "'scoring' parameter|valid scoring"),
        ({"scoring": ["accuracy", "mae"]}, ValueError, "'scoring' parameter|valid scoring"),
        ({"prior": "historic"}, ValueError, "'prior' parameter.*'history'"),
        ({"racing": "yes"}, ValueError, "'racing' parameter"),
        ({"racing": 0.3}, ValueError, "'racing' parameter"),
        ({"start": [{"c": 1.0}]}, ValueError, r"start\[0\] does not fit .* are \['C', 'gamma'\]"),
        ({"start": [{"C": 1.0}, {"kernel": "rbf"}]}, ValueError, r"start\[1\] does not fit"),
        ({"start": [1.0]}, TypeError, r"start\[0\] must be a dict of parameters, got 1.0"),
        ({"param_distributions": {"C": 1.0}}, TypeError, r"'C' needs to be a list.*got 1\.0"),
        ({"param_distributions": {"C": loguniform}}, ValueError, "'C'.*cannot be sampled"),
        ({"param_distributions": {1: [1, 2]}}, ValueError, "parameter 1, which is not a str"),
        ({"scoring": accuracy_score}, ValueError, r"function accuracy_score.*make_scorer\(accur"),
        ({"name": ""}, ValueError, "name='' is the name of a search"),
        ({"name": "a", "history": None}, ValueError, "name='a' .* Pass it with history="),
        ({"name": 3}, ValueError, "'name' parameter"),
        ({"estimator": []}, ValueError, "empty list"),
        ({"estimator": [SVC], **NO_SPACE}, TypeError, "not an estimator"),
        ({"estimator": [SVC(), "svm"], **NO_SPACE}, TypeError, "'svm'"),
        ({"estimator": [SVC()]}, ValueError, "search space as well"),
        ({**TWO, "refit": True}, ValueError, "refit must be set to a scorer key"),
    ],
)
def test_bad_settings_are_told_before_any_fit(iris, counted, path, settings, error, match):
    search = MetaLearnedSearchCV(SVC(), SPACE, history=path).set_params(**settings)
    with pytest.raises(error, match=match):
        search.fit(*iris)
    assert not path.exists()


def learned_prior(estimator="SVC", name="SVC.C"):
    return SearchPrior.from_searches([past_search("wine", name=name, estimator=estimator)])


@pytest.mark.parametrize(
    "prior",
    [
        learned_prior("RandomForestClassifier", "RandomForestClassifier.max_features"),
        AlgorithmSelectionPrior({"RandomForestClassifier": learned_prior()}),
    ],
)
def test_a_prior_of_another_estimator_is_refused(iris, counted, path, prior):
    search = MetaLearnedSearchCV(counted(), QUALITY, prior=prior, history=path)
    with pytest.raises(PriorError, match="of RandomForestClassifier, but this search is of Coun"):
        search.fit(*iris)
    assert counted.fits == []
    assert len(SearchHistory(path)) == 0


def test_a_fit_parameter_that_nothing_takes_is_refused(iris, path):
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=2, history=path)
    with pytest.raises(TypeError, match="It takes: X, y, sample_weight"):
        search.fit(*iris, dataset=np.ones(150))
    with pytest.raises(TypeError, match="Did you mean 'sample_weight'"):
        search.fit(*iris, sampleweight=np.ones(150))
    assert not path.exists()


def test_no_prior_is_better_than_no_search(iris, path, monkeypatch):
    def fail(*args, **kwargs):
        raise HistoryError("searches failed")

    monkeypatch.setattr(SearchHistory, "_past_searches", fail)
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=2, history=path, prior="history")
    with pytest.warns(SearchWarning, match="searches failed"):
        search.fit(*iris)
