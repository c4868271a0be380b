"""The learners and the plain models that are compared: settings, training, losses."""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta._backend import State, to_numpy
from skmeta._sklearn_compat import validate_params
from skmeta._training import Validation
from skmeta.exceptions import EpisodeError, SkmetaError, SkmetaWarning
from skmeta.learners._core import (
    LEARNERS,
    MetaLearner,
    Session,
    check_learner_rows,
    read_prior,
    read_settings,
)
from skmeta.learners.auto._tasks import ComparisonDesign, Predict
from skmeta.priors import MetaPrior
from skmeta.tasks import Task

POOLED, OWN = "pooled rows (plain)", "own rows (plain)"
TREES = "boosted trees on pooled rows (plain)"

# A learner with an outer loop validates seldom, and ends when it gets no better.
_PATIENT: dict[str, Any] = {"validation": Validation(0.15, n_tasks=32, every=100, patience=5)}
# Fine-tuning has a good start, so a validation would cost more than it gains.
_FINE_TUNED: dict[str, Any] = {
    "prior": "tabular",
    "n_iterations": 200,
    "meta_lr": 2e-4,
    "validation": 0.0,
}
# What a learner may raise for data that it cannot learn; torch raises RuntimeErrors.
_FAILURES = (SkmetaError, ValueError, ArithmeticError, RuntimeError)


@dataclass(eq=False)
class Entry:
    """A learner or a plain model (`learner` is None), and what is known of it.

    A shipped prior is not trained. `error` says why it failed; `loss` (n_tasks,) is that of each
    held-out task; `seconds` are those of all runs.
    """

    name: str
    learner: Any = None
    is_shipped: bool = False
    error: str = ""
    loss: np.ndarray = field(default_factory=lambda: np.empty(0))
    seconds: float = 0.0

    @property
    def status(self) -> str:
        """``"plain"``, ``"compared"``, or why it failed."""
        return self.error or ("plain" if self.learner is None else "compared")

    def measure(self, design: ComparisonDesign, learn: Callable[[np.ndarray], Predict]) -> None:
        """Note the losses on the held-out tasks, or why there are none."""
        began = time.perf_counter()
        try:
            self.loss = design.losses(learn)
            if np.isinf(self.loss).any():
                self.error = "a prediction is not finite"
        except _FAILURES as error:
            self.error = str(error)
        self.seconds = time.perf_counter() - began


# ------------------------------------------------------------------------------ learners


def make_candidates(
    given: str | Sequence[MetaLearner], design: ComparisonDesign, device: Any
) -> list[Entry]:
    """Return the learners to compare, the simplest first, with the sizes of the tasks set.

    Those that cannot learn tasks of this kind are left out; an EpisodeError is raised if none can.
    """
    candidates = _defaults(design) if isinstance(given, str) else _named(given)
    is_missing = bool(np.isnan(design.X).any())
    kept = [
        entry
        for entry in candidates
        if design.kind in entry.learner.algorithm.kinds
        and (entry.learner.algorithm.allow_nan or not is_missing)
    ]
    if not kept:
        raise EpisodeError(
            f"None of the candidates learns {design.kind} tasks"
            f"{' with missing values' if is_missing else ''}. Add another learner, or leave "
            "candidates='auto'."
        )
    for entry in kept:
        entry.learner = _for_tasks(entry.learner, design, device)
        if not isinstance(given, str):  # A wrong setting is an error before the comparison.
            entry.learner.initial_prior(design.X, kind=design.kind)
    return kept


