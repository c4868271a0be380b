"""Arrays become tensors, standardised and shaped, and come back."""

import numpy as np
import pytest
import torch

from skmeta.backend import (
    Scaler,
    TensorAdapter,
    resolve_device,
    state_to_numpy,
    state_to_torch,
    to_numpy,
)
from skmeta.tasks import ClassEpisodes, GroupEpisodes

CPU = torch.device("cpu")


def make_adapter(shape=(4,), dtype=torch.float64, y=(0.0, 1.0)):
    n = int(np.prod(shape))
    x_mean, x_scale = np.linspace(-1, 1, n), np.linspace(1, 2, n)
    return (
        TensorAdapter(shape, Scaler(x_mean, x_scale, *map(np.float64, y)), CPU, dtype),
        x_mean,
        x_scale,
    )


def make_table(n_rows=20, n_features=4):
    return np.random.default_rng(0).normal(size=(n_rows, n_features))


def test_rows_are_standardised():
    adapter, mean, scale = make_adapter()
    X = make_table()
    found = adapter.inputs(adapter.upload(X))
    np.testing.assert_allclose(found, (X - mean) / scale)
    assert found.dtype == torch.float64


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int64])
def test_a_table_keeps_its_precision_until_rows_are_taken(dtype):
    adapter, mean, scale = make_adapter(dtype=torch.float32)
    X = (10 * make_table()).astype(dtype)
    table = adapter.upload(X)
    assert np.array_equal(table.numpy(), X)
    assert table.numpy().dtype == dtype
    found = adapter.inputs(table)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, (X - mean) / scale, rtol=1e-5, atol=1e-5)


def test_a_batch_of_tasks_is_each_task_stacked():
    adapter, _, _ = make_adapter()
    X, y = make_table(), np.repeat(np.arange(5), 4)
    sampler, rng = ClassEpisodes(y, n_way=3, n_shot=1, n_query=2), np.random.default_rng(0)
    tasks = [sampler.sample(rng) for _ in range(4)]
    table = adapter.upload(X)
    batch = adapter.tasks(table, tasks)
    for k, task in enumerate(tasks):
        support = adapter.rows(table[task.support], task.y_support, task.w_support)
        query = adapter.rows(table[task.query], task.y_query, task.w_query)
        for found, expected in zip(batch, (support, query), strict=True):
            for a, b in zip(found, expected, strict=True):
                assert torch.equal(a[k], b)
    assert batch.support.y.dtype == torch.int64
    assert batch.query.x.shape == (4, 6, 4)


def test_targets_go_and_come_back_in_their_units():
    adapter, _, _ = make_adapter(y=(50.0, 10.0))
    y = np.array([40.0, 50.0, 65.0])
    rows = adapter.rows(adapter.upload(make_table(3)), y, np.ones(3))
    np.testing.assert_allclose(rows.y, [-1, 0, 1.5])
    np.testing.assert_allclose(adapter.targets(rows.y), y)


def test_padding_keeps_its_weight_of_zero():
    adapter, _, _ = make_adapter()
    sampler = GroupEpisodes(np.arange(6.0), ["a"] * 4 + ["b"] * 2, n_shot=1, n_query=3)
    batch = adapter.tasks(
        adapter.upload(make_table(6)),
        [sampler.episode(k, np.random.default_rng(0)) for k in (0, 1)],
    )
    assert batch.query.w.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_states_cross_both_ways_as_copies():
    state = {"body.weight": torch.randn(2, 3, requires_grad=True), "rate": torch.tensor(0.1)}
    arrays = state_to_numpy(state)
    assert not np.shares_memory(arrays["body.weight"], state["body.weight"].detach().numpy())
    back = state_to_torch(arrays, CPU, torch.float64)
    assert back["body.weight"].dtype == torch.float64
    assert torch.equal(back["body.weight"].float(), state["body.weight"].detach())
    assert back["rate"].shape == ()
    tensor = torch.zeros(2)
    array = to_numpy(tensor)
    array[0] = 1
    assert tensor[0] == 0


@pytest.mark.parametrize("device", ["gpu", "", "cpu:x"])
def test_a_device_that_does_not_exist(device):
    with pytest.raises(ValueError, match=f"device='{device}' is not available here"):
        resolve_device(device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_rows_on_a_gpu_are_those_on_a_cpu():
    X = make_table()
    _, mean, scale = make_adapter()
    scaler = Scaler(mean, scale, np.zeros(()), np.ones(()))
    adapter = TensorAdapter((4,), scaler, torch.device("cuda"), torch.float64)
    found = adapter.inputs(adapter.upload(X))
    assert found.device.type == "cuda"
    np.testing.assert_allclose(to_numpy(found), (X - mean) / scale)
