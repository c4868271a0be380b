"""What the two few-shot estimators share: a prior, adapted to one task."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from skmeta._sklearn_compat import Interval, StrOptions, check_sample_weight, get_feature_names
from skmeta._validation import check_rows
from skmeta.backbones import Architecture
from skmeta.backend import (
    PRECISIONS,
    Execution,
    State,
    TensorAdapter,
    state_to_numpy,
    state_to_torch,
)
from skmeta.exceptions import PriorMismatchError
from skmeta.few_shot._categories import CategoryCodes, is_data_frame
from skmeta.learners import LEARNERS, FineTuning, MetaLearner
from skmeta.learners._core import Session, flatten_rows, read_prior
from skmeta.priors import MetaPrior, load_table_prior

# Rows predicted at once; bounds memory.
_CHUNK = 1024


class BaseMetaFewShot(BaseEstimator):
    """Adapts a prior to the rows given, and predicts with what comes out."""

    kind: ClassVar[str]

    _parameter_constraints: ClassVar[dict] = {
        "prior": [MetaPrior, StrOptions({"tabular", "scratch"}), None],
        "n_inner_steps": [Interval(Integral, 0, None, closed="left"), None],
        "inner_lr": [Interval(Real, 0, None, closed="neither"), None],
        "transductive": ["boolean", None],
        "n_estimators": [Interval(Integral, 1, None, closed="left"), None],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", *PRECISIONS})],
        "random_state": ["random_state", np.random.Generator],
    }

    def __init__(
        self,
        prior=None,
        *,
        n_inner_steps=None,
        inner_lr=None,
        transductive=None,
        n_estimators=None,
        device="auto",
        precision="auto",
        random_state=None,
    ):
        self.prior = prior
        self.n_inner_steps = n_inner_steps
        self.inner_lr = inner_lr
        self.transductive = transductive
        self.n_estimators = n_estimators
        self.device = device
        self.precision = precision
        self.random_state = random_state

    # ------------------------------------------------------------------------------ fit

    def _check_support(self, X: Any) -> tuple[np.ndarray, MetaPrior | None]:
        """Rows of a new task, and the prior to start from; None learns from scratch."""
        is_table = len(getattr(X, "shape", ())) <= 2
        prior, names = self._choose_prior(is_table), get_feature_names(X)
        rows = self._check_rows(X, prior, reset=True)
        if prior is not None:
            self._check_prior(prior, rows.shape[1], names)
        return rows, prior

    def _check_rows(self, X: Any, prior: MetaPrior | None, reset: bool = False) -> np.ndarray:
        X, _ = flatten_rows(X, None)
        allows_nan = _allows_nan(prior)
        if allows_nan:
            if is_data_frame(X):
                # Names and number of the columns, before one is taken for another.
                validate_data(self, X, reset=reset, skip_check_array=True)
            if reset:
                self._categories = CategoryCodes(X)
            X = self._categories.encode(X)
        if not allows_nan:
            return check_rows(self, X, reset=reset, allow_nan=False)
        strings = "Pass a data frame, whose columns of strings are taken for categories."
        return check_rows(self, X, reset=reset, allow_nan=True, strings=strings)

    def _choose_prior(self, is_table: bool = True) -> MetaPrior | None:
        """The prior asked for, which may be one that ships."""
        name = self.prior
        if name is None:
            name = "tabular" if is_table else "scratch"
        if isinstance(name, MetaPrior):
            return name
        return load_table_prior(self.kind) if name == "tabular" else None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # An unknown category is a missing value.
        allows_nan = _allows_nan(self._choose_prior())
        tags.input_tags.allow_nan = tags.input_tags.categorical = allows_nan
        return tags

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
        prior.check_features(n_features, names)

    def _adapt(
        self, X: np.ndarray, y: np.ndarray, sample_weight: Any, prior: MetaPrior | None
    ) -> None:
        """Adapt a prior, or weights that are drawn, to a support set."""
        weight = _check_weight(sample_weight, X)
        if not weight.any():
            raise ValueError("sample_weight is 0 for every row. Give at least one a weight.")
        self.prior_ = self._drawn_prior(X, y, weight) if prior is None else prior
        self._learn(X, y, weight, None)

    def _adapt_more(self, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> None:
        """Go on from what was adapted, with all rows given so far."""
        parts = zip(self._seen, (X, y, _check_weight(sample_weight, X)), strict=True)
        start = self._adapted(*self._session())
        X, y, weight = (np.concatenate(pair) for pair in parts)
        self._learn(X, y, weight, start)

    def _learn(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, start: State | None) -> None:
        session, state = self._session()
        adapter = session.adapter
        rows = adapter.rows(adapter.upload(X), y, weight)
        flops = len(X) * session.context.network.n_flops
        with torch.no_grad(), Execution("loop", device=adapter.device, flops_per_task=flops):
            adapted = session.learner.adapt(session.context, state, rows, start)
        changed = {n: v for n, v in adapted.items() if v is not state.get(n)}
        self.adapted_ = state_to_numpy(changed)
        self._seen = (X, y, weight)

    def _drawn_prior(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> MetaPrior:
        learner = FineTuning(random_state=self.random_state, device="cpu")
        return learner.initial_prior(X, y, kind=self.kind, sample_weight=weight)

    def _session(self) -> tuple[Session, State]:
        prior = self.prior_
        if prior.learner not in LEARNERS:
            raise PriorMismatchError(
                f"The prior was learned by {prior.learner}, which is not among the learners "
                f"known here: {', '.join(sorted(LEARNERS))}. Import the module that defines it."
            )
        learner_class, precision = LEARNERS[prior.learner], self._resolve_precision(prior)
        return read_prior(
            prior,
            learner_class,
            classes=self._head_rows(prior),
            device=self.device,
            precision=precision,
            input_shape=(self.n_features_in_,),
            learner_precision=precision,
            **self._overrides(learner_class),
        )

    def _adapted(self, session: Session, state: State) -> State:
        """The prior's state with what the adaptation changed."""
        adapter = session.adapter
        return state | state_to_torch(self.adapted_, adapter.device, adapter.dtype)

    def _resolve_precision(self, prior: MetaPrior) -> str:
        # Few rows of a table cost nothing in double precision; images do, and a GPU is slow at it.
        if self.precision != "auto":
            return str(self.precision)
        on_cpu = self.device == "cpu" or not torch.cuda.is_available()
        is_table = prior.input_shape is None or len(prior.input_shape) == 1
        return "float64" if on_cpu and is_table else "float32"

    def _overrides(self, learner_class: type[MetaLearner]) -> dict[str, Any]:
        names = ("n_inner_steps", "inner_lr", "transductive", "n_estimators")
        given = {n: getattr(self, n) for n in names if getattr(self, n) is not None}
        unknown = sorted(given.keys() - set(learner_class._get_param_names()))
        if unknown:
            raise ValueError(
                f"{unknown[0]}={given[unknown[0]]} does not apply to a prior learned by "
                f"{learner_class.__name__}, which has no such parameter. Leave it out, or "
                "give another prior."
            )
        return given

    def _head_rows(self, prior: MetaPrior) -> list[int]:
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
        session, state = self._session()
        adapted = self._adapted(session, state)
        chosen: Architecture = cast(Any, session.learner).architecture(session.context, adapted)
        return chosen

    # -------------------------------------------------------------------------- predict

    def _outputs(self, X: Any) -> tuple[Tensor, TensorAdapter]:
        (outputs,), adapter = self._predict_with(
            X, lambda session, adapted, x: (session.learner.forward(session.context, adapted, x),)
        )
        return outputs, adapter

    def _predict_with(
        self,
        X: Any,
        method: Callable[[Session, State, Tensor], tuple[Tensor, ...]],
    ) -> tuple[tuple[Tensor, ...], TensorAdapter]:
        """What a method of the adapted learner says about rows, some rows at a time."""
        check_is_fitted(self)
        X = self._check_rows(X, self.prior_)
        session, state = self._session()
        adapter, adapted = session.adapter, self._adapted(session, state)
        size = len(X) if session.learner.transductive else _CHUNK
        parts = []
        with torch.no_grad():
            for start in range(0, len(X), size):
                x = adapter.inputs(adapter.upload(X[start : start + size]))
                parts.append(method(session, adapted, x))
        return tuple(torch.cat(part) for part in zip(*parts, strict=True)), adapter


def _allows_nan(prior: MetaPrior | None) -> bool:
    """Whether the prior's learner knows what to do where a value is missing."""
    learner_class = None if prior is None else LEARNERS.get(prior.learner)
    return learner_class is not None and get_tags(learner_class()).input_tags.allow_nan


def _check_weight(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    weight: np.ndarray = check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    return weight
