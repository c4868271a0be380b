"""What a task's head starts from, and the plain models that a prior is compared with."""

import builders
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from skmeta._backend import Rows, Scaler
from skmeta.exceptions import PriorWarning, UnusedDataWarning
from skmeta.learners import MAML, ProtoNet, Validation
from skmeta.learners._core import (
    baseline_scores,
    initial_head,
    linear,
    loss,
    make_problem,
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


SMALL = builders.SMALL | {"backbone_params": {"hidden": (4,)}, "n_shot": 3, "n_query": 3}
SMALL |= {"n_iterations": 4, "validation": Validation(0.3, n_tasks=12, every=2)}


def make_lines(n_groups=20, shared=True, seed=0):
    """Regressions of three features: one line for all groups, or a line for each."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), 10)
    X = rng.normal(size=(len(groups), 3))
    slopes = rng.normal(size=3) if shared else rng.normal(size=(n_groups, 3))[groups]
    return X, (X * slopes).sum(1), groups


def make_classes(n_classes=20, spread=5.0, first=0):
    return builders.make_classes(n_classes, 8, 3, spread, first)


@pytest.mark.parametrize("n_features", [3, 60], ids=["few columns", "many columns"])
def test_plain_models_are_those_of_scikit_learn(n_features):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 8)
    X = rng.normal(size=(96, n_features)) + 0.2 * y[:, None]
    problem = make_problem("classification", X, y, None, n_way=3, n_shot=3, n_query=3)
    tasks = [problem.train.sampler.sample(np.random.default_rng(k)) for k in range(5)]
    scaler = Scaler(*map(np.asarray, (0.0, 1.0, 0.0, 1.0)))
    scores = baseline_scores(problem.train, tasks, X, "classification", scaler, is_image=True)
    models = {
        "nearest_mean": NearestCentroid(),
        "nearest_neighbour": KNeighborsClassifier(1),
        "logistic_regression": LogisticRegression(),
    }
    for name, model in models.items():
        parts = [task.take(X) for task in tasks]
        expected = [model.fit(x, y).score(*query) for x, y, *query in parts]
        np.testing.assert_allclose(scores[name], expected)


def test_an_embedding_starts_with_its_input():
    X, y = make_classes(n_classes=20)
    settings = SMALL | {"n_iterations": 1, "validation": 0}
    learner = ProtoNet(**settings).fit(X, y)
    assert learner.prior_.backbone_params["skip"]
    assert learner.summary_ == "ProtoNet was not compared: there were no validation tasks."
    plain = ProtoNet(**settings | {"backbone_params": {"skip": False}}).fit(X, y)
    new = make_classes(n_classes=20, first=20)
    assert learner.score(*new) > plain.score(*new) - 0.05


def test_a_prior_that_loses_to_a_plain_model_is_told():
    # One line for all groups: four iterations are no match for a ridge regression on all rows.
    X, y, groups = make_lines()
    with pytest.warns(PriorWarning, match="MAML scores .* but one ridge regression on"):
        learner = MAML(**SMALL).fit(X, y, groups)
    history = learner.learning_curve_
    assert len(set(history["pooled_ridge_score"])) == 1
    assert {len(values) for values in history.values()} == {2}
    assert history["pooled_ridge_score"][0] > max(history["validation_score"])


def test_a_prior_that_wins_is_not():
    X, y = make_classes(n_classes=30)
    learner = ProtoNet(**SMALL | {"n_iterations": 40, "n_way": 2}).fit(X, y)
    assert {"nearest_mean_score", "logistic_regression_score"} <= set(learner.learning_curve_)
    assert "is ahead" in learner.summary_


def test_a_validation_that_is_skipped_is_told():
    X, y = make_classes(n_classes=6)
    with pytest.warns(UnusedDataWarning, match=r"n_way=3 .* a third of the 6 there are"):
        learner = ProtoNet(**SMALL).fit(X, y)
    assert "validation_score" not in learner.learning_curve_
    X, y, groups = make_lines(n_groups=2)
    with pytest.warns(UnusedDataWarning, match="one of the groups"):
        MAML(**SMALL).fit(X, y, groups)
