"""Small learners, tasks and tables for the conformance checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor, nn

from skmeta._backend import Execution, Rows, Scaler, State, TaskTensors
from skmeta.backbones import EpisodeBatchNorm, build_backbone
from skmeta.few_shot import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.learners import Algorithm, Context, ExecutionOptions, MetaLearner, Validation
from skmeta.learners._core import Session, read_settings
from skmeta.priors import MetaPrior

N_FEATURES = 4
N_WAY = 3
N_TASKS = 3

# A learner that is made for cells is checked with small ones.
_CELLS = {"n_cells": 1, "n_nodes": 2, "width": 5, "activation": "tanh"}
_MLP = {"hidden": (5,), "activation": "tanh"}

_SMALL: dict[str, Any] = {
    "backbone": "mlp",
    "backbone_params": _MLP,
    "input_shape": None,
    "target_type": "auto",
    "n_way": N_WAY,
    "n_shot": 2,
    "n_query": 2,
    "sampling": "class",
    "transductive": False,
    "n_iterations": 6,
    "meta_batch_size": 2,
    "validation": Validation(0.25, n_tasks=4, every=2),
    "device": "cpu",
    "execution": ExecutionOptions("loop", precision="float64"),
    "verbose": 0,
    "random_state": 0,
}

Table = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Rows of many tasks, their targets and their groups, as ``fit`` takes them."""


def small_clone(learner: MetaLearner, **changes: Any) -> MetaLearner:
    """Clone a learner with settings under which a fit takes a moment."""
    settings = dict(_SMALL)
    if str(read_settings(learner).backbone).endswith("cells"):
        settings |= {"backbone": "cells", "backbone_params": _CELLS}
    if hasattr(learner, "n_inner_steps"):
        settings["n_inner_steps"] = min(learner.n_inner_steps, 2)
    small: MetaLearner = clone(learner)
    names = small.get_params(deep=False)
    small.set_params(**{n: v for n, v in (settings | changes).items() if n in names})
    return small


@dataclass(frozen=True)
class Bench:
    """A small clone of a learner, its state, and a few tasks (stacked along axis 0) in float64.

    The state is drawn, plus noise, so that no entry is zero or equal to another.
    """

    learner: MetaLearner
    algorithm: Algorithm
    context: Context
    state: State
    tasks: TaskTensors

    def task(self, i: int = 0) -> TaskTensors:
        """One of the tasks."""
        return TaskTensors(*(Rows(*(part[i] for part in side)) for side in self.tasks))

    def adapt(self, support: Rows | None = None, start: State | None = None) -> State:
        """Adapt to a support set, by default that of the first task."""
        with torch.no_grad():
            support = support or self.task().support
            return self.algorithm.adapt(self.context, self.state, support, start)

    def predict(
        self, support: Rows | None = None, x: Tensor | None = None, adapted: State | None = None
    ) -> Tensor:
        """Outputs for query rows ``x`` after adaptation, by default of the first task."""
        adapted, x = adapted or self.adapt(support), self.task().query.x if x is None else x
        with torch.no_grad():
            return self.algorithm.forward(self.context, adapted, x)

    def task_gradient(self, task: TaskTensors) -> tuple[State, State]:
        """Meta-gradient and metrics of a task."""
        return self.algorithm.meta_gradient(self.context, self.state, task)

    def gradient(self, mode: str = "loop", chunk_size: int | None = None) -> tuple[State, State]:
        """Mean meta-gradient and metrics over the tasks."""
        with Execution(
            mode, device=torch.device("cpu"), n_jobs=2, chunk_size=chunk_size
        ) as execution:
            return self.algorithm.mean_gradient(self.context, self.state, self.tasks, execution)

    def mean_loss(self, state: State) -> float:
        """Mean meta-loss over the tasks at a state."""
        with torch.no_grad():
            losses = [
                float(self.algorithm.meta_loss(self.context, state, self.task(i))[0])
                for i in range(N_TASKS)
            ]
        return float(np.mean(losses))

    def with_n_way(self, n_way: int) -> Bench:
        """The same state with tasks of another number of classes."""
        generator = torch.Generator().manual_seed(n_way)
        context = replace(self.context, classes=torch.arange(n_way))
        return replace(self, context=context, tasks=_draw_tasks("classification", n_way, generator))


