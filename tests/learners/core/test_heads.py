"""What a task's head starts from."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error

from skmeta._backend import Rows
from skmeta.learners import MAML
from skmeta.learners._core import (
    initial_head,
    linear,
    loss,
    prototype_head,
    score,
)


def make_rows(y, w=None):
    y = torch.tensor(y)
    w = torch.ones(len(y), dtype=torch.float64) if w is None else torch.tensor(w).double()
    return Rows(torch.zeros(len(y), 2), y, w)


def generator():
    return torch.Generator().manual_seed(0)


def test_a_prototype_head_ranks_by_distance_to_the_class_mean():
    assert initial_head("prototype", 4, 5, generator()) == {}
    features = torch.randn(8, 4, generator=generator(), dtype=torch.float64)
    rows = make_rows([0, 1, 2, 0, 1, 2, 0, 1], np.linspace(0.5, 2, 8))
    head = prototype_head(features, rows, 3)
    outputs = linear(head, features)
    y, w = rows.y.numpy(), rows.w.numpy()
    centres = np.stack([np.average(features[y == k], axis=0, weights=w[y == k]) for k in range(3)])
    squares = ((features.numpy()[:, None] - centres) ** 2).sum(2)
    # Up to a term that all classes share, the logits are minus the squared distances.
    shared = (features.numpy() ** 2).sum(1, keepdims=True)
    np.testing.assert_allclose(outputs, shared - squares, atol=1e-12)


def test_losses_are_those_of_scikit_learn():
    outputs = torch.randn(6, 3, generator=generator(), dtype=torch.float64)
    rows = make_rows([0, 1, 2, 0, 1, 1], [1, 2, 3, 0, 1, 0.5])
    expected = log_loss(rows.y, torch.softmax(outputs, 1).numpy(), sample_weight=rows.w)
    assert loss("classification", outputs, rows).item() == pytest.approx(expected)
    hits = np.average(outputs.argmax(1).numpy() == rows.y.numpy(), weights=rows.w)
    assert score("classification", outputs, rows).item() == pytest.approx(hits)
    targets = rows._replace(y=torch.linspace(-1, 1, 6, dtype=torch.float64))
    expected = mean_squared_error(targets.y, outputs[:, 0], sample_weight=rows.w)
    assert loss("regression", outputs[:, :1], targets).item() == pytest.approx(expected)
    assert score("regression", outputs[:, :1], targets).item() == pytest.approx(-expected)


@pytest.mark.parametrize(
    ("head_init", "grouped", "resolved"),
    [
        ("auto", False, "prototype"),
        ("shared", False, "shared"),
        ("auto", True, "learned"),
        ("zeros", False, "zeros"),
        ("prototype", True, "prototype"),
        ("learned", False, "learned"),
    ],
)
def test_the_prior_keeps_the_head_that_was_chosen(head_init, grouped, resolved):
    rng = np.random.default_rng(0)
    X, tasks = rng.normal(size=(60, 3)), np.repeat(np.arange(10), 6)
    y, groups = (np.arange(60) % 2, tasks) if grouped else (tasks, None)
    learner = MAML(
        head_init=head_init, n_way=2, n_shot=1, n_query=1, n_iterations=1, random_state=0,
        backbone_params={"hidden": (5,)}, meta_batch_size=1, device="cpu", validation=0,
        sampling="class",
    ).fit(X, y, groups)  # fmt: skip
    assert learner.prior_.learner_params["head_init"] == resolved
    learned_rows = {"shared": 1, "learned": 2}.get(resolved)
    weight = learner.prior_.tensors.get("head.weight")
    assert (None if weight is None else len(weight)) == learned_rows
