"""What the two few-shot estimators share: a prior that is adapted to one task."""

from __future__ import annotations

import copy
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from skmeta._columns import is_data_frame
from skmeta._doc_link import DocLink
from skmeta._sklearn_compat import (
    Interval,
    StrOptions,
    check_sample_weight,
    clone_parametrized,
    get_feature_names,
    parameter_names,
)
from skmeta._validation import check_rows, suggest_parameters
from skmeta._warnings import warn_caller
from skmeta.backbones import Architecture
from skmeta.backend import (
    PRECISIONS,
    Execution,
    State,
    resolve_test_time_augment,
    state_to_numpy,
    state_to_torch,
)
from skmeta.exceptions import PriorMismatchError, UnusedDataWarning
from skmeta.few_shot._categories import CategoryCodes
from skmeta.few_shot._prior_argument import is_fitted_learner, peek_prior, resolve_prior
from skmeta.few_shot._range import warn_of_size
from skmeta.learners import LEARNERS, FineTuning, MetaLearner
from skmeta.learners._core import Session, column_encoder, encode_rows, flatten_rows, read_prior
from skmeta.priors import MetaPrior

# Rows predicted at once, and values of their outputs. They bound the memory; the intermediate
# values of as many rows fit into the cache of a processor.
_MAX_ROWS, _MAX_OUTPUTS = 512, 2**22
# A table of more cells is read by the network in single precision.
_MAX_EXACT_CELLS = 999
# Labels of each row as zeros and ones, which learners other than the tabular one compute.
_MAX_ONE_HOT = 25_000_000
_MAX_WEIGHT = 1e9

# Parameters that a prior's learner may have too.
_OVERRIDES = ("n_inner_steps", "inner_lr", "transductive", "test_time_augment", "n_estimators")

Compute = Callable[[Session, State, Tensor], tuple[np.ndarray, ...]]


