"""Priors of several parts: joint ones, choices of estimators, samples, data sets alike."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skmeta.search import MetaLearnedSearchCV, SearchPrior
from skmeta.search.prior import AlgorithmSelectionPrior, JointPrior, resemblance
from skmeta.search.record import PastSearch

C = np.geomspace(1e-3, 1e3, 25)


def make_searches(estimator, n_tasks, *, best=1.0, level=0.5, scale=0.1, prefix="set", step=0.1):
    """Tasks whose scores fall off with the distance from the best value."""
    searches = []
    for task in range(n_tasks):
        optimum = np.log10(best) + step * task
        scores = level + scale * np.exp(-((np.log10(C) - optimum) ** 2) / 4)
        configurations = tuple({f"{estimator}.C": float(c)} for c in C)
        searches.append(
            PastSearch(
                dataset=f"{prefix} {task}",
                configurations=configurations,
                scores=scores,
                dataset_features={"size": float(task)},
            )
        )
    return searches


def make_prior(*args, **kwargs):
    return SearchPrior.from_searches(make_searches(*args, **kwargs))


def test_both_parts_of_a_joint_prior_are_heard():
    own, shipped = make_prior("SVC", 2, best=10), make_prior("SVC", 6, best=0.1, prefix="other")
    joint = JointPrior(own, shipped)
    configurations = [{"SVC.C": float(c)} for c in C]
    Z = joint.encode(configurations, {"SVC.C"})
    F = joint.surfaces_of(Z)
    assert len(joint) == len(joint.datasets) == len(F) == 8
    np.testing.assert_allclose(F[:2], own.surfaces(configurations), atol=1e-5)
    np.testing.assert_allclose(F[2:], shipped.surfaces(configurations), atol=1e-5)
    # Distances are about those of the parts.
    Z_own, Z_shipped = (p.encode(configurations, {"SVC.C"}) for p in (own, shipped))
    between = ((Z[0] - Z[-1]) ** 2).sum()
    of_parts = [((z[0] - z[-1]) ** 2).sum() for z in (Z_own, Z_shipped)]
    np.testing.assert_allclose(between, np.mean(of_parts))


def test_the_more_the_user_has_searched_the_more_it_weighs():
    shipped = make_prior("SVC", 10)
    shares = []
    for n in (1, 5, 50):
        weights = JointPrior(make_prior("SVC", n, prefix="own"), shipped).task_weights
        np.testing.assert_allclose(weights.sum(), 1)
        assert weights[0] > weights[-1], "one of the user's own tasks weighs more than another's"
        shares.append(weights[:n].sum())
    assert shares == sorted(shares)
    np.testing.assert_allclose(shares[1], 0.5)


@pytest.fixture
def choice():
    return AlgorithmSelectionPrior(
        {
            "SVC": make_prior("SVC", 5, best=1, level=0.5, scale=0.3),
            "LogisticRegression": make_prior("LogisticRegression", 7, best=100, level=0.7),
        }
    )


def test_the_levels_of_estimators_compare(choice):
    configurations = [{"SVC.C": 1.0}, {"SVC.C": 1e-3}, {"LogisticRegression.C": 100.0}]
    configurations += [{"LogisticRegression.C": 1e-3}, {"GaussianNB.var_smoothing": 1e-9}]
    Z = choice.encode(configurations, {"SVC.C", "LogisticRegression.C"})
    assert Z.shape == (5, choice.n_columns)
    F = choice.surfaces_of(Z)
    assert choice.datasets == tuple(f"set {t}" for t in range(5)), "those that both know"
    # .8, .5, .8, .7 were scored.
    assert (F[:, 0] > F[:, 3]).all()
    assert (F[:, 2] > F[:, 3]).all()
    assert (F[:, 3] > F[:, 1]).all()
    np.testing.assert_array_equal(F[:, 4], 0)
    # Another estimator is at a distance.
    assert ((Z[0] - Z[2]) ** 2).sum() >= 1


def test_a_choice_is_searched_with_what_is_known_of_each():
    X, y = load_wine(return_X_y=True)
    listed = [make_pipeline(StandardScaler(), KNeighborsClassifier()), DecisionTreeClassifier()]
    search = MetaLearnedSearchCV(listed, n_iter=6, cv=3, random_state=0, scoring="accuracy")
    search.fit(X, y)
    assert isinstance(search.prior_, AlgorithmSelectionPrior)
    assert len(search.prior_) > 20
    assert search.cv_results_["source"][0] == "initial design"
    assert search.best_score_ > 0.9
    # Its prior serves another search, and leaves out data sets.
    another = clone(search).set_params(n_iter=3, prior=search.prior_).fit(X, y)
    assert another.best_params_.keys() == search.best_params_.keys()
    assert another.prior_.datasets == search.prior_.datasets
    assert "wine_recognition" not in search.prior_.datasets
    every = clone(search).set_params(n_iter=3, learn_from_same_data=True).fit(X, y).prior_
    assert set(every.datasets) - set(search.prior_.datasets) == {"wine_recognition"}
    left = every.without(datasets=["wine_recognition"])
    assert left.datasets == search.prior_.datasets


def tasks(n=30, n_configurations=50, seed=0):
    """Tasks whose surfaces follow the first of two features."""
    rng = np.random.default_rng(seed)
    features = rng.random((n, 2))
    grid = np.linspace(0, 1, n_configurations)
    surfaces = np.exp(-((grid - features[:, :1]) ** 2) / 0.02)
    return surfaces, [{"a": a, "b": b} for a, b in features]


def test_weights_are_those_of_a_process_with_an_unknown_mean():
    """A very large variance of the mean is an unknown mean."""
    rng = np.random.default_rng(0)
    rows, noise = rng.standard_normal((12, 2)), rng.random(12)
    rows = (rows - rows.mean(0)) / rows.std(0)
    features = [{"a": a, "b": b} for a, b in rows]
    found, _ = resemblance(noise, features, {"a": 0.3, "b": -0.2})
    alpha = (noise + 0.3) / (noise + 0.3).mean()
    kernel = RBF(np.sqrt(2), "fixed") + ConstantKernel(1e7, "fixed")
    process = GaussianProcessRegressor(kernel, alpha=alpha, optimizer=None).fit(rows, np.eye(12))
    weights = np.maximum(process.predict([[0.3, -0.2]])[0], 0)
    np.testing.assert_allclose(found, weights / weights.sum(), atol=1e-5)


def test_features_that_tell_set_the_mean():
    surfaces, features = tasks()
    [new], [present] = tasks(1, seed=3)
    weights, _ = resemblance(np.full(30, 0.01), features, present)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(), 1)
    error, error_without = (
        abs((w @ surfaces) - new).mean() for w in (weights, np.full(30, 1 / 30))
    )
    assert error < 0.8 * error_without
