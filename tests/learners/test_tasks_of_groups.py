"""Classifications by groups, whose classes mean the same in each, and classes that are missing."""

import builders
import numpy as np
import pytest

from skmeta import MetaFewShotClassifier
from skmeta.exceptions import UnusedDataWarning
from skmeta.learners import (
    ANIL,
    MAML,
    FineTuning,
    LSTMMetaLearner,
    MetaSGD,
    ProtoNet,
    Reptile,
    Validation,
)

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

SMALL = {
    **builders.SMALL,
    "backbone_params": {"hidden": (16,)},
    "sampling": "class",
    "n_iterations": 20,
    "meta_lr": 0.02,
    "validation": Validation(n_tasks=4),
}
LEARNERS = [ProtoNet, MAML, ANIL, MetaSGD, Reptile, FineTuning, LSTMMetaLearner]
CENTRES = np.array([[4.0, 0.0], [0.0, 4.0], [-4.0, -4.0]])


def make_groups(n_groups=10, seed=0):
    """Three classes that lie in the same places in every group."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), 12)
    y = np.arange(len(groups)) % 3
    X = CENTRES[y] + rng.normal(size=(len(y), 2)) + rng.normal(size=(n_groups, 2))[groups]
    return X, np.array(["ant", "bee", "cat"])[y], groups


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_new_task_may_lack_a_class(learner):
    X, y, groups = make_groups()
    prior = learner(**SMALL | {"n_iterations": 60}).fit(X, y, groups=groups).prior_
    assert prior.classes.tolist() == ["ant", "bee", "cat"]
    X_new, y_new, _ = make_groups(n_groups=1, seed=1)
    kept = y_new != "bee"
    clf = MetaFewShotClassifier(prior)
    clf.partial_fit(X_new[kept], y_new[kept], classes=["ant", "cat"])
    assert clf.predict_proba(X_new).shape == (12, 2)
    assert clf.score(X_new[kept], y_new[kept]) > 0.7
    clf.fit(X_new[kept], y_new[kept])
    # A head with a row for each class of the family knows the one that is lacking.
    knows_all = prior.learner_params.get("head_init") == "learned"
    expected = ["ant", "bee", "cat"] if knows_all else ["ant", "cat"]
    assert clf.classes_.tolist() == expected
    assert clf.predict_proba(X_new).shape == (12, len(expected))
    assert (clf.predict_proba(X_new) > 0).all()


def test_groups_that_are_too_small_are_reported_once():
    X, y, groups = make_groups(n_groups=20)
    small = np.arange(len(y)) % 12 < np.where(groups % 2, 12, 2)
    learner = MAML(**{**SMALL, "n_iterations": 1, "sampling": "task", "validation": 0.3})
    with pytest.warns(UnusedDataWarning, match="10 of 20 groups cannot be tasks") as caught:
        learner.fit(X[small], y[small], groups=groups[small])
    assert len([w for w in caught if w.category is UnusedDataWarning]) == 1


def test_protonet_learns_a_class_that_no_group_had():
    X, y, groups = make_groups()
    prior = ProtoNet(**SMALL).fit(X, y, groups=groups).prior_
    labels = np.where(y == "ant", "owl", y)[:12]
    clf = MetaFewShotClassifier(prior).fit(X[:12], labels)
    assert clf.classes_.tolist() == ["bee", "cat", "owl"]
    assert clf.score(X[:12], labels) > 0.9


def test_meta_sgd_takes_the_step_sizes_of_the_classes_at_hand():
    X, y, groups = make_groups()
    prior = MetaSGD(**SMALL).fit(X, y, groups=groups).prior_
    tensors = dict(prior.tensors)
    # Without step sizes, the rows of "ant" and "cat" stay where the prior has them.
    for name in ("inner_lr.head.weight", "inner_lr.head.bias"):
        rate = tensors[name].copy()
        rate[:, [0, 2]] = 0.0
        tensors[name] = rate
    kept = y[:12] != "bee"
    clf = MetaFewShotClassifier(prior.replace(tensors=tensors))
    clf.partial_fit(X[:12][kept], y[:12][kept], classes=["ant", "cat"])
    expected = prior.tensors["head.weight"][[0, 2]]
    np.testing.assert_allclose(clf.adapted_["head.weight"], expected, rtol=1e-6)
