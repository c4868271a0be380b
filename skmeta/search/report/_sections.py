"""The sections of the report of one search."""

import math

import numpy as np

from skmeta._html import Markup, join, tag
from skmeta.search.analysis import (
    MIN_CANDIDATES,
    FittedScores,
    fit_scores,
    parameter_importance,
    score_slice,
    sliced_parameters,
)
from skmeta.search.report._axes import number
from skmeta.search.report._charts import (
    bars,
    importance_bars,
    incumbent,
    predictions,
    slice_chart,
    timeline,
)
from skmeta.search.report._summary import PriorSummary, SearchSummary
from skmeta.search.report._tables import (
    facts,
    filter_bar,
    leaderboard,
    sources_table,
    versions_table,
)

__all__ = ["search_sections"]

_MOST_SLICES = 8
_MOST_TASKS = 8


def search_sections(summary: SearchSummary, prefix: str, level: int) -> Markup:
    """Return the report of one search.

    Parameters
    ----------
    summary : SearchSummary
    prefix : str
        Begins the ids of its elements.
    level : int
        Level of the headings.
    """
    heading = f"h{level}"
    parts: list[Markup | None] = [facts(_facts(summary))]
    if not summary.candidates:
        return join(*parts, tag("p", "The search has no candidate yet."))
    parts.append(_section(heading, "Best candidate", _best(summary)))
    if np.isfinite(summary.scores).any():
        parts.append(_section(heading, "Progress", _progress(summary)))
    parts.append(_section(heading, "Leaderboard", _leaderboard(summary, f"{prefix}-candidates")))
    parts.append(_section(heading, "Parameters", _parameters(summary)))
    parts.append(_section(heading, "What past searches contributed", _prior(summary)))
    parts.append(_section(heading, "Time", _time(summary)))
    if summary.versions:
        parts.append(_section(heading, "Versions", versions_table(summary.versions)))
    return join(*parts)


def _section(heading: str, title: str, content: Markup) -> Markup:
    return tag("section", tag(heading, title), content)


def _facts(summary: SearchSummary) -> dict[str, str]:
    dataset = {"Data set": summary.dataset} if summary.dataset else {}
    return {"Estimator": summary.estimator, **dataset, "Score": summary.metric, **summary.facts}


def _best(summary: SearchSummary) -> Markup:
    best = summary.best_candidate
    code = tag(
        "div",
        tag("button", "Copy", type="button", hidden=True, aria_label="Copy the code"),
        tag("pre", tag("code", summary.code), tabindex="0"),
        class_="code",
    )
    if best is None or summary.best is None:
        return join(tag("p", "No candidate has a score."), code)
    return join(
        tag("p", number(summary.scores[summary.best], 5), class_="score"),
        tag(
            "p",
            f"Mean {summary.metric} over the folds; its standard deviation over them is "
            f"{number(summary.stds[summary.best], 3)}. Candidate {summary.best + 1} of "
            f"{len(summary.candidates)}, tried as: {best.source}.",
        ),
        code,
        tag(
            "p",
            "The best score of many candidates is optimistic. Score the refitted model on rows "
            "that the search has not seen.",
            class_="quiet",
        ),
    )


def _progress(summary: SearchSummary) -> Markup:
    return _figure(
        incumbent(summary),
        "Every candidate in the order of evaluation, and the best score so far. The dashed line is "
        "not another search: it is the best score so far if these same candidates came in random "
        "order, on average over all orders, and the band holds 80% of the orders. It may lie above "
        "the search's own line, since late candidates, which the search found by the scores of "
        "the early ones, come early in many orders.",
    )


def _leaderboard(summary: SearchSummary, identifier: str) -> Markup:
    constant = [name for name in summary.parameters if name not in summary.varying]
    note = None
    if constant:
        values = summary.candidates[0].configuration
        text = ", ".join(f"{name} = {values[name]}" for name in constant)
        note = tag("p", f"The same in all candidates: {text}.", class_="quiet")
    return join(
        filter_bar(identifier, "Show rows with these words"),
        leaderboard(summary, identifier),
        note,
    )


