"""From the rows and labels that users give to a table, its scale, and tasks to draw."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from numbers import Number
from typing import Any, Literal

import numpy as np
from sklearn.utils.multiclass import type_of_target

from skmeta._backend import Scaler
from skmeta._columns import (
    FrameEncoder,
    check_frame,
    encode_rows,
    flatten_rows,
    is_data_frame,
)
from skmeta._sklearn_compat import StrOptions, get_feature_names
from skmeta._training import parameter
from skmeta._validation import check_plain_labels, check_rows, check_targets, quote_some
from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.priors import MetaPrior
from skmeta.tasks import (
    ClassEpisodes,
    EpisodeSampler,
    GroupEpisodes,
    Superclass,
    check_ways,
    split_tasks,
    usable_superclasses,
)


def check_learner_rows(
    learner: Any, X: Any, allow_nan: bool, prior: MetaPrior | None = None, *, reset: bool = True
) -> tuple[np.ndarray, FrameEncoder | None]:
    """Check the rows of all tasks, and encode the columns of a data frame.

    The learner remembers the columns if `reset`. The encoder is that of `prior`, if there is one,
    and None if the rows are numbers already. NaN in an array is an error unless `allow_nan`.
    """
    check_frame(X)
    encoder = None if prior is None else FrameEncoder.of(prior.provenance)
    if prior is None and is_data_frame(X):
        encoder = FrameEncoder.learn(X, allow_nan)
    if encoder is not None:
        return encode_rows(learner, encoder, X, reset=reset), encoder
    return check_rows(learner, X, reset=reset, allow_nan=allow_nan), None


@dataclass(frozen=True)
class TrainingTable:
    """Rows (n_samples, n_encoded) of all tasks, their columns, and the initial prior.

    `n_features` and `names` describe the columns before they were encoded; the learner takes over
    the network and the standardisation of `start`.
    """

    rows: np.ndarray
    input_shape: tuple[int, ...]
    n_features: int
    names: Any
    encoder: FrameEncoder | None
    start: MetaPrior | None

    @classmethod
    def read(cls, learner: Any, X: Any, settings: Any) -> TrainingTable:
        """Read what ``fit`` was given as ``X``."""
        start = None if learner.algorithm.loads_prior else settings.prior
        assert not isinstance(start, str)
        rows, shape = flatten_rows(X, settings.input_shape)
        rows, encoder = check_learner_rows(learner, rows, learner.algorithm.allow_nan, start)
        is_convolution = settings.backbone == "conv4" or "n_channels" in (
            settings.backbone_params or {}
        )
        shape = resolve_input_shape(shape, is_convolution, rows.shape[1])
        n_features = rows.shape[1] if encoder is None else len(encoder.columns)
        return cls(rows, shape, n_features, get_feature_names(X), encoder, start)

    @property
    def columns(self) -> dict[str, Any]:
        """How the columns are encoded, for the prior; empty if they are numbers already."""
        return {} if self.encoder is None else {"columns": self.encoder.columns}


def resolve_input_shape(
    input_shape: tuple[int, ...] | None, is_convolution: bool, n_features: int
) -> tuple[int, ...]:
    """Return the shape of one row; without one, a convolution takes square grey images."""
    if input_shape is None:
        side = math.isqrt(n_features)
        if is_convolution and side * side == n_features:
            return (1, side, side)
        return (n_features,)
    if math.prod(input_shape) != n_features:
        raise ValueError(
            f"input_shape={tuple(input_shape)} has {math.prod(input_shape)} values, but X has "
            f"{n_features} features. Make the two agree."
        )
    return tuple(input_shape)


def fit_scaler(
    standardize: bool | str, X: np.ndarray, y: np.ndarray | None, input_shape: tuple[int, ...]
) -> Scaler:
    """Compute the centre and scale of features and targets; constant features keep scale 1.

    With ``"auto"`` tables are standardised, but not images. Those of bytes are divided by 255.
    """
    zero, one = np.zeros(()), np.ones(())
    x_mean, x_scale, y_mean, y_scale = zero, one, zero, one
    if standardize is True or (standardize == "auto" and len(input_shape) == 1):
        x_mean, x_scale = _mean_and_scale(X)
    elif standardize == "auto" and X.dtype == np.uint8 and X.max(initial=0) > 1:
        x_scale = np.array(255.0)
    if y is not None and standardize is not False:
        y_mean, y_scale = _mean_and_scale(y)
    return Scaler(x_mean, x_scale, y_mean, y_scale)


def _mean_and_scale(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, dtype=np.float64)
    w = np.where(np.isnan(values), 0.0, 1.0)
    total, values = w.sum(0), np.nan_to_num(values)
    total = np.where(total == 0, 1.0, total)
    # Values whose squares would be infinite, or zero, are measured in units of the largest.
    largest = abs(values).max(0, initial=0.0)
    is_extreme = (largest > 1e100) | ((largest < 1e-100) & (largest > 0))
    unit = np.where(is_extreme, largest, 1.0)
    values = values / unit
    mean = (w * values).sum(0) / total
    scale = np.sqrt((w * (values - mean) ** 2).sum(0) / total) * unit
    mean = mean * unit
    # Rounding can leave a constant column with a tiny scale. It must not be divided by it.
    constant = scale <= 1e-12 * np.abs(mean)
    return np.asarray(mean), np.where(constant, 1.0, scale)


# ------------------------------------------------------------------------------------ tasks


def target_type_parameter() -> Any:
    """Declare what the tasks are, for learners of both kinds."""
    return parameter("auto", StrOptions({"auto", "classification", "regression"}))


@dataclass(frozen=True)
class TaskSource:
    """A table and the tasks in it.

    `groups` is the task of each row, if tasks are groups; `sampler` draws tasks as positions of
    rows; `n_outputs` is the largest number of classes of a task, or 1.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    sampler: EpisodeSampler
    n_outputs: int


