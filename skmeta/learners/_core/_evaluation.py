"""Learn held-out tasks from their support sets, and compare with models without meta-learning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from torch import Tensor

from skmeta._backend import Execution, Rows, Scaler, State, TaskTensors, to_numpy
from skmeta._columns import flatten_rows
from skmeta._training import settings_by_role
from skmeta._validation import check_count, check_rng
from skmeta._warnings import warn_caller
from skmeta.exceptions import EpisodeError, PriorWarning
from skmeta.learners._core._algorithm import measures
from skmeta.learners._core._inputs import (
    TaskSource,
    check_learner_rows,
    fit_scaler,
    make_problem,
    resolve_kind,
    resolve_shots_per,
)
from skmeta.learners._core._prior_io import read_prior
from skmeta.learners._core._session import Session, make_execution
from skmeta.learners._core._settings import read_settings
from skmeta.priors import MetaPrior
from skmeta.tasks import GroupEpisodes, Task, check_shots, stack_tasks

# Tasks evaluated at once; bounds the memory of an evaluation.
EVALUATION_BATCH = 32


class DrawnTasks:
    """Draw `n_tasks` tasks on which each state is evaluated, those of fewer classes first."""

    def __init__(
        self,
        session: Session,
        execution: Execution,
        source: TaskSource,
        n_tasks: int,
        rng: np.random.Generator,
    ) -> None:
        self.source = source
        drawn = (source.sampler.sample(rng) for _ in range(n_tasks))
        self.tasks = sorted(drawn, key=lambda task: task.n_classes or 0)
        self._session, self._execution = session, execution
        self._table = session.adapter.upload(source.X)

    def metrics(self, state: State) -> dict[str, float]:
        """Mean ``"loss"`` and ``"score"`` of a state."""
        totals = {"loss": 0.0, "score": 0.0}
        for size, session, batch in self._batches():
            with torch.no_grad():
                metrics = self._execution.mean(partial(_validate, session), state, batch)
            for name in totals:
                totals[name] += float(metrics[name]) * size
        return {n: v / len(self.tasks) for n, v in totals.items()}

    def scores(self, state: State) -> np.ndarray:
        """Score of a state on each task."""
        scores = self.map(lambda session, task: _metrics(session, state, task, task.query)["score"])
        return np.array([float(score) for score in scores])

    def map(self, fn: Callable[[Session, TaskTensors], Tensor]) -> list[Tensor]:
        """Return the results of a function of a task, one for each."""
        with torch.no_grad():
            parts = [self._execution.map(partial(fn, s), batch) for _, s, batch in self._batches()]
        return [each for part in parts for each in part]

    def _batches(self) -> Iterator[tuple[int, Session, TaskTensors]]:
        """Iterate over tasks of one shape, the session for them, and how many they are."""
        for _, alike in groupby(self.tasks, key=lambda task: task.n_classes):
            tasks = list(alike)
            for start in range(0, len(tasks), EVALUATION_BATCH):
                part = stack_tasks(tasks[start : start + EVALUATION_BATCH])
                session = self._session.for_tasks(part)
                yield len(part.support), session, session.adapter.tasks(self._table, part)


def _validate(session: Session, state: State, task: TaskTensors) -> dict[str, Tensor]:
    rows = task.query if session.algorithm.validates_query else task.support
    return _metrics(session, state, task, rows)


def _metrics(session: Session, state: State, task: TaskTensors, rows: Rows) -> dict[str, Tensor]:
    # In one view: a validation compares states, and others would take longer.
    algorithm, context = session.algorithm, session.context
    adapted = algorithm.adapt(context, state, task.support)
    return measures(context.kind, algorithm.forward(context, adapted, rows.x), rows)


def evaluate(
    learner: Any,
    X: Any,
    y: Any,
    groups: Any,
    n_tasks: int | None = None,
    test_time_augment: Any = "auto",
    drawn: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learn tasks and return true targets, predictions and weights, each (n_tasks, n_query).

    Classes are given by position; a weight of 0 marks padding, as in tasks of fewer classes.
    `drawn` replaces the learner's ``n_shot``, ``n_query`` and ``random_state``.
    """
    prior: MetaPrior = learner.prior_
    settings = read_settings(learner)
    vars(settings).update(drawn)
    check_shots(settings.n_shot)
    check_count(settings.n_query, "n_query")
    rows, _ = flatten_rows(X, prior.input_shape)
    rows, _ = check_learner_rows(learner, rows, learner.algorithm.allow_nan, prior, reset=False)
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
        shots_per=resolve_shots_per(learner, settings.sampling, prior.kind, groups),
        labels=prior.classes,
        superclass=settings.superclass,
    )
    source = problem.train
    prior.check_new_rows(source.X, source.y)
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
    with make_execution(session, settings) as execution:
        tasks = DrawnTasks(session, execution, source, n_tasks, rng)
        is_classes = prior.kind == "classification"

        def predict(session: Session, task: TaskTensors) -> Tensor:
            outputs = session.outputs(state, task)
            return outputs.argmax(1) if is_classes else outputs[:, 0]

        to_units = to_numpy if is_classes else session.adapter.targets
        predicted = _stack([to_units(each) for each in tasks.map(predict)])
    y_true, weight = (_stack([getattr(t, n) for t in tasks.tasks]) for n in ("y_query", "w_query"))
    return y_true, predicted, weight


