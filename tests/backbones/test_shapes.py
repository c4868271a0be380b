"""Shapes of weights that are known without memory for them."""

import numpy as np
import pytest

from skmeta.backbones import build_backbone, check_backbone
from skmeta.exceptions import PriorError

BACKBONES = [
    ("mlp", (3,), {"hidden": (4, 5), "activation": "tanh"}),
    ("conv4", (1, 28, 28), {"n_channels": 3}),
    ("conv4", (2, 9, 9), {"n_blocks": 1}),
    ("cells", (3,), {"n_cells": 2, "n_nodes": 3, "operations": ("skip", "none")}),
    ("cells", (3,), {"width": 4, "normalize": True}),
    ("cells", (1, 8, 8), {"n_channels": 2, "n_cells": 1}),
    ("identity", (4,), {}),
]


def weights_of(backbone, shape, params):
    module = build_backbone(backbone, shape, params)
    return {f"body.{n}": p.detach().numpy() for n, p in module.named_parameters()}


@pytest.mark.parametrize(("backbone", "shape", "params"), BACKBONES)
def test_the_weights_of_each_backbone_are_its_own(backbone, shape, params):
    weights = weights_of(backbone, shape, params)
    check_backbone(backbone, shape, params, weights | {"head.weight": np.zeros((2, 2))})
    for name, value in weights.items():
        with pytest.raises(PriorError, match=rf"{name}' has shape .* None in the prior"):
            check_backbone(backbone, shape, params, {n: v for n, v in weights.items() if n != name})
        wider = weights | {name: np.zeros((*value.shape, 1))}
        with pytest.raises(PriorError, match=rf"{name}' has shape .*, 1\) in the prior"):
            check_backbone(backbone, shape, params, wider)
    with pytest.raises(PriorError, match=r"'body.other' has shape None in the backbone"):
        check_backbone(backbone, shape, params, weights | {"body.other": np.zeros(1)})


@pytest.mark.parametrize(
    ("backbone", "shape", "params", "message"),
    [
        ("mlp", (3,), {"hidden": (10**6, 10**6)}, r"'body.1.bias' has shape \(1000000,\)"),
        ("mlp", (10**9,), {"hidden": (4, 5)}, r"'body.1.weight' has shape \(4, 1000000000\)"),
        ("mlp", (3,), {"hidden": (10**30, 5)}, "cannot be built, 'mlp': "),
        ("mlp", (3,), {"hidden": (1,) * 10**5}, "it has 100,000 layers, but at most 5"),
        ("mlp", (3,), {"hidden": 4}, "cannot be built, 'mlp': "),
        ("mlp", (3,), {"width": 4}, "unexpected keyword argument 'width'"),
        ("conv4", (1, 99, 99), {"n_blocks": 10**9}, "it has 1,000,000,000 layers"),
        ("cells", (3,), {"n_nodes": 10**6}, "it has 500,000,500,000 layers"),
        ("cells", (3,), {"n_cells": [0] * 9}, "n_cells is a list, but must be an integer"),
        ("MyNet", (3,), {}, "cannot be built, 'MyNet': it must be one of"),
    ],
)
def test_what_a_stranger_may_ask_for_is_never_built(backbone, shape, params, message):
    weights = weights_of("mlp", (3,), {"hidden": (4, 5)})
    with pytest.raises(PriorError, match=message):
        check_backbone(backbone, shape, params, weights)
