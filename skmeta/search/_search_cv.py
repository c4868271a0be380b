"""The search that remembers."""

import os
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from skmeta._sklearn_compat import (
    BaseSearchCV,
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    judge_failures,
)
from skmeta.search._algorithm_selection import as_one_estimator
from skmeta.search._evaluate import CallbackContext, Evaluate
from skmeta.search._run import SearchRun
from skmeta.search._streaming import fit_streaming
from skmeta.search.history import ReadOnlyHistory, SearchHistory
from skmeta.search.prior import AlgorithmSelectionPrior, JointPrior, SearchPrior

__all__ = ["MetaLearnedSearchCV"]


class MetaLearnedSearchCV(BaseSearchCV):
    """Search over hyperparameters that remembers what earlier searches found.

    It takes what :class:`~sklearn.model_selection.GridSearchCV` and
    :class:`~sklearn.model_selection.RandomizedSearchCV` take, and gives what they give. Candidates
    are proposed one batch at a time: first those that did well on other data sets, then those that
    a Gaussian process expects to improve on the best so far. Its mean and covariance come from
    past searches on the same kind of estimator, the user's own and those that were made for the
    package; a model without them competes with it on the scores seen so far, so that a past that
    misleads costs little. Without any past it is a Bayesian optimisation.

    Parameters
    ----------
    estimator : estimator or list of estimator
        What is tuned; a pipeline, for example. Of a list, the best one is searched for along with
        its hyperparameters, within one budget; it stands as step ``"model"`` of a pipeline, in
        ``best_estimator_`` and ``best_params_``.
    param_distributions : dict or list of dict, default=None
        Parameters and, for each, a list of values or a distribution with a ``rvs`` method, as of
        :mod:`scipy.stats`. Several dicts are sub-spaces of their own. None is
        :func:`default_search_space`; so is the space of each part of a dict that chooses between
        parts and names nothing else, such as ``{"clf": [SVC(), RandomForestClassifier()]}``,
        unless ``n_iter="all"``. To be left out with a list of estimators.
    param_grid : dict or list of dict, default=None
        The same, by GridSearchCV's name.
    n_iter : int or "all", default=10
        Number of candidates, those that a resumed search finished before included. ``"all"`` walks
        a finite space in the order of GridSearchCV, and gives exactly its results.
    history : None, False, str, path-like, SearchHistory or ReadOnlyHistory, default=None
        Where past searches are read from and this one is written to, candidate by candidate: a
        path is a SQLite file, anything with ``://`` is a database URL. None is the history that
        :func:`use_history` or :func:`set_default_history` named, if any; False is none at all. A
        search that finds itself in the history, unfinished or not, goes on from there: the same
        data, estimator, space, folds and metrics.
    prior : "auto", "history", "shipped", None, a prior or path-like, default="auto"
        What past searches taught. ``"history"`` learns it from the history, ``"shipped"`` is what
        comes with the package for this kind of estimator (:func:`describe_prior`), ``"auto"``
        joins both, and None leaves it out. A :class:`SearchPrior`, the path of its file, or
        ``prior_`` of another search is taken as it is.
    exclude_same_data : bool, default=False
        Leave out what the prior knows of this very data set, or of one that shares half of its
        rows. To be set where the outcome is compared with scores on rows that past searches saw,
        as in nested cross-validation.
    batch_size : int, default=1
        Candidates proposed at a time. It does not follow `n_jobs`, so that one seed gives one
        result on any machine. One is best per candidate; more keep more processors busy, where
        there are more than folds.
    time_budget : float, default=None
        Seconds after which no further fit is begun; time is set aside for the refit. At least
        one candidate is evaluated.
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As of :class:`~sklearn.model_selection.RandomizedSearchCV`. Where `refit` does not name
        one of several metrics, the first one is what the search maximises.
    progress : bool or "auto", default="auto"
        Show a progress bar with the best score so far. ``"auto"`` shows it in a terminal, from the
        third second on.
    random_state : int, RandomState instance, Generator or None, default=None
        Determines the candidates.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As of RandomizedSearchCV, and, unless ``n_iter="all"``: ``source``, why each candidate was
        tried (``"initial design"``, ``"prior"`` or ``"model"``), ``predicted_mean_score`` and
        ``predicted_std_score``, what was expected of it just before (NaN for the first ones).
    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, \
multimetric_, classes_, n_features_in_, feature_names_in_
        As of RandomizedSearchCV.
    prior_ : SearchPrior, AlgorithmSelectionPrior, JointPrior or None
        The prior that was used; None where nothing was known.
    prior_report_ : dict
        Which past searches were trusted, and how much the learned model against the plain one.
    stopped_by_ : str
        ``"n_iter"``, ``"exhausted"``, ``"time_budget"`` or ``"interrupt"``.
    n_resumed_ : int
        Candidates that were on record.
    search_time_ : float
        Seconds of the search, without the refit.

    Raises
    ------
    SearchSpaceError
        If the space is given twice or empty, or names a parameter that the estimator does not
        have; if none is given and nothing in the estimator has a default one.
    HistoryError, HistoryFormatError
        If the history cannot be opened. Once the search runs, a failing history only warns.

    See Also
    --------
    SearchHistory : The record of past searches.
    SearchPrior : What is learned from it.

    Notes
    -----
    Ctrl-C ends the search and refits the best candidate so far, with a warning.

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
        **BaseSearchCV._parameter_constraints,
        "estimator": [HasMethods(["fit"]), list, tuple],
        "param_distributions": [dict, list, tuple, None],
        "param_grid": [dict, list, tuple, None],
        "n_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"all"})],
        "history": [None, bool, str, os.PathLike, SearchHistory, ReadOnlyHistory],
        "prior": [None, str, os.PathLike, SearchPrior, AlgorithmSelectionPrior, JointPrior],
        "exclude_same_data": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "time_budget": [None, Interval(Real, 0, None, closed="neither")],
        "progress": ["boolean", StrOptions({"auto"})],
        "random_state": ["random_state", np.random.Generator],
    }

    def __init__(
        self,
        estimator,
        param_distributions=None,
        *,
        param_grid=None,
        n_iter=10,
        history=None,
        prior="auto",
        exclude_same_data=False,
        batch_size=1,
        time_budget=None,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        progress="auto",
        pre_dispatch="2*n_jobs",
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.param_grid = param_grid
        self.n_iter = n_iter
        self.history = history
        self.prior = prior
        self.exclude_same_data = exclude_same_data
        self.batch_size = batch_size
        self.time_budget = time_budget
        self.progress = progress
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
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
        run = self._run = SearchRun(self, params)
        try:
            with as_one_estimator(self):
                fit_streaming(
                    self,
                    X,
                    y,
                    params,
                    prepare=run.prepare,
                    recorded=run.recorded,
                    observe=run.observe,
                )
        finally:
            del self._run
            run.close()
        self.prior_ = run.prior
        self.prior_report_ = run.report
        self.stopped_by_ = run.stopped_by
        self.n_resumed_ = run.n_resumed
        self.search_time_ = run.seconds
        return self

    def get_metadata_routing(self):
        """Return which metadata the estimator, the scorer and the splitter ask for.

        Returns
        -------
        routing : MetadataRouter
        """
        with as_one_estimator(self):
            return super().get_metadata_routing()

    def __sklearn_tags__(self):
        with as_one_estimator(self):
            return super().__sklearn_tags__()

    def __getstate__(self):
        # While the search runs scikit-learn sends it along with each fit: not its record too.
        state = dict(super().__getstate__())
        if state.pop("_run", None) is not None:
            state.update(history=None, prior=None)
        return state

    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        run = self._run
        leaves = run.walks_grid  # the whole grid is one batch, as GridSearchCV reports it
        n_parts = run.n_iter * run.folds.n_splits if leaves else run.n_batches
        with CallbackContext(callback_ctx, self, "search", n_parts, leaves) as context:
            evaluate = Evaluate(self, evaluate_candidates, context, run)
            run.search(evaluate)
        judge_failures(evaluate.outputs, self.error_score)
        evaluate.results.update(super()._format_results(*evaluate.table))

    def _format_results(self, candidate_params, n_splits, out, more_results=None):
        # scikit-learn calls this after each batch, with all of the results so far, and keeps
        # what it returns. The table is made once, when the last batch is there.
        return self._run.evaluate.note(candidate_params, n_splits, out, more_results)
