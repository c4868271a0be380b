"""Meta-gradients in every way of execution: differences, recordings, what vmap refuses.

ReLU and max-pooling have kinks: where one lies between the two points of a central difference,
the difference is wrong. The points are 2e-6 apart along a direction of length 1, so this is rare,
and a step ten times smaller would tell a kink from a fault. With the seeds here the relative
error is below 1e-7 in each case, which is the rounding of a float64 difference: none meets one.
"""

import numpy as np
import pytest
import torch
from builders import SMALL, make_context, make_rows, make_state, tiny_mlp
from marks import slow
from torch import nn

from skmeta._backend import Execution, Network, Rows, Scaler, TaskTensors
from skmeta.backbones import build_backbone
from skmeta.learners import ANIL, MAML, MetaSGD, ProtoNet, Reptile, Validation
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


@pytest.mark.parametrize("case", [c if c == "protonet" else slow(c) for c in CASES])
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


N_RECORDED = 4
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
        each = [make_rows(n, shape, kind, 3, seed=first + k) for k in range(N_RECORDED)]
        return Rows(*(torch.stack(parts) for parts in zip(*each, strict=True)))

    return TaskTensors(rows(6, seed), rows(7, seed + 100))


RECORDED = [
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
    [c if c[2] in QUICK[0] and c[0] in QUICK[1] else slow(*c) for c in RECORDED],
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
