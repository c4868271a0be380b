"""What the two few-shot estimators share: a prior that is adapted to one task.

``fit`` reads the rows and the prior (``_read_support``), then adapts (``_adapt``). ``predict``
reads rows, and predicts them with the adapted task, part by part (``_read_query``).
"""

from __future__ import annotations

import copy
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skmeta._columns import (
    FrameEncoder,
    check_frame,
    check_type,
    encode_rows,
    flatten_rows,
    frame_columns,
    is_data_frame,
)
from skmeta._sklearn_compat import (
    Interval,
    StrOptions,
    check_sample_weight,
    clone_parametrized,
    get_feature_names,
)
from skmeta._tabular import WeightedRows, arrange
from skmeta._validation import ParameterHints, check_rows
from skmeta.few_shot._members import Ensemble, Fit, fit_ensemble
from skmeta.few_shot._priors import (
    VIEWS,
    RunSettings,
    adapts_anew,
    allows_nan,
    check_device,
    check_prior,
    is_fitted_learner,
    is_for_any_table,
    peek_prior,
    reads_tables,
    resolve_prior,
    warn_of_images,
)
from skmeta.few_shot._table_task import TableTask
from skmeta.few_shot._target_scale import ChosenScale, TargetScale
from skmeta.priors import MetaPrior, warn_if_misfit

if TYPE_CHECKING:
    import torch

    from skmeta.few_shot._adapted_task import AdaptedTask

    Task = AdaptedTask | TableTask


