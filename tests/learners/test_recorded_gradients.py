"""The recorded meta-gradient of each algorithm is the one that torch computes without a recording.

Others compare the latter with finite differences and with plain torch.
"""

import pytest
import torch
from builders import make_context, make_rows, make_state, tiny_mlp
from marks import slow

from skmeta._backend import Execution, Rows, TaskTensors
from skmeta.backbones import build_backbone
from skmeta.learners import ANIL, MAML, MetaSGD, ProtoNet, Reptile

N_TASKS = 4
LEARNERS = {
    "maml": MAML(n_inner_steps=2),
    "maml-first-order": MAML(n_inner_steps=2, first_order=True),
    "maml-learned-rates": MAML(
        n_inner_steps=2,
        learn={"inner_lr": "tensor and step", "weight_decay": "tensor"},
        per_step_norm=True,
    ),
    "anil": ANIL(n_inner_steps=3),
    "meta-sgd": MetaSGD(n_inner_steps=2),
    "reptile": Reptile(n_inner_steps=3),
    "protonet": ProtoNet(),
}


def make_tasks(shape, kind, seed):
    def rows(n, first):
        each = [make_rows(n, shape, kind, 3, seed=first + k) for k in range(N_TASKS)]
        return Rows(*(torch.stack(parts) for parts in zip(*each, strict=True)))

    return TaskTensors(rows(6, seed), rows(7, seed + 100))


CASES = [
    (name, network, head)
    for name in LEARNERS
    for network, head in (
        ("mlp", "regression"),
        ("mlp", "learned"),
        ("mlp", "shared"),
        ("mlp", "prototype"),
        ("conv4", "shared"),
    )
    if not (name == "protonet" and head != "prototype")
]
QUICK = ("regression", "prototype"), ("maml", "maml-first-order", "reptile")


@pytest.mark.parametrize("mode", ["vmap", "loop"])
@pytest.mark.parametrize(
    ("name", "network", "head"),
    [c if c[2] in QUICK[0] and c[0] in QUICK[1] else slow(*c) for c in CASES],
)
def test_a_recorded_meta_gradient_is_the_meta_gradient(name, network, head, mode, caplog):
    learner, kind = LEARNERS[name], "regression" if head == "regression" else "classification"
    head = {"regression": "learned"}.get(head, "none" if name == "protonet" else head)
    if network == "mlp":
        shape, module = (3,), tiny_mlp()
    else:
        shape, options = (1, 8, 8), {"n_channels": 4, "n_blocks": 2}
        module = build_backbone("conv4", shape, options, torch.Generator().manual_seed(0))
    context = make_context(module, shape, kind, head)
    algorithm = learner.algorithm(learner)
    found = []
    for record in (True, False):
        execution = Execution(mode, device=torch.device("cpu"), record=record)
        with caplog.at_level("DEBUG", "skmeta"), execution:
            # The second state and tasks are others than those of the recording.
            found.append(
                [
                    algorithm.mean_gradient(
                        context,
                        make_state(learner, context, scale=0.1, seed=seed),
                        make_tasks(shape, kind, seed),
                        execution,
                    )
                    for seed in (1, 2)
                ]
            )
    assert not [r for r in caplog.records if r.name.startswith("skmeta")]  # None was refused.
    for (gradient, metrics), (expected, measured) in zip(*found, strict=True):
        for key, value in expected.items():
            torch.testing.assert_close(gradient[key], value, rtol=1e-9, atol=1e-12)
        for key, value in measured.items():
            torch.testing.assert_close(metrics[key], value, rtol=1e-9, atol=1e-12)
