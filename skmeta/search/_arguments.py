"""What a user gave to a search: checked, and turned into what the search works with."""

import os
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from skmeta.exceptions import HistoryWarning, SearchSpaceError
from skmeta.search.history import ReadOnlyHistory, SearchHistory, default_history, open_history
from skmeta.search.prior import AlgorithmSelectionPrior, JointPrior, SearchPrior, load_shipped
from skmeta.search.record import SearchRecord
from skmeta.search.space import SearchSpace, default_search_space, expand_choices

__all__ = ["Prior", "history_of", "n_iter_of", "prior_of", "space_of"]

Prior = SearchPrior | AlgorithmSelectionPrior | JointPrior

_KINDS_OF_PRIOR = ("auto", "history", "shipped")


def space_of(search: Any) -> SearchSpace:
    given = [search.param_distributions, search.param_grid]
    if all(space is not None for space in given):
        raise SearchSpaceError(
            "param_distributions and param_grid are two names of the same thing, and both were "
            "given. Pass one of them; lists and distributions may stand side by side in it."
        )
    chosen = given[0] if given[0] is not None else given[1]
    if chosen is None:
        chosen = default_search_space(search.estimator)
    elif search.n_iter != "all" and isinstance(chosen, (Mapping, list, tuple)):
        chosen = expand_choices(search.estimator, chosen)
    space = SearchSpace(chosen)
    if search.n_iter != "all" and not space.names:
        raise SearchSpaceError(
            "The search space names no parameter. Name at least one, or pass n_iter='all' to "
            "evaluate the estimator as it is."
        )
    return space


def n_iter_of(search: Any, space: SearchSpace) -> int:
    if search.n_iter == "all":
        if not np.isfinite(space.size):
            drawn = [n for s in space.spaces for n in s if hasattr(s[n], "rvs")]
            raise SearchSpaceError(
                f"n_iter='all' needs a finite space, but {drawn[0]!r} has a distribution. Give it "
                "a list of values, or set n_iter to a number of candidates."
            )
        return int(space.size)
    if search.n_iter > space.size:
        warnings.warn(
            f"The total space of parameters {space.size} is smaller than n_iter={search.n_iter}. "
            f"Running {space.size} iterations. For exhaustive searches, set n_iter='all'.",
            UserWarning,
            stacklevel=2,
        )
        return int(space.size)
    return int(search.n_iter)


def history_of(given: Any) -> SearchHistory | ReadOnlyHistory | None:
    if given is None:
        return default_history()
    if isinstance(given, bool):
        if given:
            raise ValueError(
                "history=True says nothing of where to keep it. Pass a path, such as "
                "history='searches.db', or set a default with skmeta.search.set_default_history."
            )
        return None
    return open_history(given)


def prior_of(search: Any, history: Any, record: SearchRecord) -> Prior | None:
    """Return what past searches teach: the user's own, and those that ship."""
    given = search.prior
    parts: list[SearchPrior | AlgorithmSelectionPrior | None] = []
    if given is None:
        return None
    if isinstance(given, JointPrior):
        parts = list(given.parts)
    elif isinstance(given, SearchPrior | AlgorithmSelectionPrior):
        parts = [given]
    elif given in _KINDS_OF_PRIOR:
        if given != "shipped" and history is not None:
            parts.append(_learn(history, record))
        if given != "history":
            parts.append(load_shipped(record.estimator, record.refit_metric))
    elif os.path.exists(given):
        parts = [SearchPrior.load(given)]
    else:
        kinds = ", ".join(map(repr, _KINDS_OF_PRIOR))
        raise FileNotFoundError(
            f"prior={given!r} is neither one of {kinds} nor a file. Pass one of these, a "
            "SearchPrior, or the path of a file that SearchPrior.save wrote."
        )
    if search.exclude_same_data:
        parts = [
            part and part.without(data_digests=[record.data_digest], data_sketch=record.data_sketch)
            for part in parts
        ]
    known = [part for part in parts if part is not None and len(part)]
    if len(known) < 2:
        return known[0] if known else None
    return JointPrior(*known)


def _learn(history: Any, record: SearchRecord) -> SearchPrior | None:
    try:
        key = (repr(history), history.version_token())
        return _learned(
            _Hashable(history, key), record.estimator, record.refit_metric, record.fingerprint
        )
    except Exception as error:  # whatever it is, a history must not end the search
        warnings.warn(
            f"No prior could be learned from the history: {error} The search goes on without.",
            HistoryWarning,
            stacklevel=2,
        )
        return None


class _Hashable:
    """A history that is equal to itself as long as its content is."""

    def __init__(self, history: Any, key: Any) -> None:
        self.history = history
        self.key = key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashable) and self.key == other.key


@lru_cache(maxsize=8)
def _learned(history: _Hashable, estimator: str, metric: str, fingerprint: str) -> SearchPrior:
    return SearchPrior.from_searches(
        history.history.searches(estimator=estimator, metric=metric, exclude=fingerprint)
    )
