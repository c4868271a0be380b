"""Default spaces of scikit-learn's estimators and of boosting packages."""

from functools import partial

import numpy as np
import pytest
from boosters import CLASSES, make_booster
from scipy.stats import uniform
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, Ridge
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from skmeta.search import MetaLearnedSearchCV, default_search_space
from skmeta.search.space import SearchSpace, canonical_configurations
from skmeta.search.space._default_table import BOOSTING_SPACES


def has_space(kind):
    try:
        default_search_space(kind())
    except (ValueError, TypeError, FutureWarning):  # no space, needs arguments, deprecated
        return False
    return True


ESTIMATORS = {name: kind for name, kind in all_estimators() if has_space(kind)}
ESTIMATORS |= {name: partial(make_booster, name) for name in CLASSES}
ROUNDS = ("max_iter", "n_estimators", "iterations")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_every_candidate_of_a_default_space_can_be_fitted(name):
    estimator = ESTIMATORS[name]()
    X, y = (load_iris if is_classifier(estimator) else load_diabetes)(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(X))[:60]
    X, y = StandardScaler().fit_transform(X[rows]), y[rows]
    y = y[:, None] if name.startswith("MultiTask") else y
    known = estimator.get_params()
    if "n_estimators" in known or name.startswith("CatBoost"):
        estimator.set_params(**{"iterations" if name.startswith("CatBoost") else "n_estimators": 5})
    elif "max_iter" in known and name.startswith(("MLP", "Hist", "SGD")):
        estimator.set_params(max_iter=5)
    for params in ParameterSampler(default_search_space(estimator), 6, random_state=0):
        params = {k: v for k, v in params.items() if k not in ROUNDS}
        fitted = clone(estimator).set_params(**clone(params, safe=False)).fit(X, y)
        assert fitted.predict(X).reshape(y.shape).shape == y.shape


def test_steps_of_a_pipeline_contribute_and_others_stay(iris):
    pipeline = Pipeline([("scale", StandardScaler()), ("reduce", PCA()), ("clf", SVC())])
    space = default_search_space(pipeline)
    assert [one["clf__kernel"] for one in space] == [["rbf"], ["poly"], ["sigmoid"]]
    assert all(name.startswith("clf__") for one in space for name in one)
    RandomizedSearchCV(pipeline, space, n_iter=2, random_state=0).fit(*iris)


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianNB(),
        LogisticRegressionCV(),  # without the parameters of its base
        type("SVC", (GaussianNB,), {"__module__": "elsewhere"})(),  # of a name that has one
    ],
)
def test_no_default_space(estimator):
    match = f"{type(estimator).__name__} has no default search space"
    with pytest.raises(ValueError, match=match):
        default_search_space(estimator)
    with pytest.raises(ValueError, match=match):
        MetaLearnedSearchCV(estimator).fit([[0.0], [1.0]] * 5, [0, 1] * 5)


def test_a_choice_of_steps_opens_each_ones_space(iris):
    space = {"clf": [SVC(), RandomForestClassifier(n_estimators=5)]}
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
    search = MetaLearnedSearchCV(pipeline, space, n_iter=6, cv=2, random_state=0).fit(*iris)
    for params in search.cv_results_["params"]:
        own = {name for name in params if name.startswith("clf__")}
        expected = "clf__C" if isinstance(params["clf"], SVC) else "clf__max_features"
        assert expected in own
    assert {type(p["clf"]) for p in search.cv_results_["params"]} == {SVC, RandomForestClassifier}


def test_a_list_of_estimators(iris):
    scaled = LogisticRegression(max_iter=5000)
    listed = [make_pipeline(StandardScaler(), SVC()), GaussianNB(), scaled]
    search = MetaLearnedSearchCV(listed, n_iter=5, cv=2, random_state=0)
    clone(search)
    assert "GaussianNB" in repr(search)
    search.fit(*iris)
    assert search.estimator is listed
    assert search.param_distributions is None
    kinds = [type(params["model"]).__name__ for params in search.cv_results_["params"]]
    assert set(kinds) == {"Pipeline", "LogisticRegression", "GaussianNB"}, "each is tried"
    assert kinds.count("GaussianNB") == 1, "without a default space there is one candidate"
    assert search.score(*iris) > 0.9
    assert search.classes_.tolist() == [0, 1, 2]


def test_a_parameter_that_was_set_is_not_searched():
    assert "max_iter" in default_search_space(HistGradientBoostingClassifier())
    boosting = HistGradientBoostingClassifier(max_iter=15, random_state=0)
    assert "max_iter" not in default_search_space(boosting)
    pipe = make_pipeline(StandardScaler(), boosting)
    name = "histgradientboostingclassifier__max_iter"
    assert name not in default_search_space(pipe)
    assert name in default_search_space(pipe.set_params(**{name: 100}))  # the default
    assert set(default_search_space(pipe)) >= {name}


def test_the_sub_spaces_of_a_value_that_was_set():
    space = default_search_space(SVC(kernel="poly"))
    assert sorted(space) == ["C", "coef0", "degree", "gamma"]
    # There is no sub-space for this kernel.
    assert sorted(default_search_space(SVC(kernel="linear"))) == ["C", "gamma"]


def test_nothing_is_left_to_search():
    with pytest.raises(ValueError, match=r"All parameters .* were set \(alpha=3\.0\)"):
        default_search_space(Ridge(alpha=3.0))


def test_parameters_of_a_part_that_was_set_are_kept():
    assert "estimator__max_depth" in default_search_space(AdaBoostClassifier())
    own = AdaBoostClassifier(DecisionTreeClassifier(max_depth=2))
    assert set(default_search_space(own)) == {"n_estimators", "learning_rate"}


@pytest.mark.parametrize(
    ("estimator", "left_out"),
    [
        (RandomForestClassifier(oob_score=True), "bootstrap"),
        (RandomForestClassifier(max_samples=0.5), "bootstrap"),
        (LinearSVC(penalty="l1"), "loss"),
        (KNeighborsClassifier(metric="cosine"), "p"),
    ],
)
def test_parameters_that_a_set_one_rules_out_are_left_out(estimator, left_out):
    every = default_search_space(type(estimator)())
    assert set(every) - set(default_search_space(estimator)) == {left_out}


def test_the_table_names_the_classes_under_test():
    named = {name: package for package, table in BOOSTING_SPACES.items() for name in table}
    assert named == CLASSES


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_estimator_as_given_is_a_candidate_and_has_a_configuration(name):
    estimator = make_booster(name)
    space = SearchSpace(default_search_space(make_pipeline(StandardScaler(), estimator)))
    pipeline = make_pipeline(StandardScaler(), estimator)
    given, _ = space.nearest(pipeline)
    if name.startswith("CatBoost"):
        assert given == {}  # what was never set cannot be set back to what it was
    else:
        assert set(given) == set(space.names)
    sampled = space.sample(2, np.random.default_rng(0))
    for candidate, found in zip(
        [given, *sampled], canonical_configurations(pipeline, [given, *sampled]), strict=True
    ):
        for path, value in candidate.items():
            assert found[f"{name}.{path.rpartition('__')[2]}"] == value


def test_a_wrong_name_is_refused_for_an_estimator_that_lists_only_what_was_set():
    with pytest.raises(ValueError, match="Did you mean 'learning_rate'"):
        SearchSpace({"learning_rte": uniform()}).check(make_booster("CatBoostClassifier"))
