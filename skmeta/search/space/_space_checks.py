"""Checks of a search space: its form, and that the estimator has its parameters."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid, ParameterSampler

from skmeta.exceptions import SearchSpaceError
from skmeta.search.space._parts import every_param, replace_parts, structural_params
from skmeta.search.space._values import is_distribution, sample


def check_form(spaces: Any) -> None:
    """Raise if a search space is not a dict, or list of dicts, of lists and distributions.

    Parameters
    ----------
    spaces : object

    Raises
    ------
    SearchSpaceError
        If the space or one of its lists is empty, a name is no string, or a distribution cannot be
        sampled.
    TypeError, ValueError
        What scikit-learn raises if a parameter has neither a list nor a distribution.
    """
    if not isinstance(spaces, (Mapping, Sequence)) or isinstance(spaces, str):
        ParameterGrid(spaces)  # raises, with the message that users of scikit-learn know
    listed = [spaces] if isinstance(spaces, Mapping) else list(spaces)
    if not listed:
        raise SearchSpaceError(
            "The search space is an empty list. Pass a dict of parameters, such as "
            '{"C": [0.1, 1, 10]}, or a list of such dicts.'
        )
    has_distribution = False
    for space in listed:
        if not isinstance(space, Mapping):
            ParameterGrid(listed)
            ParameterSampler(listed, 1)
        for name, source in space.items():
            if not isinstance(name, str):
                raise SearchSpaceError(
                    f"The search space names the parameter {name!r}, which is not a string. Use "
                    'the names of get_params(), such as "C" or "svc__C".'
                )
            if is_distribution(source):
                sample(name, source, 1, np.random.RandomState(0))
                has_distribution = True
            elif hasattr(source, "__len__") and not isinstance(source, str) and not len(source):
                raise SearchSpaceError(
                    f"Parameter grid for parameter {name!r} need to be a non-empty sequence, got: "
                    f"{source!r}. Give it at least one value, or leave it out."
                )
    if has_distribution:
        ParameterSampler(spaces, 1)
        for space in listed:  # the sampler accepts a str, as an iterable of letters
            ParameterGrid({n: s for n, s in space.items() if not is_distribution(s)})
    else:
        ParameterGrid(spaces)


def check_names(estimator: Any, spaces: Sequence[Mapping[str, Any]]) -> None:
    """Raise if an estimator lacks a parameter of the space.

    Parameters
    ----------
    estimator : estimator
    spaces : sequence of dict
        Sub-spaces. A parameter may belong to a part that its sub-space puts into the estimator.

    Raises
    ------
    SearchSpaceError
        With the name of the closest parameter that exists.
    """
    current = estimator.get_params(deep=True)
    for space in spaces:
        for parts in choices_of_parts(current, space):
            if not parts and set(space) <= set(current):
                continue
            built = replace_parts(estimator, parts)
            known = every_param(built)
            for name in space:
                if name not in known and not _can_set(built, name, space[name]):
                    raise SearchSpaceError(_unknown_name_message(name, known, built, parts))


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
    near = [other for other in known if other.rpartition("__")[2] == name]  # a forgotten step
    if not near:
        lower = {other.lower(): other for other in known}
        close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
        near = [lower[other] for other in close]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    own = sorted(n for n in known if "__" not in n)
    kind = type(estimator).__name__
    chosen = [part for part in parts if name.startswith(f"{part}__")]
    if chosen and not near:
        return (
            f"Invalid parameter {name!r} for estimator {kind} with {chosen[0]}="
            f"{parts[chosen[0]]!r}, which is one of its values in the search space. Pass a "
            f"sub-space for each part: [{{{chosen[0]!r}: [...], {name!r}: ...}}, "
            f"{{{chosen[0]!r}: [{parts[chosen[0]]!r}]}}]."
        )
    return (
        f"Invalid parameter {name!r} for estimator {kind}: it has no such "
        f"parameter, but the search space gives it values.{hint} Valid parameters are: {own!r}."
    )
