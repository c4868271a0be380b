"""Base class of immutable objects, which clones and copies share."""

from typing import Any, NoReturn, Self


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
