"""Base class of immutable objects, which clones and copies share."""

from collections.abc import Sequence
from typing import Any, NoReturn, Self

from skmeta._html import facts_table

_MOST_SHOWN = 8  # names in one line of a table


class Immutable:
    """Base class of immutable objects, which clones and copies share.

    A constructor writes attributes with ``vars(self).update``.
    """

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        kind = type(self).__name__
        raise AttributeError(
            f"A {kind} is immutable, so {name!r} cannot be set. "
            f"Make another with {kind}.from_searches, or with without(...)."
        )

    def __delattr__(self, name: str) -> NoReturn:
        kind = type(self).__name__
        raise AttributeError(f"A {kind} is immutable, so {name!r} cannot be deleted.")

    def __sklearn_clone__(self) -> Self:
        return self

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def _repr_html_(self) -> str:
        """Return what the prior knows as an HTML table, for notebooks."""
        return describe_in_html(self)


def describe_in_html(prior: Any) -> str:
    """Return what a prior of searches knows as an HTML table."""
    n_evaluations = getattr(prior, "n_evaluations", None)
    facts = {
        "past searches": len(prior),
        "estimators": _list(getattr(prior, "estimators", None)),
        "metrics": _list(getattr(prior, "metrics", None)),
        "configurations": None if n_evaluations is None else f"{n_evaluations:,}",
        "parameters": _list(getattr(prior, "parameters", None)),
        "data sets": _list(getattr(prior, "datasets", None)),
    }
    return facts_table(type(prior).__name__, facts)


def _list(names: Sequence[str] | None) -> str | None:
    if names is None:
        return None
    shown = list(dict.fromkeys(names))
    more = len(shown) - _MOST_SHOWN
    return ", ".join(shown[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
