"""Lists and distributions of parameters: checks, and values that are drawn, moved and encoded."""

import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid

from skmeta._sklearn_compat import is_cloned_by_parameters, printed
from skmeta._validation import suggest
from skmeta.search.space._parts import every_param, is_estimator, replace_parts, structural_params

# Standard deviation of a local step: in units of a distribution's own quantiles, or of the
# length of a list of numbers.
_STEP_SIZE = 0.1
_SCALARS = (bool, int, float, str, type(None))
_shortened = reprlib.Repr()
_shortened.maxlist, _shortened.maxother, _shortened.maxstring = 20, 60, 60


def is_distribution(source: Any) -> bool:
    """Return whether a parameter has a distribution, and not a list of values."""
    return hasattr(source, "rvs")


def plain_list(values: Iterable[Any]) -> list[Any]:
    """Return a list, with Python's numbers in place of NumPy's."""
    return [*map(_plain, values)]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


class Listed(list[Any]):
    """Values of a parameter, known by their position, with Python's numbers for NumPy's."""

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__(map(_plain, values))
        self._positions: dict[tuple[type, str], int] = {}
        for k, value in enumerate(self):
            if isinstance(value, _SCALARS):
                self._positions.setdefault((type(value), repr(value)), k)

    def position(self, value: Any) -> int | None:
        """Return the first position of a value; None if it is not in the list."""
        value = _plain(value)
        if isinstance(value, _SCALARS):
            return self._positions.get((type(value), repr(value)))
        return next((k for k, own in enumerate(self) if _is_same(own, value)), None)


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two values are equal; other objects than estimators are equal to themselves.

    1 and 1.0 differ: ``max_features``, for example, takes a count or a share.
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, _SCALARS):
        return repr(one) == repr(other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return [*one] == [*other] and all(_is_same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if is_estimator(one) and is_cloned_by_parameters(one):  # not a FrozenEstimator
        return _is_same(one.get_params(deep=False), other.get_params(deep=False))
    return False


def sample(name: str, source: Any, n: int, random_state: np.random.RandomState) -> list[Any]:
    """Return `n` random values of a parameter (SciPy is as quick for one), or raise by its name."""
    if not is_distribution(source):
        return [source[k] for k in random_state.randint(len(source), size=n)]
    try:
        if hasattr(source, "dist"):  # one of SciPy, its parameters fixed
            values = plain_list(source.rvs(size=n, random_state=random_state))
        else:
            values = [source.rvs(random_state=random_state) for _ in range(n)]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The distribution of parameter {name!r}, {describe_values(source)}, cannot be sampled "
            f"({error}). Check its arguments; for a constant, pass a list of one value."
        ) from error
    if any(map(is_nan, values)):
        raise ValueError(
            f"The distribution of parameter {name!r}, {describe_values(source)}, returned NaN. "
            "Check its arguments."
        )
    return values


def perturb(
    name: str, source: Any, value: Any, n: int, random_state: np.random.RandomState
) -> list[Any]:
    """Return `n` values near another one, or random values if the values have no order."""
    if not is_distribution(source):
        return _perturb_in_list(name, source, value, n, random_state)
    # The estimator as given may have a value that is no number, such as gamma="scale".
    if not (hasattr(source, "ppf") and hasattr(source, "cdf") and isinstance(value, Real)):
        return sample(name, source, n, random_state)
    # In the distribution's own quantiles a step has the same meaning on every scale.
    steps = _STEP_SIZE * random_state.normal(size=n)
    with np.errstate(all="ignore"):
        moved = source.ppf(np.clip(float(source.cdf(value)) + steps, 1e-9, 1 - 1e-9))
    if np.isnan(moved).any():  # a constant distribution, such as uniform(2, 0), has no quantiles
        return [value] * n
    # The quantiles of a distribution of integers are floats.
    return [int(m) for m in moved] if isinstance(value, Integral) else [*map(float, moved)]


def _perturb_in_list(
    name: str, source: list[Any], value: Any, n: int, random_state: np.random.RandomState
) -> list[Any]:
    numbers = [v for v in source if isinstance(v, (int, float)) and not isinstance(v, bool)]
    is_ordered = len(numbers) == len(source) and not any(map(is_nan, numbers))
    if not is_ordered or len(set(numbers)) < 3 or value not in source:
        return sample(name, source, n, random_state)
    order = sorted(source)
    reach = max(1.0, _STEP_SIZE * len(order))
    steps = np.round(reach * random_state.normal(size=n)).astype(int)
    return [order[k] for k in np.clip(order.index(value) + steps, 0, len(order) - 1)]


def is_nan(value: Any) -> bool:
    """Return whether a value is a float NaN."""
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def position_of(source: list[Any], value: Any) -> int | None:
    """Return the first position of a value in a list; None if it is not in it."""
    return (source if isinstance(source, Listed) else Listed(source)).position(value)


def as_listed(source: Any, value: Any) -> Any:
    """Return the number of a list that equals a value, such as 1 for 1.0, or else the value."""
    if is_distribution(source) or isinstance(value, bool) or position_of(source, value) is not None:
        return value
    numbers = [v for v in source if isinstance(v, Real) and not isinstance(v, bool)]
    return next((number for number in numbers if number == value), value)


def contains(source: Any, value: Any) -> bool:
    """Return whether a list or distribution can have a value; False if it does not tell."""
    if not is_distribution(source):
        return position_of(source, value) is not None
    if not hasattr(source, "support") or isinstance(value, bool) or not isinstance(value, Real):
        return False
    low, high = source.support()
    # Distributions of integers have a probability mass function.
    is_whole = not hasattr(getattr(source, "dist", source), "pmf") or float(value).is_integer()
    return bool(low <= value <= high) and is_whole


def describe_values(source: Any) -> str:
    """Return a list or distribution as text."""
    if not is_distribution(source):
        return _shortened.repr(source)
    if hasattr(source, "dist"):
        arguments = [*map(repr, source.args), *(f"{k}={v!r}" for k, v in source.kwds.items())]
        return f"{source.dist.name}({', '.join(arguments)})"
    return type(source).__name__


def describe_in_full(source: Any) -> str:
    """Return a list or distribution as text, with all values of a list."""
    return describe_values(source) if is_distribution(source) else str([*map(printed, source)])


def encode_value(source: Any, value: Any) -> list[Any] | None:
    """Return a value for JSON: a listed one by its position. None if it cannot be encoded."""
    if not is_distribution(source):
        position = position_of(source, value)
        if position is not None:
            return ["listed", position]
    plain = _plain(value)
    return ["drawn", plain] if plain is None or isinstance(plain, _SCALARS) else None


# -- checks ----------------------------------------------------------------------------------------


def check_form(spaces: Any) -> None:
    """Raise if sub-spaces are not a list of dicts of lists and distributions."""
    if isinstance(spaces, (list, tuple)) and not spaces:
        raise ValueError(
            "The search space is an empty list. Pass a dict of parameters, such as "
            '{"C": [0.1, 1, 10]}, or a list of such dicts.'
        )

    def as_lists(one: Any) -> Any:
        is_space = isinstance(one, Mapping)
        return {n: [0] if is_distribution(s) else s for n, s in one.items()} if is_space else one

    try:
        ParameterGrid([*map(as_lists, spaces)] if isinstance(spaces, (list, tuple)) else spaces)
    except ValueError as error:
        raise ValueError(f"{error} Pass a list of at least one value.") from error
    for space in spaces:
        for name, source in space.items():
            if not isinstance(name, str):
                raise ValueError(
                    f"The search space names the parameter {name!r}, which is not a string. Use "
                    'the names of get_params(), such as "C" or "svc__C".'
                )
            if is_distribution(source):
                sample(name, source, 1, np.random.RandomState(0))


def check_names(estimator: Any, spaces: Sequence[Mapping[str, Any]]) -> None:
    """Raise if an estimator lacks a parameter of some sub-spaces; see `SearchSpace.check`."""
    current = estimator.get_params(deep=True)
    for space in spaces:
        # A parameter may belong to a part that its sub-space puts into the estimator.
        for parts in choices_of_parts(current, space):
            if not parts and set(space) <= set(current):
                continue
            built = replace_parts(estimator, parts)
            known = every_param(built)
            for name in space:
                if name not in known and not _can_set(built, name, space[name]):
                    raise ValueError(_unknown_name_message(name, known, built, parts))


def choices_of_parts(
    current: Mapping[str, Any], space: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield each combination of parts that a sub-space puts into the estimator."""
    choices: dict[str, list[Any]] = {}
    for name, source in space.items():
        if is_distribution(source):
            continue
        parts = [value for value in source if structural_params(current, {name: value})]
        if parts:
            choices[name] = parts
    for values in product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _can_set(estimator: Any, name: str, source: Any) -> bool:
    # A user's own estimator may accept parameters that get_params does not list.
    if is_distribution(source):
        return False
    try:
        replace_parts(estimator, {name: source[0]})
    except (ValueError, AttributeError):  # the second one if the part is "passthrough"
        return False
    return True


def _unknown_name_message(
    name: str, known: Mapping[str, Any], estimator: Any, parts: Mapping[str, Any]
) -> str:
    # A forgotten step, or another case.
    near = [other for other in known if other.rpartition("__")[2].lower() == name.lower()]
    hint = f" Did you mean {near[0]!r}?" if near else suggest(name, known)
    kind = type(estimator).__name__
    chosen = [part for part in parts if name.startswith(f"{part}__")]
    if chosen and not hint:
        return (
            f"Invalid parameter {name!r} for estimator {kind} with {chosen[0]}="
            f"{parts[chosen[0]]!r}, which is one of its values in the search space. Pass a "
            f"sub-space for each part: [{{{chosen[0]!r}: [...], {name!r}: ...}}, "
            f"{{{chosen[0]!r}: [{parts[chosen[0]]!r}]}}]."
        )
    own = sorted(n for n in known if "__" not in n)
    return (
        f"Invalid parameter {name!r} for estimator {kind}: it has no such parameter.{hint} Valid "
        f"parameters are: {own!r}."
    )
