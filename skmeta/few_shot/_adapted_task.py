"""A prior adapted to one task: what a fitted few-shot estimator predicts with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from skmeta._sklearn_compat import validate_params
from skmeta._torch_compat import LinAlgError
from skmeta._validation import quote_some, suggest
from skmeta._warnings import warn_caller
from skmeta.backend import Execution, State, state_to_numpy, state_to_torch, to_numpy
from skmeta.exceptions import PriorError, SkmetaError, UnusedDataWarning
from skmeta.few_shot._indicators import choose_indicators
from skmeta.learners import LEARNERS, AutoLearner, MetaLearner
from skmeta.learners._core import VIEWS, read_prior
from skmeta.priors import MetaPrior, load_table_prior
from skmeta.tabular import WeightedRows
from skmeta.training import settings_by_role


def resolve_prior(prior: Any, kind: str) -> MetaPrior:
    """Return the prior that an argument of an estimator stands for, by default that for tables."""
    if prior is None or (isinstance(prior, str) and prior == "tabular"):
        return load_table_prior(kind)
    if isinstance(prior, MetaPrior):
        return prior
    if isinstance(prior, MetaLearner | AutoLearner):
        return _prior_of_learner(prior)
    if isinstance(prior, type) and issubclass(prior, MetaLearner | AutoLearner):
        raise ValueError(
            f"prior={prior.__name__} is a class. Make a learner of it, {prior.__name__}(), call "
            "fit first, then pass the learner or its prior_."
        )
    if isinstance(prior, str):
        hint = suggest(prior, ["tabular"]) or " A file is read by MetaPrior.load."
        raise ValueError(f"prior={prior!r} is not 'tabular'.{hint}")
    raise TypeError(
        "prior must be a MetaPrior, a fitted meta-learner, 'tabular' or None, got "
        f"{prior!r} of type {type(prior).__name__}."
    )


def peek_prior(prior: Any, kind: str) -> MetaPrior | None:
    """Return the prior that an argument stands for; None if it is wrong or cannot be read."""
    try:
        return resolve_prior(prior, kind)
    except (OSError, SkmetaError, TypeError, ValueError):
        return None  # `fit` raises the error; the tags of an estimator must not.


def is_fitted_learner(prior: Any) -> bool:
    """Whether an argument is a learner that has a prior."""
    return isinstance(prior, MetaLearner | AutoLearner) and "prior_" in vars(prior)


def check_prior(prior: MetaPrior, kind: str, estimator: str) -> None:
    """Raise a PriorError if the prior is of another kind of tasks, or its learner is unknown."""
    if prior.kind != kind:
        other = {
            "classification": "MetaFewShotClassifier",
            "regression": "MetaFewShotRegressor",
            "policy": "skmeta.policy.MetaPolicy",
        }[prior.kind]
        raise PriorError(
            f"{estimator} needs a prior for {kind}, but {prior!r} is one for {prior.kind}. "
            f"Use {other}."
        )
    if prior.learner not in LEARNERS:
        raise PriorError(
            f"The prior was learned by {prior.learner}, which is not among the learners "
            f"known here: {', '.join(sorted(LEARNERS))}. Import the module that defines it."
        )


def warn_of_images(shape: tuple[int, ...]) -> None:
    """Warn that a prior for tables reads images of this shape, and is no way to learn them."""
    warn_caller(
        f"X has rows of shape {shape[1:]}, which are images, but the prior is for tables. It "
        "treats pixels as columns, and reads only some of them. Meta-train a prior on images, such "
        "as ProtoNet(backbone='conv4'), take drawn weights, such as FineTuning(backbone='conv4')."
        "initial_prior(X), or pass rows of shape (n_samples, n_features) to silence this warning.",
        UnusedDataWarning,
    )


def family_classes(prior: MetaPrior) -> np.ndarray | None:
    """Return the classes that all tasks of a prior have, if any; a new task may lack some."""
    rows = prior.tensors.get(LEARNERS[prior.learner].algorithm.class_tensor, ())
    if prior.classes is None or len(rows) != len(prior.classes):
        return None
    return prior.classes


def head_rows(prior: MetaPrior, labels: np.ndarray | None) -> list[int]:
    """Return each output's row in a prior's learned head; -1, or a PriorError, if it has none.

    `labels` is None for a regression. The error is for priors that take only their own classes.
    """
    if labels is None:
        return [0]
    if prior.classes is None:
        return list(range(len(labels)))
    known = {label: k for k, label in enumerate(prior.classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in known]
    is_limited = not LEARNERS[prior.learner].algorithm.takes_other_classes
    if unknown and is_limited and family_classes(prior) is not None:
        raise PriorError(
            f"{prior.learner} learned tasks that share the classes {quote_some(prior.classes)}, "
            f"but y has {quote_some(unknown)}. Pass rows of these classes, or a prior that takes "
            "any: prior='tabular', or one of a learner with head_init='shared'."
        )
    return [known.get(label, -1) for label in labels.tolist()]


def _prior_of_learner(learner: MetaLearner | AutoLearner) -> MetaPrior:
    if not is_fitted_learner(learner):
        raise ValueError(
            f"prior={type(learner).__name__}(...) is a learner that is not fitted. Call fit "
            "first, then pass the learner or its prior_."
        )
    prior: MetaPrior = vars(learner)["prior_"]
    return prior


# Settings that a prior keeps, but that a task has no use for.
_OF_META_TRAINING = {"head_init", "n_shot", "n_query", "n_way", "task_type"}
# Most rows, and most values of their outputs, that are predicted at once: they bound the memory,
# and intermediate values of this many rows fit into the cache of a processor.
_MAX_ROWS, _MAX_OUTPUTS = 512, 2**22


class RunSettings(NamedTuple):
    """Parameters of an estimator for the learner of its prior, and overrides of settings."""

    device: Any
    precision: str
    overrides: dict[str, Any]


class AdaptedTask:
    """The learner of a prior on a device, which :meth:`adapt` adapts to a support set.

    `labels` are the sorted classes, None for a regression; `nominal` columns are indicators in a
    second view; `columns` (d,) are the support set's, in the rows to predict.
    """

    def __init__(
        self,
        prior: MetaPrior,
        labels: np.ndarray | None,
        support: WeightedRows,
        settings: RunSettings,
        nominal: tuple[int, ...] = (),
        columns: np.ndarray | None = None,
    ) -> None:
        learner_class = LEARNERS[prior.learner]
        if settings.overrides:
            _check_overrides(settings.overrides, learner_class)
        prior.check_inner_lr(settings.overrides.get("inner_lr"))
        precision = network_precision = settings.precision
        if precision == "auto":
            precision = _choose_precision(prior, settings.device)
            network_precision = learner_class.algorithm.network_precision(precision, support.X.size)
        session, self._state = read_prior(
            prior,
            learner_class,
            classes=head_rows(prior, labels),
            device=settings.device,
            precision=precision,
            input_shape=support.X.shape[1:],
            learner_precision=network_precision,
            **settings.overrides,
        )
        indicators = choose_indicators(support.X, nominal, support.weight) if nominal else None
        if indicators is not None:
            session = replace(session, more_views=(indicators,))
        self.session, self._prior, self.support = session, prior, support
        self.nominal, self._columns = nominal, columns

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 for a regression."""
        context = self.session.context
        return context.n_outputs if context.kind == "classification" else 0

    def check_size(self) -> None:
        """Raise an error or warn if the support set is larger than the learner takes."""
        n_rows, n_columns = self.support.X.shape
        self.session.algorithm.check_task(self._prior, n_rows, n_columns, self.n_classes)

    def adapt(self, start: dict[str, np.ndarray] | None = None) -> Self:
        """Adapt to the support set, from ``changes`` of an earlier task; infinite states raise."""
        X, y, weight = self.support
        session, state = self.session, self._state
        rows = session.adapter.rows(session.adapter.upload(X), y, weight)
        begin = None if start is None else self._with_changes(start)
        try:
            with torch.no_grad(), self._execution(len(X)):
                adapted = session.adapt(state, rows, begin)
        except LinAlgError as error:
            raise ValueError(
                f"The adaptation to these {len(X)} rows needs a matrix that cannot be factorised; "
                f"{_describe_size(X, y)} If this does not help, meta-train again with a lower "
                "meta_lr."
            ) from error
        values = (item for part in session.states_of_views(adapted) for item in part.items())
        changed = ((name, value) for name, value in values if value is not state.get(name))
        is_sound = session.algorithm.is_sound
        wrong = next((name for name, value in changed if not is_sound(name, value)), None)
        if wrong is not None:
            raise ValueError(
                f"The adaptation to these {len(X)} rows ends in values that are not finite "
                f"({wrong!r}); {_describe_size(X, y)}"
            )
        return self._prepare(adapted)

    def restore(self, changes: dict[str, np.ndarray]) -> Self:
        """Take over what an earlier adaptation changed."""
        return self._prepare(self._with_changes(changes))

    def _with_changes(self, changes: dict[str, np.ndarray]) -> State:
        adapter = self.session.adapter
        return self._state | state_to_torch(changes, adapter.device, adapter.dtype)

    def _prepare(self, adapted: State) -> Self:
        self._adapted = adapted
        with torch.no_grad():
            self._prepared = self.session.prepare(adapted)
        return self

    @property
    def changes(self) -> dict[str, np.ndarray]:
        """What the adaptation changed or added."""
        state = self._state
        return state_to_numpy({n: v for n, v in self._adapted.items() if v is not state.get(n)})

    @property
    def attributes(self) -> dict[str, Any]:
        """What the learner says about the task, by names that end with an underscore."""
        session = self.session
        adapted = session.states_of_views(self._adapted)[0]
        return session.algorithm.task_attributes(session.context, adapted)

    # ------------------------------------------------------------------------- predictions

    def parts(self, X: np.ndarray) -> list[np.ndarray]:
        """Divide rows into parts that are predicted at once: all of them if transductive."""
        context = self.session.context
        size = max(1, min(_MAX_ROWS, _MAX_OUTPUTS // context.n_outputs))
        if context.transductive:
            size = len(X)
        X = X if self._columns is None else X[:, self._columns]
        return [X[start : start + size] for start in range(0, len(X), size)]

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the logits (n, n_classes) of one part of the rows."""
        return np.asarray(to_numpy(self._forward(X)), dtype=np.float64)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities (n, n_classes) or means (n,) of one part of the rows."""
        return self._to_predictions(self._forward(X))

    def predict_distribution(
        self, X: np.ndarray, levels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predict means and deviations (n,), and quantiles (n, q), of one part of the rows."""
        with torch.no_grad(), self._execution(len(X)):
            return self.session.predict_distribution(self._prepared, self._inputs(X), levels)

    def predict_held_out(self, table: WeightedRows, sets: list[np.ndarray]) -> list[np.ndarray]:
        """Predict sets of rows from the others: probabilities (n, n_classes) or means (n,)."""
        return [self._to_predictions(outputs) for outputs in self._held_out(table, sets)]

    def predict_held_out_distributions(
        self, table: WeightedRows, sets: list[np.ndarray], levels: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return means (n,) and quantiles (n, q) at levels of held-out rows of a regression."""
        to_units = self.session.adapter.targets
        parts = self._held_out(table, sets, torch.from_numpy(levels))
        both = (np.asarray(to_units(outputs), dtype=np.float64) for outputs in parts)
        return [(each[:, 0], each[:, 1:]) for each in both]

    def _held_out(
        self, table: WeightedRows, sets: list[np.ndarray], levels: Tensor | None = None
    ) -> list[Tensor]:
        X, y, weight = table
        session, state = self.session, self._state
        algorithm: Any = session.algorithm
        rows = session.adapter.rows(session.adapter.upload(X), y, weight)
        positions = [torch.from_numpy(part).to(session.adapter.device) for part in sets]
        more = {} if levels is None else {"levels": levels.to(session.adapter.device)}
        with torch.no_grad(), self._execution(len(X)):
            views = [
                algorithm.predict_held_out(
                    session.context, state, rows._replace(x=view(rows.x)), positions, **more
                )
                for view in session.views
            ]
        return [session.mean_of_views(list(outputs)) for outputs in zip(*views, strict=True)]

    def _forward(self, X: np.ndarray) -> Tensor:
        with torch.no_grad(), self._execution(len(X)):
            return self.session.forward(self._prepared, self._inputs(X))

    def _inputs(self, X: np.ndarray) -> Tensor:
        adapter = self.session.adapter
        return adapter.inputs(adapter.upload(X))

    def _to_predictions(self, outputs: Tensor) -> np.ndarray:
        if self.n_classes:
            return np.asarray(softmax(np.asarray(to_numpy(outputs), dtype=np.float64), axis=1))
        return np.asarray(self.session.adapter.targets(outputs[:, 0]), dtype=np.float64)

    def _execution(self, n_rows: int) -> Execution:
        session = self.session
        flops = n_rows * session.context.network.n_flops
        return Execution("loop", device=session.adapter.device, flops_per_task=flops)


def _choose_precision(prior: MetaPrior, device: Any) -> str:
    # Few rows of a table cost nothing in double precision; images do, and a GPU is slow at it.
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    is_table = prior.input_shape is None or len(prior.input_shape) == 1
    return "float64" if on_cpu and is_table else "float32"


def _check_overrides(overrides: dict[str, Any], learner_class: type[MetaLearner]) -> None:
    default = learner_class()
    own = {name for name, _ in settings_by_role(default, "prior")} - _OF_META_TRAINING
    # Views are not the learner's business: each is learned as a task of its own.
    unknown = sorted(overrides.keys() - own - {VIEWS})
    if unknown:
        raise ValueError(
            f"{unknown[0]}={overrides[unknown[0]]} does not apply to a prior learned by "
            f"{learner_class.__name__}: its tasks take {quote_some(sorted(own | {VIEWS}))}. Leave "
            "it out, or give another prior."
        )
    views = overrides.get(VIEWS)
    if views == "auto" or not isinstance(views, str | list | tuple | None):
        raise ValueError(
            f"{VIEWS} must be 'mirror', 'rotations', a list of these or None, got {views!r}."
        )
    # Without a step, a task has the prior itself, also where meta-training needs one.
    given = {n: v for n, v in overrides.items() if n != VIEWS and (n, v) != ("n_inner_steps", 0)}
    validate_params(default.set_params(**given))


def _describe_size(X: np.ndarray, y: np.ndarray) -> str:
    return (
        f"the largest value of X is {np.nanmax(abs(X)):g}, of y {abs(y).max():g}. Scale X and y to "
        "moderate numbers, or lower inner_lr."
    )