@dataclass(frozen=True)
class Problem:
    """Tasks of a meta-training, and validation tasks of other classes or groups.

    `labels` are all labels of a classification whose classes mean the same in every group.
    """

    kind: str
    names_kind: Literal["classes", "groups"]
    labels: np.ndarray | None
    train: TaskSource
    validation: TaskSource | None


# Whole numbers 0, 1, ... up to as many are taken for the codes of classes.
_MAX_CODES = 10


def resolve_kind(target_type: str, y: Any, groups: Any, *, asks: bool = True) -> str:
    """Decide whether tasks are classifications or regressions, or raise an EpisodeError.

    If whole numbers may be either, the error asks for `target_type` where `asks` is true.
    """
    y = _plain_numbers(y)
    if y.dtype.kind == "f":
        check_targets(y)  # Its error names the row; that of type_of_target does not.
    if target_type == "auto":
        if groups is None:
            target_type = "classification"
        else:
            continuous = _is_continuous(y)
            if asks and not continuous:
                _ask_about_whole_numbers(y)
            target_type = "regression" if continuous else "classification"
    if target_type == "regression" and groups is None:
        raise EpisodeError(
            "Regressions need to know which rows form a task, but groups is None. Pass groups, "
            "one label per row, for example fit(X, y, groups=groups)."
        )
    if target_type == "classification" and _is_continuous(y):
        raise EpisodeError(
            "The targets are continuous, but the tasks are classifications "
            f"({'groups is None' if groups is None else 'target_type was set'}). Pass groups to "
            "fit regressions, one task per group, or pass class labels as y."
        )
    return target_type


def _is_continuous(y: np.ndarray) -> bool:
    # A number that is larger than any integer of 64 bits is no reason to warn.
    with np.errstate(invalid="ignore"):
        return str(type_of_target(y)).startswith("continuous")


def _plain_numbers(y: Any) -> np.ndarray:
    """Return targets as an array, of floats if they are numbers that are kept as objects."""
    values = np.asarray(y)
    # A column of a database may hold Decimal, for example.
    if values.dtype == object and all(
        isinstance(v, Number) and not isinstance(v, bool | complex) for v in values.flat
    ):
        values = values.astype(np.float64)
    return values


def _ask_about_whole_numbers(values: np.ndarray) -> None:
    """Raise an error for whole numbers that may be classes or targets of a regression."""
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        return
    distinct = np.unique(values)
    n = len(distinct)
    are_codes = n <= _MAX_CODES and np.array_equal(distinct, np.arange(n))
    if n > 2 and not are_codes:
        raise EpisodeError(
            f"y has {n} different whole numbers ({quote_some(distinct)}), which may be classes or "
            "the targets of regressions. Set target_type='classification' or "
            "target_type='regression'."
        )


