"""The searched space: what a user may pass, and how candidates are sampled from it."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid

from skmeta.search.space import _parts, _values

Candidate = dict[str, Any]

# Probability that a local step leaves a parameter as it is.
_KEEP_PROBABILITY = 0.4


class SearchSpace:
    """One or several sub-spaces, each with lists or distributions of parameters, sorted by name."""

    def __init__(self, spaces: Any) -> None:
        listed = [spaces] if isinstance(spaces, Mapping) else spaces
        _values.check_form(listed)
        # ParameterGrid sorts too, and the grid has to come in its order.
        self.spaces: list[dict[str, Any]] = [
            {
                name: s[name] if _values.is_distribution(s[name]) else _values.Listed(s[name])
                for name in sorted(s)
            }
            for s in listed
        ]

    @property
    def names(self) -> list[str]:
        """Return the parameters of all sub-spaces, sorted."""
        return sorted({name for space in self.spaces for name in space})

    @property
    def size(self) -> float:
        """Return the number of candidates; infinite if a parameter has a distribution."""
        if any(
            _values.is_distribution(source) for space in self.spaces for source in space.values()
        ):
            return math.inf
        return len(ParameterGrid(self.spaces))

    def is_exhausted(self, tried: Iterable[str]) -> bool:
        """Return whether all candidates of a finite space are among some, by their keys."""
        keys = set(tried)
        return self.size < math.inf and {self.key(one) for one in self.grid()} <= keys

    def grid(self) -> list[Candidate]:
        """Return all candidates of a finite space, in the order of ParameterGrid."""
        return list(ParameterGrid(self.spaces))

    def check(self, estimator: Any) -> None:
        """Raise a ValueError with the closest name if an estimator lacks a parameter."""
        _values.check_names(estimator, self.spaces)

    def part_choices(self, estimator: Any) -> list[Candidate]:
        """Return every combination of parts (steps of a pipeline) that the space offers."""
        current = estimator.get_params(deep=True)
        return [one for space in self.spaces for one in _values.choices_of_parts(current, space)]

    def nearest(
        self, estimator: Any, given: Mapping[str, Any] | None = None
    ) -> tuple[Candidate | None, list[str]]:
        """Return the candidate that leaves an estimator as it is, and parameters outside.

        It has the estimator's own (or `given`) values of the sub-space that contains most of them,
        as that lists them; a list without a given value gives its first. None if no sub-space fits.
        """
        current, known = estimator.get_params(deep=True), _parts.every_param(estimator)
        candidate: Candidate | None = None
        fewest: list[str] = []
        for space in self.spaces:
            if not set(space) <= set(known):
                continue
            # CatBoost does not list what was not set, and then chooses a value of its own.
            own = {name: current[name] for name in space if name in current}
            for name in own:
                if _parts.takes_reals_only(estimator, current, name):
                    own[name] = _values.as_listed(space[name], own[name])
            if given is not None:
                listed = {n: s[0] for n, s in space.items() if not _values.is_distribution(s)}
                inside = {n: v for n, v in own.items() if _values.contains(space[n], v)}
                own = {name: (own | listed | inside | dict(given)).get(name) for name in space}
            outside = [n for n in space if n not in own or not _values.contains(space[n], own[n])]
            if candidate is None or len(outside) < len(fewest):
                candidate, fewest = own, outside
        return candidate, fewest

    def complete(self, estimator: Any, given: Mapping[str, Any]) -> Candidate:
        """Return the candidate with given values, and the estimator's values of other parameters.

        Given values need not be in the space; their names must be in one sub-space.
        """
        fitting = SearchSpace([one for one in self.spaces if set(given) <= set(one)] or self.spaces)
        parts = _parts.structural_params(estimator.get_params(deep=True), given)
        nearest, _ = fitting.nearest(_parts.replace_parts(estimator, parts), given)
        if nearest is None or not set(given) <= set(nearest):
            raise ValueError(f"no sub-space has all of the parameters {sorted(given)}")
        return nearest

    def is_complete(self, candidate: Candidate) -> bool:
        """Return whether a candidate has all parameters of a sub-space."""
        return any(set(space) <= set(candidate) for space in self.spaces)

    def sample(self, n: int, rng: np.random.Generator) -> list[Candidate]:
        """Return up to `n` different candidates, sampled as by RandomizedSearchCV, else all."""
        if self.size <= n:
            return list({self.key(one): one for one in self.grid()}.values())
        random_state = np.random.RandomState(rng.integers(2**32, dtype=np.uint32))
        distinct: dict[str, Candidate] = {}
        for _ in range(4):  # a few rounds, since distributions of integers repeat themselves
            for candidate in _draw(self.spaces, n - len(distinct), _values.sample, random_state):
                distinct.setdefault(self.key(candidate), candidate)
            if len(distinct) >= n:
                break
        return list(distinct.values())

    def neighbours(self, candidate: Candidate, n: int, rng: np.random.Generator) -> list[Candidate]:
        """Return up to `n` different candidates near one."""
        random_state = np.random.RandomState(rng.integers(2**32, dtype=np.uint32))
        near = [space for space in self.spaces if set(space) == set(candidate)]
        near_by = {self.key(candidate): candidate}

        def move(
            name: str, source: Any, size: int, random_state: np.random.RandomState
        ) -> list[Any]:
            moved = _values.perturb(name, source, candidate[name], size, random_state)
            kept = random_state.uniform(size=size) < _KEEP_PROBABILITY
            return [candidate[name] if keep else m for keep, m in zip(kept, moved, strict=True)]

        for moved in _draw(near, 2 * n, move, random_state) if near else []:
            if len(near_by) > n:
                break
            near_by.setdefault(self.key(moved), moved)
        return list(near_by.values())[1:]

    def describe(self) -> dict[str, str]:
        """Return, for each parameter, its values or distribution as text."""
        texts: dict[str, list[str]] = {}
        for space in self.spaces:
            for name, source in space.items():
                texts.setdefault(name, []).append(_values.describe_values(source))
        return {name: " or ".join(dict.fromkeys(own)) for name, own in texts.items()}

    def key(self, candidate: Candidate) -> str:
        """Return a digest by which a candidate is known: listed values count by their position."""
        text = self.encode(candidate) or repr(sorted(candidate.items(), key=lambda pair: pair[0]))
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]

    def text(self) -> str:
        """Return all values and distributions as text."""
        return repr([{n: _values.describe_in_full(s[n]) for n in s} for s in self.spaces])

    def encode(self, candidate: Candidate) -> str:
        """Return JSON for `decode`, or "" if there is none; list values are positions."""
        for position, space in enumerate(self.spaces):
            if set(space) == set(candidate):
                values = {
                    name: _values.encode_value(space[name], candidate[name]) for name in space
                }
                if None not in values.values():
                    return json.dumps([position, values])
        return ""

    def decode(self, text: str) -> Candidate | None:
        """Rebuild a candidate from what `encode` returned, None if it does not fit."""
        if not text:
            return None
        try:
            position, values = json.loads(text)
            space = self.spaces[position]
            pairs = {name: values[name] for name in space}
            return {n: space[n][v] if kind == "listed" else v for n, (kind, v) in pairs.items()}
        except (ValueError, TypeError, KeyError, IndexError, RecursionError):
            return None


def _draw(
    spaces: Sequence[Mapping[str, Any]],
    n: int,
    values: Callable[[str, Any, int, np.random.RandomState], list[Any]],
    random_state: np.random.RandomState,
) -> list[Candidate]:
    """Return candidates of sub-spaces that are chosen at random, given values of parameters."""
    candidates: list[Candidate] = [{} for _ in range(n)]
    chosen = random_state.randint(len(spaces), size=n)
    for position, space in enumerate(spaces):
        rows = np.flatnonzero(chosen == position)
        for name, source in space.items():
            drawn = values(name, source, len(rows), random_state)
            for row, value in zip(rows, drawn, strict=True):
                candidates[row][name] = value
    return candidates
