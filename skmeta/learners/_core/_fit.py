"""Meta-training: from a table of tasks to a prior and a learning curve."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch

from skmeta._random import check_rng
from skmeta._sklearn_compat import get_feature_names
from skmeta.backend import Execution, State, TaskTensors, to_numpy
from skmeta.learners._core._algorithm import Algorithm
from skmeta.learners._core._evaluation import EVALUATION_BATCH
from skmeta.learners._core._heads import loss, score
from skmeta.learners._core._inputs import (
    check_learner_rows,
    flatten_rows,
    resolve_input_shape,
)
from skmeta.learners._core._prior_io import write_prior
from skmeta.learners._core._session import Session, make_execution, start_session
from skmeta.learners._core._task_source import TaskSource, make_problem, resolve_kind
from skmeta.priors import MetaPrior
from skmeta.tasks import with_wrong_labels
from skmeta.training import TrainingSettings, meta_train

# Run parameters that do not change what is computed, so that a checkpoint outlives them.
_HARDWARE_PARAMETERS = frozenset(
    ["device", "execution", "chunk_size", "n_jobs", "checkpoint", "verbose"]
)


def meta_fit(learner: Algorithm, X: Any, y: Any, groups: Any) -> tuple[MetaPrior, dict]:
    """Meta-train a learner.

    Parameters
    ----------
    learner : Algorithm
        The settings.
    X, y, groups
        As ``fit`` takes them.

    Returns
    -------
    prior : MetaPrior
        What was learned.
    history : dict of list
        The learning curve.
    """
    if learner.checkpoint is not None and not isinstance(learner.random_state, Integral):
        raise ValueError(
            f"checkpoint={str(learner.checkpoint)!r} can only be resumed with the same tasks, but "
            f"random_state is {learner.random_state!r}. Set random_state to an integer."
        )
    rng = check_rng(learner.random_state)
    feature_names = get_feature_names(X)
    rows, input_shape = flatten_rows(X, learner.input_shape)
    rows = check_learner_rows(learner, rows, reset=True)
    input_shape = resolve_input_shape(input_shape, learner.backbone, rows.shape[1])
    kind = resolve_kind(getattr(learner, "task_type", "auto"), y, groups)
    learner.check_kind(kind)
    problem = make_problem(
        kind,
        rows,
        y,
        groups,
        n_way=learner.n_way,
        n_shot=learner.n_shot,
        n_query=learner.n_query,
        validation_fraction=learner.validation_fraction,
        rng=rng,
    )
    train = problem.train
    session, seed = start_session(
        learner, rng, train.X, train.y, train.n_outputs, input_shape, kind, problem.names_kind
    )
    state = learner.begin_state(
        session.context, session.adapter, session.scaler, session.draw_state(seed), train, rng
    )
    describe = partial(
        write_prior,
        session,
        n_features=rows.shape[1],
        feature_names=feature_names,
        classes=problem.labels,
        trained_on=problem.train.sampler.names,
        trained_on_kind=problem.names_kind,
    )
    describe(state)  # Settings that a prior cannot keep are refused before the long work.
    settings = TrainingSettings(
        n_iterations=learner.n_iterations,
        optimizer=learner.meta_optimizer,
        lr=learner.meta_lr,
        schedule=learner.schedule,
        clip_norm=learner.clip_norm,
        evaluate_every=learner.evaluate_every,
        patience=learner.patience,
        verbose=int(learner.verbose),
        checkpoint=learner.checkpoint,
        fingerprint=_fingerprint(learner, problem.train, groups) if learner.checkpoint else "",
    )
    validation_seed = int(rng.integers(2**63))
    with make_execution(learner, session) as execution:
        validate = None
        if problem.validation is not None:
            validate = _validation(session, execution, problem.validation, validation_seed)
        objective = _objective(session, execution, problem.train)
        state, history = meta_train(state, objective, validate, settings, rng)
    return describe(state, n_iterations=int(history["iteration"][-1])), history


def _objective(
    session: Session, execution: Execution, source: TaskSource
) -> Callable[[State, np.random.Generator, float], tuple[State, dict[str, float]]]:
    learner = session.learner
    table = session.adapter.upload(source.X)

    def objective(
        state: State, rng: np.random.Generator, progress: float
    ) -> tuple[State, dict[str, float]]:
        batch = [source.sampler.sample(rng) for _ in range(learner.meta_batch_size)]
        if learner.label_noise > 0:
            batch = [with_wrong_labels(task, learner.label_noise, rng) for task in batch]
        tasks = session.adapter.tasks(table, batch)
        context = replace(session.context, progress=progress)
        gradient, metrics = learner.mean_gradient(context, state, tasks, execution)
        return gradient, {n: float(v) for n, v in metrics.items()}

    return objective


def _metrics(session: Session, state: State, task: TaskTensors) -> dict[str, torch.Tensor]:
    outputs = session.outputs(state, task)
    kind = session.context.kind
    return {"loss": loss(kind, outputs, task.query), "score": score(kind, outputs, task.query)}


def _validation(
    session: Session, execution: Execution, source: TaskSource, seed: int
) -> Callable[[State], dict[str, float]]:
    rng = np.random.default_rng(seed)
    tasks = [source.sampler.sample(rng) for _ in range(session.learner.n_validation_tasks)]
    table = session.adapter.upload(source.X)

    def validate(state: State) -> dict[str, float]:
        totals = {"loss": 0.0, "score": 0.0}
        for start in range(0, len(tasks), EVALUATION_BATCH):
            part = tasks[start : start + EVALUATION_BATCH]
            with torch.no_grad():
                batch = session.adapter.tasks(table, part)
                found = execution.mean(partial(_metrics, session, state), batch)
            for name in totals:
                totals[name] += float(found[name]) * len(part)
        return {n: v / len(tasks) for n, v in totals.items()}

    return validate


def _fingerprint(learner: Algorithm, source: TaskSource, groups: Any) -> str:
    params = learner.get_params(deep=False)
    text = {n: repr(v) for n, v in params.items() if n not in _HARDWARE_PARAMETERS}
    digest = hashlib.sha256(json.dumps([type(learner).__name__, text], sort_keys=True).encode())
    digest.update(np.ascontiguousarray(source.X).tobytes())
    digest.update(np.asarray(source.y).astype(str).tobytes())
    digest.update(np.asarray(groups).astype(str).tobytes())
    if isinstance(learner.backbone, torch.nn.Module):
        for value in learner.backbone.state_dict().values():
            digest.update(to_numpy(value).tobytes())
    return digest.hexdigest()
