"""Learn many tasks from their support sets, and compare predictions of their query sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from skmeta._random import check_rng
from skmeta.backend import Execution, State, TaskTensors, to_numpy
from skmeta.exceptions import EpisodeError
from skmeta.learners._core._heads import measures
from skmeta.learners._core._inputs import check_learner_rows, flatten_rows
from skmeta.learners._core._prior_io import read_prior
from skmeta.learners._core._session import Session, make_execution, read_settings
from skmeta.learners._core._task_source import (
    TaskSource,
    make_problem,
    resolve_kind,
    resolve_shots_per,
)
from skmeta.priors import MetaPrior
from skmeta.tasks import warn_if_reused
from skmeta.training import settings_by_role

# Tasks evaluated at once; bounds the memory of an evaluation.
EVALUATION_BATCH = 32


@dataclass(frozen=True)
class TaskPredictions:
    """Predictions on the query sets of many tasks.

    Attributes
    ----------
    y_true : ndarray of shape (n_tasks, n_query)
        Class positions, or targets.
    y_pred : ndarray of shape (n_tasks, n_query)
        Predicted ones.
    weight : ndarray of shape (n_tasks, n_query)
        0 marks padding.
    """

    y_true: np.ndarray
    y_pred: np.ndarray
    weight: np.ndarray

    def accuracy(self) -> np.ndarray:
        """Accuracy of each task."""
        return np.average(self.y_true == self.y_pred, axis=1, weights=self.weight)

    def squared_error(self) -> np.ndarray:
        """Mean squared error of each task."""
        return np.average((self.y_true - self.y_pred) ** 2, axis=1, weights=self.weight)

    def r2(self) -> float:
        """Share of variance explained over all query rows."""
        mean = np.average(self.y_true, weights=self.weight)
        total = np.average((self.y_true - mean) ** 2, weights=self.weight)
        error = np.average((self.y_true - self.y_pred) ** 2, weights=self.weight)
        return float(1 - error / total) if total > 0 else float(error == 0)


class DrawnTasks:
    """Tasks that states are evaluated on, the same for each state.

    Parameters
    ----------
    session : Session
        The learner at work.
    execution : Execution
        How tasks are computed.
    source : TaskSource
        Where they are drawn from.
    n_tasks : int
        Number of tasks.
    rng : numpy.random.Generator
        Draws them.

    Attributes
    ----------
    tasks : list of Task
        ``n_tasks`` tasks.
    """

    def __init__(
        self,
        session: Session,
        execution: Execution,
        source: TaskSource,
        n_tasks: int,
        rng: np.random.Generator,
    ) -> None:
        self.source = source
        self.tasks = [source.sampler.sample(rng) for _ in range(n_tasks)]
        self._session, self._execution = session, execution
        self._table = session.adapter.upload(source.X)

    def metrics(self, state: State) -> dict[str, float]:
        """Mean ``"loss"`` and ``"score"`` of a state."""
        totals = {"loss": 0.0, "score": 0.0}
        for size, batch in self.batches():
            with torch.no_grad():
                metrics = self._execution.mean(partial(_metrics, self._session, state), batch)
            for name in totals:
                totals[name] += float(metrics[name]) * size
        return {n: v / len(self.tasks) for n, v in totals.items()}

    def scores(self, state: State) -> np.ndarray:
        """Score of a state on each task."""
        parts = []
        for _, batch in self.batches():
            with torch.no_grad():
                metrics = self._execution.map(partial(_metrics, self._session, state), batch)
            parts.append(to_numpy(metrics["score"]).astype(np.float64))
        return np.concatenate(parts)

    def batches(self) -> Iterator[tuple[int, TaskTensors]]:
        """Yield the number of tasks in a batch, and the batch."""
        for start in range(0, len(self.tasks), EVALUATION_BATCH):
            part = self.tasks[start : start + EVALUATION_BATCH]
            yield len(part), self._session.adapter.tasks(self._table, part)


def _metrics(session: Session, state: State, task: TaskTensors) -> dict[str, torch.Tensor]:
    # In one view: a validation compares states, and others would take longer.
    learner, context = session.learner, session.context
    outputs = learner.forward(context, learner.adapt(context, state, task.support), task.query.x)
    return measures(context.kind, outputs, task.query)


def evaluate(
    learner: Any,
    X: Any,
    y: Any,
    groups: Any,
    n_tasks: int | None = None,
    test_time_augment: Any = "auto",
) -> TaskPredictions:
    """Learn tasks from their support sets and predict their query sets."""
    prior: MetaPrior = learner.prior_
    settings = read_settings(learner)
    rows, _ = flatten_rows(X, prior.input_shape)
    rows, _ = check_learner_rows(learner, rows, prior, reset=False)
    if groups is None and prior.classes is not None:
        raise EpisodeError(
            "The prior was learned from groups whose labels mean the same in each, but groups is "
            "None. Pass groups to score tasks of that kind."
        )
    resolve_kind(prior.kind, y, groups)
    problem = make_problem(
        prior.kind,
        rows,
        y,
        groups,
        n_way=settings.n_way,
        n_shot=settings.n_shot,
        n_query=settings.n_query,
        shots_per=resolve_shots_per(learner, settings.shots_per, prior.kind, groups),
        labels=prior.classes,
        superclass=settings.superclass,
    )
    source = problem.train
    warn_if_reused(prior, source.sampler.names, problem.names_kind)
    own = {name: getattr(learner, name) for name, _ in settings_by_role(learner, "prior")}
    session, state = read_prior(
        prior,
        type(learner),
        classes=range(source.n_outputs),
        device=settings.device,
        precision=settings.execution.precision,
        # The prior knows what was chosen.
        test_time_augment=None if test_time_augment == "auto" else test_time_augment or [],
        **{n: v for n, v in own.items() if n != "head_init"},
    )
    rng = check_rng(settings.random_state)
    n_tasks = settings.validation.n_tasks if n_tasks is None else n_tasks
    parts = []
    with make_execution(session, settings) as execution, torch.no_grad():
        drawn = DrawnTasks(session, execution, source, n_tasks, rng)
        for _, batch in drawn.batches():
            outputs = execution.map(partial(session.outputs, state), batch)
            if prior.kind == "classification":
                parts.append(to_numpy(outputs.argmax(2)))
            else:
                parts.append(session.adapter.targets(outputs[..., 0]))
    y_true, weight = (
        np.stack([getattr(t, n) for t in drawn.tasks]) for n in ("y_query", "w_query")
    )
    return TaskPredictions(y_true, np.concatenate(parts), weight)
