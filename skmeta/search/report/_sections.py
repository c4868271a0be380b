"""The sections of the report of a search."""

import base64
import io
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from skmeta._files import skmeta_version
from skmeta._html import Markup, join, tag
from skmeta._optional import import_optional
from skmeta._validation import count
from skmeta.search.prior import JointPrior
from skmeta.search.report._code import code_of_best
from skmeta.search.report._display import SearchDisplay, metric_of
from skmeta.search.report._importance import MIN_CANDIDATES
from skmeta.search.space import signature

_PACKAGES = ("scikit-learn", "numpy", "scipy")
_MOST_TASKS = 8


def search_sections(search: Any) -> Markup:
    """Return the report of a fitted search.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        Fitted.

    Returns
    -------
    Markup
    """
    plt = import_optional("matplotlib.pyplot", "plot")
    wanted = getattr(search.refit, "metric", search.refit)
    metric = metric_of(search.cv_results_, wanted if isinstance(wanted, str) else None)
    frame = search.leaderboard(metric)
    with plt.ioff(), plt.rc_context({"svg.hashsalt": "skmeta", "figure.facecolor": "white"}):
        display = SearchDisplay.from_estimator(search, metric=metric, name="")
        sections = {
            "Best candidate": _best(search, frame, display.metric_name),
            "Progress": _progress(display),
            "Leaderboard": _leaderboard(frame, getattr(search, "best_index_", -1)),
            "Parameters": _parameters(display),
            "What past searches contributed": _prior(search, frame),
        }
    return join(
        _facts(_search_facts(search, display.metric_name)),
        *(tag("section", tag("h2", title), content) for title, content in sections.items()),
        tag("section", tag("h2", "Versions"), _facts(_versions())),
    )


def describe_estimator(search: Any) -> str:
    """Return the classes of the estimator that was tuned."""
    given = search.estimator
    return " or ".join(map(signature, given if isinstance(given, list | tuple) else [given]))


# -- sections --------------------------------------------------------------------------------------


def _search_facts(search: Any, metric: str) -> dict[str, Any]:
    results = search.cv_results_
    resumed = f", {search.n_resumed_} of them on record before" if search.n_resumed_ else ""
    fits, scores = (
        float(np.nansum(results[f"mean_{kind}_time"] * results.get("n_folds", search.n_splits_)))
        for kind in ("fit", "score")
    )
    refit = getattr(search, "refit_time_", None)
    return {
        "Estimator": describe_estimator(search),
        "Data set": search.dataset,
        "Score": metric,
        "Candidates": f"{len(results['params'])}{resumed}",
        "Folds": search.n_splits_,
        "Ended by": search.stopped_by_,
        "Search": f"{search.search_time_:.3g} s",
        "Fits and scores, added over all folds": f"{fits:.3g} s and {scores:.3g} s",
        "Refit": None if refit is None else f"{refit:.3g} s",
        "Rows": f"{search.n_samples_fit_:,}",
        "Columns": f"{search.n_features_in_:,}" if hasattr(search, "n_features_in_") else None,
    }


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "skmeta": skmeta_version()}
    return versions | {name: version(name) for name in _PACKAGES}


def _best(search: Any, frame: Any, metric: str) -> Markup:
    at = int(getattr(search, "best_index_", frame.index[0]))
    best = frame.loc[at]
    if not math.isfinite(best["score"]):
        return tag("p", "No candidate has a score.")
    code = tag(
        "div",
        tag("button", "Copy", type="button", hidden=True, aria_label="Copy the code"),
        tag("pre", tag("code", code_of_best(search)), tabindex="0"),
        class_="code",
    )
    text = (
        f"Mean {metric} over the folds; its standard deviation over them is {best['std']:.3g}. "
        f"Candidate {at + 1} of {len(frame)}, tried as: {best['source']}."
    )
    warning = (
        "The best score of many candidates is optimistic. Score the refitted model on rows that "
        "the search has not seen."
    )
    score = tag("p", f"{best['score']:.5g}", class_="score")
    return join(score, tag("p", text), code, tag("p", warning, class_="quiet"))


def _progress(display: SearchDisplay) -> Markup:
    return _figure(
        display,
        f"Best {display.metric_name} so far after each of {len(display.scores)} candidates",
        "Every candidate in the order of evaluation, and the best score so far. The dashed line is "
        "not another search: it is the best score so far if these same candidates came in random "
        "order, on average over all orders, and the band holds 80% of the orders. It may lie above "
        "the search's own line, since late candidates, which the search found by the scores of "
        "the early ones, come early in many orders.",
    )


def _leaderboard(frame: Any, chosen: int) -> Markup:
    names = ["rank", "candidate", *(name for name in frame if name != "rank")]
    table = frame.assign(candidate=frame.index + 1)[names]
    bar = tag(
        "div",
        tag("label", "Show rows with these words", for_="candidates-filter"),
        tag("input", type="search", id="candidates-filter", autocomplete="off", spellcheck="false"),
        tag("span", role="status", class_="quiet"),
        class_="filter",
        data_table="candidates",
        hidden=True,
    )
    caption = f"All {len(frame)} candidates, the best one first."
    rows = list(table.itertuples(index=False, name=None))
    place = next((k for k, at in enumerate(frame.index) if at == chosen), -1)
    return join(bar, _table(caption, names, rows, "candidates", place))


