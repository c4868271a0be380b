"""A prior adapted to one task: what a fitted few-shot estimator predicts with."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from skmeta._backend import Execution, State, state_to_numpy, state_to_torch, to_numpy
from skmeta._sklearn_compat import validate_params
from skmeta._tabular import WeightedRows
from skmeta._torch_compat import LinAlgError
from skmeta._training import settings_by_role
from skmeta._validation import quote_some
from skmeta.exceptions import PriorError
from skmeta.few_shot._priors import VIEWS, RunSettings, family_classes
from skmeta.learners import LEARNERS, MetaLearner
from skmeta.learners._core import read_prior
from skmeta.priors import MetaPrior


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


# Settings that a prior keeps, but that a task has no use for.
_OF_META_TRAINING = {"head_init", "n_shot", "n_query", "n_way", "target_type"}
# Most rows, and most values of their outputs, that are predicted at once: they bound the memory,
# and intermediate values of this many rows fit into the cache of a processor.
_MAX_ROWS, _MAX_OUTPUTS = 512, 2**22


class AdaptedTask:
    """The learner of a prior on a device, which :meth:`adapt` adapts to a support set.

    `labels` are the sorted classes, None for a regression.
    """

    def __init__(
        self,
        prior: MetaPrior,
        labels: np.ndarray | None,
        support: WeightedRows,
        settings: RunSettings,
    ) -> None:
        learner_class = LEARNERS[prior.learner]
        if settings.overrides:
            _check_overrides(settings.overrides, learner_class)
        prior.check_settings(settings.overrides)
        precision = settings.precision
        if precision == "auto":
            precision = _choose_precision(prior, settings.device)
        session, self._state = read_prior(
            prior,
            learner_class,
            classes=head_rows(prior, labels),
            device=settings.device,
            precision=precision,
            input_shape=support.X.shape[1:],
            learner_precision=precision,
            **settings.overrides,
        )
        self.session, self._prior, self.support = session, prior, support

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
    def views(self) -> tuple[str, ...]:
        """Names of the views of test-time augmentation."""
        return self.session.changes

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