def _defaults(design: ComparisonDesign) -> list[Entry]:
    def make(name: str, settings: dict[str, Any]) -> Any:
        return LEARNERS[name](**settings)

    shipped = Entry("the prior that ships", make("InContextLearner", {}), is_shipped=True)
    if design.is_image:
        # Each block halves the image.
        n_blocks = min(4, int(np.log2(max(2, min(design.input_shape[-2:])))))
        images = {"backbone": "conv4", "backbone_params": {"n_blocks": n_blocks}, **_PATIENT}
        maml = {"first_order": True, "n_inner_steps": 3, **images}
        return [Entry("ProtoNet", make("ProtoNet", images)), Entry("MAML", make("MAML", maml))]
    fine_tuned = Entry("InContextLearner", make("InContextLearner", _FINE_TUNED))
    if design.groups is None:
        return [shipped, Entry("ProtoNet", make("ProtoNet", _PATIENT)), fine_tuned]
    # A bounded activation: ReLU makes the gradient of a large row large.
    tanh = {"backbone_params": {"activation": "tanh"}, **_PATIENT}
    tables = [Entry("HierarchicalLinear", make("HierarchicalLinear", {}))]
    # A classification needs a prior that knows the classes of all groups.
    tables += [shipped] if design.kind == "regression" else []
    for name, inner_lr in (("MAML", 0.02), ("MAML", 0.1), ("MetaSGD", 0.1)):
        learner = make(name, {"inner_lr": inner_lr, **tanh})
        tables.append(Entry(f"{name} (inner_lr={inner_lr})", learner))
    return [*tables, Entry("ALPaCA", make("ALPaCA", _PATIENT)), fine_tuned]


def _named(given: Sequence[Any]) -> list[Entry]:
    """Name learners by their class, and number them if a class comes twice."""
    wrong = [item for item in given if not isinstance(item, MetaLearner)]
    if wrong or not given:
        what = f"{wrong[0]!r} of type {type(wrong[0]).__name__}" if wrong else "an empty list"
        raise TypeError(
            "candidates must be 'auto' or a list of learners, such as [HierarchicalLinear(), "
            f"MAML()], got {what}."
        )
    names = [type(learner).__name__ for learner in given]
    candidates = []
    for k, (name, learner) in enumerate(zip(names, given, strict=True)):
        validate_params(learner)
        number = f" {names[: k + 1].count(name)}" if names.count(name) > 1 else ""
        candidates.append(Entry(name + number, learner))
    return candidates


def _for_tasks(learner: MetaLearner, design: ComparisonDesign, device: Any) -> MetaLearner:
    """Return a copy with the sizes of the tasks, and the device."""
    learner = clone(learner)
    own, names = read_settings(learner), learner.get_params(deep=False)
    algorithm = learner.algorithm(learner)
    needs_all = algorithm.needs_every_class(algorithm.resolve_head(design.kind, "groups"))
    sampling = "auto" if design.groups is None else ("class" if needs_all else "task")
    settings: dict[str, Any] = {
        **design.task_size,
        "sampling": sampling,
        "target_type": design.kind,
        "input_shape": own.input_shape or (design.input_shape if design.is_image else None),
        "device": device,
        "verbose": 0,
    }
    if own.execution.checkpoint is not None:
        settings["execution"] = clone(own.execution).set_params(checkpoint=None)
    return learner.set_params(**{n: v for n, v in settings.items() if n in names})