def make_benches(
    learner: MetaLearner, kind: str, names_kind: str = "classes", **changes: Any
) -> Iterator[Bench]:
    """Set up a learner with tasks of a kind and with two networks.

    Both are smooth, so that finite differences are exact to rounding; the second one has
    statistics that come from the support set.
    """
    small = small_clone(learner, **changes)
    n_outputs = N_WAY if kind == "classification" else 1
    for normalize in (False, True):
        generator = torch.Generator().manual_seed(0)
        session = Session.open(
            small,
            _make_module(normalize, read_settings(small).backbone, generator),
            (N_FEATURES,),
            Scaler(np.zeros(()), np.ones(()), np.zeros(()), np.ones(())),
            kind=kind,
            head=small.algorithm(small).resolve_head(kind, names_kind),
            classes=range(n_outputs),
            device="cpu",
            precision="float64",
        )
        state = {
            name: value + 0.05 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
            for name, value in session.draw_state(1).items()
        }
        yield Bench(
            small,
            session.algorithm,
            session.context,
            state,
            _draw_tasks(kind, n_outputs, generator),
        )


def _make_module(normalize: bool, backbone: Any, generator: torch.Generator) -> nn.Module:
    if backbone == "cells":
        params = _CELLS | {"normalize": normalize}
        return build_backbone("cells", (N_FEATURES,), params, generator)
    module = build_backbone("mlp", (N_FEATURES,), _MLP, generator)
    return nn.Sequential(module, EpisodeBatchNorm(5)) if normalize else module


def _draw_tasks(kind: str, n_outputs: int, generator: torch.Generator) -> TaskTensors:
    def draw(n_rows: int) -> Rows:
        shape = N_TASKS, n_rows, N_FEATURES + 2
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        x, y, weight = values[..., 2:], values[..., 0], 0.5 + values[..., 1].abs()
        if kind == "classification":
            y = (torch.arange(n_rows) % n_outputs).expand(N_TASKS, -1)
        return Rows(x.clone(), y.clone(), weight)

    return TaskTensors(draw(2 * n_outputs + 3), draw(n_outputs + 2))


def make_table(learner: MetaLearner, kind: str, seed: int = 0, groups: bool = False) -> Table:
    """Draw twelve classes, or twelve groups, of six rows; another seed gives other tasks.

    Of classifications by groups, every third group lacks a class.
    """
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(12), 6)
    X = rng.normal(size=(len(names), N_FEATURES)) + rng.normal(size=(12, N_FEATURES))[names]
    labels = names + 100 * seed
    if kind == "regression":
        return X, (X * rng.normal(size=(12, N_FEATURES))[names]).sum(1), labels
    y = np.arange(len(names)) % N_WAY
    if groups:
        kept = (names % 3 > 0) | (y > 0)
        return X[kept], y[kept], labels[kept]
    # Outputs of a learned head mean the same in every task.
    is_learned = learner.algorithm(learner).resolve_head(kind, "classes") == "learned"
    return (X, y, labels) if is_learned else (X, labels, None)


def predict_with_prior(
    prior: MetaPrior, table: Table, classes: tuple[int, ...] = (0, 1, 2)
) -> np.ndarray:
    """Learn the first rows of a table as a task of these classes, and predict every row."""
    X, y, _ = table
    options: dict[str, Any] = {"device": "cpu", "precision": "float64"}
    if prior.kind == "regression":
        return np.asarray(MetaFewShotRegressor(prior, **options).fit(X[:4], y[:4]).predict(X))
    n_rows = 4 * len(classes)
    clf = MetaFewShotClassifier(prior, **options).fit(X[:n_rows], np.tile(classes, 4))
    return np.asarray(clf.predict_proba(X))


def assert_close(actual: Any, expected: Any, what: str, exact: bool = False) -> None:
    """Compare trees of tensors, up to rounding or exactly."""
    rtol, atol = (0.0, 0.0) if exact else (1e-8, 1e-10)
    try:
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None