def _parameters(summary: SearchSummary) -> Markup:
    fitted = fit_scores([c.configuration for c in summary.candidates], summary.scores, summary.best)
    if fitted is None:
        return tag(
            "p",
            f"Importance and slices need at least {MIN_CANDIDATES} candidates with a score, "
            "different scores, and a parameter that varies.",
        )
    importance = parameter_importance(fitted)
    figures = [
        _figure(
            importance_bars(importance),
            "Importance: the share of the variance of the score, over the region that was tried, "
            "that a parameter accounts for, alone or with others. Lines are 90% intervals: what "
            "these scores leave open.",
        )
    ]
    figures += _slices(fitted, importance.names, summary.metric)
    return join(
        tag(
            "p",
            "Computed with a Gaussian process that was fitted to the scores of this search. Very "
            "low scores are raised, so that they do not hide the differences between good ones.",
        ),
        tag("div", *figures, class_="pictures"),
    )


def _slices(fitted: FittedScores, names: tuple[str, ...], metric: str) -> list[Markup]:
    shown = [name for name in names if name in sliced_parameters(fitted)][:_MOST_SLICES]
    return [
        _figure(
            slice_chart(fitted, score_slice(fitted, name), metric),
            join(
                "Expected score along ",
                tag("code", name),
                " with the other parameters of the best candidate, and its 90% interval. Points "
                "are candidates with the same parameters, whose other values differ.",
            ),
        )
        for name in shown
    ]


def _prior(summary: SearchSummary) -> Markup:
    parts: list[Markup | None] = []
    prior = summary.prior
    if prior is not None:
        share = f"{prior.learned_weight:.0%}"
        parts.append(tag("p", f"The search began with what is known from {prior.text}."))
        parts.append(
            tag(
                "p",
                f"After the last candidate, models that learned from past searches had {share} of "
                "the weight, and the model without them the rest. Models are weighted by how "
                "probable they made the scores of this search.",
            )
        )
    else:
        parts.append(tag("p", "No prior was used, or it is not on record."))
    parts.append(sources_table(summary))
    figures = []
    drawn = predictions(summary)
    if drawn is not None:
        figures.append(
            _figure(
                drawn,
                "The score that the model expected just before a candidate was evaluated, with one "
                "standard deviation, and the score that was measured.",
            )
        )
    if prior is not None and len(prior.datasets):
        figures.append(_past_tasks(prior))
    parts.append(tag("div", *figures, class_="pictures") if figures else None)
    return join(*parts)


def _past_tasks(prior: PriorSummary) -> Markup:
    order = np.argsort(-prior.task_weights, kind="stable")[:_MOST_TASKS]
    names = [prior.datasets[t] for t in order]
    chart = bars(
        "Probability of the past data sets that are most like this one",
        names,
        prior.task_weights[order],
        None,
        "probability",
    )
    n_tasks = len(prior.datasets)
    others = f" The other {n_tasks - len(order)} are less probable." if n_tasks > len(order) else ""
    return _figure(
        chart,
        "Past data sets that predict the scores of this search best: the probability of each, if "
        f"this data set is like one of them.{others}",
    )


def _time(summary: SearchSummary) -> Markup:
    fits = float(np.nansum([np.sum(c.fit_times) for c in summary.candidates]))
    scores = float(np.nansum([np.sum(c.score_times) for c in summary.candidates]))
    longest = max(
        range(len(summary.candidates)),
        key=lambda i: summary.candidates[i].seconds if _known(summary, i) else -1.0,
    )
    text = (
        f"Fits took {number(fits, 3)} s and scores {number(scores, 3)} s, added over all folds. "
        f"Candidate {longest + 1} took longest: "
        f"{number(summary.candidates[longest].seconds, 3)} s."
    )
    return join(
        tag("p", text),
        _figure(
            timeline(summary),
            "Seconds of each candidate, as if one came after the other.",
        ),
    )


def _known(summary: SearchSummary, i: int) -> bool:
    return math.isfinite(summary.candidates[i].seconds)


def _figure(picture: Markup, caption: str) -> Markup:
    return tag("figure", picture, tag("figcaption", caption))
