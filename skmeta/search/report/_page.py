"""The report of a search: one HTML file that loads nothing and runs no script."""

import base64
import hashlib
import io
import math
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from sklearn.base import clone

from skmeta._files import atomic_writer, skmeta_version
from skmeta._html import Markup, join, table, tag
from skmeta._optional import import_optional
from skmeta._validation import count
from skmeta.search.report._display import SearchDisplay
from skmeta.search.space import signature

_PACKAGES = ("scikit-learn", "numpy", "scipy")
_MAX_TASKS, _MAX_SLICES = 8, 6
_CAPTIONS = {
    "incumbent": "Every candidate in the order of evaluation, and the best score so far. The "
    "dashed line is not another search: it is the best score so far if these same candidates came "
    "in random order, on average over all orders, and the band holds 80% of the orders. It may lie "
    "above the search's own line, since late candidates, which the search found by the scores of "
    "the early ones, come early in many orders.",
    "importance": "Importance: the share of the variance of the expected scores of the candidates "
    "that a parameter accounts for, alone or with others. It is computed with a Gaussian process "
    "that was fitted to the scores of this search. Very low scores are raised, so that they do not "
    "hide the differences between good ones.",
    "slice": "Scores of the candidates along each parameter. The other parameters differ, too. The "
    "star is the best candidate.",
}


class FittedSearch(Protocol):
    """What `fit` sets on a `MetaLearnedSearchCV`, and the parameters that a report names."""

    estimator: Any
    name: str | None

    cv_results_: dict[str, Any]
    multimetric_: bool
    scorer_: Any
    best_index_: int
    best_params_: Any
    best_score_: float
    best_estimator_: Any
    refit_time_: float
    feature_names_in_: Any
    n_splits_: int
    n_samples_fit_: int
    n_resumed_: int
    search_time_: float
    stopped_by_: str
    prior_: Any
    prior_report_: dict[str, Any]

    def leaderboard(self, metric: str | None = None) -> Any:
        """Return the candidates, the best one first."""


def write_search_report(
    search: FittedSearch, path: str | os.PathLike[str], title: str | None
) -> Path:
    """Write the report of a fitted search, and return its path; an existing file is replaced."""
    target = Path(path).expanduser()
    if title is None:
        name = "" if search.name is None else f": {search.name}"
        title = f"{_describe_estimator(search)}{name}"
    style = (files("skmeta.search.report") / "assets" / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title}: search report"),
        tag("style", Markup(style)),
    )
    body = tag("body", tag("h1", title), tag("main", _sections(search)))
    page = f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"
    with atomic_writer(target) as file:
        file.write(page.encode())
    return target


def _sections(search: FittedSearch) -> Markup:
    plt = import_optional("matplotlib.pyplot", "plot")
    with plt.ioff(), plt.rc_context({"svg.hashsalt": "skmeta", "figure.facecolor": "white"}):
        display = SearchDisplay.from_estimator(search, name="")
        frame = search.leaderboard()
        leaderboard = frame.assign(candidate=frame.index + 1)[["candidate", *frame.columns]]
        caption = f"All {len(frame)} candidates, the best one first."
        sections = {
            "Best candidate": _best(search, frame, display.metric_name),
            "Progress": _figure(display, "incumbent"),
            "Leaderboard": _table(caption, leaderboard, "scroll wide"),
            "Parameters": _parameters(display),
            "What past searches contributed": _prior(search, frame),
            "Versions": _facts(
                {"python": platform.python_version(), "skmeta": skmeta_version()}
                | {name: version(name) for name in _PACKAGES}
            ),
        }
    return join(
        _facts(_search_facts(search, display.metric_name)),
        *(tag("section", tag("h2", title), content) for title, content in sections.items()),
    )


def _describe_estimator(search: FittedSearch) -> str:
    given = search.estimator
    return " or ".join(map(signature, given if isinstance(given, list | tuple) else [given]))


def _search_facts(search: FittedSearch, metric: str) -> dict[str, Any]:
    resumed = f", {search.n_resumed_} of them on record before" if search.n_resumed_ else ""
    return {
        "Estimator": _describe_estimator(search),
        "Name": search.name,
        "Score": metric,
        "Candidates": f"{len(search.cv_results_['params'])}{resumed}",
        "Folds": search.n_splits_,
        "Ended by": search.stopped_by_,
        "Search": f"{search.search_time_:.3g} s",
        "Rows": f"{search.n_samples_fit_:,}",
        "Columns": getattr(search, "n_features_in_", None),
    }


