"""The search that remembers."""

import os
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self, get_args

import numpy as np

from skmeta._sklearn_compat import (
    BaseSearchCV,
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    search_constraints,
)
from skmeta._validation import ParameterHints
from skmeta.search._arguments import with_one_estimator
from skmeta.search._open_record import Prior
from skmeta.search._report import ReportMethods
from skmeta.search._run import run_search
from skmeta.search.history import SearchHistory, hide_password


@dataclass(eq=False, repr=False)
class MetaLearnedSearchCV(ReportMethods, ParameterHints, BaseSearchCV):
    """Search over hyperparameters that remembers what earlier searches found.

    It has the parameters and results of :class:`~sklearn.model_selection.GridSearchCV` and
    :class:`~sklearn.model_selection.RandomizedSearchCV`. Candidates are proposed one batch at a
    time: first those that did well on other data sets, then those that a Gaussian process expects
    to improve on the best so far. The mean and covariance of the process come from past searches on
    the same kind of estimator: the user's own, and those that ship with the package. A second model
    does not use them. The two are weighted by how well they predict the scores seen so far, so a
    misleading past costs little. Without past searches, the search is a Bayesian optimisation.

    One candidate is the estimator as it is given, unless the space that was passed excludes its
    values, or its own default space does where parts or estimators are chosen. It is the second
    one, or the first if past searches expect most of it. It is kept if no other candidate scores
    better.

    Parameters
    ----------
    estimator : estimator or list of estimator
        What is tuned; a pipeline, for example. For a list, the search chooses the estimator along
        with its hyperparameters, within one budget; the estimator is step ``"model"`` of a
        pipeline in ``best_estimator_`` and ``best_params_``.
    param_distributions : dict or list of dict, default=None
        Parameters and, for each, a list of values or a distribution with a ``rvs`` method, as in
        :mod:`scipy.stats`. Each of several dicts is a sub-space. None is
        :func:`default_search_space`: parameters that you set on the estimator are not searched. A
        dict that only chooses between parts, such as ``{"clf": [SVC(), LogisticRegression()]}``,
        gets the default space of each part, unless ``n_iter="all"``. Leave it out with a list of
        estimators.
    param_grid : dict or list of dict, default=None
        The same, by GridSearchCV's name.
    n_iter : int or "all", default=10
        Number of candidates, including those that a resumed search finished before. ``"all"``
        evaluates a finite space in the order of GridSearchCV, and gives exactly its results.
    history : None, False, str, path-like or SearchHistory, default=None
        Where past searches are read from and this one is written to, candidate by candidate. A
        path is a SQLite file; text with ``://`` is a database URL. None is the history that
        the environment variable ``SKMETA_HISTORY`` names, if any; False is no history. A search
        that is in the history already, unfinished or not, is resumed: see Notes. With
        ``SearchHistory(..., shared=True)``, several processes work on one search.
    dataset : str, default=None
        Name of the data set in the history; by default a digest of its rows.
    prior : "auto", "history", "shipped", None or a prior, default="auto"
        What is known from past searches. ``"history"`` is learned from the history, ``"shipped"``
        comes with the package for this kind of estimator (:func:`describe_prior`), ``"auto"``
        joins both, and None uses none. A :class:`SearchPrior`, or ``prior_`` of another search,
        is taken as it is.
    exclude_same_data : bool, default=False
        Leave out what the prior knows of this very data set, or of one that shares half of its
        rows. Set it if the outcome is compared with scores on rows that past searches saw, as in
        nested cross-validation.
    samples : "auto", bool or int, default="auto"
        Try candidates on a tenth of the rows first, if there are 15,000 rows or more. The sample is
        drawn from the rows of the same folds. What it says is carried over to the whole table by a
        model, for which the two agree in part, so what is best on few rows need not be chosen. With
        ``"auto"`` or True, the first candidate on the sample decides: if it takes a tenth of a
        second, five are tried, which take about as long as one or two on all rows, and at most a
        quarter of `time_budget`; otherwise no others. Other work on the machine has little effect
        on these seconds, but near the limit two runs with one seed may differ. A number of
        candidates is kept to, whatever they take. False tries none. Not for ``n_iter="all"``.
    batch_size : int, default=1
        Number of candidates that are proposed at a time. It does not depend on `n_jobs`, so a seed
        gives the same result on any machine. With 1, each candidate uses all scores so far, and the
        fewest candidates are needed. Use more if there are more processors than folds.
    racing : bool or float, default=False
        Stop a candidate when the probability that it will beat the best candidate falls below this
        number, at most 0.5; True is 0.3. The probability is computed from the differences between
        the two on the same folds. That saves about half of the fits, and may lose the best
        candidate; a smaller number saves less, and loses it less often. A stopped candidate has NaN
        for the folds that were not run, and as its mean score, so that it ranks last. Its times are
        those of the folds that were run. If there are several metrics, that of `refit` decides.
        Not for ``n_iter="all"``.
    early_stopping : float or splitter, default=None
        Let boosting end when the loss on held rows does not improve any more. A number is the
        share of each fold's training rows that is held out; it is stratified for classifiers, and
        groups stay together if ``fit`` is given ``groups``. Of a splitter, the last split of the
        training rows is used. Rows that score the candidate are never used. The refit is on all
        rows, with the median number of rounds over the folds. For LightGBM, XGBoost, CatBoost
        (extra ``boosting``), and scikit-learn's HistGradientBoosting, alone or as the last step of
        a pipeline; other estimators of a choice are fitted on all rows of the fold. A fit has at
        most the estimator's number of rounds, or 1,000 if that is the default of its class. It
        stops after as many rounds without improvement as the estimator says
        (``early_stopping_rounds``, ``n_iter_no_change``, ``od_wait``), or 20. The number of rounds
        is not searched, unless the given space has it: its values are limits then.
    time_budget : float, default=None
        Seconds from the first fit on, the refit included. No fit is begun that would probably not
        end in time: one that takes longer than nine in ten so far, or than the other folds of its
        candidate. A fit that takes longer than all before may still end late. What comes before
        the first fit is not counted: about two seconds for the start
        of worker processes, if `n_jobs` asks for some, and a tenth of one for the prior. At least
        one candidate is evaluated. If the search chooses between estimators, a candidate is chosen
        by its expected improvement per second, so that a slow estimator has to promise more.
    stop_when_flat : int, default=None
        Stop when the best score has not improved for this number of candidates. None evaluates
        all `n_iter` candidates. Not for ``n_iter="all"``.
    target_score : float, default=None
        Stop when a candidate has at least this score. Not for ``n_iter="all"``.
    start : list of dict, default=None
        Parameters to try first, such as the best ones that you know. A parameter that a dict
        leaves out has the estimator's value. Values outside of the space are tried too. They are
        among the `n_iter` candidates. Not for ``n_iter="all"``.
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score : optional
        As in :class:`~sklearn.model_selection.RandomizedSearchCV`. If `refit` does not name one
        of several metrics, the search maximises the first one. :func:`best_within` is a rule for
        `refit` that keeps limits of time, model size or other metrics.
        With ``verbose=1`` there is one line per candidate, in the order in which they finish: its
        number, score, the best score so far, why it was tried, the seconds of its fits and scores
        added up, the seconds on the clock since the search began, and parameters: all of a new
        best candidate, and of others those that differ from the best one.
        ``verbose=2`` has all parameters, and the score of each fold, on a second line.
    progress : bool or "auto", default="auto"
        Show a progress bar with the best score so far. ``"auto"`` shows it in a terminal or a
        notebook, from the third second on, unless `verbose` is set. Where standard error is a
        file, True writes lines now and then.
    random_state : int, RandomState instance, Generator or None, default=None
        Determines the candidates. A resumed search keeps the seed that it began with.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As in RandomizedSearchCV, and, unless every candidate of a finite space is evaluated:
        ``source``, why each candidate was tried (``"initial design"``, ``"as given"``,
        ``"start"``, ``"prior"`` or ``"model"``), ``predicted_mean_score`` and
        ``predicted_std_score``, the score that was expected just before and its standard deviation
        (NaN if no model chose it).
        If candidates were tried on samples, they come first, ``n_resources`` is the number of rows,
        as of :class:`~sklearn.model_selection.HalvingRandomSearchCV`, and candidates on more rows
        rank first. Only those on all rows can be the best one; `n_iter` is their number.
        With `racing`, ``n_folds``, the number of folds that were run. With `early_stopping`,
        ``split<k>_n_rounds``, the number of rounds of each fold, and ``n_rounds``, their median
        rounded up; NaN if the candidate cannot stop early.
    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, \
multimetric_, classes_, n_features_in_, feature_names_in_
        As in RandomizedSearchCV. With `early_stopping`, ``best_params_`` has the number of rounds
        of the refit too.
    prior_ : SearchPrior or alike, or None
        The prior that was used, which may join several; None if nothing was known. It can be
        given to other searches as `prior`.
    prior_report_ : dict
        Weight of each past search, and of the model that learned from them (the rest is the weight
        of the model without history).
    stopped_by_ : str
        ``"n_iter"``, ``"exhausted"``, ``"flat"``, ``"target_score"``, ``"time_budget"`` or
        ``"interrupt"``.
    n_resumed_ : int
        Number of candidates that were on record, or that other workers of a shared search
        evaluated.
    search_time_ : float
        Seconds of the search, without the refit.
    n_samples_fit_ : int
        Number of rows of the data.

    Raises
    ------
    SearchSpaceError
        If the space is given twice or empty, or names a parameter that the estimator does not
        have; if none is given and nothing in the estimator has a default one.
    PriorError
        If `prior` was learned from searches of other estimators.
    HistoryError, HistoryFormatError
        If the history cannot be opened. Once the search runs, a failing history only warns.
    TypeError
        If no estimator that is tried takes one of the parameters of ``fit``.

    See Also
    --------
    SearchHistory : The record of past searches.
    SearchPrior : What is learned from it.
    best_within : A rule for `refit`.

    Notes
    -----
    Ctrl-C ends the search and refits the best candidate so far, with a warning.

    A search is the same as one in the history if data, estimator, space, folds, metrics, `racing`,
    versions and your own code with the globals that it names are the same. It is then resumed,
    after two folds on record were evaluated again; if a score differs, the search begins anew, with
    a warning. ``SearchHistory(..., verify=False)`` leaves this out. The history keeps its seed and
    the position up to which its prior was learned, so that it proposes the same candidates again;
    those on record are not evaluated. A search that was killed and started again has the same
    ``cv_results_`` as one that was not, times aside, if `batch_size` and the versions of the
    packages are the same.
    Searches that were recorded in between have no effect on it.

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

    estimator: Any
    param_distributions: Any = None
    _: KW_ONLY
    param_grid: Any = None
    n_iter: int | str = 10
    history: Any = None
    dataset: str | None = None
    prior: Any = "auto"
    exclude_same_data: bool = False
    samples: bool | int | str = "auto"
    batch_size: int = 1
    racing: bool | float = False
    early_stopping: Any = None
    time_budget: float | None = None
    stop_when_flat: int | None = None
    target_score: float | None = None
    start: Any = None
    scoring: Any = None
    n_jobs: int | None = None
    refit: Any = True
    cv: Any = None
    verbose: int = 0
    progress: bool | str = "auto"
    pre_dispatch: int | str = "2*n_jobs"
    random_state: Any = None
    error_score: Any = np.nan
    return_train_score: bool = False

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **search_constraints(),
        "estimator": [HasMethods(["fit"]), list, tuple],
        "param_distributions": [dict, list, tuple, None],
        "param_grid": [dict, list, tuple, None],
        "n_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"all"})],
        "history": [None, bool, str, os.PathLike, SearchHistory],
        "prior": [None, StrOptions({"auto", "history", "shipped"}), *get_args(Prior)],
        "dataset": [str, None],
        "exclude_same_data": ["boolean"],
        "scoring": [str, callable, list, tuple, dict, None],
        "samples": [StrOptions({"auto"}), "boolean", Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "racing": ["boolean", Interval(Real, 0, 0.5, closed="right")],
        "early_stopping": [
            None,
            Interval(Real, 0, 1, closed="neither"),
            HasMethods(["split", "get_n_splits"]),
        ],
        "time_budget": [None, Interval(Real, 0, None, closed="neither")],
        "start": [list, tuple, None],
        "target_score": [Real, None],
        "stop_when_flat": [None, Interval(Integral, 1, None, closed="left")],
        "progress": ["boolean", StrOptions({"auto"})],
        "random_state": ["random_state", np.random.Generator],
    }

    def get_params(self, deep=True):
        """Return the parameters, as of any estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return those of the estimator too.

        Returns
        -------
        params : dict
            All that shows an estimator shows these, so a URL's password is hidden in its ``repr``.
        """
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

    def get_metadata_routing(self) -> Any:
        """Return which metadata the estimator, the scorer and the splitter ask for.

        Returns
        -------
        routing : MetadataRouter
        """
        return super(MetaLearnedSearchCV, with_one_estimator(self)).get_metadata_routing()

    def __sklearn_tags__(self) -> Any:
        return super(MetaLearnedSearchCV, with_one_estimator(self)).__sklearn_tags__()
