"""What the two estimators of grouped tables share."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from skmeta._columns import is_data_frame, resolve_columns, take_column, times_of
from skmeta._doc_link import DocLink
from skmeta._progress import progress_bar
from skmeta._sklearn_compat import HasMethods, Interval, StrOptions, check_sample_weight
from skmeta._validation import check_rows, quote, quote_some, suggest, suggest_parameters
from skmeta._warnings import warn_caller
from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.grouped._columns import FeatureColumns, group_labels
from skmeta.grouped._effects import Coefficients, as_frame, coefficients, summarise
from skmeta.grouped._ensemble import MEMBERS
from skmeta.grouped._model import GroupedModel, Predictions, Settings
from skmeta.learners import HierarchicalLinear

# With fewer groups, differences between groups cannot be learned well.
_FEW_GROUPS = 10
# Rows are repeated if their number becomes at most so many times as large.
_MOST_REPEATED = 10


class BaseGrouped(DocLink, BaseEstimator):
    """Learns a table whose rows belong to groups."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "groups": [str, Integral, list, tuple, None],
        "population": [StrOptions({"auto"}), HasMethods(["fit", "predict"])],
        "learner": [StrOptions({"auto"}), HasMethods(["fit"])],
        "combine": [StrOptions({"auto", *MEMBERS})],
        "unknown_groups": [StrOptions({"predict", "error"})],
        "order": [str, Integral, None],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    @suggest_parameters
    def __init__(
        self,
        groups: str | int | None = None,
        *,
        population: Any = "auto",
        learner: Any = "auto",
        combine: str = "auto",
        unknown_groups: str = "predict",
        order: str | int | None = None,
        n_folds: int = 5,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.groups = groups
        self.population = population
        self.learner = learner
        self.combine = combine
        self.unknown_groups = unknown_groups
        self.order = order
        self.n_folds = n_folds
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    # ------------------------------------------------------------------------------ fit

    def _fit_table(self, X: Any, y: np.ndarray, sample_weight: Any, n_classes: int) -> None:
        """Fit to rows that were checked; y are targets or class codes."""
        weight = self._weight(sample_weight, X)
        labels = self._labels_of(X)
        times = None if self.order is None else times_of(X, self.order)
        names, codes = _codes(labels)
        if self.groups is not None:
            _check_groups(names, codes, y, self._group_name())
        left_out = [*self._group_positions, *([] if self.order is None else self._order_position)]
        self._features = FeatureColumns(X, left_out)
        numbers = self._features.encode(X)
        # Whole weights repeat rows; others weight them.
        is_whole = (weight == np.floor(weight)).all() and weight.sum() <= _MOST_REPEATED * len(X)
        used = np.repeat(np.arange(len(X)), weight.astype(int)) if is_whole else weight.nonzero()[0]
        weight = np.ones(len(X)) if is_whole else weight
        # Groups without a weight are unknown.
        names, codes = _codes([labels[k] for k in used])
        model = GroupedModel(self._settings(), n_classes)
        with progress_bar(None, "Grouped table", "models", shown=bool(self.verbose)) as bar:
            model.settings = model.settings._replace(report=bar.update)
            order = model.fit(
                numbers[used],
                y[used],
                weight[used],
                codes,
                None if times is None else times[used],
            )
        model.settings = model.settings._replace(report=_silent)
        self.model_ = model
        self.groups_ = [names[k] for k in order.groups.tolist()]
        self._codes = {name: k for k, name in enumerate(self.groups_)}

    def _settings(self) -> Settings:
        learner = HierarchicalLinear() if isinstance(self.learner, str) else self.learner
        return Settings(self.population, learner, self.combine, self.n_folds, self.n_jobs, _silent)

    def _check_table(self, X: Any, reset: bool) -> Any:
        """Check names and number of the columns; return a data frame, or an array."""
        if not is_data_frame(X) and (self.groups is None or _is_numeric(X)):
            X = check_rows(self, X, reset=reset, allow_nan=True)
        else:
            X = X if is_data_frame(X) else np.asarray(X)
            validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            self._group_positions = (
                [] if self.groups is None else resolve_columns(X, self.groups, "groups")
            )
            if len(self._group_positions) > 1:
                raise ValueError(
                    f"groups={self.groups!r} names {len(self._group_positions)} columns. Name one."
                )
            self._order_position = (
                [] if self.order is None else resolve_columns(X, self.order, "order")
            )
        return X

    def _labels_of(self, X: Any) -> list[Any]:
        if not self._group_positions:
            return [None] * len(X)
        values = take_column(X, self._group_positions[0])
        return list(group_labels(values, self._group_name()))

    def _group_name(self) -> str:
        given = self.groups[0] if isinstance(self.groups, (list, tuple)) else self.groups
        return quote(given)

    def _weight(self, sample_weight: Any, X: Any) -> np.ndarray:
        rows = np.empty((len(X), 1))
        weight: np.ndarray = check_sample_weight(
            sample_weight, rows, dtype=np.float64, ensure_non_negative=True
        )
        if not weight.any():
            raise ValueError("sample_weight is 0 for every row. Give at least one a weight.")
        return weight

    # ------------------------------------------------------------------------------ what was found

    @property
    def effects_(self) -> Any:
        """Effects of the learner as a pandas data frame, for all groups with known rows.

        The row ``shared`` is a new group, and its deviations are those between groups. ``rows`` are
        the known rows, ``intercept`` the prediction for an average row of the table, and the others
        slopes in units of the column. Columns that end in ``std`` are standard deviations. Effects
        of classifications are on the log odds.
        """
        found = self._coefficients()
        if found is None:
            raise AttributeError(
                f"This {type(self).__name__} has no effects_: it has no learner. Name a column of "
                "groups, and set combine='auto', 'learner' or 'both'."
            )
        counts = np.bincount(self.model_.known.codes, minlength=len(self.groups_))
        labels = getattr(self, "classes_", None)
        return as_frame(found, self.groups_, counts, None if labels is None else labels.tolist())

    @property
    def summary_(self) -> str:
        """Whether the group matters, how much, and what the mixture was compared with."""
        return summarise(self.model_, self._coefficients())

    def _coefficients(self) -> Coefficients | None:
        check_is_fitted(self, "model_")
        return coefficients(self.model_, self._features.names_out())

    # ------------------------------------------------------------------------------ new rows

    def _add_rows(self, X: Any, y: np.ndarray, sample_weight: Any) -> None:
        labels = self._labels_of(X)
        codes, known = [], dict(self._codes)
        for label in labels:
            codes.append(known.setdefault(label, len(known)))
        model = copy.copy(self.model_)
        model.add(self._features.encode(X), y, self._weight(sample_weight, X), np.array(codes))
        self.model_, self._codes, self.groups_ = model, known, list(known)

    def _predictions(self, X: Any) -> Predictions:
        check_is_fitted(self, "model_")
        X = self._check_table(X, reset=False)
        labels = self._labels_of(X)
        if not self._group_positions:
            codes = np.full(len(labels), -1)
        else:
            codes = np.array([self._codes.get(label, -1) for label in labels], dtype=np.int64)
            self._check_unknown(labels, codes)
        return self.model_.predict(self._features.encode(X), codes)

    def _check_unknown(self, labels: list[Any], codes: np.ndarray) -> None:
        if self.unknown_groups != "error" or (codes >= 0).all():
            return
        row = int((codes < 0).argmax())
        unknown = list(dict.fromkeys(labels[k] for k in np.flatnonzero(codes < 0)))
        hint = suggest(labels[row], [g for g in self.groups_ if isinstance(g, str)])
        raise ValueError(
            f"{len(unknown)} groups have no known rows: {quote_some(unknown)} (row {row} is the "
            f"first).{hint} Pass rows of them to partial_fit, or set unknown_groups='predict'."
        )


def has_groups(estimator: Any) -> bool:
    """Return whether the estimator has a column of groups, to which rows can be added."""
    if estimator.groups is None:
        raise AttributeError(
            f"{type(estimator).__name__}(groups=None) has no partial_fit, which adds rows of "
            "groups. Name the column of groups, or fit all rows again."
        )
    return True


def _silent() -> None:
    """Report nothing."""


def _is_numeric(X: Any) -> bool:
    return getattr(np.asarray(X), "dtype", np.dtype(object)).kind in "biuf"


def _codes(labels: list[Any]) -> tuple[list[Any], np.ndarray]:
    """Return the distinct labels in the order they come, and the code of each row."""
    known: dict[Any, int] = {}
    codes = np.array([known.setdefault(label, len(known)) for label in labels], dtype=np.int64)
    return list(known), codes


def _check_groups(names: list[Any], codes: np.ndarray, y: np.ndarray, column: str) -> None:
    n_groups, n_rows = len(names), len(codes)
    if n_groups == n_rows and n_rows > 1:
        raise EpisodeError(
            f"Each of the {n_rows} rows has a group of its own in column {column}, so nothing says "
            "how rows of a group are alike. Name the column of groups, or set groups=None."
        )
    values = np.unique(y, return_inverse=True)[1]
    if n_groups > 1 and values.max() + 1 == n_groups:
        pairs = np.unique(np.column_stack([codes, values]), axis=0)
        if len(pairs) == n_groups:
            raise EpisodeError(
                f"Group column {column} is a copy of the target: each group has one value of y, "
                "and no two groups have the same. Name another column."
            )
    if n_groups < _FEW_GROUPS:
        warn_caller(
            f"There are {n_groups} groups in column {column}. Differences between groups cannot be "
            f"learned well from fewer than {_FEW_GROUPS}: compare with groups=None.",
            UnusedDataWarning,
        )