def _best(search: FittedSearch, frame: Any, metric: str) -> Markup:
    at = int(getattr(search, "best_index_", frame.index[0]))
    best = frame.loc[at]
    if not math.isfinite(best["score"]):
        return tag("p", "No candidate has a score.")
    text = (
        f"Mean {metric} over the folds; its standard deviation over them is {best['std']:.3g}. "
        f"Candidate {at + 1} of {len(frame)}, tried as: {best['source']}. The best score of many "
        "candidates is optimistic: score the refitted model on rows that the search has not seen."
    )
    code = f"estimator.set_params(**{search.best_params_!r})"
    if hasattr(search, "best_estimator_"):  # scikit-learn's representation is Python
        bare = clone(search.best_estimator_)
        params = bare.get_params(deep=True)
        bare.set_params(**{n: v.item() for n, v in params.items() if isinstance(v, np.generic)})
        code = bare.__repr__(N_CHAR_MAX=10**6)
    score = tag("p", f"{best['score']:.5g}", class_="score")
    return join(score, tag("p", text), tag("pre", tag("code", code), tabindex="0"))


def _parameters(display: SearchDisplay) -> Markup:
    try:
        names = display.importance.names[:_MAX_SLICES]
    except ValueError as error:
        return tag("p", str(error))
    return join(_figure(display, "importance"), _figure(display, "slice", parameters=names))


def _prior(search: FittedSearch, frame: Any) -> Markup:
    """Return what past searches contributed, and what the candidates of each source achieved."""
    scores = frame.sort_index()["score"]
    is_new_best = scores > scores.cummax().shift(fill_value=-np.inf)
    achieved = frame.sort_index().assign(is_new_best=is_new_best).groupby("source", sort=False)
    columns = {"candidates": ("score", "size"), "best": ("score", "max"), "mean": ("score", "mean")}
    columns["new best scores"] = ("is_new_best", "sum")
    caption = "What the candidates of each source achieved."
    sources = _table(caption, achieved.agg(**columns).reset_index())
    report, prior = search.prior_report_, search.prior_
    if prior is None or not report:
        return join(tag("p", "No prior was used."), sources)
    text = (
        f"The prior was learned from {count(len(prior), 'past searches')} on "
        f"{count(len(set(prior.datasets)), 'data sets')}. After the last candidate, models that "
        f"learned from past searches had {report['learned_weight']:.0%} of the weight, and "
        "the model without them the rest. Models are weighted by how probable they made the scores "
        "of this search."
    )
    past = {"data set": report["datasets"], "probability": np.asarray(report["task_weights"])}
    tasks = import_optional("pandas", "history").DataFrame(past)
    likeliest = tasks.sort_values("probability", ascending=False, kind="stable")[:_MAX_TASKS]
    caption = (
        "Past data sets that predict the scores of this search best: the probability of each, if "
        "this data set is like one of them."
    )
    return join(tag("p", text), sources, _table(caption, likeliest))


# -- parts of a page -------------------------------------------------------------------------------


def _facts(facts: Mapping[str, Any]) -> Markup:
    pairs = (tag("div", tag("dt", k), tag("dd", v)) for k, v in facts.items() if v is not None)
    return tag("dl", join(*pairs), class_="facts")


def _figure(display: SearchDisplay, kind: str, **settings: Any) -> Markup:
    """Return the picture of a display."""
    file, figure = io.BytesIO(), display.plot(kind, **settings).figure_
    figure.savefig(file, format="svg", metadata={"Date": None})
    import_optional("matplotlib.pyplot", "plot").close(figure)
    source = f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
    image = tag("img", src=source, alt=f"{display.metric_name}: {kind}")
    return tag("figure", image, tag("figcaption", _CAPTIONS[kind]))


def _table(caption: str, frame: Any, class_: str = "scroll") -> Markup:
    values = frame.itertuples(index=False, name=None)
    rows = [["-" if value != value else value for value in row] for row in values]  # "-" for NaN
    content = table(caption, list(frame.columns), rows)
    # What scrolls must be reached with the keyboard.
    return tag("div", content, class_=class_, tabindex="0", role="group", aria_label=caption)
