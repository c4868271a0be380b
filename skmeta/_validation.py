"""Checks of what a user gave, shared by every room."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from numbers import Integral, Number, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, validate_data

from skmeta._sklearn_compat import parameter_names, shorten_requests


def check_count(value: Any, name: str, minimum: int = 1) -> int:
    """Return an int of at least `minimum`, or raise an error that names the parameter."""
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= minimum:
        return int(value)
    raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}.")


def check_rng(random_state: Any = None) -> np.random.Generator:
    """Turn ``random_state`` into a NumPy generator, without touching any global state.

    A Generator is returned as it is; a RandomState seeds a new one, and moves on from call to call.
    """
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint32))
    if isinstance(random_state, Integral) and int(random_state) >= 0:
        return np.random.default_rng(int(random_state))
    raise ValueError(
        "random_state must be None, an integer of at least 0, a numpy.random.Generator or a "
        f"numpy.random.RandomState, got {random_state!r}."
    )


def check_labels(labels: Any, name: str, n_rows: int | None = None) -> np.ndarray:
    """Return labels, one per row, as a sortable array without gaps, or raise a ValueError."""
    if labels is None:
        raise ValueError(f"{name} is None, but one label per row is needed. Pass {name}.")
    if isinstance(labels, str):
        raise ValueError(
            f"{name}={labels!r} is a string, but one label per row is needed. Pass the labels "
            f"themselves, such as the column {name}=frame[{labels!r}]."
        )
    # From a list, NumPy would turn [1, "a"] into two strings, and None into "None".
    array = np.asarray(labels, dtype=object) if isinstance(labels, (list, tuple)) else labels
    array = np.asarray(array)
    if array.ndim != 1 and array.shape[1:] != (1,):
        raise ValueError(
            f"{name} has the shape {array.shape}, but one label per row is needed. Pass a single "
            "column."
        )
    array = array.ravel()
    if len(array) == 0:
        raise ValueError(f"{name} is empty. Pass one label for each row.")
    if n_rows is not None and len(array) != n_rows:
        raise ValueError(
            f"{name} has {len(array)} values for {n_rows} rows. Pass one value for each row."
        )
    missing = np.array([_is_missing(v) for v in array]) if array.dtype == object else array != array
    if missing.any():
        raise ValueError(
            f"{name} has no value in row {missing.argmax()} ({missing.sum()} such rows in all). "
            "Drop these rows, or give them a label of their own."
        )
    if array.dtype != object:
        return array
    nested = next((v for v in array if np.ndim(v) or isinstance(v, (tuple, set, dict))), None)
    if nested is not None:
        raise ValueError(
            f"{name} has several values in a row, such as {nested!r}. Convert them to one label, "
            f"for example with [str(v) for v in {name}]."
        )
    kinds = {_kind(v) for v in array}
    if len(kinds) > 1:
        raise ValueError(
            f"{name} mixes values of type {' and '.join(sorted(kinds))}. "
            f"Convert them to one type, for example with [str(v) for v in {name}]."
        )
    return np.array(array.tolist())


def one_column(y: Any, wrapper: str) -> np.ndarray:
    """Return the only column of targets, and name a wrapper of scikit-learn if there are more."""
    shape = np.asarray(y).shape
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y should be a 1d array, got an array of shape {tuple(shape)} instead: one target is "
            f"predicted at a time. Wrap the estimator in sklearn.multioutput.{wrapper}."
        )
    return np.asarray(column_or_1d(y, warn=True))


def check_class_labels(y: Any, n_rows: int) -> np.ndarray:
    """Return the class labels of a classification, one per row."""
    # From a list, NumPy would turn [1, "a"] into two strings, and NaN into "nan".
    y = np.asarray(y, dtype=object) if isinstance(y, (list, tuple)) else y
    y = one_column(y, "MultiOutputClassifier")
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    labels = check_labels(y, "y", n_rows)
    check_classification_targets(labels)
    return labels


def check_plain_labels(labels: Any, name: str, n_rows: int | None = None) -> np.ndarray:
    """Return labels as :func:`check_labels` does, as numbers or strings, which a file can keep."""
    array = check_labels(labels, name, n_rows)
    if array.dtype.kind not in "biufU":
        raise ValueError(
            f"{name} has labels of type {type(array[0]).__name__}, but a prior keeps numbers and "
            f"strings. Convert them, for example with [str(v) for v in {name}]."
        )
    return array


def check_rows(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    allow_nan: bool,
    strings: str = "Encode them as numbers, for example with OneHotEncoder.",
) -> np.ndarray:
    """Return rows of numbers (float64, float32 or uint8); remember their columns if `reset`.

    `strings` says in the error what to do with strings.
    """
    if getattr(getattr(X, "dtype", None), "kind", None) in ("m", "M"):
        raise ValueError(
            f"X holds times ({X.dtype}), which have no number of their own. Turn them into "
            "numbers, such as days since a date."
        )
    try:
        rows: np.ndarray = validate_data(
            estimator,
            X,
            dtype=[np.float64, np.float32, np.uint8],
            reset=reset,
            ensure_all_finite="allow-nan" if allow_nan else True,
        )
    except ValueError as error:
        if "could not convert string to float" not in str(error):
            raise
        raise ValueError(f"X holds strings ({error}). {strings}") from error
    return rows


def check_targets(y: Any, n_rows: int | None = None) -> np.ndarray:
    """Return regression targets as float64, or say which row is not a finite number."""
    y = np.asarray(y)
    if y.dtype.kind in ("m", "M"):
        raise ValueError(
            f"y holds times ({y.dtype}), but a regression target must be a number. Turn them into "
            "numbers, such as days since a date."
        )
    try:
        array: np.ndarray = column_or_1d(y, dtype=np.float64)
    except ValueError as error:
        if "could not convert" not in str(error):
            raise
        raise ValueError(
            f"y holds strings ({error}), but a regression target must be a number. Convert y to "
            "numbers or, if it holds classes, use a classifier."
        ) from error
    if n_rows is not None and len(array) != n_rows:
        raise ValueError(f"y has {len(array)} values for {n_rows} rows. Pass one for each row.")
    bad = ~np.isfinite(array)
    if bad.any():
        row = bad.argmax()
        raise ValueError(
            f"y is {array[row]} in row {row} ({bad.sum()} such rows in all), but a regression "
            "target must be a finite number. Drop or impute these rows."
        )
    return array


def check_levels(quantiles: Any) -> np.ndarray:
    """Return levels of quantiles as float64, or raise an error if one is not between 0 and 1."""
    levels = np.asarray(quantiles, dtype=np.float64)
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            f"quantiles must be a list of levels between 0 and 1, both excluded, got "
            f"{quantiles!r}. Pass (0.05, 0.5, 0.95) for the median and an interval of 90%."
        )
    return levels


def quantiles_of(estimator: Any, X: Any, quantiles: Any, return_std: bool) -> np.ndarray:
    """Return what `predict` does with quantiles: a column (n,) of one level, or (n, q)."""
    if return_std:
        raise ValueError(
            "quantiles and return_std are both given, and predict returns one of them. Leave one "
            "out."
        )
    predicted: np.ndarray = estimator.predict_quantiles(X, np.atleast_1d(quantiles))
    return predicted if np.ndim(quantiles) else predicted[:, 0]


def count(number: int, plural: str) -> str:
    """Return a number with its noun, such as ``"1 class"`` or ``"1,024 features"``.

    >>> count(1, "searches")
    '1 search'
    """
    singular = plural.removesuffix("es" if plural.endswith(("sses", "ches")) else "s")
    return f"{number:,} {singular if number == 1 else plural}"


def quote(label: Any) -> str:
    """Return a label as a user would write it: ``'cat'``, not ``np.str_('cat')``."""
    return repr(label.item() if isinstance(label, np.generic) else label)


def quote_some(labels: Iterable[Any], limit: int = 3) -> str:
    """Return up to ``limit`` labels for a message, and the number of those left out.

    >>> quote_some(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    shown = [quote(label) for label in labels]
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more


def suggest(name: Any, known: Iterable[str]) -> str:
    """Return the nearest of the known names as a question for a message, or nothing.

    >>> suggest("conv5", ["conv4", "mlp"])
    " Did you mean 'conv4'?"
    """
    near = get_close_matches(name, list(known), n=1) if isinstance(name, str) else []
    return f" Did you mean {near[0]!r}?" if near else ""


class _ConstructorSignature:
    """The signature of a class, which is that of its ``__init__``."""

    def __get__(self, instance: Any, owner: type) -> inspect.Signature:
        own = inspect.signature(owner.__init__)  # type: ignore[misc]  # of the class itself
        return own.replace(parameters=[*own.parameters.values()][1:])


class ParameterHints:
    """Mixin of all estimators: an unknown parameter is an error that names the nearest one."""

    # inspect.signature would show that of __new__.
    __signature__: ClassVar[Any] = _ConstructorSignature()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        shorten_requests(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        known = parameter_names(cls)
        for name in kwargs.keys() - set(known):
            hint = suggest(name, known) or f" It has {', '.join(known)}."
            raise TypeError(f"{cls.__name__} has no parameter {name!r}.{hint}")
        return super().__new__(cls)


def _is_missing(value: Any) -> bool:
    # None, or one of the values that are not equal to themselves: NaN and NaT say that they
    # differ, pandas.NA answers neither yes nor no.
    if value is None:
        return True
    different = value != value
    return bool(different) if isinstance(different, (bool, np.bool_)) else True


def _kind(value: Any) -> str:
    # Numbers of several types can be sorted together, and so can the kinds of str.
    if isinstance(value, Number):
        return "number"
    return "str" if isinstance(value, str) else type(value).__name__


def ranks_of_classes(y: Any, labels: np.ndarray, kind: Any) -> np.ndarray | None:
    """Return the number (c,) of each sorted label in the order of the classes; None without one."""
    if isinstance(kind, (list, tuple)):
        return _rank_in(list(kind), labels) if len(labels) > 2 else None
    if kind == "nominal" or len(labels) < 3:
        return None
    dtype: Any = getattr(y, "dtype", None)
    if dtype is None and getattr(y, "shape", (0, 0))[1:] == (1,):  # A frame of one column.
        dtype = y.dtypes.iloc[0]
    if getattr(dtype, "ordered", False):
        return _rank_in(np.asarray(dtype.categories).tolist(), labels)
    if kind == "auto":
        return None
    if labels.dtype.kind not in "biuf":
        raise ValueError(
            f"target_type='ordered' needs classes whose order is known, but y has the labels "
            f"{quote_some(labels)}. Give their order, target_type=['low', 'medium', 'high'] or so, "
            "or pandas' ordered categories: "
            "pd.Series(y, dtype=pd.CategoricalDtype(levels, ordered=True))."
        )
    if np.array_equal(labels, np.arange(len(labels))):
        raise ValueError(
            f"target_type='ordered' and labels 0 to {len(labels) - 1}: ensembles such as "
            "VotingClassifier number the classes so, in the order of the alphabet. Give the order "
            "of the labels that you pass to fit: target_type=['low', 'medium', 'high'] or so, or "
            f"target_type={labels.tolist()} if they are these numbers."
        )
    return np.arange(len(labels))


def _rank_in(order: list[Any], labels: np.ndarray) -> np.ndarray:
    """Return the number (c,) of each label in an order of classes.

    Ensembles of scikit-learn give the positions of sorted labels in place of these.
    """
    known, given = sorted(order), labels.tolist()
    if len(set(order)) == len(order) and not set(given) <= set(order):
        positions = range(len(order))
        given = [known[k] if k in positions else k for k in given]
    missing = [label for label in given if label not in order]
    if missing or len(set(order)) < len(order):
        raise ValueError(
            f"target_type lists the classes {quote_some(order, 8)}, but y has "
            f"{quote_some(missing or given)}. List each class once, from the lowest to the highest."
        )
    place = [order.index(label) for label in given]
    return np.argsort(np.argsort(place))


def check_class_weight(class_weight: Any, labels: np.ndarray) -> None:
    """Raise an error if weights by label have an unknown label, or are not finite and above 0."""
    if not isinstance(class_weight, Mapping):
        return
    known = labels.tolist()
    for label, weight in class_weight.items():
        if label not in known:
            raise ValueError(
                f"class_weight has a weight of {quote(label)}, but the classes are "
                f"{quote_some(labels)}. Leave it out."
            )
        if not (isinstance(weight, Real) and 0 < float(weight) < np.inf):
            raise ValueError(
                f"class_weight is {weight!r} for {quote(label)}, but a weight is a finite number "
                "above 0. Leave the class out for weight 1."
            )


def class_weights(
    class_weight: Any, labels: np.ndarray, y: np.ndarray, sample_weight: np.ndarray
) -> np.ndarray:
    """Return the weight (c,) of each class: 1 if it has no rows (n,) or no entry."""
    weights = np.ones(len(labels))
    if isinstance(class_weight, Mapping):
        for label, weight in class_weight.items():
            weights[labels == label] = weight
    elif class_weight == "balanced":
        size = np.bincount(y, sample_weight, len(labels))
        has_rows = size > 0
        weights[has_rows] = size.sum() / (has_rows.sum() * size[has_rows])
    return weights
