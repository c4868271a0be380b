"""Meta-training: from a table of tasks to a prior and a learning curve. The untrained prior."""

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
from skmeta._sklearn_compat import get_feature_names, validate_params
from skmeta._warnings import warn_caller
from skmeta.backend import Augmentation, Execution, Ranks, State, to_numpy
from skmeta.exceptions import MigrationWarning, SkippedValidationWarning
from skmeta.learners._core._algorithm import Algorithm
from skmeta.learners._core._baselines import LEAST_TASKS, baseline_scores, warn_if_beaten
from skmeta.learners._core._evaluation import ValidationTasks
from skmeta.learners._core._inputs import (
    check_learner_rows,
    flatten_rows,
    resolve_input_shape,
)
from skmeta.learners._core._prior_io import write_prior
from skmeta.learners._core._session import Session, make_execution, start_session
from skmeta.learners._core._start import check_start, take_learned, with_earlier
from skmeta.learners._core._task_source import Problem, TaskSource, make_problem, resolve_kind
from skmeta.priors import MetaPrior
from skmeta.tasks import check_shots, with_wrong_labels
from skmeta.training import TrainingSettings, meta_train, shared_deadline

# Run parameters that do not change what is computed, so that a checkpoint outlives them.
_HARDWARE_PARAMETERS = frozenset(
    ["device", "execution", "chunk_size", "n_jobs", "checkpoint", "verbose"]
)


@shared_deadline()
def meta_fit(learner: Algorithm, X: Any, y: Any, groups: Any) -> tuple[MetaPrior, dict[str, Any]]:
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
    ranks = Ranks.join()
    # One stream of random numbers, whatever random_state is: each process draws the same tasks.
    rng = ranks.share(partial(check_rng, learner.random_state))
    feature_names = get_feature_names(X)
    rows, input_shape = flatten_rows(X, learner.input_shape)
    start = learner.starting_prior()
    rows, encoder = check_learner_rows(learner, rows, start)
    input_shape = resolve_input_shape(input_shape, learner.backbone, rows.shape[1])
    task_type = getattr(learner, "task_type", "auto")
    kind = resolve_kind(task_type, y, groups, asks=len(learner.kinds) > 1)
    learner.check_kind(kind)
    if start is not None:
        check_start(start, kind, learner.n_features_in_, feature_names)
    shots_per = learner.resolve_shots_per(kind, "classes" if groups is None else "groups")
    if kind == "classification" and shots_per == "task":
        _warn_of_shots(learner)
    check_shots(learner.n_shot)
    problem = make_problem(
        kind,
        rows,
        y,
        groups,
        n_way=learner.n_way,
        n_shot=learner.n_shot if learner.draws_tasks() else 1,
        n_query=learner.n_query,
        shots_per=shots_per,
        superclass=learner.superclass,
        validation_fraction=learner.validation_fraction,
        rng=rng,
    )
    train = problem.train
    session, seed = start_session(
        learner, rng, train.X, train.y, train.n_outputs, input_shape, kind, problem.names_kind
    )
    augmentation = None
    if learner.augment is not None:
        n_new = train.n_outputs if problem.names_kind == "classes" else None
        augmentation = Augmentation(learner.augment, input_shape, n_new)
    state = session.draw_state(seed)
    if start is not None:
        state = take_learned(start, state, learner.class_tensor, problem.labels)
    state = learner.begin_state(session.context, session.adapter, session.scaler, state, train, rng)
    describe = partial(
        write_prior,
        session,
        n_features=learner.n_features_in_,
        feature_names=feature_names,
        classes=problem.labels,
        trained_on=with_earlier(learner.prior, problem.train.sampler.names, problem.names_kind),
        trained_on_kind=problem.names_kind,
        columns=None if encoder is None else encoder.columns,
    )
    describe(state)  # Settings that a prior cannot keep are refused before the long work.
    counted = shots_per if kind == "classification" else "class"
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
        fingerprint=_fingerprint(learner, problem.train, groups, counted)
        if learner.checkpoint
        else "",
    )
    validation_seed = int(rng.integers(2**63))
    with make_execution(learner, session) as execution:
        validation = None
        if problem.validation is not None:
            validation = ValidationTasks(session, execution, problem.validation, validation_seed)
        elif learner.validation_fraction > 0:
            _warn_of_no_validation(learner, problem)
        objective = _objective(session, execution, problem.train, ranks, augmentation)
        validate = None if validation is None else validation.metrics
        state, history = meta_train(state, objective, validate, settings, rng, ranks)
        if validation is not None:
            compare = partial(_compare, learner, session, validation, state, train, history)
            history = ranks.share(compare)
    return describe(state, n_iterations=int(history["iteration"][-1])), history


