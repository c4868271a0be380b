"""Plot a finished search: its progress, its parameters and their importance."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.validation import check_is_fitted

from skmeta._copies import Made
from skmeta._sklearn_compat import BaseSearchCV
from skmeta.search.report import _pictures
from skmeta.search.space import short_names

Array = NDArray[np.float64]

_KINDS = ("incumbent", "importance", "slice")


class SearchDisplay(Made):
    """Best score of a search over the evaluations, or what its parameters do.

    It draws :class:`~skmeta.search.MetaLearnedSearchCV` and every search of scikit-learn. Create a
    display with :meth:`from_estimator`. Draw it again, or draw another kind of picture, with
    :meth:`plot`.

    Attributes
    ----------
    scores : array-like of shape (n_candidates,)
        Mean test scores in the order of evaluation. Greater is better; NaN if a fit failed.
    params : sequence of dict of length n_candidates
        Parameters of the candidates. Their names may differ, as in conditional spaces.
    sources : sequence of str of length n_candidates or None
        Source of each candidate.
    reference : array-like of shape (n_reference,) or None
        Scores of a random search on the same data and folds.
    metric_name : str
        Name of the scores, for the axis.
    estimator_name : str or None
        Name of the search, for the legend.
    incumbent : ndarray of shape (n_candidates,)
        Best score so far; NaN before the first successful fit.
    expected : tuple of three ndarray of shape (n_candidates,) or (n_reference,)
        Expected best score of candidates in random order, and its 10% and 90% quantiles.
    best_index : int or None
        The candidate with the best score; None if all failed.
    importance : Importance
        ``names`` and ``values`` of the importance of each parameter.
    ax_ : matplotlib Axes, or ndarray of them
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.

    Notes
    -----
    Over all orders of N scores, the best of the first k is at most the score of rank i with
    probability C(i, k) / C(N, k) [1]_. :ref:`search-curve` says how to read the curve.

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

    scores: Array
    params: Sequence[Mapping[str, Any]]
    sources: Sequence[str] | None = None
    reference: Array | None = None
    metric_name: str = "score"
    estimator_name: str | None = None

    @classmethod
    def _make(cls, **attributes: Any) -> Self:
        scores = {n: attributes.get(n) for n in ("scores", "reference")}
        finite = {n: _finite_or_nan(v) for n, v in scores.items() if v is not None}
        return super()._make(**attributes | finite)

    # -- the record ----------------------------------------------------------------------------

    @property
    def incumbent(self) -> Array:
        """Best score so far."""
        return np.asarray(np.fmax.accumulate(self.scores)) if len(self.scores) else self.scores

    @property
    def expected(self) -> _pictures.ExpectedIncumbent:
        """Expected best score so far of candidates in random order, and its quantiles."""
        return _pictures.expected_incumbent(
            self.scores if self.reference is None else self.reference
        )

    @property
    def best_index(self) -> int | None:
        """Position of the first candidate with the best score."""
        return int(np.nanargmax(self.scores)) if np.isfinite(self.scores).any() else None

    @property
    def importance(self) -> _pictures.Importance:
        """Importance of the parameters, the largest first."""
        return _pictures.parameter_importance(self.params, self.scores)

    @classmethod
    def from_estimator(
        cls,
        search: BaseSearchCV,
        *,
        metric: str | None = None,
        reference: Any = None,
        name: str | None = None,
        kind: str = "incumbent",
        ax: Any = None,
        **plot_kw: Any,
    ) -> Self:
        """Draw a fitted search.

        If it is a halving search, only the candidates with the most resources are drawn, because
        scores on fewer rows cannot be compared with theirs.

        Parameters
        ----------
        search : MetaLearnedSearchCV, GridSearchCV, RandomizedSearchCV or similar
            A fitted search.
        metric : str or None, default=None
            Which of several metrics. None takes the one that the search was refitted by, or the
            first.
        reference : fitted search or array-like, default=None
            A random search on the same data, space and folds, to compare with: fitted, or its
            scores.
        name : str or None, default=None
            Name for the legend; None takes the name of the class.
        kind, ax, **plot_kw : optional
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
        results = search.cv_results_
        column = result_metric(results, metric, search.refit)
        keep = _most_resources(results)
        if hasattr(reference, "cv_results_"):
            others = reference.cv_results_
            scores = others[f"mean_test_{result_metric(others, column)}"]
            reference = np.asarray(scores, dtype=float)[_most_resources(others)]
        display = cls._make(
            scores=np.asarray(results[f"mean_test_{column}"], dtype=float)[keep],
            params=[results["params"][i] for i in keep],
            sources=[str(results["source"][i]) for i in keep] if "source" in results else None,
            reference=reference,
            metric_name=_metric_name(search, column),
            estimator_name=type(search).__name__ if name is None else name,
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
        parameters: Sequence[str] | None = None,
    ) -> Self:
        """Draw the display.

        Parameters
        ----------
        kind : {"incumbent", "importance", "slice"}, default="incumbent"
            ``"incumbent"`` draws the best score over the evaluations. Each candidate is a point in
            the colour of its source. A dashed line is the expected best score of the same number
            of evaluations in random order, and a band holds 80% of the orders. Low scores are
            triangles at the edge of the axis.
            ``"importance"`` draws one bar per parameter: the share of the variance of the score
            that it accounts for, alone or with others.
            It is computed with a Gaussian process that is fitted to the scores.
            ``"slice"`` draws the scores of the candidates along each parameter that varies. An
            axis is logarithmic if its numbers span a decade or more; other values stand to the
            right of them. *not set* is a parameter that the candidate's sub-space does not have.
            The best candidate is a star. Low scores are triangles at the edge.
        ax : matplotlib Axes, array of them, or None, default=None
            Where to draw; for kind ``"slice"``, one per parameter. None makes a figure.
        show_points : bool, default=True
            Draw the candidates in addition to the incumbent; for kind ``"incumbent"``.
        show_expected : bool, default=True
            Draw the expected best score of random orders; for kind ``"incumbent"``.
        color : color or None, default=None
            Colour of the incumbent, for kind ``"incumbent"``, so that several searches can be
            drawn on the same axes. None takes black, or another colour if the axes have lines.
        parameters : sequence of str or None, default=None
            Parameters for kind ``"slice"``, by their names or by the ends of these. None takes
            all that vary.

        Returns
        -------
        SearchDisplay
            This display.

        Raises
        ------
        ValueError
            If ``kind`` or a parameter is unknown, or fewer than six candidates have a score and
            the kind is ``"importance"``.
        """
        if kind == "incumbent":
            self.ax_: Any = _pictures.draw_incumbent(self, ax, show_points, show_expected, color)
        elif kind == "slice":
            self.ax_ = _pictures.draw_slices(
                ax, self.params, self.scores, parameters, self.metric_name
            )
        elif kind == "importance":
            labels = short_names(dict.fromkeys(name for params in self.params for name in params))
            self.ax_ = _pictures.draw_importance(ax, self.importance, labels)
        else:
            raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
        self.figure_: Any = np.ravel(self.ax_)[0].figure
        return self


def result_metric(results: Iterable[str], metric: str | None = None, refit: Any = None) -> str:
    """Return the metric of a search that is meant: `metric`, that of `refit`, or the first one."""
    known = [key.removeprefix("mean_test_") for key in results if key.startswith("mean_test_")]
    if metric is None:
        metric = refit if isinstance(refit, str) and refit in known else known[0]
    if metric not in known:
        raise ValueError(
            f"The metrics of the search are {known}; got metric={metric!r}. Set metric to one of "
            "them."
        )
    return metric


def _most_resources(cv_results: Any) -> NDArray[np.intp]:
    """Return the positions of the candidates with comparable scores: all, except for halving."""
    resources = np.asarray(cv_results.get("n_resources", np.zeros(len(cv_results["params"]))))
    return np.flatnonzero(resources == resources.max())


def _metric_name(search: BaseSearchCV, metric: str) -> str:
    """Return the name of a search's scores, which scikit-learn calls "score" if it is the only."""
    if metric != "score":
        return metric
    if search.scoring is not None:
        return str(getattr(search.scoring, "__name__", search.scoring))
    if is_classifier(search):
        return "accuracy"
    return "R²" if is_regressor(search) else metric


def _finite_or_nan(scores: Any) -> Array:
    values = np.array(scores, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values
