"""Arrays become tensors and come back; a network as a function of weights and statistics."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders import draw
from torch import nn

from skmeta._backend import Network, Scaler, TensorAdapter, resolve_device, to_numpy
from skmeta.backbones import build_backbone

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
PARAMS = {"n_channels": 4, "n_blocks": 2}


def make_network(backbone="conv4", shape=SHAPE, params=PARAMS):
    module = build_backbone(backbone, shape, params, torch.Generator().manual_seed(0)).double()
    return Network(module, shape, CPU), module


def test_measured_features_are_those_of_the_module_in_training_mode():
    network, module = make_network()
    x = draw(6, *SHAPE)
    state = network.initial_weights()
    features, statistics = network.measure(state, x)
    torch.testing.assert_close(features, module.train()(x))
    assert set(statistics) == {f"stat.{i}.norm.{n}" for i in (0, 1) for n in ("mean", "var")}
    torch.testing.assert_close(statistics["stat.0.norm.mean"], module[0].norm.mean)
    torch.testing.assert_close(network.features(state | statistics, x), features)
    torch.testing.assert_close(network.features(state | statistics, x[:1]), features[:1])


def test_dropout_is_inactive():
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    network = Network(module, (3,), CPU)
    state, x = network.initial_weights(), draw(5, 3).float()
    torch.testing.assert_close(network.measure(state, x)[0], module[0](x))


class Recurrent(nn.Module):
    """Its layer keeps a list of its weights beside the parameters."""

    def __init__(self):
        super().__init__()
        self.layer = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x):
        return self.layer(x)[0][:, -1]


def test_weights_of_a_recurrent_module_are_arguments_too():
    network, x = Network(build_backbone(Recurrent(), (5, 3)), (5, 3), CPU), draw(2, 5, 3).float()
    for scale in (1.0, 2.0):
        weights = network.initial_weights()
        state = {n: (scale * v).requires_grad_() for n, v in weights.items()}
        plain = Recurrent()
        plain.load_state_dict({n.removeprefix("body."): v.detach() for n, v in state.items()})
        found, expected = network.features(state, x), plain(x)
        torch.testing.assert_close(found, expected)
        gradients = torch.autograd.grad(found.sum(), list(state.values()))
        expected = torch.autograd.grad(expected.sum(), list(plain.parameters()))
        torch.testing.assert_close(gradients, expected)


def test_tied_weights_are_one_argument():
    first = nn.Linear(3, 3)
    module = nn.Sequential(first, nn.Tanh(), first)
    network = Network(build_backbone(module, (3,)), (3,), CPU)
    state, x = network.initial_weights(), draw(4, 3).float()
    assert set(state) == {"body.0.weight", "body.0.bias"}
    torch.testing.assert_close(network.features(state, x), module(x).detach())


def test_several_threads_may_call_it():
    network, _ = make_network()
    state = network.initial_weights()
    batches = [draw(6, *SHAPE, seed=s) * (s + 1) for s in range(16)]
    expected = [network.measure(state, x) for x in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: network.measure(state, x), batches))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


class Attention(nn.Module):
    """The columns of a row attend to each other, in one of three ways."""

    def __init__(self, how):
        super().__init__()
        self.embed = nn.Linear(1, 4)
        self.layer = {
            "encoder": nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
            "attention": nn.MultiheadAttention(4, 2, batch_first=True),
            "function": nn.Linear(4, 4),
        }[how]
        self.how = how

    def forward(self, x):
        h = self.embed(x[..., None])
        if self.how == "attention":
            return self.layer(h, h, h, need_weights=False)[0].mean(1)
        if self.how == "function":
            return F.scaled_dot_product_attention(self.layer(h), h, h).mean(1)
        return self.layer(h).mean(1)


@pytest.mark.parametrize("how", ["encoder", "attention", "function"])
def test_attention_has_second_derivatives_and_can_be_vectorised(how):
    torch.manual_seed(0)
    network = Network(build_backbone(Attention(how), (3,)).double(), (3,), CPU)
    state, x = network.initial_weights(), draw(2, 5, 3)

    def inner_gradient(weight, rows):
        def loss(weight):
            return network.features(state | {"body.embed.weight": weight}, rows).square().sum()

        return torch.func.grad(loss)(weight)

    weight = state["body.embed.weight"].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: inner_gradient(w, x[0]), weight)
    each = torch.stack([inner_gradient(weight, rows) for rows in x])
    together = torch.func.vmap(lambda rows: inner_gradient(weight, rows))(x)
    torch.testing.assert_close(together, each)


def test_a_module_with_buffers_can_first_be_called_within_nested_gradients():
    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)
            self.register_buffer("is_kept", torch.tensor([True, False]))

        def forward(self, x):
            return self.layer(x).masked_fill(~self.is_kept, 0.0)

    network = Network(Scaled(), (3,), torch.device("cpu"))
    weights, x = network.initial_weights(), torch.ones(4, 3)

    def inner(state):
        return network.measure(state, x)[0].square().sum()

    def outer(state):
        return sum(g.square().sum() for g in torch.func.grad(inner)(state).values())

    first = torch.func.grad(outer)(weights)
    again = torch.func.grad(outer)(weights)
    assert all(torch.equal(first[name], again[name]) for name in weights)
    assert not network.features(weights, x)[:, 1].any()


def make_adapter(dtype=torch.float64, y=(0.0, 1.0), device=CPU):
    x_mean, x_scale = np.linspace(-1, 1, 4), np.linspace(1, 2, 4)
    scaler = Scaler(x_mean, x_scale, *map(np.float64, y))
    return TensorAdapter((4,), scaler, device, dtype), x_mean, x_scale


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
    adapter, mean, scale = make_adapter(device=torch.device("cuda"))
    found = adapter.inputs(adapter.upload(X))
    assert found.device.type == "cuda"
    np.testing.assert_allclose(to_numpy(found), (X - mean) / scale)
