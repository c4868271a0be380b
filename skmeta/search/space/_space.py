"""The searched space: what a user may pass, and how candidates are drawn from it."""

import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from numbers import Integral
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.model_selection import ParameterGrid, ParameterSampler

from skmeta.exceptions import SearchSpaceError
from skmeta.search.space._names import candidate_key, replace_parts, stable_repr, structural_params

__all__ = ["Candidate", "SearchSpace"]

Candidate = dict[str, Any]

# Standard deviation of a local step: in units of a distribution's own quantiles, or of the
# length of a list of numbers.
_STEP = 0.1
# How often a local step leaves a parameter as it is, and draws an unordered one anew.
_KEEP = 0.4


class SearchSpace:
    """One or several sub-spaces, each with lists or distributions of parameters.

    Parameters
    ----------
    spaces : dict, or sequence of dict
        As GridSearchCV and RandomizedSearchCV take it.

    Raises
    ------
    SearchSpaceError
        If a sub-space or one of its parameters is empty.
    TypeError, ValueError
        As scikit-learn raises them for what is neither a list nor a distribution.

    Examples
    --------
    >>> space = SearchSpace({"C": [1, 10], "kernel": ["rbf", "linear"]})
    >>> space.size
    4
    """

    def __init__(self, spaces: Any) -> None:
        _check(spaces)
        listed = [spaces] if isinstance(spaces, Mapping) else list(spaces)
        # Sorted as ParameterGrid sorts, so that the grid comes in its order.
        self.spaces: list[dict[str, Any]] = [
            {name: s[name] if _is_distribution(s[name]) else list(s[name]) for name in sorted(s)}
            for s in listed
        ]

    @property
    def names(self) -> list[str]:
        """Every parameter that is searched somewhere."""
        return sorted({name for space in self.spaces for name in space})

    @property
    def size(self) -> float:
        """Number of candidates; infinite where a parameter has a distribution."""
        return sum(_size(space) for space in self.spaces)

    def grid(self) -> list[Candidate]:
        """Return all candidates of a finite space, in the order of ParameterGrid."""
        return list(ParameterGrid(self.spaces))

    def check(self, estimator: Any) -> None:
        """Raise if a parameter does not exist in the estimator that its candidate would be.

        Parameters
        ----------
        estimator : estimator

        Raises
        ------
        SearchSpaceError
            With the nearest name that exists.
        """
        current = estimator.get_params(deep=True)
        for space in self.spaces:
            for parts in _structures(current, space):
                if not parts and set(space) <= set(current):
                    continue
                built = replace_parts(estimator, parts)
                known = built.get_params(deep=True)
                for name in space:
                    if name not in known and not _can_set(built, name, space[name]):
                        raise SearchSpaceError(_unknown(name, known, built))

    def sample(self, n: int, rng: np.random.Generator) -> list[Candidate]:
        """Return up to `n` different candidates, drawn as RandomizedSearchCV would.

        Parameters
        ----------
        n : int
        rng : Generator

        Returns
        -------
        list of dict
            All of the space, in grid order, where it has no more than `n`.
        """
        if self.size <= n:
            return list(_distinct(self.grid()).values())
        random_state = np.random.RandomState(rng.integers(2**32, dtype=np.uint32))
        found: dict[str, Candidate] = {}
        for _ in range(4):  # a few rounds, as distributions of integers repeat themselves
            for _ in range(n - len(found)):
                space = self.spaces[random_state.randint(len(self.spaces))]
                candidate = {name: _draw(space[name], random_state) for name in space}
                found.setdefault(candidate_key(candidate), candidate)
            if len(found) >= n:
                break
        return list(found.values())

    def neighbours(self, candidate: Candidate, n: int, rng: np.random.Generator) -> list[Candidate]:
        """Return up to `n` different candidates near one.

        Parameters
        ----------
        candidate : dict
            A candidate of this space.
        n : int
        rng : Generator

        Returns
        -------
        list of dict
            Numbers move by a tenth of their range, or to a value next in the list; what has no
            order is now and then drawn anew. The candidate itself is not among them.
        """
        random_state = np.random.RandomState(rng.integers(2**32, dtype=np.uint32))
        near = [space for space in self.spaces if set(space) == set(candidate)]
        found = {candidate_key(candidate): candidate}
        for _ in range(3 * n if near else 0):
            if len(found) > n:
                break
            space = near[random_state.randint(len(near))]
            moved = {
                name: candidate[name]
                if random_state.uniform() < _KEEP
                else _step(space[name], candidate[name], random_state)
                for name in space
            }
            found.setdefault(candidate_key(moved), moved)
        return list(found.values())[1:]

    def stable_repr(self) -> str:
        """Return text that is equal for equal spaces, in this process and the next."""
        return stable_repr(self.spaces)

    def describe(self) -> dict[str, str]:
        """Return, for each parameter, what it is drawn from, as text."""
        texts: dict[str, list[str]] = {}
        for space in self.spaces:
            for name, source in space.items():
                texts.setdefault(name, []).append(_describe(source))
        return {name: " or ".join(dict.fromkeys(found)) for name, found in texts.items()}

    def encode(self, candidate: Candidate) -> str:
        """Return JSON from which `decode` rebuilds a candidate, or "" where it cannot.

        Parameters
        ----------
        candidate : dict
            A candidate of this space.

        Returns
        -------
        str
            Listed values by their position, drawn ones by value.
        """
        for position, space in enumerate(self.spaces):
            if set(space) == set(candidate):
                values = {name: _encode(space[name], candidate[name]) for name in space}
                if None not in values.values():
                    return json.dumps([position, values])
        return ""

    def decode(self, text: str) -> Candidate | None:
        """Rebuild a candidate from what `encode` returned.

        Parameters
        ----------
        text : str

        Returns
        -------
        dict or None
            None where the text does not fit this space.
        """
        if not text:
            return None
        try:
            position, values = json.loads(text)
            space = self.spaces[position]
            return {name: _decode(space[name], *values[name]) for name in space}
        except (ValueError, TypeError, KeyError, IndexError):
            return None