def untrained_prior(
    learner: Algorithm,
    X: Any,
    y: Any,
    kind: str,
    sample_weight: np.ndarray | None,
    n_classes: int,
) -> MetaPrior:
    """Return the prior that meta-training would start from."""
    validate_params(learner)
    learner.check_kind(kind)
    feature_names = get_feature_names(X)
    rows, input_shape = flatten_rows(X, learner.input_shape)
    rows = np.asarray(rows)
    input_shape = resolve_input_shape(input_shape, learner.backbone, rows.shape[1])
    n_outputs = n_classes if kind == "classification" else 1
    session, seed = start_session(
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


def _objective(
    session: Session,
    execution: Execution,
    source: TaskSource,
    ranks: Ranks,
    augmentation: Augmentation | None,
) -> Callable[[State, np.random.Generator, float], tuple[State, dict[str, float]]]:
    learner = session.learner
    table = session.adapter.upload(source.X)
    own = ranks.part(learner.meta_batch_size)
    share = (own.stop - own.start) / learner.meta_batch_size

    def objective(
        state: State, rng: np.random.Generator, progress: float
    ) -> tuple[State, dict[str, float]]:
        batch = [source.sampler.sample(rng) for _ in range(learner.meta_batch_size)]
        if learner.label_noise > 0:
            batch = [with_wrong_labels(task, learner.label_noise, rng) for task in batch]
        tasks = session.adapter.tasks(table, batch[own])
        if augmentation is not None:
            # A seed for each task of the meta-batch, whoever computes it.
            tasks = augmentation(tasks, rng.integers(2**63, size=len(batch))[own])
        context = replace(session.context, progress=progress)
        found = learner.mean_gradient(context, state, tasks, execution)
        gradient, metrics = ranks.weighted_sum(found, share)
        gradient = gradient | {n: torch.zeros_like(state[n]) for n in context.network.frozen}
        return gradient, {n: float(v) for n, v in metrics.items()}

    return objective


def _compare(
    learner: Algorithm,
    session: Session,
    validation: ValidationTasks,
    state: State,
    train: TaskSource,
    history: dict[str, list[float]],
) -> dict[str, list[float]]:
    """Return the history with the scores of plain baselines, and warn if one is better."""
    baselines = baseline_scores(
        train,
        validation.tasks,
        validation.source.X,
        session.context.kind,
        y_mean=float(session.scaler.y_mean),
        y_scale=float(session.scaler.y_scale),
        is_image=len(session.context.network.input_shape) > 1,
    )
    n = len(history["iteration"])
    for name, scores in baselines.items():
        history[f"{name}_score"] = [float(scores.mean())] * n
    # A learning curve of one point is no serious training.
    if n > 1 and len(validation.tasks) >= LEAST_TASKS:
        warn_if_beaten(type(learner).__name__, validation.scores(state), baselines)
    return history


def _warn_of_no_validation(learner: Algorithm, problem: Problem) -> None:
    names_kind: str = problem.names_kind
    of_all = f"the {len(problem.train.sampler.names)} there are"
    needed = f"n_way={learner.n_way} of the" if names_kind == "classes" else "one of the"
    if learner.superclass is not None:
        names_kind, needed, of_all = "superclasses", "one of the", "those with n_way classes"
    warn_caller(
        f"validation_fraction={learner.validation_fraction} sets at least {needed} {names_kind} "
        f"aside, but that is more than a third of {of_all}. There is no "
        "validation, and the last state is kept. Give more "
        f"{names_kind}, or set validation_fraction=0.0 to silence this warning.",
        SkippedValidationWarning,
    )


def _warn_of_shots(learner: Algorithm) -> None:
    draws_tasks, is_new = learner.n_iterations > 0, not isinstance(learner.n_shot, Integral)
    if learner.shots_per != "auto" or is_new or not draws_tasks:
        return
    defaults = type(learner)
    if (learner.n_shot, learner.n_query) == (defaults.n_shot, defaults.n_query):
        return  # The user has set no number.
    warn_caller(
        f"n_shot={learner.n_shot} and n_query={learner.n_query} count the rows of a group in all, "
        "whatever their class; in version 0.1 they counted the rows of each class. Set "
        "shots_per='task' to silence this warning, or shots_per='class' for the old meaning.",
        MigrationWarning,
    )


# Parameters of version 0.1 that had no effect, and the only value that mattered to a fingerprint.
_OF_VERSION_0_1: dict[str, dict[str, Any]] = {
    "ProtoNet": {"head_init": "auto", "task_type": "auto"},
    "Reptile": {"first_order": True},
    "FineTuning": {"first_order": True},
    # The number of views matters to predictions only; its default was 4.
    "InContextLearner": {"head_init": "zeros", "n_estimators": 4},
}


# Parameters that most learners did not have in version 0.1, left out where they have no effect, and
# those that a learner had.
_LATER = frozenset(["augment", "superclass", "prior"])
_EARLIER = {"InContextLearner": frozenset(["prior"])}


def _fingerprint(
    learner: Algorithm, source: TaskSource, groups: Any, shots_per: str = "class"
) -> str:
    # As in version 0.1, so that its checkpoints can be resumed.
    params = learner.get_params(deep=False) | _OF_VERSION_0_1.get(type(learner).__name__, {})
    text = {n: repr(v) for n, v in params.items() if n not in _HARDWARE_PARAMETERS}
    del text["shots_per"], text["test_time_augment"]  # The latter matters to predictions only.
    start = learner.starting_prior()
    if start is not None:
        text["prior"] = start.digest
    for name in _LATER - _EARLIER.get(type(learner).__name__, frozenset()):
        if getattr(learner, name) is None:
            del text[name]
    if shots_per == "task":  # In version 0.1 shots were those of each class.
        text["shots_per"] = shots_per
    digest = hashlib.sha256(json.dumps([type(learner).__name__, text], sort_keys=True).encode())
    digest.update(np.ascontiguousarray(source.X).tobytes())
    digest.update(np.asarray(source.y).astype(str).tobytes())
    digest.update(np.asarray(groups).astype(str).tobytes())
    if isinstance(learner.backbone, torch.nn.Module):
        for value in learner.backbone.state_dict().values():
            digest.update(to_numpy(value).tobytes())
    return digest.hexdigest()
