"""What happens between a learner's settings and its prior."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils import get_tags

from skmeta._random import check_rng
from skmeta._sklearn_compat import get_feature_names
from skmeta._validation import check_rows
from skmeta.backbones import build_backbone
from skmeta.backend import Execution, State, TaskTensors, to_numpy
from skmeta.exceptions import EpisodeError
from skmeta.learners._core._heads import loss, score
from skmeta.learners._core._prior_io import (
    RUN_PARAMETERS,
    Session,
    read_prior,
    resolve_head,
    write_prior,
)
from skmeta.learners._core._problem import (
    TaskSource,
    fit_scaler,
    flatten_rows,
    make_problem,
    resolve_input_shape,
    resolve_kind,
)
from skmeta.priors import MetaPrior
from skmeta.tasks import warn_if_reused, with_wrong_labels
from skmeta.training import TrainingSettings, meta_train

if TYPE_CHECKING:
    from skmeta.learners._core._base import MetaLearner

# Run parameters that do not change what is computed, so that a checkpoint outlives them.
_HARDWARE_PARAMETERS = frozenset(
    ["device", "execution", "chunk_size", "n_jobs", "checkpoint", "verbose"]
)
# Tasks evaluated at once; bounds the memory of a validation.
_EVALUATION_BATCH = 32


def meta_fit(learner: MetaLearner, X: Any, y: Any, groups: Any) -> tuple[MetaPrior, dict]:
    """Meta-train a learner.

    Parameters
    ----------
    learner : MetaLearner
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
    rows = _check_rows(learner, rows, reset=True)
    input_shape = resolve_input_shape(input_shape, learner.backbone, rows.shape[1])
    kind = resolve_kind(learner.task_type, y, groups)
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
    session, seed = _begin(
        learner, rng, train.X, train.y, train.n_outputs, input_shape, kind, problem.names_kind
    )
    state = learner.begin_state(session, session.draw_state(seed), train, rng)
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
    with _execution(learner, session) as execution:
        validate = None
        if problem.validation is not None:
            validate = _validation(session, execution, problem.validation, validation_seed)
        objective = _objective(session, execution, problem.train)
        state, history = meta_train(state, objective, validate, settings, rng)
    return describe(state, n_iterations=int(history["iteration"][-1])), history


def _check_rows(learner: MetaLearner, rows: Any, reset: bool) -> np.ndarray:
    allow_nan = get_tags(learner).input_tags.allow_nan
    return check_rows(learner, rows, reset=reset, allow_nan=allow_nan)


def untrained_prior(
    learner: MetaLearner,
    X: Any,
    y: Any,
    kind: str,
    sample_weight: np.ndarray | None,
    n_classes: int,
) -> MetaPrior:
    """The prior that meta-training would start from."""
    learner._validate_params()
    learner.check_kind(kind)
    feature_names = get_feature_names(X)
    rows, input_shape = flatten_rows(X, learner.input_shape)
    rows = np.asarray(rows)
    input_shape = resolve_input_shape(input_shape, learner.backbone, rows.shape[1])
    n_outputs = n_classes if kind == "classification" else 1
    session, seed = _begin(
        learner,
        check_rng(learner.random_state),
        rows,
        y,
        n_outputs,
        input_shape,
        kind,
        "classes",
        sample_weight,
    )
    state = session.draw_state(seed)
    return write_prior(session, state, n_features=rows.shape[1], feature_names=feature_names)


def _begin(
    learner: MetaLearner,
    rng: np.random.Generator,
    X: np.ndarray,
    y: Any,
    n_outputs: int,
    input_shape: tuple[int, ...],
    kind: str,
    names_kind: str,
    sample_weight: np.ndarray | None = None,
) -> tuple[Session, int]:
    seed = int(rng.integers(2**63))
    targets = np.asarray(y, dtype=np.float64) if kind == "regression" else None
    generator = torch.Generator().manual_seed(seed)
    session = Session.begin(
        learner,
        build_backbone(learner.backbone, input_shape, learner.backbone_params, generator),
        input_shape,
        fit_scaler(learner.standardize, X, targets, input_shape, sample_weight),
        kind=kind,
        head=resolve_head(learner, kind, names_kind),
        classes=range(n_outputs),
        device=learner.device,
        precision=learner.precision,
    )
    return session, seed + 1


def _execution(learner: MetaLearner, session: Session) -> Execution:
    # A task runs forward and backward through support and query set: about three passes a row.
    rows = (learner.n_shot + learner.n_query) * max(session.context.n_outputs, 1)
    return Execution(
        learner.execution,
        device=session.adapter.device,
        flops_per_task=3.0 * rows * session.context.network.n_flops,
        n_jobs=learner.n_jobs,
        chunk_size=learner.chunk_size,
    )


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


def _outputs(session: Session, state: State, task: TaskTensors) -> torch.Tensor:
    adapted = session.learner.adapt(session.context, state, task.support)
    return session.learner.forward(session.context, adapted, task.query.x)


def _metrics(session: Session, state: State, task: TaskTensors) -> dict[str, torch.Tensor]:
    outputs = _outputs(session, state, task)
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
        for start in range(0, len(tasks), _EVALUATION_BATCH):
            part = tasks[start : start + _EVALUATION_BATCH]
            with torch.no_grad():
                batch = session.adapter.tasks(table, part)
                found = execution.mean(partial(_metrics, session, state), batch)
            for name in totals:
                totals[name] += float(found[name]) * len(part)
        return {n: v / len(tasks) for n, v in totals.items()}

    return validate


def _fingerprint(learner: MetaLearner, source: TaskSource, groups: Any) -> str:
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


@dataclass(frozen=True)
class Evaluation:
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


def evaluate(learner: MetaLearner, X: Any, y: Any, groups: Any, n_tasks: int) -> Evaluation:
    """Learn tasks from their support sets and predict their query sets."""
    prior: MetaPrior = learner.prior_
    rows, _ = flatten_rows(X, learner.input_shape)
    rows = _check_rows(learner, rows, reset=False)
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
        n_way=learner.n_way,
        n_shot=learner.n_shot,
        n_query=learner.n_query,
        labels=prior.classes,
    )
    source = problem.train
    warn_if_reused(prior, source.sampler.names, problem.names_kind)
    own = {n: v for n, v in learner.get_params(deep=False).items() if n not in RUN_PARAMETERS}
    session, state = read_prior(
        prior,
        type(learner),
        classes=range(source.n_outputs),
        device=learner.device,
        precision=learner.precision,
        **{n: v for n, v in own.items() if n != "head_init"},
    )
    rng = check_rng(learner.random_state)
    table = session.adapter.upload(rows)
    found = []
    with _execution(session.learner, session) as execution, torch.no_grad():
        for start in range(0, n_tasks, _EVALUATION_BATCH):
            size = min(_EVALUATION_BATCH, n_tasks - start)
            tasks = [source.sampler.sample(rng) for _ in range(size)]
            batch = session.adapter.tasks(table, tasks)
            outputs = execution.map(partial(_outputs, session, state), batch)
            if prior.kind == "classification":
                predicted = to_numpy(outputs.argmax(2))
            else:
                predicted = session.adapter.targets(outputs[..., 0])
            y_true, weight = (
                np.stack([getattr(t, n) for t in tasks]) for n in ("y_query", "w_query")
            )
            found.append((y_true, predicted, weight))
    return Evaluation(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
