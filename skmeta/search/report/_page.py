"""The whole page: one file that loads nothing, and runs no script but its own."""

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from skmeta._files import atomic_writer
from skmeta._html import Markup, join, tag
from skmeta.search.report._from_history import summarise_recorded
from skmeta.search.report._from_search import summarise_search
from skmeta.search.report._sections import search_sections
from skmeta.search.report._summary import SearchSummary
from skmeta.search.report._tables import filter_bar, overview

__all__ = ["render_report", "write_history_report", "write_search_report"]

# Searches of a history that are shown in detail: each takes about a second and 100 kB.
MOST_DETAILS = 25


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
    return _write([summarise_search(search)], path, title)


def write_history_report(
    history: Any,
    path: str | os.PathLike[str],
    *,
    search: int | None = None,
    title: str | None = None,
) -> Path:
    """Write the report of the searches of a history.

    Parameters
    ----------
    history : SearchHistory or ReadOnlyHistory
    path : str or path-like
        The file; an existing one is replaced.
    search : int, default=None
        Number of the only search to report, from 1 in the order of the history. None reports all.
    title : str or None, default=None
        None writes one.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the history is empty, or has no such search.
    """
    recorded = list(history)
    if not recorded:
        raise ValueError(f"{history!r} holds no search, so there is nothing to report.")
    if search is not None:
        if not 1 <= search <= len(recorded):
            raise ValueError(
                f"search must be between 1 and {len(recorded)}, the number of searches in "
                f"{history!r}, got {search}. The report of all searches has their numbers."
            )
        recorded = [recorded[search - 1]]
    return _write([summarise_recorded(one) for one in recorded], path, title)


def _write(
    summaries: Sequence[SearchSummary], path: str | os.PathLike[str], title: str | None
) -> Path:
    target = Path(path).expanduser()
    page = render_report(summaries, title)
    with atomic_writer(target) as file:
        file.write(page.encode())
    return target


def render_report(summaries: Sequence[SearchSummary], title: str | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    summaries : sequence of SearchSummary
        At least one.
    title : str or None, default=None

    Returns
    -------
    str
        HTML.
    """
    if len(summaries) == 1:
        name = title or summaries[0].title
        main = search_sections(summaries[0], "search-1", 2)
    else:
        name = title or f"{len(summaries)} searches"
        main = _all_searches(summaries)
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="skmeta"),
        tag("title", f"{name}: search report"),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag("header", tag("h1", name)),
        tag("main", main),
        tag("script", Markup(script)),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def _all_searches(summaries: Sequence[SearchSummary]) -> Markup:
    # The newest ones are most likely to be looked at.
    first = max(0, len(summaries) - MOST_DETAILS)
    targets = [f"search-{k + 1}" if k >= first else None for k in range(len(summaries))]
    note = None
    if first:
        note = tag(
            "p",
            f"The last {MOST_DETAILS} searches are shown in detail below. For another one, write "
            "a report of it alone: python -m skmeta report HISTORY --search NUMBER.",
        )
    details = [
        tag(
            "details",
            tag("summary", f"Search {k + 1}: {one.title}", id=target),
            search_sections(one, target, 2),
        )
        for k, (one, target) in enumerate(zip(summaries, targets, strict=True))
        if target is not None
    ]
    bar = filter_bar("searches", "Show rows with these words")
    return join(bar, overview(summaries, targets), note, *details)


def _asset(name: str) -> str:
    text = (files("skmeta.search.report") / "assets" / name).read_text(encoding="utf-8")
    assert "</" not in text  # it would end its element
    return text


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
