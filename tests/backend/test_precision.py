"""Networks in bfloat16: close to float32, with weights and statistics in float32."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from skmeta.backbones import build_backbone
from skmeta.backend import Execution, Network
from skmeta.learners import MAML, ExecutionOptions, InContextLearner, ProtoNet, Validation

CPU = torch.device("cpu")


def make(in_bfloat16, backbone="conv4", shape=(1, 16, 16)):
    generator = torch.Generator().manual_seed(0)
    module = build_backbone(backbone, shape, None, generator)
    return Network(module, shape, CPU, in_bfloat16)


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("mode", ["loop", "threads", "vmap"])
def test_second_order_gradients_are_close(mode):
    tasks = {"x": draw(3, 6, 1, 16, 16), "z": draw(3, 6, 1, 16, 16, seed=2)}
    weight, found = draw(64, seed=3), []
    for in_bfloat16 in (False, True):
        network = make(in_bfloat16)
        state = network.initial_weights()

        def loss(state, task, network=network):
            def inner(at):
                return network.measure(at, task["x"])[0].pow(2).matmul(weight).mean()

            gradient = torch.func.grad(inner)(state)
            fast = {n: v - 0.01 * gradient[n] for n, v in state.items()}
            value = network.measure(fast, task["z"])[0].pow(2).matmul(weight).mean()
            return value, {"loss": value}

        with Execution(mode, device=CPU, n_jobs=2) as execution:
            gradient, _ = execution.gradient(loss, state, tasks)
        assert {v.dtype for v in gradient.values()} == {torch.float32}
        found.append(torch.cat([gradient[n].flatten() for n in state]))
    similarity = torch.nn.functional.cosine_similarity(found[0], found[1], dim=0)
    # Rounding the weights to bfloat16, and nothing else, gives 0.87 with steps of 0.1.
    assert 0.8 < float(similarity) < 1 - 1e-9


@pytest.mark.parametrize("learner_class", [MAML, ProtoNet])
def test_a_learner_trains_in_bfloat16(learner_class):
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 1, 8, 8) / 16
    scores = {}
    for precision in ("float32", "bfloat16"):
        learner = learner_class(
            backbone="conv4", backbone_params={"n_channels": 8, "n_blocks": 2},
            n_way=2, n_shot=2, n_query=5, n_iterations=15, device="cpu",
            validation=Validation(0.2, n_tasks=20, every=15),
            execution=ExecutionOptions(precision=precision),
            random_state=0,
        ).fit(images, y)  # fmt: skip
        assert learner.prior_.tensors["body.0.weight"].dtype == np.dtype("float32")
        scores[precision] = learner.history_["validation_score"][-1]
    assert scores["bfloat16"] == pytest.approx(scores["float32"], abs=0.1)


def test_learners_in_closed_form_and_of_tables_have_no_bfloat16():
    learner = InContextLearner(execution=ExecutionOptions(precision="bfloat16"))
    with pytest.raises(ValueError, match=r"float32 or float64, but .* precision='bfloat16'"):
        learner.fit(np.zeros((4, 2)), [0, 1, 0, 1])