def train(entry: Entry, kind: str, seed: int, X: Any, y: Any, groups: Any) -> MetaLearner:
    """Train a copy of a learner on the rows of tasks, and return it."""
    learner: Any = clone(entry.learner)
    if hasattr(learner, "random_state"):
        learner.set_params(random_state=zlib.crc32(f"{seed} {entry.name}".encode()))
    with warnings.catch_warnings():
        # Groups that are too small and plain models that are better are in the leaderboard.
        warnings.simplefilter("ignore", SkmetaWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        if not entry.is_shipped:
            learner.fit(X, y, groups)
    if entry.is_shipped:
        check_learner_rows(learner, X, learner.algorithm.allow_nan)
        learner.prior_, learner.learning_curve_ = MetaPrior.load_shipped(kind), {}
    fitted: MetaLearner = learner
    return fitted


def measure_learner(entry: Entry, design: ComparisonDesign, seed: int, device: Any) -> None:
    """Train a learner without the tasks of each fold, and note its losses on them."""

    def learn(rows: np.ndarray) -> Predict:
        groups = None if design.groups is None else design.groups[rows]
        fitted = train(entry, design.kind, seed, design.X[rows], design.y[rows], groups)
        return _predict_with(fitted.prior_, design, device)

    entry.measure(design, learn)


def _predict_with(prior: MetaPrior, design: ComparisonDesign, device: Any) -> Predict:
    @cache
    def open_session(n_outputs: int) -> tuple[Session, State]:
        return read_prior(
            prior,
            LEARNERS[prior.learner],
            classes=range(n_outputs),
            device=device,
            precision="float32" if design.is_image else "float64",
            # A transformer takes most of its time for a precision that makes no difference.
            learner_precision="float32" if prior.learner == "InContextLearner" else None,
            input_shape=design.input_shape,
        )

    def predict(task: Task) -> np.ndarray:
        x, y, x_query, _ = task.take(design.X)
        known = np.arange(task.n_classes or 1)
        if task.classes is not None and prior.classes is not None:
            # The rows to learn from may have lacked a class of the others.
            known = np.flatnonzero(np.isin(task.classes, prior.classes))
            kept = np.isin(y, known)
            x, y = x[kept], np.array(np.searchsorted(known, y[kept]))
        session, state = open_session(len(known))
        adapter = session.adapter
        support = adapter.rows(adapter.upload(x), y, np.ones(len(y)))
        with torch.no_grad():
            adapted = session.algorithm.adapt(session.context, state, support)
            query = adapter.inputs(adapter.upload(x_query))
            outputs = session.algorithm.forward(session.context, adapted, query)
        if task.classes is None:
            return adapter.targets(outputs[:, 0].double())
        return _in_columns(softmax(to_numpy(outputs).astype(np.float64), axis=1), known, task)

    return predict


# ------------------------------------------------------------------------------ plain models


def plain_entries(design: ComparisonDesign) -> list[Entry]:
    """Evaluate plain models on the held-out tasks.

    They are a ridge or logistic regression on the rows of the task (``OWN``) and, for groups, one
    on the rows of all tasks (``POOLED``) and gradient-boosted trees on these (``TREES``).
    """
    if design.kind == "regression":
        models = {OWN: _linear(Ridge()), POOLED: _linear(RidgeCV(np.logspace(-2, 4, 13)))}
        models[TREES] = HistGradientBoostingRegressor(random_state=0)
    else:
        line = _linear(LogisticRegression(max_iter=500))
        models = {OWN: line, POOLED: line, TREES: HistGradientBoostingClassifier(random_state=0)}
    entries = []
    for name in (OWN,) if design.groups is None else (OWN, POOLED, TREES):
        entry = Entry(name)
        entry.measure(design, partial(_plain, models[name], design, name != OWN))
        entries.append(entry)
    return entries


def _linear(model: Any) -> Any:
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model)


def _plain(model: Any, design: ComparisonDesign, is_pooled: bool, rows: np.ndarray) -> Predict:
    def fit(X: np.ndarray, y: np.ndarray) -> Any:
        is_constant = design.kind == "classification" and len(np.unique(y)) < 2
        return clone(DummyClassifier() if is_constant else model).fit(X, y)

    targets = design.y
    if design.kind == "classification":
        targets = np.unique(targets, return_inverse=True)[1]
    pooled = fit(design.X[rows], targets[rows]) if is_pooled else None

    def predict(task: Task) -> np.ndarray:
        x, y, x_query, _ = task.take(design.X)
        fitted = pooled or fit(x, y)
        if task.classes is None:
            return np.asarray(fitted.predict(x_query))
        return _in_columns(fitted.predict_proba(x_query), fitted.classes_, task)

    return predict


def _in_columns(proba: np.ndarray, positions: np.ndarray, task: Task) -> np.ndarray:
    """Return probabilities of all classes of a task; those without a prediction have 0."""
    columns = np.zeros((len(proba), task.n_classes or 0))
    columns[:, positions] = proba
    return columns