def resolve_shots_per(learner: Any, shots_per: str, kind: str, groups: Any) -> str:
    """Decide whether ``n_shot`` counts the rows of each class, or all rows of a task.

    ``"auto"`` counts all rows where tasks are groups, unless the learner needs rows of each class.
    """
    if kind == "regression":
        return "task"
    names_kind = "classes" if groups is None else "groups"
    algorithm = learner.algorithm(learner)
    needs_all = algorithm.needs_every_class(algorithm.resolve_head(kind, names_kind))
    if shots_per == "task" and (groups is None or needs_all):
        why = (
            "tasks are drawn from classes, with as many rows of each"
            if groups is None
            else "this learner needs rows of each class of a task"
        )
        raise EpisodeError(
            f"sampling='task' draws rows whatever their class, but {why}. Set sampling='class'."
        )
    if shots_per != "auto":
        return shots_per
    return "class" if groups is None or needs_all else "task"


def make_problem(
    kind: str,
    X: np.ndarray,
    y: Any,
    groups: Any,
    *,
    n_way: int | tuple[int, int],
    n_shot: int | tuple[int, int],
    n_query: int,
    shots_per: str = "class",
    validation_fraction: float = 0.0,
    labels: np.ndarray | None = None,
    superclass: Superclass | None = None,
    rng: np.random.Generator | None = None,
) -> Problem:
    """Check the labels and set a share of the classes or groups aside for validation.

    `labels` are all labels that classifications by groups may have, by default those of `y`.
    """
    y = check_plain_labels(y, "y", len(X)) if kind == "classification" else check_targets(y, len(X))
    if groups is None:
        names, labels = y, None
    elif superclass is not None:
        raise EpisodeError(
            "superclass is for tasks that are drawn from classes, but groups was passed. Leave "
            "one of them out."
        )
    else:
        names = groups = check_plain_labels(groups, "groups", len(X))
        if kind == "classification":
            labels = _at_least_two(np.unique(y) if labels is None else labels)

    def source(rows: Any) -> TaskSource:
        sampler: EpisodeSampler
        if groups is None:
            sampler = ClassEpisodes(y[rows], n_way, n_shot, n_query, superclass=superclass)
        else:
            sampler = GroupEpisodes(
                y[rows], groups[rows], n_shot, n_query, classes=labels, shots_per=shots_per
            )
        groups_of_rows = None if groups is None else groups[rows]
        return TaskSource(X[rows], y[rows], groups_of_rows, sampler, sampler.n_classes or 1)

    names_kind: Literal["classes", "groups"] = "classes" if groups is None else "groups"
    most_ways = check_ways(n_way)[1]
    least = most_ways if groups is None else 1
    if superclass is not None and validation_fraction > 0:
        # Whole superclasses are set aside, of those that tasks can be drawn from.
        classes, inverse = np.unique(y, return_inverse=True)
        owners, usable = usable_superclasses(classes, superclass, most_ways)
        names, least = owners[inverse], 1
        kept = np.isin(names, usable)
        X, y, names = X[kept], y[kept], names[kept]
    n_names = len(np.unique(names))
    n_validation = _n_validation(n_names, least, validation_fraction)
    if n_validation == 0:
        return Problem(kind, names_kind, labels, source(slice(None)), None)
    parts = split_tasks(names, (n_names - n_validation, n_validation), random_state=rng)
    if groups is not None:
        # One warning of all groups that cannot be tasks, and not one for each part.
        source(slice(None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedDataWarning)
        train, validation = (source(rows) for rows in parts)
    return Problem(kind, names_kind, labels, train, validation)


def _at_least_two(labels: np.ndarray) -> np.ndarray:
    if len(labels) < 2:
        raise EpisodeError(
            f"y has one class, {quote_some(labels)}, but a classification needs two. Pass rows "
            "of another class, or target_type='regression'."
        )
    return labels


def _n_validation(n_names: int, least: int, fraction: float) -> int:
    # There is no validation if it would take more than a third of the tasks.
    if fraction == 0:
        return 0
    n = max(least, math.ceil(fraction * n_names))
    return n if 3 * n <= n_names else 0
