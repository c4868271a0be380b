"""The tables of a report."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from skmeta._html import Markup, join, tag
from skmeta.search.record import CandidateRecord
from skmeta.search.report._axes import number
from skmeta.search.report._summary import SearchSummary

__all__ = ["facts", "filter_bar", "leaderboard", "overview", "sources_table", "versions_table"]


def leaderboard(summary: SearchSummary, identifier: str) -> Markup:
    """Return the candidates, the best one first."""
    candidates, scores = summary.candidates, summary.scores.tolist()
    others = {key: summary.mean_scores(key) for key in summary.other_metrics}
    texts = {name for name in summary.varying if _is_text(name, candidates)}
    has_error = any(c.error for c in candidates)
    headings = [
        _heading("rank", sort="ascending"),
        _heading("candidate"),
        _heading(summary.metric),
        _heading("std"),
        *map(_heading, others),
        _heading("source", text=True),
        _heading("seconds"),
        *(_heading(name, text=name in texts) for name in summary.varying),
        *([_heading("error", text=True)] if has_error else []),
    ]
    # The chosen candidate comes first among equal scores.
    keys = [(math.isnan(score), -score, i != summary.best, i) for i, score in enumerate(scores)]
    order = sorted(range(len(candidates)), key=lambda i: keys[i])
    ranks = _ranks(summary.scores)
    rows = []
    for i in order:
        c = candidates[i]
        cells = [
            tag("th", ranks[i] or "-", scope="row", data_v=ranks[i] or ""),
            _number(i + 1),
            _number(scores[i], 5, missing="no score"),
            _number(summary.stds[i], 3),
            *(_number(means[i], 5) for means in others.values()),
            tag("td", c.source, class_="text"),
            _number(c.seconds, 3),
            *(_value(c, name, name in texts) for name in summary.varying),
            *([tag("td", c.error or "", class_="text")] if has_error else []),
        ]
        rows.append(tag("tr", *cells, class_="chosen" if i == summary.best else None))
    caption = f"All {len(candidates)} candidates, the best one first."
    return _table(caption, headings, rows, identifier)


def overview(summaries: Sequence[SearchSummary], targets: Sequence[str | None]) -> Markup:
    """Return one row per search; `targets` are the ids to which their names lead."""
    headings = [
        _heading("search", sort="ascending"),
        _heading("data set", text=True),
        _heading("estimator", text=True),
        _heading("metric", text=True),
        _heading("best score"),
        _heading("candidates"),
        _heading("seconds"),
    ]
    rows = []
    for k, (one, target) in enumerate(zip(summaries, targets, strict=True), start=1):
        label = f"{k}" if target is None else tag("a", f"{k}", href=f"#{target}")
        cells = [
            tag("th", label, scope="row", data_v=k),
            tag("td", one.dataset or "", class_="text"),
            tag("td", one.estimator, class_="text"),
            tag("td", one.metric, class_="text"),
            _number(math.nan if one.best is None else one.scores[one.best], 5),
            _number(len(one.candidates)),
            _number(one.seconds, 3),
        ]
        rows.append(tag("tr", *cells))
    return _table(f"All {len(summaries)} searches.", headings, rows, "searches")


def sources_table(summary: SearchSummary) -> Markup:
    """Return what the candidates of each source achieved."""
    headings = [
        _plain_heading("source", class_="text"),
        *(_plain_heading(text) for text in ("candidates", "best", "mean", "new best scores")),
    ]
    scores = summary.scores
    before = np.fmax.accumulate(np.concatenate([[-np.inf], scores]))[:-1]
    rows = []
    for source in dict.fromkeys(c.source for c in summary.candidates):
        own = np.array([c.source == source for c in summary.candidates])
        known = scores[own & np.isfinite(scores)]
        improved = int((scores[own] > before[own]).sum())
        rows.append(
            tag(
                "tr",
                tag("th", source, scope="row", class_="text"),
                _number(int(own.sum())),
                _number(known.max() if len(known) else math.nan, 5),
                _number(known.mean() if len(known) else math.nan, 5),
                _number(improved),
            )
        )
    return _table("What the candidates of each source achieved.", headings, rows, None)


def versions_table(versions: Any) -> Markup:
    """Return the versions of packages."""
    rows = [
        tag("tr", tag("th", name, scope="row", class_="text"), tag("td", text))
        for name, text in versions.items()
    ]
    headings = [_plain_heading("package", class_="text"), _plain_heading("version")]
    return _table("Versions of packages.", headings, rows, None)


def filter_bar(table: str, label: str) -> Markup:
    """Return the field that filters a table; the page's script shows it."""
    field = f"{table}-filter"
    return tag(
        "div",
        tag("label", label, for_=field),
        tag("input", type="search", id=field, autocomplete="off", spellcheck="false"),
        tag("span", role="status", class_="quiet"),
        class_="filter",
        data_table=table,
        hidden=True,
    )


def _table(
    caption: str, headings: list[Markup], rows: list[Markup], identifier: str | None
) -> Markup:
    table = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *headings)),
        tag("tbody", *rows),
        id=identifier,
        class_=None if identifier is None else "sortable",
    )
    # What scrolls must be reached with the keyboard.
    class_ = "scroll" if identifier is None else "scroll wide"
    return tag("div", table, class_=class_, tabindex="0", role="group", aria_label=caption)


def _heading(name: str, *, text: bool = False, sort: str | None = None) -> Markup:
    return tag("th", name, scope="col", class_="text" if text else None, aria_sort=sort)


def _plain_heading(name: str, class_: str | None = None) -> Markup:
    return tag("th", name, scope="col", class_=class_)


def _number(value: float, digits: int = 6, missing: str = "-") -> Markup:
    if isinstance(value, int):
        return tag("td", value)
    if not math.isfinite(value):
        return tag("td", missing, data_v="")
    return tag("td", number(value, digits), data_v=repr(float(value)))


def _value(candidate: CandidateRecord, name: str, is_text: bool) -> Markup:
    class_ = "text" if is_text else None
    if name not in candidate.configuration:
        return tag("td", "-", class_=class_, data_v="")
    value = candidate.configuration[name]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return tag("td", number(value), class_=class_, data_v=repr(value))
    return tag("td", str(value), class_=class_, title=value if len(str(value)) > 30 else None)


def _is_text(name: str, candidates: Sequence[CandidateRecord]) -> bool:
    values = [c.configuration[name] for c in candidates if name in c.configuration]
    return not any(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _ranks(scores: Any) -> list[int]:
    """Return the rank of each score, 1 for the best; 0 for NaN. Equal scores share a rank."""
    return [0 if math.isnan(s) else 1 + int((scores > s).sum()) for s in scores]


def facts(items: Any) -> Markup:
    """Return labels and texts as a list of facts."""
    pairs = (tag("div", tag("dt", label), tag("dd", text)) for label, text in items.items())
    return tag("dl", join(*pairs), class_="facts")
