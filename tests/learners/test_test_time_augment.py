"""Images that are changed in meta-training, and turned and mirrored when a task is predicted."""

import pickle
from itertools import product

import builders
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from skmeta import MetaFewShotClassifier
from skmeta.learners import MAML, ProtoNet, Validation
from skmeta.priors import MetaPrior

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

SMALL = {"backbone": "conv4", "backbone_params": {"n_blocks": 2, "n_channels": 6}, "n_way": 3}
SMALL |= {"n_shot": 2, "n_iterations": 2, "validation": 0, "device": "cpu", "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400], y[:400]


@pytest.fixture(scope="module")
def fitted(digits):
    return {cls: cls(**SMALL).fit(*digits) for cls in (ProtoNet, MAML)}


def turned(X, mirror, k):
    images = X.reshape(-1, 8, 8)
    images = images[:, :, ::-1] if mirror else images
    return np.rot90(images, k, axes=(1, 2)).reshape(len(X), -1)


@pytest.mark.parametrize("names", [["mirror"], ["rotations"], ["rotations", "mirror"]])
@pytest.mark.parametrize("cls", [ProtoNet, MAML])
def test_predictions_are_means_over_tasks_that_are_turned_and_mirrored(cls, names, digits, fitted):
    X, y = digits
    learner = fitted[cls]
    assert "test_time_augment" not in learner.prior_.learner_params
    each, turns = [], range(4 if "rotations" in names else 1)
    for mirror, k in product({False, "mirror" in names}, turns):
        clf = MetaFewShotClassifier(learner, device="cpu").fit(turned(X[:30], mirror, k), y[:30])
        each.append(np.log(clf.predict_proba(turned(X[30:50], mirror, k))))
    expected = np.exp(np.mean(each, axis=0))
    expected /= expected.sum(axis=1, keepdims=True)
    clf = MetaFewShotClassifier(
        learner, device="cpu", learner_params={"test_time_augment": names}
    ).fit(X[:30], y[:30])
    found = clf.predict_proba(X[30:50])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert abs(found - np.exp(each[0])).max() > 1e-4  # One view predicts otherwise.
    np.testing.assert_array_equal(clf.predict(X[30:50]), clf.classes_[found.argmax(1)])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X[30:50]), found)
    # A task that is turned and mirrored is predicted alike.
    again = clone(clf).fit(turned(X[:30], "mirror" in names, 0), y[:30])
    other = again.predict_proba(turned(X[30:50], "mirror" in names, 0))
    np.testing.assert_allclose(other, found, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("augment", "expected"),
    [
        (None, []),
        ("affine", []),
        ("rotations", ["rotations"]),
        (["affine", "rotations", "mirror"], ["mirror", "rotations"]),
        ([lambda x: x, "mirror"], ["mirror"]),
    ],
)
def test_auto_takes_what_made_classes_in_meta_training(augment, expected, digits, tmp_path):
    X, y = digits
    learner = ProtoNet(**SMALL, augment=augment).fit(X, y)
    assert list(learner.prior_.learner_params.get("test_time_augment", [])) == expected
    learner.prior_.save(tmp_path / "prior.skmeta")
    loaded = MetaPrior.load(tmp_path / "prior.skmeta")
    clf = MetaFewShotClassifier(loaded, device="cpu").fit(X[:30], y[:30])
    given = MetaFewShotClassifier(
        loaded, device="cpu", learner_params={"test_time_augment": expected}
    )
    given.fit(X[:30], y[:30])
    np.testing.assert_array_equal(clf.predict_proba(X[:50]), given.predict_proba(X[:50]))
    plain = MetaFewShotClassifier(
        loaded, device="cpu", learner_params={"test_time_augment": []}
    ).fit(X[:30], y[:30])
    differs = abs(plain.predict_proba(X[:50]) - clf.predict_proba(X[:50])).max() > 1e-6
    assert differs == bool(expected)


@pytest.mark.parametrize("execution", ["loop", "vmap"])
@pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")
def test_scores_of_tasks_are_those_of_the_estimator(execution, digits):
    X, y = digits
    learner = ProtoNet(**SMALL, augment="rotations", execution=execution).fit(X, y)
    scores = learner.score_tasks(X, y, n_tasks=20)
    plain = learner.score_tasks(X, y, n_tasks=20, test_time_augment=None)
    assert (scores != plain).any()
    # What the prior knows holds, whatever `augment` is now.
    learner.set_params(augment=None)
    np.testing.assert_array_equal(learner.score_tasks(X, y, n_tasks=20), scores)
    one = learner.prior_.learner_params | {"test_time_augment": []}
    learner.prior_ = learner.prior_.replace(learner_params=one)
    np.testing.assert_array_equal(learner.score_tasks(X, y, n_tasks=20), plain)


@pytest.mark.parametrize(
    ("params", "value", "match"),
    [
        ({}, "affine", "'affine' is unknown"),
        ({}, "auto", "must be 'mirror', 'rotations'"),
        ({}, ["rotations", 3], "3 is unknown"),
        ({"input_shape": (1, 4, 16), "backbone_params": {"n_blocks": 2}}, "rotations", "square"),
        ({"backbone": "mlp", "backbone_params": None}, "mirror", "images of shape"),
    ],
)
def test_what_cannot_be(params, value, match, digits):
    X, y = digits
    prior = ProtoNet(**(SMALL | params)).initial_prior(X)
    with pytest.raises(ValueError, match=match):
        MetaFewShotClassifier(prior, device="cpu", learner_params={"test_time_augment": value}).fit(
            X[:30], y[:30]
        )


X, Y = load_digits(return_X_y=True)
IMAGES = X.reshape(-1, 1, 8, 8).astype(np.float32)
DIGITS = builders.SMALL | {"backbone": "conv4", "backbone_params": {"n_channels": 4, "n_blocks": 2}}
DIGITS |= {"n_way": 2, "n_query": 3, "n_iterations": 3}
DIGITS |= {"validation": Validation(0.2, n_tasks=5, every=3)}


def test_a_function_sees_the_tasks_of_meta_training_only():
    shapes = []

    def remember(x):
        shapes.append(tuple(x.shape))
        return x

    ProtoNet(**DIGITS, augment=remember).fit(IMAGES, Y)
    # Two tasks in each of three iterations, and none of the five of the validation.
    assert shapes == [(2 * (2 + 3), 1, 8, 8)] * 6


def test_a_prior_keeps_neither(tmp_path):
    learner = ProtoNet(**DIGITS, augment=torch.neg, superclass=lambda k: k % 3)
    learner.fit(IMAGES, Y)
    learner.prior_.save(tmp_path / "prior.skmeta")
    assert not {"augment", "superclass"} & set(learner.prior_.learner_params)