def _check(spaces: Any) -> None:
    # scikit-learn's own messages for what is neither a list nor a distribution.
    if not isinstance(spaces, (Mapping, Sequence)) or isinstance(spaces, str):
        ParameterGrid(spaces)
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
            if _is_distribution(source):
                has_distribution = True
            elif hasattr(source, "__len__") and not isinstance(source, str) and not len(source):
                raise SearchSpaceError(
                    f"Parameter grid for parameter {name!r} need to be a non-empty sequence, got: "
                    f"{source!r}. Give it at least one value, or leave it out."
                )
    if has_distribution:
        ParameterSampler(spaces, 1)
        for space in listed:  # the sampler lets a str pass as an iterable of letters
            ParameterGrid({n: s for n, s in space.items() if not _is_distribution(s)})
    else:
        ParameterGrid(spaces)


def _is_distribution(source: Any) -> bool:
    return hasattr(source, "rvs")


def _size(space: Mapping[str, Any]) -> float:
    if any(_is_distribution(source) for source in space.values()):
        return float("inf")
    return math.prod(len(source) for source in space.values())


def _structures(current: Mapping[str, Any], space: Mapping[str, Any]) -> Iterator[Candidate]:
    """Yield every choice of parts that a sub-space offers."""
    choices: dict[str, list[Any]] = {}
    for name, source in space.items():
        if _is_distribution(source):
            continue
        parts = [value for value in source if structural_params(current, {name: value})]
        if parts:
            choices[name] = parts
    for values in product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _can_set(estimator: Any, name: str, source: Any) -> bool:
    # An estimator of the user's own may take more than get_params tells.
    if _is_distribution(source):
        return False
    try:
        replace_parts(estimator, {name: source[0]})
    except ValueError:
        return False
    return True


def _unknown(name: str, known: Mapping[str, Any], estimator: Any) -> str:
    near = [other for other in known if other.rpartition("__")[2] == name]  # a forgotten step
    if not near:
        lower = {other.lower(): other for other in known}
        found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
        near = [lower[other] for other in found]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    own = sorted(n for n in known if "__" not in n)
    return (
        f"Invalid parameter {name!r} for estimator {type(estimator).__name__}: it has no such "
        f"parameter, but the search space gives it values.{hint} Valid parameters are: {own!r}."
    )


def _distinct(candidates: Sequence[Candidate]) -> dict[str, Candidate]:
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        found.setdefault(candidate_key(candidate), candidate)
    return found


def _draw(source: Any, random_state: np.random.RandomState) -> Any:
    if _is_distribution(source):
        return source.rvs(random_state=random_state)
    return source[random_state.randint(len(source))]


def _step(source: Any, value: Any, random_state: np.random.RandomState) -> Any:
    if not _is_distribution(source):
        return _step_in_list(source, value, random_state)
    if not (hasattr(source, "ppf") and hasattr(source, "cdf")):
        return _draw(source, random_state)
    # In the distribution's own quantiles a step has the same meaning on every scale.
    quantile = float(source.cdf(value)) + _STEP * random_state.normal()
    moved = source.ppf(np.clip(quantile, 1e-9, 1 - 1e-9))
    # The quantiles of a distribution of integers are floats.
    return int(moved) if isinstance(value, Integral) else moved


def _step_in_list(source: list[Any], value: Any, random_state: np.random.RandomState) -> Any:
    numbers = [v for v in source if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) < len(source) or len(set(numbers)) < 3:
        return _draw(source, random_state)
    order = sorted(source)
    here = order.index(value)
    reach = max(1.0, _STEP * len(order))
    there = here + round(float(norm.ppf(random_state.uniform(1e-9, 1 - 1e-9))) * reach)
    return order[int(np.clip(there, 0, len(order) - 1))]


def _describe(source: Any) -> str:
    if not _is_distribution(source):
        shown = ", ".join(_short(value) for value in source[:20])
        return f"[{shown}{', ...' if len(source) > 20 else ''}]"
    if hasattr(source, "dist"):
        arguments = [*map(repr, source.args), *(f"{k}={v!r}" for k, v in source.kwds.items())]
        return f"{source.dist.name}({', '.join(arguments)})"
    return type(source).__name__


def _short(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def _encode(source: Any, value: Any) -> list[Any] | None:
    if not _is_distribution(source):
        wanted = stable_repr(value)
        for position, listed in enumerate(source):
            if listed is value or stable_repr(listed) == wanted:
                return ["listed", position]
        return None
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, (bool, int, float, str)):
        return ["drawn", plain]
    return None


def _decode(source: Any, kind: str, value: Any) -> Any:
    return source[value] if kind == "listed" else value
