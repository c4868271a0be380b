"""Arrays become tensors, standardised and shaped, and come back."""

import numpy as np
import pytest
import torch

from skmeta._backend import Scaler, TensorAdapter, resolve_device, to_numpy

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


def test_targets_go_and_come_back_in_their_units():
    adapter, _, _ = make_adapter(y=(50.0, 10.0))
    y = np.array([40.0, 50.0, 65.0])
    rows = adapter.rows(adapter.upload(make_table(3)), y, np.ones(3))
    np.testing.assert_allclose(rows.y, [-1, 0, 1.5])
    np.testing.assert_allclose(adapter.targets(rows.y), y)


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
