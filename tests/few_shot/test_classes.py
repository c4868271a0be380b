"""Ordered classes, and weights of classes: factors of their prior probabilities."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import log_loss

from skmeta import MetaFewShotClassifier
from skmeta.exceptions import UnusedDataWarning
from skmeta.learners import FineTuning, ProtoNet

GRADES = ["poor", "fair", "good", "excellent"]


def make_grades(n, seed=0):
    """A latent normal variable, cut at three thresholds: ordered probit."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    latent = 1.5 * X[:, 0] + rng.normal(size=n)
    return X, np.searchsorted([-1.5, 0.0, 1.5], latent)


def ordered_series(y):
    return pd.Series(pd.Categorical(np.array(GRADES)[y], GRADES, ordered=True))


@pytest.fixture(scope="module")
def ordered():
    return MetaFewShotClassifier(device="cpu", target_type=[0, 1, 2, 3]).fit(*make_grades(40))


def test_order_helps_where_there_is_one(ordered):
    X, y = make_grades(600, seed=1)
    nominal = MetaFewShotClassifier(device="cpu").fit(*make_grades(40))
    assert (ordered.target_type_, nominal.target_type_) == ("ordered", "nominal")
    assert log_loss(y, ordered.predict_proba(X)) < log_loss(y, nominal.predict_proba(X)) - 0.02


def test_shares_go_to_the_nominal_model_where_the_order_is_wrong():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2))
    latent = 1.5 * X[:, 0] + rng.normal(size=150)
    y = np.array([2, 0, 3, 1])[np.searchsorted([-1.0, 0.0, 1.0], latent)]
    shares = MetaFewShotClassifier(device="cpu", target_type=[0, 1, 2, 3]).fit(X, y).shares_
    assert shares["prior"] > 0.5
    assert shares["cumulative process"] < 0.1


def test_ordered_categories_are_numbers_in_their_order(ordered):
    X, y = make_grades(40)
    words = MetaFewShotClassifier(device="cpu").fit(X, ordered_series(y))
    assert words.target_type_ == "ordered"
    assert words.ordered_classes_.tolist() == GRADES
    assert words.classes_.tolist() == sorted(GRADES)
    np.testing.assert_array_equal(ordered.ordered_classes_, range(4))
    columns = [words.classes_.tolist().index(grade) for grade in GRADES]
    proba = words.predict_proba(X)[:, columns]
    np.testing.assert_allclose(proba, ordered.predict_proba(X), atol=1e-6)


def test_nominal_leaves_ordered_categories_as_they_are():
    X, y = make_grades(40)
    plain = MetaFewShotClassifier(device="cpu").fit(X, np.array(GRADES)[y])
    nominal = MetaFewShotClassifier(device="cpu", target_type="nominal").fit(X, ordered_series(y))
    assert nominal.ordered_classes_ is None
    np.testing.assert_array_equal(nominal.predict_proba(X), plain.predict_proba(X))


def test_words_without_an_order_are_refused():
    X, y = make_grades(40)
    clf = MetaFewShotClassifier(target_type="ordered")
    with pytest.raises(ValueError, match="needs classes whose order is known, but y has the label"):
        clf.fit(X, np.array(GRADES)[y])


def test_an_order_is_kept_by_an_ensemble_that_numbers_the_classes(ordered):
    X, y = make_grades(40)
    words = np.array(GRADES)[y]
    clf = MetaFewShotClassifier(device="cpu", target_type=GRADES)
    vote = VotingClassifier([("m", clone(clf))], voting="soft").fit(X, words)
    assert vote.estimators_[0].ordered_classes_.tolist() == [3, 1, 2, 0]
    np.testing.assert_allclose(vote.predict_proba(X), clf.fit(X, words).predict_proba(X))
    columns = [clf.classes_.tolist().index(grade) for grade in GRADES]
    expected = ordered.predict_proba(X)
    np.testing.assert_allclose(clf.predict_proba(X)[:, columns], expected, atol=1e-6)
    silent = VotingClassifier([("m", MetaFewShotClassifier(target_type="ordered"))])
    with pytest.raises(ValueError, match=r"number the classes so.*Give the order of the labels"):
        silent.fit(X, ordered_series(y))
    for order in (GRADES[:3], [*GRADES, "poor"]):
        with pytest.raises(ValueError, match="List each class once, from the lowest to the high"):
            MetaFewShotClassifier(target_type=order).fit(X, words)
    # Numbers that ensembles do not give have an order.
    assert MetaFewShotClassifier(target_type="ordered").fit(X, y + 1).target_type_ == "ordered"