@dataclass(eq=False, repr=False)
class BaseMetaFewShot(ParameterHints, BaseEstimator):
    """Adapts a prior to the rows given, and predicts with the adapted state."""

    prior: Any = None
    _: KW_ONLY
    learner_params: dict[str, Any] | None = None
    n_views: int | None = None
    device: str | torch.device = "auto"
    precision: str = "auto"

    _kind: ClassVar[str]
    _weight_unit = 1.0  # mean of the weights as given; files of earlier versions have none

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "prior": "no_validation",  # resolve_prior says more about what is wrong.
        "learner_params": [dict, None],
        "n_views": [Interval(Integral, 1, 64, closed="both"), None],
        "device": "no_validation",  # check_device knows torch's class without importing it.
        "precision": [StrOptions({"auto", "float32", "float64"})],
    }

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params
            Names and values. ``learner_params__inner_lr`` sets one of the ``learner_params``, also
            in the grid of a search, and leaves the others.

        Returns
        -------
        self : object
            The estimator.
        """
        prefix = "learner_params__"
        own = {n.removeprefix(prefix): v for n, v in params.items() if n.startswith(prefix)}
        super().set_params(**{n: v for n, v in params.items() if not n.startswith(prefix)})
        if own:  # A new dict: clones share the old one.
            self.learner_params = {**(self.learner_params or {}), **own}
        return self

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
        for name in ("_opened", "_lock"):
            state.pop(name, None)
        if "prior_" in state and adapts_anew(self.prior_):
            state.pop("adapted_", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if str(self.device) not in ("auto", "cpu"):
            from skmeta._backend import here_or_cpu

            self.device = here_or_cpu(self.device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # An unknown category is a missing value.
        has_gaps = allows_nan(peek_prior(self.prior, self._kind))
        tags.input_tags.allow_nan = tags.input_tags.categorical = has_gaps
        return tags

    # ------------------------------------------------------------------------------ fit

    def _read_support(self, X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, MetaPrior]:
        """Read the rows of a new task and the prior to start from."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        shape, names = getattr(X, "shape", ()), get_feature_names(X)
        prior = resolve_prior(self.prior, self._kind)
        rows = self._read_rows(X, prior, reset=True, sample_weight=sample_weight)
        check_prior(prior, self._kind, type(self).__name__)
        prior.check_features(self.n_features_in_, names)
        if len(shape) > 2 and prior.input_shape is None:
            warn_of_images(tuple(shape))
        return rows, prior

    def _read_rows(
        self, X: Any, prior: MetaPrior, reset: bool = False, sample_weight: Any = None
    ) -> np.ndarray:
        check_frame(X)
        X, _ = flatten_rows(X, prior.input_shape)
        encoder = FrameEncoder.of(prior.provenance)
        if encoder is not None:
            return encode_rows(self, encoder, X, reset=reset)
        if not allows_nan(prior):
            return check_rows(self, X, reset=reset, allow_nan=False)
        if prior.n_features_in is not None:
            # Codes would depend on the rows of this task alone.
            return check_rows(self, X, reset=reset, allow_nan=True)
        if reset:
            self._codes = None
            if is_data_frame(X):
                weight = check_sample_weight(sample_weight, np.empty((len(X), 1)))
                # Labels of rows without a weight have no code.
                self._codes = FrameEncoder.learn(X, True, has_codes=True, weight=weight)
        if self._codes is not None:
            return encode_rows(self, self._codes, X, reset=reset, when="at fit")
        for column in frame_columns(X):
            check_type(column, False, "at fit")
        strings = "Pass a data frame; its columns of strings are taken for categories."
        return check_rows(self, X, reset=reset, allow_nan=True, strings=strings)

    def _fit_rows(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: Any,
        prior: MetaPrior,
        labels: np.ndarray | None = None,
    ) -> None:
        """Learn a task from rows; ``labels`` are those of its classes."""
        support = WeightedRows.check(X, y, sample_weight)
        if not support.weight.any():
            raise ValueError("sample_weight is 0 for every row. Give at least one a weight.")
        prior.check_new_rows(*(part[support.weight > 0] for part in support[:2]))
        if not reads_tables(prior):  # Those standardise each task.
            warn_if_misfit(prior, support.X[support.weight > 0])
        self._adapt(support, prior, labels, self._settings())

    def _fit_more_rows(self, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> None:
        """Go on from the adapted state, with all rows given so far."""
        known, new = self._support, WeightedRows.check(X, y, sample_weight)
        support = known.join(new._replace(weight=new.weight / self._weight_unit))
        labels = getattr(self, "classes_", None)
        self._adapt(support, self.prior_, labels, self._fitted_settings(), self.adapted_, known)

    def _adapt(
        self,
        support: WeightedRows,
        prior: MetaPrior,
        labels: np.ndarray | None,
        settings: RunSettings,
        start: dict[str, np.ndarray] | None = None,
        known: WeightedRows | None = None,
    ) -> None:
        """Adapt a prior to a support set, or go on from an adapted state with more than `known`."""
        n_known, unit = (0, 1.0) if known is None else (len(known.y), self._weight_unit)
        codes = self._codes if is_for_any_table(prior) else None
        nominal = () if codes is None else codes.nominal
        support, factor = support.distinct(labels is not None, nominal, n_known)
        rows, nominal, columns = self._arranged(prior, labels, support)
        chosen, mixture = self._choose_scale(rows, prior, nominal), None
        rows = _on_scale(rows, chosen and chosen[0])
        task = _open_task(prior, labels, rows, settings, nominal, columns)
        task.check_size()
        task.adapt(start)
        if isinstance(task, TableTask) and is_for_any_table(prior):
            mixture = fit_ensemble(task, self._more_members(settings, nominal), chosen)
        changes = task.changes
        self.prior_ = prior
        if labels is not None:
            self.classes_ = labels
        self.adapted_ = changes
        self._support, self._mixture, self._weight_unit = support, mixture, unit * factor
        self.shares_: dict[str, float] = {"prior": 1.0} if mixture is None else mixture.all_shares
        self._views = task.views
        self._set_task_attributes(task.attributes)
        # The last: a prediction beside it takes the earlier model, or this one.
        self._opened = self._opening(), task, mixture

    def _choose_scale(
        self, support: WeightedRows, prior: MetaPrior, nominal: tuple[int, ...]
    ) -> ChosenScale | None:
        """Return the scale on which models see the targets, if that is another one."""
        return None

    def _more_members(self, settings: RunSettings, nominal: tuple[int, ...]) -> dict[str, Fit]:
        """Return how to fit models beside those that suit every table."""
        return {}

    def _set_task_attributes(self, values: dict[str, Any]) -> None:
        for name in getattr(self, "_task_attributes", ()):
            delattr(self, name)
        for name, value in values.items():
            setattr(self, name, value)
        self._task_attributes = tuple(values)

    @cached_property
    def adapted_(self) -> dict[str, np.ndarray]:
        """What the adaptation changed or added; computed again if a pickle did not hold it."""
        if not hasattr(self, "prior_"):
            raise AttributeError(
                f"This {type(self).__name__} is not fitted, so it has no adapted_."
            )
        return self._open()[0].changes

    # -------------------------------------------------------------------------- predict

    def _read_query(self, X: Any) -> tuple[Task, list[np.ndarray], Ensemble | None]:
        """Return the adapted task, rows in the parts that it predicts at once, and the mixture."""
        check_is_fitted(self)
        X = self._read_rows(X, self.prior_)
        task, mixture = self._open()
        return task, task.parts(X), mixture

    def _open(self) -> tuple[Task, Ensemble | None]:
        """Return the task of the last fit, or open it again after a change or unpickling."""
        opened = getattr(self, "_opened", None)
        if opened is None or opened[0] != self._opening():
            labels, prior = getattr(self, "classes_", None), self.prior_
            rows, nominal, columns = self._arranged(prior, labels, self._support)
            mixture = self._mixture
            rows = _on_scale(rows, mixture and mixture.scale)
            task = _open_task(prior, labels, rows, self._fitted_settings(), nominal, columns)
            changes = vars(self).get("adapted_")
            task = task.adapt() if changes is None else task.restore(changes)
            opened = self._opened = self._opening(), task, mixture
        return opened[1:]

    def _arranged(
        self, prior: MetaPrior, labels: np.ndarray | None, support: WeightedRows
    ) -> tuple[WeightedRows, tuple[int, ...], np.ndarray | None]:
        """Return rows, nominal columns and an order of columns: by content, for any table."""
        if not is_for_any_table(prior):
            return support, (), None
        support, columns = arrange(support, 0 if labels is None else len(labels))
        nominal = () if self._codes is None else self._codes.nominal
        return support, tuple(np.flatnonzero(np.isin(columns, nominal)).tolist()), columns

    def _opening(self) -> tuple[Any, ...]:
        """Return what an adapted task depends on besides the last fit."""
        return self._settings(), id(self.prior_)

    def _settings(self) -> RunSettings:
        overrides = dict(self.learner_params or {})
        if self.n_views is not None:
            overrides["n_views"] = self.n_views
        check_device(self.device)
        return RunSettings(str(self.device), self.precision, overrides)

    def _fitted_settings(self) -> RunSettings:
        """Return the settings with those that the adapted state depends on as they were in fit."""
        settings = self._settings()
        views = {VIEWS: self._views}
        return settings._replace(overrides=settings.overrides | views)


def check_finite(values: np.ndarray) -> np.ndarray:
    """Return predictions (n,) or (n, m), and raise an error if those of a row are not finite."""
    wrong = ~np.isfinite(values).reshape(len(values), -1).all(1)
    if wrong.any():
        raise ValueError(
            f"The prediction of row {wrong.argmax()} is not finite ({wrong.sum()} such rows in "
            "all): the row, or the steps of the adaptation, are too large. Scale X and y to "
            "moderate numbers, or lower inner_lr."
        )
    return values


def _on_scale(support: WeightedRows, scale: TargetScale | None) -> WeightedRows:
    return support if scale is None else support._replace(y=scale.scale.forward(support.y))


def _open_task(
    prior: MetaPrior,
    labels: np.ndarray | None,
    support: WeightedRows,
    settings: RunSettings,
    nominal: tuple[int, ...],
    columns: np.ndarray | None,
) -> Task:
    """Return a task that is not adapted yet; that of a learner in torch imports it."""
    if reads_tables(prior):
        return TableTask(prior, labels, support, settings, nominal, columns)
    from skmeta.few_shot._adapted_task import AdaptedTask

    return AdaptedTask(prior, labels, support, settings)
