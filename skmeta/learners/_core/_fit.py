"""Meta-training, from a table of tasks to a prior and a learning curve, in stages.

:func:`meta_fit` reads from top to bottom: the table, its tasks, the initial state, the outer loop,
the comparison with plain models, the prior. :func:`untrained_prior` ends before the loop.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch

from skmeta._backend import Augmentation, Execution, Ranks, State
from skmeta._progress import fit_task, subtask
from skmeta._sklearn_compat import callback_context, has_callbacks, validate_params
from skmeta._threads import one_thread_if_small
from skmeta._training import fingerprint, meta_train
from skmeta._validation import check_count, check_plain_labels, check_rng, check_targets
from skmeta._warnings import warn_caller
from skmeta.backbones import build_backbone
from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.learners._core._evaluation import (
    MIN_TASKS,
    DrawnTasks,
    baseline_scores,
    choose_scale,
    warn_if_beaten,
)
from skmeta.learners._core._inputs import (
    Problem,
    TaskSource,
    TrainingTable,
    fit_scaler,
    make_problem,
    resolve_kind,
    resolve_shots_per,
)
from skmeta.learners._core._prior_io import (
    check_start,
    load_weights,
    scaler_of,
    take_learned,
    with_earlier,
    write_prior,
)
from skmeta.learners._core._session import Session, make_execution
from skmeta.learners._core._settings import read_settings
from skmeta.priors import MetaPrior, tensors_of_rows
from skmeta.tasks import check_shots

LearningCurve = dict[str, list[float]]


def meta_fit(learner: Any, X: Any, y: Any, groups: Any) -> tuple[MetaPrior, LearningCurve]:
    """Meta-train a learner, and return the prior and the learning curve.

    Each meta-iteration draws tasks and takes the gradient of ``meta_loss``: ``adapt``
    learns a task, step by step in ``update``, and ``forward`` predicts its query set.
    """
    settings, ranks = read_settings(learner), Ranks.join()
    rng = ranks.from_first(partial(check_rng, settings.random_state))
    table = TrainingTable.read(learner, X, settings)
    problem = _read_tasks(learner, settings, table, y, groups, rng)
    if settings.meta_lr == "auto":
        new_classes = problem.kind == "classification" and problem.names_kind == "classes"
        settings.meta_lr = learner._choose_meta_lr(problem.kind, new_classes)
    session, seed = _open_session(learner, settings, table, problem, rng)
    state = _first_state(session, table, problem, seed, rng)
    names, names_kind = problem.train.sampler.names, problem.names_kind
    rows = _describe_rows(problem, is_image=len(table.input_shape) > 1, earlier=settings.prior)

    def fitted(state: State, history: LearningCurve) -> dict[str, Any]:
        prior = write_prior(
            session,
            state,
            rows=rows,
            n_features_in=table.n_features,
            feature_names_in=table.names,
            classes=problem.labels,
            trained_on=with_earlier(settings.prior, names, names_kind),
            trained_on_kind=names_kind,
            provenance=table.columns | {"n_iterations": int(history["iteration"][-1])},
        )
        return {
            "prior_": prior,
            "learning_curve_": {n: list(values) for n, values in history.items()},
        }

    fitted(state, {"iteration": [0]})  # Settings that a prior cannot keep are refused here.
    identity = _identity(learner, problem, groups) if settings.execution.checkpoint else ""
    validation_rng = np.random.default_rng(int(rng.integers(2**63)))
    data = {"X": X, "y": y, "metadata": None if groups is None else {"groups": groups}}
    callbacks = None
    if has_callbacks(learner):
        callbacks = callback_context(learner, settings.n_iterations)
    whole = fit_task(callbacks, learner, **data)
    with make_execution(session, settings, ranks) as execution, whole as task:
        validation = None
        if problem.validation is not None:
            n_tasks = settings.validation.n_tasks
            validation = DrawnTasks(session, execution, problem.validation, n_tasks, validation_rng)
        state, history = meta_train(
            state,
            _objective(session, settings, execution, problem),
            None if validation is None else validation.metrics,
            settings,
            rng,
            identity=identity,
            iteration_task=partial(subtask, callbacks, learner, "meta-iteration", **data),
            fitted=fitted,
            ranks=ranks,
        )
        if validation is not None:
            history = _compare(session, problem, validation, state, history)
        result = fitted(state, history)
        task.fitted = lambda: result
    return result["prior_"], result["learning_curve_"]


def untrained_prior(learner: Any, X: Any, y: Any, kind: str, n_classes: int) -> MetaPrior:
    """Return the prior that meta-training would start from."""
    validate_params(learner)
    settings = read_settings(learner)
    if kind not in ("classification", "regression"):
        raise ValueError(f"kind must be 'classification' or 'regression', got {kind!r}.")
    _check_kind(learner, kind)
    table = TrainingTable.read(
        copy.copy(learner), X, settings
    )  # The learner itself stays unfitted.
    if y is not None:
        n = len(table.rows)
        y = check_targets(y, n) if kind == "regression" else check_plain_labels(y, "y", n)
    n_outputs = check_count(n_classes, "n_classes", 2) if kind == "classification" else 1
    source = TaskSource(table.rows, y, None, cast(Any, None), n_outputs)  # No task is drawn.
    rng = check_rng(settings.random_state)
    problem = Problem(kind, "classes", None, source, None)
    session, seed = _open_session(learner, settings, table, problem, rng)
    return write_prior(
        session,
        session.draw_state(seed),
        n_features_in=table.n_features,
        feature_names_in=table.names,
        provenance=table.columns,
    )


# ---------------------------------------------------------------------------------- its tasks


def _read_tasks(
    learner: Any, settings: Any, table: TrainingTable, y: Any, groups: Any, rng: np.random.Generator
) -> Problem:
    kind = resolve_kind(settings.target_type, y, groups, asks=len(learner.algorithm.kinds) > 1)
    _check_kind(learner, kind)
    if table.start is not None:
        check_start(table.start, kind, table.n_features, table.names)
    check_shots(settings.n_shot)
    problem = make_problem(
        kind,
        table.rows,
        y,
        groups,
        n_way=settings.n_way,
        n_shot=settings.n_shot if settings.draws_tasks else 1,
        n_query=settings.n_query,
        shots_per=resolve_shots_per(learner, settings.sampling, kind, groups),
        superclass=settings.superclass,
        validation_fraction=settings.validation.fraction,
        rng=rng,
    )
    if problem.validation is None and settings.validation.fraction > 0:
        _warn_of_no_validation(settings, problem)
    return problem


def _check_kind(learner: Any, kind: str) -> None:
    kinds = learner.algorithm.kinds
    if kind not in kinds:
        raise EpisodeError(
            f"{type(learner).__name__} learns {' and '.join(kinds)} tasks, but these are "
            f"{kind} tasks. Use a learner of {kind} tasks, such as MAML or MetaSGD."
        )


def _warn_of_no_validation(settings: Any, problem: Problem) -> None:
    names_kind: str = problem.names_kind
    all_names = f"the {len(problem.train.sampler.names)} there are"
    needed = f"n_way={settings.n_way} of the" if names_kind == "classes" else "one of the"
    if settings.superclass is not None:
        names_kind, needed, all_names = "superclasses", "one of the", "those with n_way classes"
    warn_caller(
        f"validation={settings.validation.fraction} sets at least {needed} {names_kind} "
        f"aside, but that is more than a third of {all_names}. There is no "
        "validation: the last state is kept, and no plain model is compared. Give more "
        f"{names_kind}, or set validation=0 to silence this warning.",
        UnusedDataWarning,
    )


# --------------------------------------------------------------------- the state to begin with


def _open_session(
    learner: Any, settings: Any, table: TrainingTable, problem: Problem, rng: np.random.Generator
) -> tuple[Session, int]:
    """Put the network on the device; also return the seed of what is drawn on it."""
    seed, train, shape = int(rng.integers(2**63)), problem.train, table.input_shape
    targets = np.asarray(train.y, dtype=np.float64) if problem.kind == "regression" else None
    generator = torch.Generator().manual_seed(seed)
    module = build_backbone(settings.backbone, shape, settings.backbone_params, generator)
    if table.start is None:
        scaler = fit_scaler(settings.standardize, train.X, targets, shape)
        draws_classes = problem.kind == "classification" and problem.names_kind == "classes"
        is_table = settings.standardize == "auto" and len(shape) == 1
        if draws_classes and is_table and train.sampler is not None:
            scaler = choose_scale(scaler, train)
    else:
        load_weights(module, table.start)
        scaler = scaler_of(table.start)
    session = Session.open(
        learner,
        module,
        shape,
        scaler,
        kind=problem.kind,
        head=learner.algorithm(learner).resolve_head(problem.kind, problem.names_kind),
        classes=range(train.n_outputs),
        device=settings.device,
        precision=settings.execution.precision,
    )
    return session, seed + 1


def _first_state(
    session: Session, table: TrainingTable, problem: Problem, seed: int, rng: np.random.Generator
) -> State:
    """Draw the state, take over what a prior has, and estimate what has a closed form."""
    state, algorithm = session.draw_state(seed), session.algorithm
    if table.start is not None:
        state = take_learned(table.start, state, algorithm.class_tensor, problem.labels)
    source = problem.train
    with one_thread_if_small(source.X.size):
        return algorithm.estimate_state(
            session.context, session.adapter, session.scaler, state, source, rng
        )


def _describe_rows(problem: Problem, *, is_image: bool, earlier: Any) -> dict[str, np.ndarray]:
    """Return the tensors by which the prior knows the rows of the meta-training again."""
    source = problem.train

    def draw(rng: np.random.Generator) -> np.ndarray:
        task = source.sampler.sample(rng)
        return np.unique(np.concatenate([task.support, task.query]))

    return tensors_of_rows(
        source.X,
        source.y if problem.kind == "regression" else None,
        source.y if source.groups is None else source.groups,
        draw,
        is_image=is_image,
        earlier=earlier,
    )


# ---------------------------------------------------------------------------- the outer loop


def _identity(learner: Any, problem: Problem, groups: Any) -> str:
    parts = [part for part in (problem.train, problem.validation) if part is not None]
    return fingerprint(learner, *(values for part in parts for values in (part.X, part.y)), groups)


def _objective(
    session: Session, settings: Any, execution: Execution, problem: Problem
) -> Callable[[State, np.random.Generator, float], tuple[State, dict[str, float]]]:
    source, n_tasks = problem.train, settings.meta_batch_size
    augmentation = None
    if settings.augment is not None:
        n_new = source.n_outputs if problem.names_kind == "classes" else None
        augmentation = Augmentation(settings.augment, session.adapter.input_shape, n_new)
    table = session.adapter.upload(source.X)

    def objective(
        state: State, rng: np.random.Generator, progress: float
    ) -> tuple[State, dict[str, float]]:
        batch = source.sampler.sample_batch(rng, n_tasks)
        tasks = session.adapter.tasks(table, batch)
        if augmentation is not None:
            tasks = augmentation(tasks, rng.integers(2**63, size=n_tasks))
        context = session.for_tasks(batch).context
        context = replace(context, progress=progress)
        gradient, metrics = session.algorithm.mean_gradient(context, state, tasks, execution)
        gradient = gradient | {n: torch.zeros_like(state[n]) for n in context.network.frozen}
        return gradient, {n: float(v) for n, v in metrics.items()}

    return objective


# ------------------------------------------------------------------------- what was learned


def _compare(
    session: Session, problem: Problem, validation: DrawnTasks, state: State, history: LearningCurve
) -> LearningCurve:
    """Return the history with the scores of plain baselines, and warn if one is better."""
    if not session.algorithm.validates_query:
        return history  # Plain models fit the support set as well as they can.
    is_image = len(session.context.network.input_shape) > 1
    baselines = baseline_scores(
        problem.train,
        validation.tasks,
        validation.source.X,
        session.context.kind,
        session.scaler,
        is_image=is_image,
    )
    n = len(history["iteration"])
    for name, scores in baselines.items():
        history[f"{name}_score"] = [float(scores.mean())] * n
    # A learning curve of one point is no serious training.
    if n > 1 and len(validation.tasks) >= MIN_TASKS:
        warn_if_beaten(
            type(session.algorithm.settings).__name__, validation.scores(state), baselines
        )
    return history
