"""How objects come to be: copies that are the object itself, and classes without a constructor."""

from typing import Any, NoReturn, Self


class Uncopied:
    """A clone or a copy of an object is the object itself."""

    def __sklearn_clone__(self) -> Self:
        return self

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Immutable(Uncopied):
    """Base class of immutable objects. A constructor writes with ``vars(self).update``."""

    _advice = ""  # how to make a changed object

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"A {type(self).__name__} is immutable, so {name!r} cannot be set. {self._advice}"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"A {type(self).__name__} is immutable, so {name!r} cannot be deleted. {self._advice}"
        )


class Made:
    """Base class of objects that class methods make. ``_made_by`` says which."""

    _made_by = "from_estimator"

    def __init__(self) -> None:
        name = type(self).__name__
        raise TypeError(f"A {name} has no constructor. Make one with {name}.{self._made_by}.")

    @classmethod
    def _make(cls, **attributes: Any) -> Self:
        self = cls.__new__(cls)
        vars(self).update(attributes)
        return self
