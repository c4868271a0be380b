"""The search that remembers."""

import math
import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta._optional import import_optional
from skmeta._sklearn_compat import (
    BaseSearchCV,
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    search_constraints,
)
from skmeta._validation import ParameterHints
from skmeta.search._arguments import Search, with_one_estimator
from skmeta.search._run import run_search
from skmeta.search.history import SearchHistory, hide_password
from skmeta.search.prior import PastSurfaces
from skmeta.search.report import result_metric, write_search_report
from skmeta.search.space import short_names, shown_value


class MetaLearnedSearchCV(Search, ParameterHints, BaseSearchCV):
    """Search over hyperparameters that learns from earlier searches.

    It has the parameters and results of :class:`~sklearn.model_selection.RandomizedSearchCV`. The
    first candidates are those that did well on other data sets, and the estimator as it is given.
    The next ones have the largest upper confidence bound under Gaussian processes, of which some
    learned from past searches and one did not; they are weighted by the scores seen so far, so a
    misleading past costs little. The guide is :doc:`/searches`.

    Parameters
    ----------
    estimator : estimator or list of estimator
        What is tuned. Of a list, one is chosen, and is step ``"model"`` of ``best_estimator_``.
    param_distributions : dict or list of dict, default=None
        For each parameter, a list of values or a distribution with a ``rvs`` method. Several dicts
        are sub-spaces. None is :func:`default_search_space`, without parameters that you set.
    param_grid : dict or list of dict, default=None
        Lists of values, as of GridSearchCV: without `n_iter` the whole grid is evaluated. It is
        walked in GridSearchCV's order, unless `racing`, `start`, `patience` or `target_score` is
        given.
    n_iter : int, default=None
        Number of candidates, those of a resumed search included. None is the whole of
        `param_grid`, or 10.
    history : str, path-like or SearchHistory, default=None
        Where past searches are read from, and this one is recorded: a SQLite file, a database URL
        or a :class:`SearchHistory`. See :doc:`/history`.
    name : str, default=None
        Name of the search in the history. A search with a name is resumed by a search of the same
        name, which must be the same one (:ref:`what_is_resumed`). One without is recorded and
        learned from.
    prior : "auto", "history", "shipped", None or a prior, default="auto"
        What is known from past searches: those in the history, those that ship with the package,
        both (``"auto"``) or none; or a :class:`SearchPrior`, or ``prior_`` of another search.
    learn_from_same_data : bool, default=False
        Learn also from past searches on rows of these data. By default they are left out, so that
        in nested cross-validation no score of test rows is known (:ref:`same_data`).
    batch_size : int, default=1
        Number of candidates that are proposed at a time. Use more if there are more processors
        than folds.
    racing : bool, default=False
        Stop a candidate after some folds when its probability of becoming the best is below 0.3.
        See :ref:`shorter-fits`.
    time_budget : float, default=None
        Seconds from the first fit on, the refit included, after which the search ends before
        `n_iter`. See :ref:`search-end`.
    target_score : float, default=None
        The search ends when a candidate has this score.
    patience : int, default=None
        The search ends after so many candidates without a better score.
    start : list of dict, default=None
        Parameters to try first. They may lie outside the space, and are among the `n_iter`.
    scoring, n_jobs, refit, cv, pre_dispatch, error_score, return_train_score : optional
        As in :class:`~sklearn.model_selection.RandomizedSearchCV`. Of several metrics, the first is
        maximised unless `refit` names another; it may be a callable, which chooses the candidate.
    verbose : int, "auto" or "bar", default="auto"
        ``"bar"`` shows a progress bar, ``"auto"`` in a terminal or notebook only; 1 prints a line
        per candidate, 2 two lines, 0 nothing.
    random_state : int, RandomState instance, Generator or None, default=None
        Determines the candidates. A resumed search keeps the seed that it began with.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As in RandomizedSearchCV. ``source`` says why each candidate was tried, and
        ``predicted_mean_score`` and ``predicted_std_score`` what was expected of it.
        :ref:`search-results` explains the columns of samples and of `racing`.
    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, \
multimetric_, classes_, n_features_in_, feature_names_in_
        As in RandomizedSearchCV.
    prior_ : SearchPrior or alike, or None
        The prior that was used, for `prior` of other searches; None if nothing was known.
    prior_report_ : dict
        Weight of each past search, and of the model that learned from them.
    stopped_by_ : str
        ``"n_iter"``, ``"exhausted"`` (all of the space was tried), ``"patience"``,
        ``"target_score"``, ``"time_budget"`` or ``"interrupt"`` (Ctrl-C, which refits the best
        candidate so far).
    n_resumed_ : int
        Number of candidates that were on record, or that other workers evaluated.
    search_time_ : float
        Seconds of the search, without the refit.
    n_samples_fit_ : int
        Number of rows of the data.

    Raises
    ------
    ValueError
        If the space is given twice or empty, names an unknown parameter, or has no default.
    PriorError
        If `prior` was learned from searches of other estimators.
    HistoryError, FileFormatError
        If the history cannot be opened, or has another search of the same name. If it fails later,
        the search warns and goes on.
    TypeError
        If no estimator that is tried takes one of the parameters of ``fit``.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skmeta.search import MetaLearnedSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": loguniform(1e-2, 1e3), "gamma": loguniform(1e-4, 1e1)}
    >>> search = MetaLearnedSearchCV(SVC(), space, n_iter=8, random_state=0).fit(X, y)
    >>> bool(search.best_score_ > 0.95)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **search_constraints(),
        "estimator": [HasMethods(["fit"]), list, tuple],
        "param_distributions": [dict, list, tuple, None],
        "param_grid": [dict, list, tuple, None],
        "n_iter": [Interval(Integral, 1, None, closed="left"), None],
        "history": [None, str, os.PathLike, SearchHistory],
        "prior": [None, StrOptions({"auto", "history", "shipped"}), PastSurfaces],
        "name": [str, None],
        "learn_from_same_data": ["boolean"],
        "scoring": [str, callable, list, tuple, dict, None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "racing": ["boolean"],
        "time_budget": [Interval(Real, 0, None, closed="neither"), None],
        "target_score": [Interval(Real, None, None, closed="neither"), None],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "start": [list, tuple, None],
        "verbose": ["verbose", StrOptions({"auto", "bar"})],
        "random_state": ["random_state", np.random.Generator],
    }

    def get_params(self, deep=True):
        """Return the parameters, as of any estimator; ``repr`` hides the password of a URL."""
        params = super().get_params(deep)
        if "history" in params:  # a subclass may leave the parameter out
            params["history"] = hide_password(params["history"])
        return params

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "history" in state:
            state["history"] = hide_password(state["history"])
        return state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search, and refit the best candidate.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows; (n_samples, n_samples) for a pairwise estimator.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets.
        **params : dict
            Parameters for the ``fit`` method of the estimator, the scorer and the splitter, as of
            RandomizedSearchCV.

        Returns
        -------
        self : MetaLearnedSearchCV
        """
        run_search(self, X, y, params)
        return self

    def leaderboard(self, metric: str | None = None) -> Any:
        """Return the candidates as a DataFrame of pandas, the best one first.

        Parameters
        ----------
        metric : str, default=None
            A key of `scoring`, if the search has several metrics. By default that of `refit`, or
            the first.

        Returns
        -------
        frame : pandas.DataFrame
            One row per candidate; its index is the row of ``cv_results_``. Columns are ``rank``,
            ``score`` (mean over the folds), ``std``, ``source``, ``seconds`` (of all its fits),
            ``n_folds`` if candidates were raced, and one for each parameter, named by the end of
            its name that belongs to no other one: ``svc__C`` is ``C``.
            Estimators are shown by the names of their classes, pipelines by those of their steps.
            A candidate that does not have a parameter has NaN.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ImportError
            If pandas is not installed.
        ValueError
            If the metric is not among those of the search.
        """
        check_is_fitted(self, "cv_results_")
        pandas = import_optional("pandas", "history")
        results = self.cv_results_
        chosen = result_metric(results, metric, self.refit)
        candidates = results["params"]
        n_folds = results.get("n_folds", self.n_splits_)
        columns = {
            "rank": results[f"rank_test_{chosen}"],
            "score": results[f"mean_test_{chosen}"],
            "std": results[f"std_test_{chosen}"],
            "source": results.get("source", np.full(len(candidates), "grid")),
            "seconds": (results["mean_fit_time"] + results["mean_score_time"]) * n_folds,
        }
        if "n_folds" in results:
            columns["n_folds"] = n_folds
        own = set(columns)
        names = sorted({name for params in candidates for name in params})
        for name, short in short_names(names).items():
            label = f"param_{name}" if short in own else short
            columns[label] = _column(pandas, name, candidates)
        frame = pandas.DataFrame(columns)
        # The candidate that was refitted comes first among equal ranks.
        is_other = np.arange(len(candidates)) != getattr(self, "best_index_", -1)
        return frame.iloc[np.lexsort((is_other, frame["rank"]))]

    def report(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write an HTML page about the search: one file that loads nothing from elsewhere.

        It shows the best parameters as code, the progress, the leaderboard, the importance of the
        parameters, the scores along each of them, what past searches contributed, and versions.

        Parameters
        ----------
        path : str or path-like
            The file, such as ``"report.html"``; an existing one is replaced.
        title : str, default=None
            Heading of the page. By default the estimator and the data set.

        Returns
        -------
        path : Path
            The file.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ImportError
            If pandas or matplotlib is not installed.
        FileNotFoundError
            If the folder of the file does not exist.

        Notes
        -----
        Importance is the total effect (Sobol's total index) of a parameter on the score, computed
        with a Gaussian process that is fitted to the scores of the search. Data are not in the
        page; parameters and the name of the data set are.
        """
        check_is_fitted(self, "cv_results_")
        return write_search_report(self, path, title)

    def get_metadata_routing(self) -> Any:
        """Return which metadata the estimator, the scorer and the splitter ask for."""
        return super(MetaLearnedSearchCV, with_one_estimator(self)).get_metadata_routing()

    def __sklearn_tags__(self) -> Any:
        return super(MetaLearnedSearchCV, with_one_estimator(self)).__sklearn_tags__()


def _column(pandas: Any, name: str, candidates: Iterable[Mapping[str, Any]]) -> Any:
    """Return a parameter's values; NaN for candidates that do not have it."""
    values = [shown_value(params.get(name, math.nan)) for params in candidates]
    # A value of None would become NaN in a column of numbers.
    return pandas.Series(values, dtype=object if None in values else None)