def _parameters(display: SearchDisplay) -> Markup:
    try:
        display.plot("importance")
    except ValueError:
        return tag(
            "p",
            f"Importance and slices need at least {MIN_CANDIDATES} candidates with a score, "
            "different scores, and a parameter that varies.",
        )
    importance = _figure(
        display,
        "Importance of each parameter",
        "Importance: the share of the variance of the expected scores of the candidates that a "
        "parameter accounts for, alone or with others.",
    )
    slices = _figure(
        display.plot("slice"),
        f"Expected {display.metric_name} along each parameter",
        "Expected score along each parameter with the other parameters of the best candidate, and "
        "its 90% interval. Points are candidates with the same parameters, whose other values "
        "differ.",
    )
    text = (
        "Computed with a Gaussian process that was fitted to the scores of this search. Very low "
        "scores are raised, so that they do not hide the differences between good ones."
    )
    return join(tag("p", text), importance, slices)


def _prior(search: Any, frame: Any) -> Markup:
    report, prior = search.prior_report_, search.prior_
    if prior is None or not report:
        return join(tag("p", "No prior was used."), _sources(frame))
    text = (
        f"After the last candidate, models that learned from past searches had "
        f"{report['learned_weight']:.0%} of the weight, and the model without them the rest. "
        "Models are weighted by how probable they made the scores of this search."
    )
    weights = np.asarray(report["task_weights"])
    likeliest = np.argsort(-weights, kind="stable")[:_MOST_TASKS]
    tasks = _table(
        "Past data sets that predict the scores of this search best: the probability of each, if "
        "this data set is like one of them.",
        ["data set", "probability"],
        [(str(report["datasets"][t]), float(weights[t])) for t in likeliest],
    )
    known = f"The prior was learned from {_describe_prior(prior)}."
    return join(tag("p", known), tag("p", text), _sources(frame), tasks if len(weights) else None)


def _describe_prior(prior: Any) -> str:
    if isinstance(prior, JointPrior):
        own, shipped = map(_describe_prior, prior.parts)
        return f"{own} (your own), and {shipped} (shipped with the package)"
    n_searches, n_datasets = len(prior), len(set(prior.datasets))
    estimators = [name.replace("|", " or ") for name in prior.estimators if name]
    kinds = f" of {', '.join(estimators)}" if estimators else ""
    metrics = [metric for metric in getattr(prior, "metrics", ()) if metric]
    scored = f", scored by {', '.join(metrics)}" if metrics else ""
    searches, datasets = count(n_searches, "past searches"), count(n_datasets, "data sets")
    return f"{searches}{kinds} on {datasets}{scored}"


def _sources(frame: Any) -> Markup:
    """Return what the candidates of each source achieved."""
    ordered = frame.sort_index()
    scores = ordered["score"]
    is_new_best = scores > scores.cummax().shift(fill_value=-np.inf)
    rows = [
        (source, len(own), float(own.max()), float(own.mean()), int(is_new_best[own.index].sum()))
        for source, own in scores.groupby(ordered["source"], sort=False)
    ]
    headings = ["source", "candidates", "best", "mean", "new best scores"]
    return _table("What the candidates of each source achieved.", headings, rows)


# -- parts of a page -------------------------------------------------------------------------------


def _facts(facts: Mapping[str, Any]) -> Markup:
    pairs = (tag("div", tag("dt", k), tag("dd", v)) for k, v in facts.items() if v is not None)
    return tag("dl", join(*pairs), class_="facts")


def _figure(display: SearchDisplay, label: str, caption: str) -> Markup:
    """Return the picture of a display, which is closed."""
    file = io.BytesIO()
    display.figure_.savefig(file, format="svg", metadata={"Date": None})
    import_optional("matplotlib.pyplot", "plot").close(display.figure_)
    source = f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
    return tag("figure", tag("img", src=source, alt=label), tag("figcaption", caption))


def _table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[Any]],
    identifier: str | None = None,
    chosen: int = -1,
) -> Markup:
    """Return a table; the page's script sorts and filters one with an identifier."""
    rows = list(rows)
    is_text = [any(isinstance(row[k], str) for row in rows) for k in range(len(headings))]
    classes = ["text" if text else None for text in is_text]
    head = [
        tag("th", name, scope="col", class_=class_)
        for name, class_ in zip(headings, classes, strict=True)
    ]
    body = [
        tag("tr", *map(_cell, row, classes), class_="chosen" if k == chosen else None)
        for k, row in enumerate(rows)
    ]
    table = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
        id=identifier,
        class_=None if identifier is None else "sortable",
    )
    # What scrolls must be reached with the keyboard.
    class_ = "scroll" if identifier is None else "scroll wide"
    return tag("div", table, class_=class_, tabindex="0", role="group", aria_label=caption)


def _cell(value: Any, class_: str | None) -> Markup:
    if not isinstance(value, float | np.floating):
        title = value if isinstance(value, str) and len(value) > 30 else None
        return tag("td", value, class_=class_, title=title)
    is_known = math.isfinite(value)
    text = f"{value:.5g}" if is_known else "-"
    return tag("td", text, class_=class_, data_v=repr(float(value)) if is_known else "")
