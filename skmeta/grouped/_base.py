"""What the two estimators of grouped tables share."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.utils import metadata_routing
from sklearn.utils.validation import check_is_fitted, validate_data

from skmeta._columns import (
    check_frame,
    is_data_frame,
    largest_label,
    resolve_columns,
    take_column,
)
from skmeta._html import ComputedOnce, QuickDisplay
from skmeta._progress import fit_task, progress_bar
from skmeta._sklearn_compat import (
    CallbackSupport,
    HasMethods,
    Interval,
    StrOptions,
    callback_context,
    check_sample_weight,
    has_callbacks,
)
from skmeta._tabular import CalibratedOutputs, FitSettings, WeightedRows, order_of_columns
from skmeta._threads import one_thread_if_small
from skmeta._validation import ParameterHints, check_rows, count, quote, quote_some, suggest
from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning
from skmeta.grouped._columns import (
    FeatureColumns,
    check_factors,
    check_groups,
    codes_of,
    distinct_table,
    divide_counts,
    exposures,
    group_labels,
    mean_exposure,
    parts_of_counts,
    place_of_groups,
    relative_exposures,
    series_of,
    warn_of_doubled,
    warn_of_time,
)
from skmeta.grouped._effects import Labels, effects_frame, losses_frame, summarise
from skmeta.grouped._fit import fit_model, is_mixed_model
from skmeta.grouped._model import Settings
from skmeta.grouped._reports import GroupedReports
from skmeta.grouped.members import MIXED, MIXTURE, POPULATION

# What a HierarchicalLinear sets of the mixed-effects model.
_EFFECTS = ("effects", "rank", "shrinkage")


@dataclass(eq=False, repr=False)
class BaseGrouped(GroupedReports, CallbackSupport, QuickDisplay, ParameterHints, BaseEstimator):
    """Learns a table whose rows belong to groups."""

    groups: str | int | list[str | int] | None = None
    _: KW_ONLY
    population: Any = "auto"
    model: Any = "mixture"
    unknown_groups: str = "predict"
    order: str | int | None = None
    n_folds: int = 5
    n_jobs: int | None = None
    verbose: int = 0

    # The groups are a column of X; the argument of `fit` only says so.
    __metadata_request__fit: ClassVar[dict[str, str]] = {"groups": metadata_routing.UNUSED}

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "groups": [str, Integral, list, tuple, None],
        "population": [StrOptions({"auto"}), HasMethods(["fit", "predict"])],
        "model": [StrOptions({MIXTURE, MIXED, POPULATION}), HasMethods(["fit", "get_params"])],
        "unknown_groups": [StrOptions({"predict", "error"})],
        "order": [str, Integral, None],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        for name in ("_lock", "_kept"):
            state.pop(name, None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    # ------------------------------------------------------------------------------ fit

    def _fit_table(
        self, X: Any, y: np.ndarray, sample_weight: Any, n_classes: int, kind: str
    ) -> None:
        """Fit to rows that were checked; y are targets of a kind, or class codes."""
        is_other, own = (is_regressor, "classifier") if n_classes else (is_classifier, "regressor")
        if not isinstance(self.population, str) and is_other(self.population):
            raise ValueError(
                f"The population of {type(self).__name__} must be a {own}, got "
                f"{type(self.population).__name__}. Pass one, or 'auto'."
            )
        if not isinstance(self.model, str) and not is_mixed_model(self.model):
            raise ValueError(
                f"The model of {type(self).__name__} must be 'mixture', 'mixed', 'population' or a "
                f"HierarchicalLinear, got {type(self.model).__name__}. Fit another learner with "
                "learner.fit(X, y, groups=groups), and pass its prior_ to a few-shot estimator."
            )
        factors, given = self._labels_of(X, reset=True), self._weight(sample_weight, X)
        all_rows = X, y, n_classes > 0, self._group_positions, given
        used, weight, self._weight_unit = distinct_table(*all_rows)
        row_weight = np.bincount(used, weight, len(X))
        y, weight, exposure = self._rates(X, y, used, weight, reset=True)
        # Groups without a weight are unknown.
        labels_and_codes = [codes_of([labels[k] for k in used]) for labels in factors]
        are_rates = exposure is not None and kind == "count" and self.order is None
        for name, labels_and_code in zip(self._names, labels_and_codes, strict=False):
            check_groups(*labels_and_code, y, quote(name), are_rates)
        codes = np.column_stack([row_codes for _, row_codes in labels_and_codes])
        if len(self._names) > 1:
            check_factors(codes, [str(name) for name in self._names])
        left_out = [*self._group_positions, *self._order_position, *self._exposure_position]
        self._features = FeatureColumns(X, left_out, self.order, row_weight)
        self._warn_of_order()
        numbers, times = self._numbers(X)
        if self._features.has_dates:
            kept = np.flatnonzero(given)
            series = [codes_of([labels[k] for k in kept])[1] for labels in factors]
            warn_of_doubled(times[kept], series_of(np.array(series).T), kept, str(self.order))
        numbers, times = numbers[used], times[used]
        self._n_parts = parts_of_counts(y, codes) if are_rates and self._names else 1
        own, y, weight, exposure = divide_counts(y, weight, exposure, numbers, self._n_parts)
        numbers, times, codes = numbers[own], times[own], codes[own]
        if self.order is None and len(self._names) == 1:
            warn_of_time(numbers, codes[:, 0], self._features.names_out())
        n_sorted = numbers.shape[1] - (self.order is not None)
        rows = WeightedRows(numbers, y, weight)
        self._features.places[:n_sorted] = order_of_columns(rows, codes, n_classes, n_sorted)
        numbers = numbers.take(self._features.places, 1)
        callbacks = callback_context(self, 0) if has_callbacks(self) else None
        with (
            one_thread_if_small(numbers.size),
            fit_task(callbacks, self, X=X, y=y),
            progress_bar(None, "Grouped table", "models", verbose=self.verbose) as bar,
        ):
            settings, knows_time = self._settings(bar.update, kind), self._knows_time(n_classes)
            held = [numbers]
            del numbers  # of a large table, the fit lets go of the only reference
            parts = y, weight, codes, times, settings, n_classes, knows_time
            model, order = fit_model(held.pop(), *parts, exposure)
        self.model_: Any = model
        # By label, in the order of the rows: the number of the group in the model.
        self._codes = [
            dict(zip(labels, np.argsort(given).tolist(), strict=True))
            for (labels, _), given in zip(labels_and_codes, order.groups, strict=True)
        ]

    def _settings(self, report: Any, kind: str) -> Settings:
        effects, model = {}, self.model
        if not isinstance(model, str):
            effects, model = {name: getattr(model, name) for name in _EFFECTS}, MIXED
        population_settings = FitSettings(self.population, self.n_jobs, report)
        zone = self._features.times.zone if self._features.times else None
        season = getattr(self, "season", None), self._features.has_dates
        parts = effects, model, self.n_folds, population_settings, season
        unit = self._exposure_unit / self._rate_unit if self._exposure_position else None
        return Settings(*parts, kind, unit, zone, self._features.indicators(), self._n_parts)

    def _exposure_of(self, X: Any, fit_rows: np.ndarray | None = None) -> np.ndarray | None:
        """Return exposures (n,) over their mean in `fit_rows`; None without a column of them."""
        if not self._exposure_position:
            return None
        name = quote(self._exposure_name)
        given = exposures(take_column(X, self._exposure_position[0]), name)
        if fit_rows is not None:
            self._exposure_unit = mean_exposure(given[fit_rows])
        return relative_exposures(given, self._exposure_unit, name)

    def _rates(
        self, X: Any, y: np.ndarray, used: np.ndarray, weight: np.ndarray, reset: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return targets (n,), weights and exposures of used rows: rates, that count by these."""
        exposure = self._exposure_of(X, used if reset else None)
        if exposure is None:
            return y[used], weight, None
        exposure = exposure[used]
        return y[used] / exposure, weight * exposure, exposure

    @property
    def _exposure_name(self) -> str | int | None:
        name: str | int | None = getattr(self, "exposure", None)
        return name

    def _knows_time(self, n_classes: int) -> bool:
        """Return whether members that know time are mixed."""
        return self.order is not None and not n_classes and self.model == MIXTURE

    def _warn_of_order(self) -> None:
        """Warn that one model alone predicts, so that no member that knows time does."""
        if self.order is not None and self.model != MIXTURE:
            warn_caller(
                f"model={self.model!r} switches off what order={self.order!r} adds: curves, "
                "last values and other members that know time. The times are a column, and the "
                "known rows of a group that is held out are its earliest. Set model='mixture' to "
                "predict later rows by members that know time.",
                UnusedDataWarning,
            )

    def _numbers(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns as numbers, and the times, which are the last of them."""
        numbers = self._features.encode(X)
        return numbers, np.zeros(len(numbers)) if self.order is None else numbers[:, -1]

    def _check_groups_argument(self, X: Any, groups: Any) -> None:
        """Raise an error if groups are given beside the table, or warn if there are none at all."""
        name = type(self).__name__
        if groups is not None:
            raise ValueError(
                f"{name} takes the groups as a column of X, because predict needs the group of "
                f"each row, too. {place_of_groups(X, groups, name)}"
            )
        if self.groups is None and is_data_frame(X):
            warn_caller(
                f"{name} has groups=None, so all rows are one group, and the population alone "
                f"predicts. If one of the columns {quote_some(list(X.columns), 8)} holds groups, "
                "name it.",
                UnusedDataWarning,
            )

    def _check_table(self, X: Any, reset: bool, y: Any = ()) -> Any:
        """Check names and number of the columns; return a data frame, or an array."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        check_frame(X)
        # Complex numbers are refused.
        if not is_data_frame(X) and (self.groups is None or np.asarray(X).dtype.kind in "biufc"):
            X = check_rows(self, X, reset=reset, allow_nan=True)
        else:
            given, X = X, X if is_data_frame(X) else np.asarray(X)
            if len(np.shape(X)) != 2:
                raise ValueError(
                    "X must be a data frame or an array of rows and columns, got "
                    f"{type(given).__name__}. Convert it."
                )
            validate_data(self, X, reset=reset, skip_check_array=True)
            if not len(X):
                raise ValueError(
                    f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is "
                    f"required by {type(self).__name__}. Pass at least one row."
                )
        named = {"groups": self.groups, "order": self.order, "exposure": self._exposure_name}
        for parameter, name in named.items() if not reset else ():
            was = getattr(self, "_named", named)[parameter]
            if name != was:
                raise ValueError(
                    f"{parameter} was {was!r} at fit, and is {name!r} now. Fit again, or set it "
                    "back."
                )
        if reset:
            self._named = named
            at = [[] if v is None else resolve_columns(X, v, n) for n, v in named.items()]
            self._group_positions, self._order_position, self._exposure_position = at
            if self.groups is not None and not self._group_positions:
                raise ValueError(
                    f"groups={self.groups!r} names no column. Name one or several, or set "
                    "groups=None."
                )
            if {*self._order_position} & {*self._group_positions}:
                raise ValueError(
                    f"order={self.order!r} names a column that groups={self.groups!r} names, too. "
                    "Name the column of times."
                )
            if {*self._exposure_position} & {*self._group_positions, *self._order_position}:
                raise ValueError(
                    f"exposure={self._exposure_name!r} names a column that groups or order name, "
                    "too. Name another column."
                )
        return X

    def _labels_of(self, X: Any, reset: bool = False) -> list[list[Any]]:
        """Return the labels of all rows, for each column of groups; without one, all are None."""
        factors = []
        for f, (name, at) in enumerate(zip(self._names, self._group_positions, strict=True)):
            known = None if reset else next(iter(self._codes[f]))
            labels = group_labels(take_column(X, at), quote(name), largest_label(X, at), known)
            factors.append(labels)
        return factors or [[None] * len(X)]

    @property
    def _names(self) -> list[str | int]:
        """Names or positions of the columns of groups."""
        if self.groups is None:
            return []
        return list(self.groups) if isinstance(self.groups, (list, tuple)) else [self.groups]

    def _weight(self, sample_weight: Any, X: Any) -> np.ndarray:
        weight: np.ndarray = check_sample_weight(
            sample_weight, np.empty((len(X), 1)), dtype=np.float64, ensure_non_negative=True
        )
        if not weight.any():
            raise ValueError("sample_weight is 0 for every row. Give at least one a weight.")
        return weight

    # ------------------------------------------------------------------------- fitted attributes

    @property
    def groups_(self) -> list[Any]:
        """Groups with known rows; of several columns, a list for each."""
        check_is_fitted(self, "model_")
        groups = [list(known) for known in self._codes]
        return groups[0] if len(groups) == 1 else groups

    @ComputedOnce
    def effects_(self) -> Any:
        """Effects of the mixed model of the columns, a pandas data frame with a row per group.

        The mixed model is fitted when the effects are first read, unless it alone predicts.
        ``intercept`` is the prediction for an average row of the table, and the others are slopes,
        or differences of categories. ``std`` is what the rows of a group leave open, and of
        ``shared`` the standard error; ``between`` is how groups differ, 0 for columns that are
        constant within groups. Effects of classes are on the log odds, those of counts with
        exposures on the logarithm of the rate. With several columns of
        groups, ``intercept`` is what the group adds.
        """
        check_is_fitted(self, "model_")
        with one_thread_if_small(self.model_.known.X.size):
            frame = effects_frame(self.model_, self._labels())
        if frame is None:
            raise AttributeError(
                f"This {type(self).__name__} has no effects_: it has no mixed model. Name a "
                "column of groups, and do not set model='population'."
            )
        return frame

    def _classes_in_order(self) -> Any:
        """Return the classes as they are numbered in the model; None for a regression."""
        return None

    def _labels(self) -> Labels:
        features, names = self._features, [str(name) for name in self._names]
        parts = names, self._codes, features.names_out(), features.places, self._classes_in_order()
        rate = f", per {self._rate_unit:,.12g} of {quote(self._exposure_name)}"
        return Labels(*parts, features.levels_out(), rate * bool(self._exposure_position))

    @ComputedOnce
    def summary_(self) -> str:
        """Whether the group matters, how much, and what the mixture was compared with."""
        check_is_fitted(self, "model_")
        with one_thread_if_small(self.model_.known.X.size):
            return summarise(self.model_, self._labels())

    @ComputedOnce
    def losses_(self) -> Any:
        """Losses in groups that were held out, as a pandas data frame.

        A row for each number of known rows of such a group, and the row ``most`` where most of its
        rows are known. A column for each part of the mixture, and one for the mixture. Squared
        errors are shares of the variance of y; classifications have log losses.
        """
        check_is_fitted(self, "model_")
        return losses_frame(self.model_, self._labels())

    # ------------------------------------------------------------------------------ new rows

    def _add_rows(self, X: Any, y: np.ndarray, sample_weight: Any) -> None:
        factors, known = self._labels_of(X), [dict(codes) for codes in self._codes]
        given = self._weight(sample_weight, X)
        used = np.flatnonzero(given)
        weight = given[used] / self._weight_unit
        y, weight, exposure = self._rates(X, y, used, weight, reset=False)
        codes = np.column_stack(
            [
                [numbers_of_labels.setdefault(labels[k], len(numbers_of_labels)) for k in used]
                for labels, numbers_of_labels in zip(factors, known, strict=True)
            ]
        )
        numbers, times = self._numbers(X)
        own, y, weight, _ = divide_counts(y, weight, exposure, numbers[used], self._n_parts)
        used, codes = used[own], codes[own]
        n_before = len(self.model_.known.y)
        self.model_ = self.model_.add(numbers[used], y, weight, codes, times[used])
        self._codes = known
        if self._features.has_dates:
            rows, places = self.model_.known, np.append(np.full(n_before, -1), used)
            warn_of_doubled(rows.times, series_of(rows.codes), places, str(self.order))

    def _predictions(self, X: Any) -> CalibratedOutputs:
        return self._outputs(*self._query(X))

    def _outputs(self, numbers: np.ndarray, *given: Any) -> CalibratedOutputs:
        """Predict numbers (n, d) of groups (n, F) at times (n,), with exposures (n,) or None."""
        with one_thread_if_small(numbers.size):
            outputs: CalibratedOutputs = self.model_.predict(numbers, *given)
        return outputs

    def _query(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the columns of rows as numbers (n, d), groups (n, F), times and exposures."""
        check_is_fitted(self, "model_")
        X = self._check_table(X, reset=False)
        factors = self._labels_of(X)
        codes = np.full((len(factors[0]), len(factors)), -1)
        for f in range(len(self._names)):
            codes[:, f] = [self._codes[f].get(label, -1) for label in factors[f]]
        codes = self.model_.resolve(codes)
        for f in range(len(self._names)):
            self._check_unknown(factors[f], codes[:, f], list(self._codes[f]))
        numbers, times = self._numbers(X)
        return numbers, codes, times, self._exposure_of(X)

    def _check_unknown(self, labels: list[Any], codes: np.ndarray, known: list[Any]) -> None:
        if self.unknown_groups != "error" or (codes >= 0).all():
            return
        row = int((codes < 0).argmax())
        unknown = list(dict.fromkeys(labels[k] for k in np.flatnonzero(codes < 0)))
        hint = suggest(labels[row], [g for g in known if isinstance(g, str)])
        raise ValueError(
            f"{count(len(unknown), 'groups')} without known rows: {quote_some(unknown)} (row {row} "
            f"is the first).{hint} Pass rows of them to partial_fit, or set "
            "unknown_groups='predict'."
        )


def has_groups(estimator: Any) -> bool:
    """Return whether the estimator has a column of groups, to which rows can be added."""
    if estimator.groups is None:
        raise AttributeError(
            f"{type(estimator).__name__}(groups=None) has no partial_fit, which adds rows of "
            "groups. Name the column of groups, or fit all rows again."
        )
    return True
