"""Weights of classes: factors of their prior probabilities."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification

from skmeta import MetaFewShotClassifier
from skmeta.exceptions import UnusedDataWarning
from skmeta.learners import ProtoNet

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
