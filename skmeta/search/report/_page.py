"""The whole page: one file that loads nothing, and runs no script but its own."""

import base64
import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from skmeta._files import atomic_writer
from skmeta._html import Markup, tag
from skmeta.search.report._sections import describe_estimator, search_sections


def write_search_report(search: Any, path: str | os.PathLike[str], title: str | None) -> Path:
    """Write the report of a fitted search.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        Fitted.
    path : str or path-like
        The file; an existing one is replaced.
    title : str or None
        None writes the estimator and the data set.

    Returns
    -------
    Path
        The file.
    """
    target = Path(path).expanduser()
    if title is None:
        dataset = "" if search.dataset is None else f" on {search.dataset}"
        title = f"{describe_estimator(search)}{dataset}"
    page = _render(title, search_sections(search))
    with atomic_writer(target) as file:
        file.write(page.encode())
    return target


def _render(title: str, main: Markup) -> str:
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="skmeta"),
        tag("title", f"{title}: search report"),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag("header", tag("h1", title)),
        tag("main", main),
        tag("script", Markup(script)),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def _asset(name: str) -> str:
    text = (files("skmeta.search.report") / "assets" / name).read_text(encoding="utf-8")
    assert "</" not in text  # it would end its element
    return text


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
