"""Small learners' surroundings, tasks, data and records that several test files use."""

import numpy as np
import torch
import torch.nn.functional as F

from skmeta._backend import Network, Rows, TaskTensors
from skmeta._tabular.table_prior import describe_cells, measure_columns
from skmeta._training import (
    ExecutionOptions,
    MetaOptimizer,
    OuterLoopSettings,
    Validation,
    read_parameters,
)
from skmeta.backbones import build_backbone
from skmeta.learners import Context
from skmeta.priors import MetaPrior
from skmeta.search.record import CandidateRecord, SearchRecord

CPU = torch.device("cpu")
# Settings of a meta-training that takes a moment; those of other tests say what they change.
SMALL = {"n_way": 3, "n_shot": 2, "n_query": 2, "n_iterations": 1, "meta_batch_size": 2}
SMALL |= {"validation": Validation(n_tasks=2), "device": "cpu", "random_state": 0}


def draw(*shape, seed=0):
    """Draw numbers of a normal distribution in double precision."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tiny_mlp(n_features=3, n_hidden=4):
    """Build an MLP with one layer, whose weights are always the same."""
    params = {"hidden": (n_hidden,), "activation": "tanh"}
    return build_backbone("mlp", (n_features,), params, torch.Generator().manual_seed(0))


def plain_loss(theta, rows):
    """Loss of that MLP with a head, in plain torch."""
    hidden = torch.tanh(F.linear(rows.x, theta["body.1.weight"], theta["body.1.bias"]))
    outputs = F.linear(hidden, theta["head.weight"], theta["head.bias"])
    if outputs.shape[1] == 1:
        losses = F.mse_loss(outputs[:, 0], rows.y, reduction="none")
    else:
        losses = F.cross_entropy(outputs, rows.y, reduction="none")
    return (losses * rows.w).sum() / rows.w.sum()


def make_context(module, shape=(3,), kind="classification", head="learned", n_way=3, progress=1.0):
    """Build the surroundings of tasks for a module, in double precision on the CPU."""
    network = Network(module.double(), shape, CPU)
    labels = torch.arange(n_way if kind == "classification" else 1)
    return Context(network, kind, head, labels, progress)


def make_state(learner, context, scale=0.0, seed=1):
    """Draw a state, and move it by noise so that no parameter is at a special place."""
    generator = torch.Generator().manual_seed(seed)
    drawn = learner.algorithm(learner).init_state(context, generator)
    return {
        n: v.double() + scale * torch.randn(v.shape, generator=generator).double()
        for n, v in drawn.items()
    }


def make_rows(n_rows, shape=(3,), kind="classification", n_way=3, seed=2):
    """Draw rows with targets of each kind and uneven weights.

    ``seed`` may also be a generator, which moves on.
    """
    rng = np.random.default_rng(seed)
    y = np.arange(n_rows) % n_way if kind == "classification" else rng.normal(size=n_rows)
    x, w = rng.normal(size=(n_rows, *shape)), rng.uniform(0.5, 1.5, n_rows)
    return Rows(torch.tensor(x), torch.tensor(y), torch.tensor(w))


def make_task(seed=2, n_support=7, n_query=5, **settings):
    """Draw a task; ``settings`` are those of :func:`make_rows`."""
    rng = np.random.default_rng(seed)
    return TaskTensors(
        make_rows(n_support, seed=rng, **settings), make_rows(n_query, seed=rng, **settings)
    )


def make_classes(n_classes=12, n_rows=6, n_features=4, spread=0.0, first=0):
    """Draw rows of classes that lie around centres ``spread`` apart, labelled from ``first``."""
    rng = np.random.default_rng(first)
    y = np.repeat(np.arange(first, first + n_classes), n_rows)
    centres = spread * rng.normal(size=(n_classes, n_features)) if spread else np.zeros((1, 1))
    return rng.normal(size=(len(y), n_features)) + centres[(y - first) % len(centres)], y


def make_intercepts(n_groups=30, n_rows=12, between=1.0, noise=0.5, seed=0):
    """A random-intercept model: y = x0 + u + e, and the intercepts u."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), n_rows)
    X = rng.normal(size=(len(groups), 2))
    u = between * rng.normal(size=n_groups)
    return X, X[:, 0] + u[groups] + noise * rng.normal(size=len(groups)), groups


def describe_table(x, w=None, query=None):
    """Cells of tables (b, n, d) for an InContextLearner, or of query rows beside them."""
    w = torch.ones(x.shape[:2], dtype=x.dtype) if w is None else w
    columns = measure_columns(x, w)
    return describe_cells(columns, x, w) if query is None else describe_cells(columns, query)


# Fields of a prior, some as NumPy has them.
PRIOR_FIELDS = {
    "learner": "MAML",
    "learner_params": {"inner_lr": 0.4, "n_inner_steps": np.int64(5), "first_order": False},
    "backbone": "mlp",
    "backbone_params": {"hidden": [40, 40], "activation": "relu", "norm": None},
    "kind": "classification",
    "n_features_in": 3,
    "feature_names_in": np.array(["a", "b", "c"], dtype=object),
    "input_shape": (1, np.int64(3)),
    "classes": ["cat", "dog"],
    "trained_on": np.arange(10),
    "trained_on_kind": "classes",
    "provenance": {"n_iterations": 100, "score": float("nan"), "versions": {"numpy": "2.0"}},
}


def prior_tensors():
    """Tensors of a prior, of several shapes and types."""
    return {
        "body.weight": np.arange(12, dtype=np.float32).reshape(4, 3),
        "head.weight": np.linspace(0, 1, 4).reshape(1, 4),
        "step.lr": np.array(0.1),
        "scaler.x_mean": np.zeros(3),
    }


def make_prior(**changes):
    """Build a prior without meta-training."""
    return MetaPrior._create(**({"tensors": prior_tensors()} | PRIOR_FIELDS | changes))


def make_record(fingerprint="f", **changes):
    """Build the record of a search."""
    values = {"fingerprint": fingerprint, "dataset": "iris", "estimator": "SVC"}
    values |= {"metrics": {"accuracy": 1}, "refit_metric": "accuracy"}
    return SearchRecord(**values | changes)


# What is recorded of two folds beside scores.
MEASURED = {"train_scores": {"accuracy": (0.7, 0.8)}, "fit_times": (0.25, 0.5)}
MEASURED |= {"score_times": (0.1, 0.2), "n_test_samples": (20, 20)}


def make_evaluation(key="k", scores=(0.5, 0.7), **changes):
    """Build an evaluation; ``scores`` are those of "accuracy", or a dict over metrics."""
    values = {"configuration": {"SVC.C": 1.0}, "key": key}
    by_metric = scores if isinstance(scores, dict) else {"accuracy": tuple(scores)}
    return CandidateRecord(**{**values, "scores": by_metric, **changes})


def record_all(history, record, *evaluations):
    """Record a search and its evaluations, and return its number."""
    search_id = history._begin(record)
    for evaluation in evaluations:
        history._record(search_id, evaluation)
    return search_id


def loop_settings(every=100, patience=None, optimizer="adam", schedule="constant", **parameters):
    """Settings of an outer loop that clips nothing, as a learner has them."""
    clip_norm = parameters.pop("clip_norm", None)
    if "checkpoint" in parameters:
        parameters["execution"] = ExecutionOptions(checkpoint=parameters.pop("checkpoint"))
    parameters["meta_optimizer"] = MetaOptimizer(optimizer, schedule, clip_norm)
    parameters["validation"] = Validation(every=every, patience=patience)
    return read_parameters(OuterLoopSettings(random_state=0, **parameters))
