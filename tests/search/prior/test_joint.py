from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skmeta.search import MetaLearnedSearchCV, SearchPrior
from skmeta.search.prior import AlgorithmSelectionPrior, JointPrior
from skmeta.search.record import PastSearch
from skmeta.search.surrogate import SearchStrategy

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


def test_each_part_is_conditioned_on_the_data_set():
    own, shipped = (make_prior("SVC", 8, prefix=prefix, step=0.5) for prefix in ("own", "other"))
    joint = JointPrior(own, shipped).conditioned_on({"size": 6.0})
    share = 8 / 13
    for part, weights, whole in (
        (own, joint.task_weights[:8], share),
        (shipped, joint.task_weights[8:], 1 - share),
    ):
        np.testing.assert_allclose(weights, whole * part.conditioned_on({"size": 6.0}).task_weights)
        assert weights[6] > 2 * weights[0]
    np.testing.assert_allclose(joint.pooled_weights, JointPrior(own, shipped).task_weights)


def test_a_choice_is_conditioned_on_the_data_set():
    """Which estimator is best goes with the feature."""
    rising, falling = (
        SearchPrior.from_searches(
            [
                replace(s, scores=s.scores + sign * 0.1 * (s.dataset_features["size"] - 4))
                for s in make_searches(name, 9)
            ]
        )
        for name, sign in (("SVC", 1), ("Ridge", -1))
    )
    choice = AlgorithmSelectionPrior({"SVC": rising, "Ridge": falling})
    Z = choice.encode([{"SVC.C": 1.0}, {"Ridge.C": 1.0}], {"SVC.C", "Ridge.C"})
    for size, best in ((0.5, 1), (7.5, 0)):
        conditioned = choice.conditioned_on({"size": size})
        np.testing.assert_allclose(conditioned.task_weights.sum(), 1)
        F = conditioned.task_weights @ conditioned.surfaces_of(Z)
        assert F.argmax() == best
    assert choice.pooled_weights.tolist() == choice.task_weights.tolist() == [1 / 9] * 9


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
    left = search.prior_.without(datasets=["wine_recognition"])
    assert set(search.prior_.datasets) - set(left.datasets) == {"wine_recognition"}


def test_estimators_that_the_prior_does_not_know_are_tried_too(choice):
    strangers = [{"GaussianNB.var_smoothing": 10.0**-k} for k in range(3, 9)]
    strangers += [{"Other.depth": depth} for depth in range(1, 9)]
    known = [{"SVC.C": float(c)} for c in C] + [{"LogisticRegression.C": float(c)} for c in C]
    pool = known + strangers
    assert choice.covers(pool).tolist() == [True] * len(known) + [False] * len(strangers)
    strategy = SearchStrategy(pool, choice, rng=np.random.default_rng(0))
    asked = []
    for _ in range(6):
        [suggestion] = strategy.ask()
        asked.append(next(iter(pool[suggestion.index])))
        strategy.tell([suggestion.index], [0.5 + 0.01 * len(asked)])
    assert asked.count("GaussianNB.var_smoothing") >= 1
    assert asked.count("Other.depth") >= 1
    assert not {"GaussianNB.var_smoothing", "Other.depth"} & set(asked[:3])
