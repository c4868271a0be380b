"""A meta-training that is recorded learns what it learns without."""

import numpy as np
import pytest

from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import (
    ANIL,
    MAML,
    LSTMMetaLearner,
    MAMLPlusPlus,
    MetaSGD,
    ProtoNet,
    Reptile,
    Validation,
)
from skmeta.learners._core import _session

SMALL = {
    "backbone_params": {"hidden": (8,)},
    "n_iterations": 8,
    "validation": Validation(n_tasks=4, every=8),
    "meta_batch_size": 3,
    "device": "cpu",
    "random_state": 0,
}
LEARNERS = [
    MAML(
        n_inner_steps=2,
        plus_plus=MAMLPlusPlus(0.5, first_order_until=0.25, learn_inner_lr=True),
    ),
    ANIL(),
    MetaSGD(),
    ProtoNet(),
    Reptile(),
    LSTMMetaLearner(n_inner_steps=2),
]


def fit(learner, kind):
    if kind == "regression":
        X, y, groups = make_sinusoid_tasks(n_tasks=20, random_state=0)
        return learner.set_params(n_shot=5, n_query=5).fit(X, y, groups)
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(24), 8)
    return learner.set_params(n_way=3, n_shot=2, n_query=3).fit(rng.normal(size=(len(y), 4)), y)


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["loop", "vmap"])
@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: type(learner).__name__)
def test_a_recorded_fit_learns_the_same(learner, execution, monkeypatch, caplog):
    kind = "classification" if isinstance(learner, ProtoNet) else "regression"
    found = []
    for least in (10**9, 0):
        monkeypatch.setattr(_session, "WORTH_RECORDING", least)
        with caplog.at_level("DEBUG", "skmeta.backend"):
            fitted = fit(
                type(learner)(**learner.get_params(deep=False) | SMALL | {"execution": execution}),
                kind,
            )
        found.append(fitted.prior_.tensors)
    assert not [r for r in caplog.records if r.name.startswith("skmeta")]
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-4, atol=1e-6)