def test_a_prior_of_other_tasks_knows_no_order():
    X, y = make_grades(40)
    clf = MetaFewShotClassifier(FineTuning().initial_prior(X), target_type="ordered")
    with pytest.raises(ValueError, match="needs a prior for any table"):
        clf.fit(X, y)


# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")


@pytest.fixture(scope="module")
def imbalanced():
    """Known rows, of which a tenth is of the second class, and further rows."""
    X, y = make_classification(
        500, 4, n_redundant=0, weights=[0.9], flip_y=0.05, class_sep=0.6, random_state=0
    )
    return X[:100], y[:100], X[100:], y[100:]


def odds(p):
    return p[:, 1:] / p[:, :1]


def test_probabilities_are_multiplied_and_normalised(imbalanced):
    X, y, X_query, _ = imbalanced
    plain = MetaFewShotClassifier().fit(X, y)
    np.testing.assert_array_equal(plain.class_weight_, [1, 1])
    weighted = MetaFewShotClassifier(class_weight={1: 4.0}).fit(X, y)
    np.testing.assert_array_equal(weighted.class_weight_, [1, 4])
    p = weighted.predict_proba(X_query)
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(odds(p), 4 * odds(plain.predict_proba(X_query)), rtol=1e-6)
    shift = weighted.decision_function(X_query) - plain.decision_function(X_query)
    np.testing.assert_allclose(shift, np.log(4), rtol=1e-6)
    np.testing.assert_array_equal(weighted.predict(X_query), p.argmax(1))


def test_the_weights_of_rows_count_as_repetitions(imbalanced):
    X, y, _, _ = imbalanced
    clf = MetaFewShotClassifier(class_weight="balanced").fit(X, y, 1.0 + 3 * y)
    size = np.bincount(y) * [1, 4]
    np.testing.assert_allclose(clf.class_weight_, size.sum() / (2 * size))
    # Further rows change the balance.
    with pytest.warns(UnusedDataWarning, match="11 rows of partial_fit, row 0 first, are equal"):
        clf.partial_fit(X[y == 1], y[y == 1])
    size[1] += (y == 1).sum()
    np.testing.assert_allclose(clf.class_weight_, size.sum() / (2 * size))


def test_labels_of_any_kind_and_priors_of_other_learners():
    X, y = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    learner = ProtoNet(n_way=2, n_shot=2, n_query=2, n_iterations=1, validation=0)
    prior = learner.fit(X, y).prior_
    plain, weighted = (
        MetaFewShotClassifier(prior, class_weight=w).fit(X[::5], names[::5]).predict_proba(X)
        for w in (None, {"b": 1e6, "c": 2})
    )
    expected = plain * [1, 1e6, 2]
    np.testing.assert_allclose(weighted, expected / expected.sum(1, keepdims=True), rtol=1e-5)


def test_clone_and_wrong_weights(imbalanced):
    X, y = imbalanced[:2]
    clf = MetaFewShotClassifier(class_weight={0: 2.0})
    assert clone(clf).class_weight == {0: 2.0}
    with pytest.raises(ValueError, match=r"weight of 7, but the classes are 0, 1\. Leave it out"):
        clf.set_params(class_weight={7: 1.0}).fit(X, y)
    for wrong in (0.0, -1.0, np.nan, np.inf, "2"):
        with pytest.raises(ValueError, match="for 1, but a weight is a finite number above 0"):
            clf.set_params(class_weight={1: wrong}).fit(X, y)
    with pytest.raises(ValueError, match="'class_weight' parameter of MetaFewShotClassifier"):
        clf.set_params(class_weight="even").fit(X, y)
