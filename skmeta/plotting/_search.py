"""Plot a finished search: best score over the evaluations, or parallel coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skmeta._optional import import_optional
from skmeta.plotting._parallel import draw_parallel
from skmeta.search.analysis import (
    ExpectedIncumbent,
    expected_incumbent,
    finite_or_nan,
    metric_name_of,
    metric_of,
    most_resources,
    reference_scores,
    score_floor,
)

__all__ = ["SearchDisplay"]

Array = NDArray[np.float64]

_KINDS = ("incumbent", "parallel")
_SOURCE_COLORS = {"initial design": "0.45", "prior": "tab:orange", "model": "tab:blue"}
_OTHER_COLORS = ("tab:green", "tab:purple", "tab:brown", "tab:pink", "tab:olive")


class SearchDisplay:
    """Best score of a search over the evaluations, or parallel coordinates of its parameters.

    It draws :class:`~skmeta.search.MetaLearnedSearchCV` and every search of scikit-learn. Create a
    display with :meth:`from_estimator` or :meth:`from_cv_results`. Draw it again, or draw the other
    kind of picture, with :meth:`plot`.

    Parameters
    ----------
    scores : array-like of shape (n_candidates,)
        Mean test scores in the order of evaluation. Greater is better; NaN if a fit failed.
    params : sequence of dict of length n_candidates
        Parameters of the candidates. Their names may differ, as in conditional spaces.
    sources : sequence of str of length n_candidates or None, default=None
        Source of each candidate.
    reference : array-like of shape (n_reference,) or None, default=None
        Scores of a random search on the same data and folds.
    metric_name : str, default="score"
        Name of the scores, for the axis.
    name : str or None, default=None
        Name of the search, for the legend.

    Attributes
    ----------
    incumbent : ndarray of shape (n_candidates,)
        Best score so far; NaN before the first successful fit.
    expected : tuple of three ndarray of shape (n_candidates,) or (n_reference,)
        Expected best score of candidates in random order, and its 10% and 90% quantiles.
    best_index : int or None
        The candidate with the best score; None if all failed.
    n_failed : int
        Candidates without a score.
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.

    Notes
    -----
    The best score of a random search after k evaluations is random. Over all orders of N scores,
    it is the maximum of k draws without replacement. It is at most the score of rank i with
    probability C(i, k) / C(N, k) [1]_. ``expected`` has its mean and quantiles. A failed candidate
    costs an evaluation and adds no score. Orders without a successful fit so far are left out.

    If ``reference`` is given, its scores are used: a finished random search on the same data,
    space and folds. The curve is then an unbiased estimate for a random search. Otherwise the
    scores of the search itself are used. For a random search or a grid search this is equivalent.
    For a guided search it is *not* the score of a random search but a better one, because the
    candidates are better than random ones. The curve then shows how much of the result is due to
    the order of the candidates. The legend names the scores that are used.

    References
    ----------
    .. [1] Dodge et al. (2019), Show your work: improved reporting of experimental results, which
       has the formula for draws with replacement.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import RandomizedSearchCV
    >>> from sklearn.svm import SVC
    >>> from skmeta.plotting import SearchDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": loguniform(1e-3, 1e3)}
    >>> search = RandomizedSearchCV(SVC(), space, n_iter=5, random_state=0).fit(X, y)
    >>> display = SearchDisplay.from_estimator(search)
    >>> display.metric_name, len(display.incumbent)
    ('accuracy', 5)
    >>> bool(display.incumbent[-1] == search.best_score_)
    True
    """

    def __init__(
        self,
        *,
        scores: Any,
        params: Sequence[Mapping[str, Any]],
        sources: Sequence[str] | None = None,
        reference: Any = None,
        metric_name: str = "score",
        name: str | None = None,
    ) -> None:
        self.scores = finite_or_nan(scores)
        self.params = list(params)
        self.sources = None if sources is None else [str(source) for source in sources]
        self.reference = None if reference is None else finite_or_nan(reference)
        self.metric_name = metric_name
        self.name = name

    # -- the record ----------------------------------------------------------------------------

    @property
    def incumbent(self) -> Array:
        """Best score so far."""
        return np.fmax.accumulate(self.scores) if len(self.scores) else self.scores

    @property
    def expected(self) -> ExpectedIncumbent:
        """Expected best score so far of candidates in random order, and its quantiles."""
        return expected_incumbent(self.scores if self.reference is None else self.reference)

    @property
    def best_index(self) -> int | None:
        """Position of the first candidate with the best score."""
        return int(np.nanargmax(self.scores)) if np.isfinite(self.scores).any() else None

    @property
    def n_failed(self) -> int:
        """Candidates without a score."""
        return int(np.isnan(self.scores).sum())

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        metric: str | None = None,
        reference: Any = None,
        name: str | None = None,
        kind: str = "incumbent",
        ax: Any = None,
        **plot_kw: Any,
    ) -> Self:
        """Draw a fitted search.

        Parameters
        ----------
        search : MetaLearnedSearchCV, GridSearchCV, RandomizedSearchCV or alike
            A fitted search.
        metric : str or None, default=None
            Which of several metrics. None takes the one that the search was refitted by, or the
            first.
        reference : fitted search, dict, DataFrame or array-like, default=None
            A random search on the same data, space and folds, to compare with: fitted, its
            ``cv_results_``, or its scores.
        name : str or None, default=None
            Name for the legend; None takes the name of the class.
        kind, ax, **plot_kw
            As for :meth:`plot`.

        Returns
        -------
        SearchDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the search is not fitted.
        ValueError
            If ``metric`` or ``kind`` is unknown.
        """
        check_is_fitted(search, "cv_results_")
        if metric is None and isinstance(search.refit, str):
            metric = search.refit
        return cls.from_cv_results(
            search.cv_results_,
            metric=metric,
            reference=reference,
            metric_name=metric_name_of(search, metric),
            name=type(search).__name__ if name is None else name,
            kind=kind,
            ax=ax,
            **plot_kw,
        )

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Any,
        *,
        metric: str | None = None,
        reference: Any = None,
        metric_name: str | None = None,
        name: str | None = None,
        kind: str = "incumbent",
        ax: Any = None,
        **plot_kw: Any,
    ) -> Self:
        """Draw the ``cv_results_`` of a search.

        Of a halving search, the candidates with the most resources are drawn: scores on fewer
        rows cannot be compared with theirs.

        Parameters
        ----------
        cv_results : dict or DataFrame
            The ``cv_results_``.
        metric : str or None, default=None
            Which of several metrics; None takes the first.
        reference
            As for :meth:`from_estimator`.
        metric_name : str or None, default=None
            Label of the axis; None writes ``metric``, or ``"score"``.
        name : str or None, default=None
            Name for the legend.
        kind, ax, **plot_kw
            As for :meth:`plot`.

        Returns
        -------
        SearchDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there are no scores, or ``metric`` or ``kind`` is unknown.
        """
        _check_kind(kind)
        metric = metric_of(cv_results, metric)
        keep = most_resources(cv_results)
        display = cls(
            scores=np.asarray(cv_results[f"mean_test_{metric}"], dtype=float)[keep],
            params=[cv_results["params"][i] for i in keep],
            sources=[cv_results["source"][i] for i in keep] if "source" in cv_results else None,
            reference=reference_scores(reference, metric),
            metric_name=metric if metric_name is None else metric_name,
            name=name,
        )
        return display.plot(kind, ax, **plot_kw)

    # -- the pictures --------------------------------------------------------------------------

    def plot(
        self,
        kind: str = "incumbent",
        ax: Any = None,
        *,
        show_points: bool = True,
        show_expected: bool = True,
        color: Any = None,
        cmap: Any = "YlGnBu",
    ) -> Self:
        """Draw the display.

        Parameters
        ----------
        kind : {"incumbent", "parallel"}, default="incumbent"
            ``"incumbent"`` draws the best score over the evaluations. Each candidate is a point in
            the colour of its source. A dashed line is the expected best score of the same number
            of evaluations in random order, and a band holds 80% of the orders. Low scores are
            triangles at the edge of the axis.
            ``"parallel"`` draws one axis per parameter and one line per candidate, in the colour
            of its score, with the best candidate on top. An axis is logarithmic if its values span
            two decades or more. Parameters that never vary are left out. *not set* is a parameter
            that the candidate's sub-space does not have. Lines fan out at a category, with better
            candidates higher.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        show_points : bool, default=True
            Draw the candidates in addition to the incumbent; for kind ``"incumbent"``.
        show_expected : bool, default=True
            Draw the expected best score of random orders; for kind ``"incumbent"``.
        color : color or None, default=None
            Colour of the incumbent, for kind ``"incumbent"``, so that several searches can be
            drawn on the same axes. None takes black, or another colour if the axes have lines.
        cmap : str or matplotlib Colormap, default="YlGnBu"
            Colours of the scores, for kind ``"parallel"``; low scores share one colour.

        Returns
        -------
        SearchDisplay
            This display.

        Raises
        ------
        ValueError
            If ``kind`` is unknown.
        """
        _check_kind(kind)
        plt = import_optional("matplotlib.pyplot", "plot")
        if kind == "parallel":
            self.ax_ = draw_parallel(
                ax, self.params, self.scores, floor=self._floor(), label=self.metric_name, cmap=cmap
            )
        else:
            self.ax_ = self._draw_incumbent(plt, ax, show_points, show_expected, color)
        self.figure_ = self.ax_.figure
        return self

    def _label(self) -> str:
        return self.metric_name[:1].upper() + self.metric_name[1:]

    def _floor(self) -> float:
        """Return the lowest score to draw: lower ones would compress the rest of the picture."""
        return score_floor(self.scores)

    def _draw_incumbent(
        self, plt: Any, ax: Any, show_points: bool, show_expected: bool, color: Any
    ) -> Any:
        if ax is None:
            _, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
        if color is None:
            color = f"C{len(ax.lines)}" if ax.lines else "black"
        bottom, top = self._limits(ax, show_expected)
        if show_expected:
            self._draw_expected(ax)
        if show_points:
            self._draw_points(ax, bottom, top - bottom)
        x = np.arange(1, len(self.scores) + 1)
        label = "best so far" if self.name is None else f"{self.name}, best so far"
        if self.best_index is not None:
            at, best = self.best_index, self.scores[self.best_index]
            ax.plot(at + 1, best, "*", color=color, markersize=13, mec="white", zorder=6)
            text, place, above = f"{best:.4g}", (at + 1, best), {"textcoords": "offset points"}
            if ax.texts:  # the text of a second search would overlap that of the first
                label = f"{label}: {text}"
            else:
                ax.annotate(text, place, (0, 7), ha="center", color=color, **above)
        ax.step(x, self.incumbent, where="post", color=color, lw=2, label=label, zorder=4)
        ax.set(xlabel="evaluations", ylabel=self.metric_name, ylim=(bottom, top))
        ax.xaxis.get_major_locator().set_params(integer=True)
        # Below the axes, because it would cover candidates within them.
        at_bottom = (0.5, -0.14)
        ax.legend(
            ncols=3, loc="upper center", bbox_to_anchor=at_bottom, fontsize="small", frameon=False
        )
        return ax

    def _limits(self, ax: Any, show_expected: bool) -> tuple[float, float]:
        """Return the limits of the scores' axis, which include earlier drawings."""
        early = max(2, len(self.scores) // 10)
        shown = [self._floor(), *self.incumbent[: early + 1][-1:], *self.incumbent[-1:]]
        if show_expected:
            shown += [*self.expected.mean[:2][-1:], *self.expected.high[-1:]]
        shown = [value for value in shown if np.isfinite(value)] or [0.0]
        low, high = min(shown), max(shown)
        room = (high - low) or 0.1 * abs(high) or 1.0
        low, high = low - 0.12 * room, high + 0.12 * room
        if ax.has_data():
            low, high = min(low, ax.get_ylim()[0]), max(high, ax.get_ylim()[1])
        return float(low), float(high)

    def _draw_expected(self, ax: Any) -> None:
        mean, low, high = self.expected
        x = np.arange(1, len(mean) + 1)
        label = "same candidates in random order" if self.reference is None else "random search"
        ax.fill_between(x, low, high, color="0.6", alpha=0.2, linewidth=0, zorder=1)
        ax.plot(x, mean, color="0.45", linestyle="--", label=f"{label}, expected", zorder=2)

    def _draw_points(self, ax: Any, bottom: float, height: float) -> None:
        x = np.arange(1, len(self.scores) + 1)
        failed, hidden = np.isnan(self.scores), self.scores < bottom
        sources = np.array(self.sources or ["candidate"] * len(x))
        size = float(np.clip(2400 / max(len(x), 1), 10, 40))
        edge = bottom + 0.03 * height
        for source, color in _colors_of(sources).items():
            of = sources == source
            seen = of & ~failed & ~hidden
            style = {"color": color, "linewidth": 0, "zorder": 3, "clip_on": False}
            ax.scatter(x[seen], self.scores[seen], size, label=source, alpha=0.8, **style)
            below = of & hidden
            ax.scatter(x[below], np.full(below.sum(), edge), size, marker="v", **style, alpha=0.5)
        if hidden.any():
            marker = {"marker": "v", "s": 30, "color": "0.6", "label": f"{hidden.sum()} below"}
            ax.scatter([], [], **marker)
        if failed.any():
            label = f"{failed.sum()} failed"
            ax.scatter(
                x[failed], np.full(failed.sum(), edge), 30, marker="x", color="tab:red", label=label
            )


def _colors_of(sources: NDArray[Any]) -> dict[str, Any]:
    """Return the colour of each source, in the order of first appearance."""
    found = dict.fromkeys(sources.tolist())
    others = [s for s in found if s not in _SOURCE_COLORS]
    if others == ["candidate"]:
        return {"candidate": "tab:blue"}
    extra = {s: _OTHER_COLORS[k % len(_OTHER_COLORS)] for k, s in enumerate(others)}
    return {s: _SOURCE_COLORS.get(s) or extra[s] for s in found}


def _check_kind(kind: str) -> None:
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
