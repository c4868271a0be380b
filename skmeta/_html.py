"""Tables that notebooks show of estimators, as HTML and SVG; everything but markup is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from html import escape
from typing import Any

_VOID = frozenset({"br", "circle", "img", "input", "line", "meta", "path", "rect"})


class Markup(str):
    """Text that is markup, and is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """Return an element; children and attributes that are None, and False attributes, are left out.

    In names of attributes, a final ``_`` is dropped, and other ``_`` become ``-``. True is an
    attribute without a value.

    >>> tag("p", "1 < 2", class_="note", hidden=True)
    '<p class="note" hidden>1 &lt; 2</p>'
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_text(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Any) -> Markup:
    """Return children one after the other, as `tag` writes them."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else _text(child)
            for child in children
            if child is not None
        )
    )


def facts_table(caption: str, facts: Mapping[str, Any]) -> Markup:
    """Return a table of labels and texts, for a notebook; texts that are None are left out."""
    rows = [
        tag("tr", tag("th", label, scope="row"), tag("td", text))
        for label, text in facts.items()
        if text is not None
    ]
    return tag("table", tag("caption", caption), tag("tbody", *rows))


def table(
    caption: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], **attributes: Any
) -> Markup:
    """Return a table with a heading for each column; the first value of a row is its heading."""
    head = tag("tr", *(tag("th", heading, scope="col") for heading in headings))
    body = [
        tag("tr", tag("th", first, scope="row"), *(tag("td", value) for value in values))
        for first, *values in rows
    ]
    return tag(
        "table", tag("caption", caption), tag("thead", head), tag("tbody", *body), **attributes
    )


def _text(value: Any) -> str:
    return escape(f"{value:.5g}" if isinstance(value, float) else str(value))


# ------------------------------------------------------ attributes that take time to compute

_is_displaying: ContextVar[bool] = ContextVar("_is_displaying", default=False)


class NotRead:
    """What a display shows of an attribute that nobody has read."""

    def __repr__(self) -> str:
        return "computed when it is read"


class ComputedOnce(property):
    """A property that is computed when it is first read, and kept until ``model_`` is another."""

    def __get__(self, estimator: Any, owner: type | None = None) -> Any:
        if estimator is None:
            return self
        model, name = vars(estimator).get("model_"), getattr(self.fget, "__name__", "")
        kept = vars(estimator).setdefault("_kept", {})
        own_model, value = kept.get(name, (None, None))
        if model is None or own_model is not model:
            if _is_displaying.get() and model is not None:
                return NotRead()
            value = super().__get__(estimator, owner)
            kept[name] = model, value
        return value.copy() if hasattr(value, "copy") else value


class QuickDisplay:
    """Mixin of an estimator whose display reads no `ComputedOnce` that has not been read before.

    scikit-learn 1.9 reads every property for the display of an estimator in a notebook.
    """

    def _get_fitted_attr_html(self, *args: Any, **kwargs: Any) -> Any:
        token = _is_displaying.set(True)
        try:
            return super()._get_fitted_attr_html(*args, **kwargs)  # type: ignore[misc]  # a mixin
        finally:
            _is_displaying.reset(token)
