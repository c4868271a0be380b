"""Another device computes what the CPU does: one that the variable SKMETA_TEST_DEVICE names.

An emulated device is in ``tests/devices``. Here the device ``meta``, which computes shapes only,
refuses tensors of other devices as a GPU does.
"""

import os

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from skmeta.backend import Augmentation, Rows, TaskTensors, resolve_device
from skmeta.learners import (
    ANIL,
    MAML,
    ExecutionOptions,
    LSTMMetaLearner,
    MAMLPlusPlus,
    MetaSGD,
    ProtoNet,
    Reptile,
    Validation,
)

META = torch.device("meta")
SHAPE, N_WAY, N_TASKS = (1, 8, 8), 3, 2
LEARNERS = [
    MAML(
        n_inner_steps=2,
        plus_plus=MAMLPlusPlus(learn_inner_lr=True, per_step_norm=True),
    ),
    MAML(head_init="prototype", first_order=True),
    MAML(transductive=True),
    ANIL(head_init="zeros"),
    MetaSGD(),
    LSTMMetaLearner(n_inner_steps=2),
    Reptile(),
    ProtoNet(),
]
NAMES = [f"{type(learner).__name__}{i}" for i, learner in enumerate(LEARNERS)]
OTHER = os.environ.get("SKMETA_TEST_DEVICE", "")


def make_tasks():
    def rows(n):
        y = torch.zeros(N_TASKS, n, dtype=torch.int64, device=META)
        return Rows(torch.zeros(N_TASKS, n, *SHAPE, device=META), y, torch.ones_like(y).float())

    return TaskTensors(rows(6), rows(9))


@pytest.mark.parametrize("name", ["affine", "mirror", "rotations"])
def test_images_are_changed_on_their_device(name):
    changed = Augmentation(name, SHAPE, N_WAY)(make_tasks(), range(N_TASKS))
    assert {side.x.device for side in changed} == {META}


@pytest.mark.gpu
@pytest.mark.skipif(not OTHER, reason="SKMETA_TEST_DEVICE is not set")
@pytest.mark.parametrize("execution", ["loop", "vmap"])
@pytest.mark.parametrize("learner", LEARNERS, ids=NAMES)
def test_another_device_learns_what_the_cpu_learns(learner, execution):
    X, y = load_digits(return_X_y=True)
    found = []
    for device in ("cpu", OTHER):
        resolve_device(device)  # An error if it is not there.
        fitted = clone(learner).set_params(
            backbone="conv4", backbone_params={"n_channels": 4, "n_blocks": 2}, n_way=2, n_shot=2,
            n_query=3, n_iterations=3, validation=Validation(0.2, n_tasks=5, every=3),
 meta_batch_size=2, execution=ExecutionOptions(execution, precision="float64"), device=device,
 random_state=0,
        ).fit(X.reshape(-1, *SHAPE) / 16, y)  # fmt: skip
        found.append(fitted.prior_.tensors)
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-6, atol=1e-8)
