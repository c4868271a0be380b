"""Meta-training with changed images: off in validation, and no part of a prior."""

import builders
import numpy as np
import torch
from sklearn.datasets import load_digits

from skmeta.learners import ProtoNet, Validation

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


def test_a_function_sees_the_tasks_of_meta_training_only():
    shapes = []

    def remember(x):
        shapes.append(tuple(x.shape))
        return x

    ProtoNet(**SMALL, augment=remember).fit(IMAGES, Y)
    # Two tasks in each of three iterations, and none of the five of the validation.
    assert shapes == [(2 * (2 + 3), 1, 8, 8)] * 6


def test_a_prior_keeps_neither(tmp_path):
    learner = ProtoNet(
        **SMALL,
        augment=torch.neg,
        superclass=lambda k: k % 3,
    )
    learner.fit(IMAGES, Y)
    learner.prior_.save(tmp_path / "prior.skmeta")
    assert not {"augment", "superclass"} & set(learner.prior_.learner_params)
