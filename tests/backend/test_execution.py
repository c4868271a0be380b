"""Loop, threads and vmap give the same in the memory asked for; bfloat16 is close to float32."""

import threading

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from skmeta._backend import MODES, Execution
from skmeta.learners import MAML, ExecutionOptions, InContextLearner, ProtoNet, Validation

CPU = torch.device("cpu")


def make_tasks(n_tasks=5):
    generator = torch.Generator().manual_seed(0)
    return {"a": torch.randn(n_tasks, 4, 3, generator=generator, dtype=torch.float64),
            "b": torch.arange(n_tasks, dtype=torch.float64)}  # fmt: skip


def fn(task):
    return (task["a"].sum(0) * task["b"], {"norm": task["a"].pow(2).sum()})


@pytest.mark.parametrize("n_tasks", [1, 5])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("chunk_size", [None, 1, 2, 7])
def test_map_and_mean(mode, chunk_size, n_tasks):
    tasks = make_tasks(n_tasks)
    with Execution(mode, device=CPU, chunk_size=chunk_size, n_jobs=2) as execution:
        stacked, extra = execution.map(fn, tasks)
        mean, mean_extra = execution.mean(lambda _, task: fn(task), {}, tasks)
    expected = tasks["a"].sum(1) * tasks["b"][:, None]
    torch.testing.assert_close(stacked, expected)
    torch.testing.assert_close(mean, expected.mean(0))
    torch.testing.assert_close(extra["norm"], tasks["a"].pow(2).sum((1, 2)))
    torch.testing.assert_close(mean_extra["norm"], extra["norm"].mean())


@pytest.mark.parametrize(
    ("device", "flops", "mode"),
    [("cpu", 1e3, "vmap"), ("cpu", 1e12, "threads"), ("cuda", 1e3, "vmap"), ("cuda", 1e12, "vmap")],
)
def test_auto_chooses_by_device_and_size(device, flops, mode):
    assert Execution("auto", device=torch.device(device), flops_per_task=flops).mode == mode


def test_chunks_are_chosen_by_a_memory_budget():
    gibibyte = 2**30
    for bytes_per_task, size in ((0, None), (gibibyte / 3.5, 3), (2.0 * gibibyte, 1)):
        assert Execution("vmap", device=CPU, bytes_per_task=bytes_per_task).chunk_size == size
    chosen = Execution("vmap", device=CPU, bytes_per_task=gibibyte, chunk_size=7)
    assert chosen.chunk_size == 7


def test_the_number_of_threads_does_not_change_a_bit():
    generator = torch.Generator().manual_seed(0)
    tasks = torch.randn(7, 40, 40, generator=generator)
    found = []
    for n_threads in (1, 2, 3):
        with Execution("threads", device=CPU, n_jobs=n_threads) as execution:
            found.append(execution.mean(lambda _, x: x @ x.T, {}, tasks))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_threads_compute_side_by_side_and_are_gone_afterwards():
    both = threading.Barrier(2, timeout=600)

    def meet(x):
        both.wait()
        return x

    before, n_intra_op = set(threading.enumerate()), torch.get_num_threads()
    with Execution("threads", device=CPU, n_jobs=2) as execution:
        found = execution.map(meet, torch.arange(4.0))
        assert len(set(threading.enumerate()) - before) == 2
    assert found.tolist() == [0, 1, 2, 3]
    assert set(threading.enumerate()) <= before
    assert torch.get_num_threads() == n_intra_op


@pytest.mark.parametrize("mode", ["loop", "threads"])
def test_an_error_in_a_task_comes_out_and_the_threads_end(mode):
    def fail(state, task):
        raise KeyError("inner_lr")

    before, n_intra_op = set(threading.enumerate()), torch.get_num_threads()
    with (
        pytest.raises(KeyError, match="inner_lr"),
        Execution(mode, device=CPU, n_jobs=2) as execution,
    ):
        execution.mean(fail, {}, torch.arange(4.0))
    assert set(threading.enumerate()) <= before
    assert torch.get_num_threads() == n_intra_op


@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize("mode", ["loop", "threads", "vmap"])
def test_gradient_of_the_mean(mode, chunk_size):
    tasks = make_tasks(5)
    state = {"w": torch.linspace(1, 2, 3, dtype=torch.float64), "unused": torch.ones(2).double()}

    def loss(at, task):
        value = (task["a"] @ at["w"]).pow(2).mean() * task["b"]
        return value, {"loss": value}

    with Execution(mode, device=CPU, n_jobs=2, chunk_size=chunk_size) as execution:
        gradient, extra = execution.gradient(loss, state, tasks)
    residual = tasks["a"] @ state["w"]
    each = 2 * (residual[..., None] * tasks["a"]).mean(1) * tasks["b"][:, None]
    torch.testing.assert_close(gradient["w"], each.mean(0))
    assert torch.equal(gradient["unused"], torch.zeros(2).double())
    torch.testing.assert_close(extra["loss"], (residual.pow(2).mean(1) * tasks["b"]).mean())
    assert not extra["loss"].requires_grad
    assert not state["w"].requires_grad


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
        scores[precision] = learner.learning_curve_["validation_score"][-1]
    assert scores["bfloat16"] == pytest.approx(scores["float32"], abs=0.1)


def test_learners_in_closed_form_and_of_tables_have_no_bfloat16():
    learner = InContextLearner(execution=ExecutionOptions(precision="bfloat16"))
    with pytest.raises(ValueError, match=r"float32 or float64, but .* precision='bfloat16'"):
        learner.fit(np.zeros((4, 2)), [0, 1, 0, 1])
