"""Meta-training with changed images: seeded, off in validation, for any learner."""

import builders
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from skmeta.learners import MAML, InputOptions, ProtoNet, Reptile, TaskSampling, Validation

X, Y = load_digits(return_X_y=True)
IMAGES = X.reshape(-1, 1, 8, 8).astype(np.float32)
SMALL = {
    **builders.SMALL,
    "backbone": "conv4",
    "backbone_params": {"n_channels": 4, "n_blocks": 2},
    "n_way": 2,
    "n_query": 3,
    "n_iterations": 3,
    "validation": Validation(0.2, n_tasks=5, every=3),
}


def weights(learner):
    return learner.prior_.tensors["body.1.weight"]


@pytest.mark.parametrize("learner_class", [MAML, ProtoNet, Reptile])
def test_images_are_changed_by_the_seed(learner_class):
    learner = learner_class(**SMALL, inputs=InputOptions(augment=["mirror", "affine"]))
    first, again = (clone(learner).fit(IMAGES, Y) for _ in range(2))
    assert np.array_equal(weights(first), weights(again))
    assert not np.array_equal(
        weights(first), weights(clone(learner).set_params(inputs__augment=None).fit(IMAGES, Y))
    )


def test_a_function_sees_the_tasks_of_meta_training_only():
    shapes = []

    def remember(x):
        shapes.append(tuple(x.shape))
        return x

    ProtoNet(**SMALL, inputs=InputOptions(augment=remember)).fit(IMAGES, Y)
    # Two tasks in each of three iterations, and none of the five of the validation.
    assert shapes == [(2 * (2 + 3), 1, 8, 8)] * 6


def test_a_prior_keeps_neither(tmp_path):
    learner = ProtoNet(
        **SMALL,
        inputs=InputOptions(augment=torch.neg),
        sampling=TaskSampling(superclass=lambda k: k % 3),
    )
    learner.fit(IMAGES, Y)
    learner.prior_.save(tmp_path / "prior.skmeta")
    assert not {"augment", "superclass"} & set(learner.prior_.learner_params)
