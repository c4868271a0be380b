"""Choose the prior of a search: the user's own, one learned from the history, or a shipped one."""

from functools import lru_cache
from typing import Any

from skmeta._validation import suggest
from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryWarning, PriorError
from skmeta.search.prior import AlgorithmSelectionPrior, JointPrior, SearchPrior, load_shipped
from skmeta.search.record import SearchRecord

Prior = SearchPrior | AlgorithmSelectionPrior | JointPrior

_KINDS = ("auto", "history", "shipped")
# Most past searches of a history that a prior is learned from.
_MOST_SEARCHES = 150


def check_prior(given: Any) -> None:
    """Raise if a parameter names no prior.

    Parameters
    ----------
    given : "auto", "history", "shipped", None or a prior

    Raises
    ------
    ValueError
        With the nearest kind of prior.
    """
    if given is None or isinstance(given, Prior) or given in _KINDS:
        return
    raise ValueError(
        f"prior={given!r} is none of {', '.join(map(repr, _KINDS))}.{suggest(given, _KINDS)} Pass "
        "one of these, a SearchPrior (SearchPrior.load reads a file), or None."
    )


def resolve_prior(
    given: Any, record: SearchRecord, history: Any, *, exclude_same_data: bool
) -> Prior | None:
    """Return the prior of a search.

    Parameters
    ----------
    given : "auto", "history", "shipped", None or a prior
    record : SearchRecord
        The search.
    history : history or None
    exclude_same_data : bool
        Whether to leave out what is known of the search's own data set.

    Returns
    -------
    prior : SearchPrior, AlgorithmSelectionPrior, JointPrior or None
        None if nothing is known.

    Raises
    ------
    PriorError
        If the user's own prior is of other estimators.
    """
    parts = _parts(given, record, history)
    if exclude_same_data:
        parts = [
            part and part.without(data_digests=[record.data_digest], data_sketch=record.data_sketch)
            for part in parts
        ]
    known = [
        part.conditioned_on(record.dataset_features)
        for part in parts
        if part is not None and len(part)
    ]
    if len(known) < 2:
        return known[0] if known else None
    return JointPrior(*known)


def _parts(
    given: Any, record: SearchRecord, history: Any
) -> list[SearchPrior | AlgorithmSelectionPrior | None]:
    if given is None:
        return []
    if isinstance(given, JointPrior):
        own: list[Any] = list(given.parts)
    elif isinstance(given, SearchPrior | AlgorithmSelectionPrior):
        own = [given]
    else:
        learned = _learn(history, record) if given != "shipped" and history is not None else None
        ships = given != "history"
        return [learned, load_shipped(record.estimator, record.refit_metric) if ships else None]
    _check_estimators(own, record.estimator)
    return own


def _check_estimators(parts: list[Any], estimator: str) -> None:
    known = set().union(*map(_estimators_of, parts))
    wanted = set(estimator.split("|"))
    if known and known.isdisjoint(wanted):
        raise PriorError(
            f"prior was learned from searches of {_spell(known)}, but this search is of "
            f"{_spell(wanted)}. Pass a prior of {_spell(wanted)}, or prior='auto'."
        )


def _estimators_of(prior: SearchPrior | AlgorithmSelectionPrior) -> set[str]:
    if isinstance(prior, AlgorithmSelectionPrior):
        return set(prior.estimators)
    named = {name for text in prior.estimators for name in text.split("|") if name}
    # Searches that were added without an estimator are known by their parameters ("SVC.C").
    return named or {name.partition(".")[0] for name in prior.parameters}


def _spell(names: set[str]) -> str:
    return " or ".join(sorted(names))


# -- the user's own searches ---------------------------------------------------------------------


def _learn(history: Any, record: SearchRecord) -> SearchPrior | None:
    try:
        key = (repr(history), history.version_token(), record.learned_until)
        is_long = len(history) > _MOST_SEARCHES
        features = tuple(sorted(record.dataset_features.items())) if is_long else ()
        names = record.estimator, record.refit_metric, record.fingerprint
        return _learn_once(_Hashable(history, key), *names, features)
    except Exception as error:  # a failing history must not end the search
        warn_caller(
            f"No prior could be learned from the history: {error} The search continues without it.",
            HistoryWarning,
        )
        return None


class _Hashable:
    """A history up to a position. It equals another one if the contents are the same."""

    def __init__(self, history: Any, key: tuple[Any, ...]) -> None:
        self.history = history
        self.until = key[-1]
        self.key = key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashable) and self.key == other.key


@lru_cache(maxsize=8)
def _learn_once(
    past: _Hashable,
    estimator: str,
    metric: str,
    fingerprint: str,
    features: tuple[tuple[str, float], ...],
) -> SearchPrior:
    searches = past.history.searches(
        estimator=estimator,
        metric=metric,
        exclude=fingerprint,
        until=past.until,
        limit=_MOST_SEARCHES,
        like=dict(features),
    )
    return SearchPrior.from_searches(searches)
