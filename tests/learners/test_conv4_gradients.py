"""Meta-gradients through convolutions and batch statistics, against finite differences.

ReLU and max-pooling have kinks: where one lies between the two points of a central difference,
the difference is wrong. The points are 2e-6 apart along a direction of length 1, so this is rare,
and a step ten times smaller would tell a kink from a fault. With the seeds here the relative
error is below 1e-7 in each case, which is the rounding of a float64 difference: none meets one.
"""

import numpy as np
import pytest
import torch
from marks import slow

from skmeta._backend import Execution, Rows, Scaler, TaskTensors
from skmeta.backbones import build_backbone
from skmeta.learners import ANIL, MAML, MetaSGD, ProtoNet
from skmeta.learners._core import Session

SHAPE, N_WAY, N_TASKS = (1, 8, 8), 3, 3
STEP = 1e-6
CASES = {
    "maml": MAML(n_inner_steps=2, inner_lr=0.3),
    "maml-transductive": MAML(inner_lr=0.3, transductive=True),
    "maml-zeros": MAML(inner_lr=0.3, head_init="zeros"),
    "maml-prototype": MAML(inner_lr=0.1, head_init="prototype"),
    "anil": ANIL(n_inner_steps=2, inner_lr=0.3),
    "meta-sgd": MetaSGD(inner_lr=0.3),
    "protonet": ProtoNet(),
    "protonet-transductive": ProtoNet(transductive=True),
}


def make_problem(learner):
    generator = torch.Generator().manual_seed(0)
    module = build_backbone("conv4", SHAPE, {"n_channels": 4, "n_blocks": 2}, generator)
    head_init = getattr(learner, "head_init", "auto")
    head = "shared" if head_init == "auto" else head_init
    scaler = Scaler(*map(np.float64, (0, 1, 0, 1)))
    session = Session.open(
        learner, module, SHAPE, scaler,
        kind="classification", head=head, classes=range(N_WAY), device="cpu",
        precision="float64",
    )  # fmt: skip

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    # Negative scales too: conv4 turns their filters.
    state = {n: v + 0.1 * draw(*v.shape) for n, v in session.draw_state(1).items()}
    state["body.0.norm.weight"][1] *= -1

    def rows(n):
        y = (torch.arange(n) % N_WAY).expand(N_TASKS, -1)
        return Rows(draw(N_TASKS, n, *SHAPE), y, 0.5 + draw(N_TASKS, n).abs())

    return session.context, state, TaskTensors(rows(2 * N_WAY), rows(2 * N_WAY + 1))


@pytest.mark.parametrize(
    "case",
    [c if c == "protonet" else slow(c) for c in CASES],
)
def test_gradient_in_every_way_of_execution_equals_finite_differences(case, caplog):
    learner = CASES[case]
    context, state, tasks = make_problem(learner)
    gradients = {}
    for mode in ("loop", "threads", "vmap"):
        # Recording takes seconds; threads share the recordings of the loop.
        for record in (False, True) if mode != "threads" else (False,):
            options = {"device": torch.device("cpu"), "n_jobs": 2, "record": record}
            with caplog.at_level("DEBUG", "skmeta"), Execution(mode, **options) as execution:
                found, _ = learner.algorithm(learner).mean_gradient(
                    context, state, tasks, execution
                )
            gradients[mode, record] = found
    assert not [r for r in caplog.records if r.name.startswith("skmeta")]  # None was refused.

    def meta_loss(at):
        total = 0.0
        for i in range(N_TASKS):
            task = TaskTensors(*(Rows(*(part[i] for part in side)) for side in tasks))
            total += float(learner.algorithm(learner).meta_loss(context, at, task)[0])
        return total / N_TASKS

    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        direction = {
            n: torch.randn(v.shape, generator=generator, dtype=v.dtype) for n, v in state.items()
        }
        length = sum(float((d * d).sum()) for d in direction.values()) ** 0.5
        direction = {n: d / length for n, d in direction.items()}
        up, down = (
            meta_loss({n: v + sign * STEP * direction[n] for n, v in state.items()})
            for sign in (1, -1)
        )
        expected = (up - down) / (2 * STEP)
        for mode, gradient in gradients.items():
            found = sum(float((gradient[n] * d).sum()) for n, d in direction.items())
            assert abs(found - expected) < 1e-5 * abs(expected), (mode, found, expected)
