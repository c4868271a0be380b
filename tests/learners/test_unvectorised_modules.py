"""Modules that torch.func.vmap cannot compute for several tasks at once."""

import numpy as np
import pytest
import torch
from builders import SMALL
from torch import nn

from skmeta._backend import Execution, Network
from skmeta.learners import MAML, ProtoNet, Validation


class Recurrent(nn.Module):
    """An operation that vmap has no rule for."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(1, 4, batch_first=True)

    def forward(self, x):
        return self.gru(x[..., None])[1][0]


class Branching(nn.Linear):
    """A branch that depends on values."""

    def __init__(self):
        super().__init__(6, 4)

    def forward(self, x):
        return super().forward(x if x.mean() > 0 else -x)


SETTINGS = SMALL | {"n_iterations": 2, "validation": Validation(n_tasks=3)}


@pytest.fixture(scope="module")
def data():
    y = np.repeat(np.arange(10), 8)
    return np.random.default_rng(0).normal(size=(80, 6)), y


@pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")
@pytest.mark.parametrize("module", [Recurrent, Branching])
@pytest.mark.parametrize("cls", [MAML, ProtoNet])
def test_auto_computes_one_task_after_another(cls, module, data):
    torch.manual_seed(0)
    learner = cls(backbone=module(), **SETTINGS).fit(*data)
    loop = cls(backbone=learner.backbone, execution="loop", **SETTINGS).fit(*data)
    for name, value in learner.prior_.tensors.items():
        np.testing.assert_array_equal(value, loop.prior_.tensors[name])
    assert (learner.score_tasks(*data, n_tasks=2) <= 1).all()


@pytest.mark.parametrize("module", [Recurrent, Branching])
def test_vmap_is_refused_before_it_begins(module, data):
    with pytest.raises(ValueError, match=r"execution='vmap' is not possible with this backbone"):
        MAML(backbone=module(), execution="vmap", **SETTINGS).fit(*data)


def test_other_modules_are_vectorised():
    cpu = torch.device("cpu")
    for module, expected in ((nn.Linear(6, 4), True), (Recurrent(), False), (nn.Flatten(), True)):
        network = Network(module, (6,), cpu)
        assert network.can_vectorise == expected
        with Execution("auto", device=cpu, can_vectorise=lambda n=network: n.can_vectorise) as e:
            assert e.mode == ("vmap" if expected else "loop")
    with Execution("auto", device=cpu, flops_per_task=1e12, can_vectorise=lambda: 1 / 0) as e:
        assert e.mode == "threads"  # Nothing is asked that does not matter.
