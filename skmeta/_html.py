"""What notebooks show of estimators: tables, as HTML and SVG.

Whatever is not markup already is escaped.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_VOID = frozenset({"br", "circle", "img", "input", "line", "meta", "path", "rect"})


class Markup(str):
    """Text that is markup, and is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """Return an element.

    Parameters
    ----------
    name : str
        Name of the element.
    *children : object
        `Markup` is kept; the text of everything else is escaped. None is left out.
    **attributes : object
        Escaped. In names, a final ``_`` is dropped, and other ``_`` become ``-``. True is an
        attribute without a value; None and False are left out.

    Returns
    -------
    Markup

    Examples
    --------
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
    """Return a table of labels and texts, for a notebook; texts that are None are left out.

    Parameters
    ----------
    caption : str
    facts : mapping of str to object
    """
    rows = [
        tag("tr", tag("th", label, scope="row"), tag("td", text))
        for label, text in facts.items()
        if text is not None
    ]
    return tag("table", tag("caption", caption), tag("tbody", *rows))


def table(
    caption: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], **attributes: Any
) -> Markup:
    """Return a table with a heading for each column.

    Parameters
    ----------
    caption : str
    headings : sequence of str
    rows : iterable of sequence
        The first value of each is its heading.
    **attributes : object
        Of the table.
    """
    head = tag("tr", *(tag("th", heading, scope="col") for heading in headings))
    body = [
        tag("tr", tag("th", first, scope="row"), *(tag("td", value) for value in values))
        for first, *values in rows
    ]
    parts = (tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("table", *parts, **attributes)


def _text(value: Any) -> str:
    return escape(f"{value:.5g}" if isinstance(value, float) else str(value))