def _stack(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Stack arrays (n_query,) of each task; those of fewer rows end in zeros."""
    stacked = np.zeros((len(rows), max(map(len, rows))), dtype=rows[0].dtype)
    for k, row in enumerate(rows):
        stacked[k, : len(row)] = row
    return stacked


# ---------------------------------------------------------------------------- plain models

# The comparison must cost little: beyond these sizes, rows are left out, or linear models are.
_MAX_ROWS = 10_000
_MAX_FEATURES = 1_000
# Tasks drawn to choose the scale of columns.
_N_TASKS = 50
# With fewer tasks, a standard error is too uncertain.
MIN_TASKS = 10

NAMES = {
    "nearest_mean": "the nearest class mean of each support set",
    "nearest_neighbour": "the nearest neighbour in each support set",
    "logistic_regression": "a logistic regression on each support set",
    "task_ridge": "a ridge regression on each support set",
    "pooled_ridge": "one ridge regression on all rows of the meta-training",
}

Predict = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Learns rows and targets of a support set, and predicts query rows."""


def nearest_mean(x: np.ndarray, y: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Predict the class with the nearest mean."""
    classes = np.unique(y)
    means = np.stack([x[y == k].mean(0) for k in classes])
    return np.asarray(classes[cdist(query, means).argmin(1)])


def _nearest_neighbour(x: np.ndarray, y: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.asarray(y[cdist(query, x).argmin(1)])


def _logistic_regression(x: np.ndarray, y: np.ndarray, query: np.ndarray) -> np.ndarray:
    if len(np.unique(y)) == 1:
        return np.full(len(query), y[0])
    if x.shape[1] > len(x):  # The coefficients lie in the span of the rows.
        basis = np.linalg.qr(x.T)[0]
        x, query = x @ basis, query @ basis
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # With one row of each class, scikit-learn takes labels for targets of a regression.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return np.asarray(LogisticRegression().fit(x, y).predict(query))


def _ridge(x: np.ndarray, y: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.asarray(Ridge().fit(x, y).predict(query))


def baseline_scores(
    train: TaskSource,
    tasks: Sequence[Task],
    X: np.ndarray,
    kind: str,
    scaler: Scaler,
    *,
    is_image: bool = False,
) -> dict[str, np.ndarray]:
    """Score plain models on tasks; each score has shape (n_tasks,), and greater is better.

    Scores are accuracies, or negative mean squared errors of standardised targets, by the names of
    ``NAMES``. Only `pooled_ridge` learns all rows of the meta-training (`train`) at once. `tasks`
    are positions of rows in `X`, where NaN is a missing value. Images are not standardised.
    """
    is_small = X.shape[1] <= _MAX_FEATURES
    has_ridge = is_small and not is_image
    is_regression, y_scale = kind == "regression", float(scaler.y_scale)
    if not np.any(scaler.x_scale != 1):
        scaler = fit_scaler(not is_image, train.X, None, train.X.shape[1:])

    def standardise(rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.nan_to_num((rows - scaler.x_mean) / scaler.x_scale))

    models: dict[str, Predict] = {}
    if not is_regression:
        models = {"nearest_mean": nearest_mean, "nearest_neighbour": _nearest_neighbour}
    if is_small and not is_regression:
        models["logistic_regression"] = _logistic_regression
    if has_ridge and is_regression:
        models["task_ridge"] = _ridge
    if has_ridge and isinstance(train.sampler, GroupEpisodes):
        step, classes = -(-len(train.X) // _MAX_ROWS), train.sampler.classes
        y = train.y if classes is None else np.searchsorted(classes, train.y)
        pooled = (Ridge if is_regression else RidgeClassifier)()
        pooled.fit(standardise(train.X[::step]), y[::step])
        models["pooled_ridge"] = lambda x, y, query: pooled.predict(query)
    scores: dict[str, list[float]] = {name: [] for name in models}
    for task in tasks:
        x, y, query, truth = task.take(X)
        x, query = standardise(x), standardise(query)
        for name, predict in models.items():
            predicted = predict(x, y, query)
            error = ((predicted - truth) / y_scale) ** 2 if is_regression else predicted != truth
            scores[name].append(float(-error.mean() if is_regression else 1 - error.mean()))
    return {name: np.array(values) for name, values in scores.items()}


def warn_if_beaten(learner: str, own: np.ndarray, baselines: Mapping[str, np.ndarray]) -> None:
    """Warn if a baseline is better by more than one standard error of paired scores."""
    if not baselines:
        return
    best = max(baselines, key=lambda name: baselines[name].mean())
    gain = baselines[best] - own
    if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)):
        warn_caller(
            f"The prior of {learner} scores {own.mean():.3g} on its {len(own)} validation tasks, "
            f"but {NAMES[best]}, without meta-learning, scores {baselines[best].mean():.3g} "
            "(learning_curve_ has both). Train for longer, on more tasks or with another learner "
            "or backbone, or use the plain model.",
            PriorWarning,
        )


def choose_scale(scaler: Scaler, source: TaskSource) -> Scaler:
    """Choose between one scale per column and one scale for all, which suits columns of one unit.

    One scale is chosen if the nearest class mean is better with it on 50 tasks of the meta-training
    by more than two standard errors.
    """
    common = np.full_like(scaler.x_scale, np.sqrt(np.mean(scaler.x_scale**2)))
    rng, gains = np.random.default_rng(0), []
    for task in (source.sampler.sample(rng) for _ in range(_N_TASKS)):
        x, y, query, truth = task.take(source.X)
        x, query = (np.nan_to_num(rows - scaler.x_mean) for rows in (x, query))
        own, alike = (
            float(np.mean(nearest_mean(x / scale, y, query / scale) == truth))
            for scale in (scaler.x_scale, common)
        )
        gains.append(alike - own)
    is_better = np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(_N_TASKS)
    return scaler._replace(x_scale=common) if is_better else scaler


def summarise(learner: str, history: Mapping[str, Sequence[float]]) -> str:
    """Describe in a sentence or two how a prior and plain models score on the validation tasks."""
    if "validation_score" not in history:
        return f"{learner} was not compared: there were no validation tasks."
    own = max(history["validation_score"])
    others = {
        text: history[f"{n}_score"][-1] for n, text in NAMES.items() if f"{n}_score" in history
    }
    listed = "; ".join(f"{text} {score:.3g}" for text, score in others.items())
    if not others:
        return f"On the validation, {learner} scores {own:.3g}. No plain model was compared."
    best = max(others.values())
    ahead = (
        f"{learner} is ahead" if own > best else f"{max(others, key=others.__getitem__)} is ahead"
    )
    return (
        f"On validation tasks, {learner} scores {own:.3g}; {listed}. {ahead[0].upper()}{ahead[1:]}."
    )