class BaseMetaFewShot(DocLink, BaseEstimator):
    """Adapts a prior to the rows given, and predicts with the adapted state."""

    kind: ClassVar[str]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "prior": "no_validation",  # resolve_prior says more about what is wrong.
        "n_inner_steps": [Interval(Integral, 0, None, closed="left"), None],
        "inner_lr": [Interval(Real, 0, None, closed="neither"), None],
        "transductive": ["boolean", None],
        "test_time_augment": [str, list, tuple, None],
        "n_estimators": [Interval(Integral, 1, 64, closed="both"), None],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", *PRECISIONS})],
        "random_state": ["random_state", np.random.Generator],
    }

    @suggest_parameters
    def __init__(
        self,
        prior=None,
        *,
        n_inner_steps=None,
        inner_lr=None,
        transductive=None,
        test_time_augment=None,
        n_estimators=None,
        device="auto",
        precision="auto",
        random_state=None,
    ):
        self.prior = prior
        self.n_inner_steps = n_inner_steps
        self.inner_lr = inner_lr
        self.transductive = transductive
        self.test_time_augment = test_time_augment
        self.n_estimators = n_estimators
        self.device = device
        self.precision = precision
        self.random_state = random_state

    def __sklearn_clone__(self) -> Self:
        estimator = self
        if is_fitted_learner(self.prior):
            # A clone of the learner would forget what it has learned.
            estimator = copy.copy(self)
            estimator.prior = self.prior.prior_
        cloned: Self = clone_parametrized(estimator)
        return cloned

    def __getstate__(self) -> dict[str, Any]:
        # The session has a network and tensors on a device; it is opened again when needed.
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_opened", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # An unknown category is a missing value.
        allows_nan = _allows_nan(peek_prior(self.prior, self.kind))
        tags.input_tags.allow_nan = tags.input_tags.categorical = allows_nan
        return tags

    # ------------------------------------------------------------------------------ fit

    def _check_support(self, X: Any) -> tuple[np.ndarray, MetaPrior | None]:
        """Rows of a new task, and the prior to start from; None learns from scratch."""
        shape = getattr(X, "shape", ())
        prior, names = resolve_prior(self.prior, self.kind, len(shape) <= 2), get_feature_names(X)
        rows = self._check_rows(X, prior, reset=True)
        if prior is not None:
            self._check_prior(prior, self.n_features_in_, names)
        if len(shape) > 2:
            self._warn_of_images(tuple(shape), prior)
        return rows, prior

    def _check_rows(self, X: Any, prior: MetaPrior | None, reset: bool = False) -> np.ndarray:
        X, _ = flatten_rows(X, None)
        encoder = None if prior is None else column_encoder(prior)
        if encoder is not None:
            return encode_rows(self, encoder, X, reset=reset)
        if not _allows_nan(prior):
            return check_rows(self, X, reset=reset, allow_nan=False)
        if is_data_frame(X):
            # Check names and number of the columns before one is taken for another.
            validate_data(self, X, reset=reset, skip_check_array=True)
        if prior is not None and prior.n_features_in is not None:
            # Codes would depend on the rows of this task alone.
            return check_rows(self, X, reset=reset, allow_nan=True)
        if reset:
            self._categories = CategoryCodes(X)
        strings = "Pass a data frame; its columns of strings are taken for categories."
        return check_rows(
            self, self._categories.encode(X), reset=reset, allow_nan=True, strings=strings
        )

    def _check_prior(self, prior: MetaPrior, n_features: int, names: Any) -> None:
        if prior.kind != self.kind:
            other = {
                "classification": "MetaFewShotClassifier",
                "regression": "MetaFewShotRegressor",
                "policy": "skmeta.policy.MetaPolicy",
            }[prior.kind]
            raise PriorMismatchError(
                f"{type(self).__name__} needs a prior for {self.kind}, but {prior!r} is one "
                f"for {prior.kind}. Use {other}."
            )
        if prior.learner not in LEARNERS:
            raise PriorMismatchError(
                f"The prior was learned by {prior.learner}, which is not among the learners "
                f"known here: {', '.join(sorted(LEARNERS))}. Import the module that defines it."
            )
        prior.check_features(n_features, names)

    def _warn_of_images(self, shape: tuple[int, ...], prior: MetaPrior | None) -> None:
        images = f"X has rows of shape {shape[1:]}, which are images"
        advice = "Meta-train a prior on images, such as ProtoNet(backbone='conv4')"
        if prior is None and self.prior is None:
            warn_caller(
                f"{images}, and the prior that ships is for tables, so a network is trained from "
                f"scratch. {advice}, or set prior='scratch' to silence this warning.",
                UnusedDataWarning,
            )
        elif prior is not None and prior.input_shape is None:
            warn_caller(
                f"{images}, but the prior is for tables. It takes pixels for columns, and looks "
                f"at some of them only. {advice}, or pass rows of shape (n_samples, n_features) "
                "to silence this warning.",
                UnusedDataWarning,
            )

    def _check_weight(self, sample_weight: Any, X: np.ndarray) -> np.ndarray:
        weight: np.ndarray = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        if weight.max() > _MAX_WEIGHT:
            raise ValueError(
                f"sample_weight is {weight.max():g} in row {weight.argmax()}, but at most "
                f"{_MAX_WEIGHT:g} is allowed: a weight says how many rows a row stands for. "
                "Divide all weights by their mean."
            )
        return weight

    def _adapt(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: Any,
        prior: MetaPrior | None,
        labels: np.ndarray | None = None,
    ) -> None:
        """Adapt a prior, or drawn weights, to a support set; labels are those of the classes."""
        weight = self._check_weight(sample_weight, X)
        if not weight.any():
            raise ValueError("sample_weight is 0 for every row. Give at least one a weight.")
        if prior is None or not _allows_nan(prior):
            _check_size(len(X), 0 if labels is None else len(labels))
        if prior is None:
            learner = FineTuning(random_state=self.random_state, device="cpu")
            prior = learner.initial_prior(X, y, kind=self.kind, sample_weight=weight)
        session, state = self._start_session(prior, labels, len(X))
        n_classes = 0 if labels is None else len(labels)
        warn_of_size(prior, session.learner, len(X), X.shape[1], n_classes)
        adapted = self._learn(session, state, X, y, weight, None)
        self.prior_ = prior
        if labels is not None:
            self.classes_ = labels
        self._keep(session, state, adapted, (X, y, weight))

    def _adapt_more(self, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> None:
        """Go on from the adapted state, with all rows given so far."""
        parts = zip(self._seen, (X, y, self._check_weight(sample_weight, X)), strict=True)
        X, y, weight = (np.concatenate(pair) for pair in parts)
        session, state = self._start_session(self.prior_, self._labels(), len(X), **self._settled())
        start = state | _on_device(self.adapted_, session)
        adapted = self._learn(session, state, X, y, weight, start)
        self._keep(session, state, adapted, (X, y, weight))

    def _learn(
        self,
        session: Session,
        state: State,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
        start: State | None,
    ) -> State:
        """Adapt to rows, and check that the adapted state is finite."""
        adapter = session.adapter
        rows = adapter.rows(adapter.upload(X), y, weight)
        with torch.no_grad(), _execution(session, len(X)):
            adapted = session.adapt(state, rows, start)
        wrong = [name for name, value in adapted.items() if not _is_sound(name, value)]
        if wrong:
            raise ValueError(
                f"The adaptation to these {len(X)} rows ends in values that are not finite "
                f"({wrong[0]!r}); the largest value of X is {np.nanmax(abs(X)):g}, of y "
                f"{abs(y).max():g}. Scale X and y to moderate numbers, or lower inner_lr."
            )
        return adapted

    def _keep(self, session: Session, state: State, adapted: State, seen: Any) -> None:
        changed = {n: v for n, v in adapted.items() if v is not state.get(n)}
        self.adapted_ = state_to_numpy(changed)
        self._seen = seen
        learner = session.learner
        self._views = resolve_test_time_augment(learner.test_time_augment, learner.augment)
        self._opened = self._session_key(), session, _prepare(session, adapted)

    # -------------------------------------------------------------------------- session

    def _settled(self) -> dict[str, Any]:
        """Settings that the adapted state depends on, whatever the parameters are now."""
        return {"test_time_augment": getattr(self, "_views", [])}

    def _start_session(
        self, prior: MetaPrior, labels: np.ndarray | None, n_rows: int, **settled: Any
    ) -> tuple[Session, State]:
        """The prior's learner on the device, and the prior's state."""
        learner_class, precision = LEARNERS[prior.learner], self._resolve_precision(prior)
        is_large = n_rows * self.n_features_in_ > _MAX_EXACT_CELLS
        return read_prior(
            prior,
            learner_class,
            classes=self._head_rows(prior, labels),
            device=self.device,
            precision=precision,
            input_shape=(self.n_features_in_,),
            learner_precision="float32" if self.precision == "auto" and is_large else precision,
            **(self._overrides(learner_class) | settled),
        )

    def _open_session(self) -> tuple[Session, State]:
        """The session of the last fit, or a new one after unpickling or a change of parameters."""
        key = self._session_key()
        found = getattr(self, "_opened", None)
        if found is None or found[0] != key:
            session, state = self._start_session(
                self.prior_, self._labels(), len(self._seen[0]), **self._settled()
            )
            adapted = state | _on_device(self.adapted_, session)
            found = key, session, _prepare(session, adapted)
            self._opened = found
        return found[1], found[2]

    def _session_key(self) -> tuple[Any, ...]:
        settings = tuple(getattr(self, name) for name in _OVERRIDES)
        return (*settings, str(self.device), self.precision, id(self.prior_), id(self.adapted_))

    def _resolve_precision(self, prior: MetaPrior) -> str:
        # Few rows of a table cost nothing in double precision; images do, and a GPU is slow at it.
        if self.precision != "auto":
            return str(self.precision)
        on_cpu = self.device == "cpu" or not torch.cuda.is_available()
        is_table = prior.input_shape is None or len(prior.input_shape) == 1
        return "float64" if on_cpu and is_table else "float32"

    def _overrides(self, learner_class: type[MetaLearner]) -> dict[str, Any]:
        given = {n: getattr(self, n) for n in _OVERRIDES if getattr(self, n) not in (None, "auto")}
        unknown = sorted(given.keys() - set(parameter_names(learner_class)))
        if unknown:
            raise ValueError(
                f"{unknown[0]}={given[unknown[0]]} does not apply to a prior learned by "
                f"{learner_class.__name__}, which has no such parameter. Leave it out, or "
                "give another prior."
            )
        return given

    def _labels(self) -> np.ndarray | None:
        """Labels of the classes; None for a regression."""
        return getattr(self, "classes_", None)

    def _head_rows(self, prior: MetaPrior, labels: np.ndarray | None) -> list[int]:
        """Row of each output in a learned head."""
        return [0]

    @property
    def architecture_(self) -> Architecture:
        """Operations chosen for the task, for priors of :class:`~skmeta.learners.MetaNAS`."""
        learner_class = LEARNERS.get(getattr(getattr(self, "prior_", None), "learner", ""))
        if not hasattr(learner_class, "architecture"):
            raise AttributeError(
                f"{type(self).__name__} has architecture_ once it is fitted with a prior of "
                "MetaNAS; other learners choose no architecture."
            )
        session, adapted = self._open_session()
        first = session.states_of_views(adapted)[0]
        chosen: Architecture = cast(Any, session.learner).architecture(session.context, first)
        return chosen

    # -------------------------------------------------------------------------- predict

    def _predict_rows(self, X: Any, compute: Compute) -> tuple[np.ndarray, ...]:
        """Arrays that ``compute`` makes of rows, a part of the rows at a time."""
        check_is_fitted(self)
        X = self._check_rows(X, self.prior_)
        session, adapted = self._open_session()
        size = max(1, min(_MAX_ROWS, _MAX_OUTPUTS // session.context.n_outputs))
        if session.learner.transductive:
            size = len(X)
        adapter, results = session.adapter, None
        with torch.no_grad(), _execution(session, min(size, len(X))):
            for start in range(0, len(X), size):
                part = X[start : start + size]
                found = compute(session, adapted, adapter.inputs(adapter.upload(part)))
                if results is None:
                    # Filled in part by part: a list of parts would need their memory twice.
                    results = tuple(np.empty((len(X), *v.shape[1:]), v.dtype) for v in found)
                for whole, values in zip(results, found, strict=True):
                    whole[start : start + size] = values
        assert results is not None
        for values in results:
            _check_finite(values)
        return results


def _execution(session: Session, n_rows: int) -> Execution:
    flops = n_rows * session.context.network.n_flops
    return Execution("loop", device=session.adapter.device, flops_per_task=flops)


def _prepare(session: Session, adapted: State) -> State:
    with torch.no_grad():
        return session.prepare(adapted)


def _on_device(adapted: dict[str, np.ndarray], session: Session) -> State:
    return state_to_torch(adapted, session.adapter.device, session.adapter.dtype)


def _check_finite(values: np.ndarray) -> None:
    wrong = ~np.isfinite(values).reshape(len(values), -1).all(1)
    if wrong.any():
        raise ValueError(
            f"The prediction of row {wrong.argmax()} is not finite ({wrong.sum()} such rows in "
            "all): the row, or the steps of the adaptation, are too large. Scale X and y to "
            "moderate numbers, or lower inner_lr."
        )


def _is_sound(name: str, value: Tensor) -> bool:
    # The memory of a support set holds infinity where a row or value is missing.
    bad = value.isnan() if name.startswith("memory.") else ~value.isfinite()
    return not bool(bad.any())


def _allows_nan(prior: MetaPrior | None) -> bool:
    """Whether the prior's learner knows what to do where a value is missing."""
    learner_class = None if prior is None else LEARNERS.get(prior.learner)
    return learner_class is not None and learner_class.allow_nan


def _check_size(n_rows: int, n_classes: int) -> None:
    if n_rows * n_classes > _MAX_ONE_HOT:
        raise ValueError(
            f"{n_rows:,} rows of {n_classes:,} classes make {n_rows * n_classes:,} logits, but a "
            f"prior of this kind takes at most {_MAX_ONE_HOT:,} in fit. Pass fewer rows or "
            "classes, or use prior='tabular', whose memory does not grow with their product."
        )
