"""Rules that choose the candidate to refit."""

import difflib
import math
import pickle
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._warnings import warn_caller
from skmeta.exceptions import SearchSpaceError, SkmetaWarning

__all__ = [
    "BestWithin",
    "OneStandardError",
    "best_within",
    "check_refit",
    "neg_model_size",
    "one_standard_error",
    "result_metric",
]


def one_standard_error(
    param: str, *, smaller_is_simpler: bool = True, metric: str | None = None
) -> "OneStandardError":
    """Return a rule for ``refit``: the simplest candidate about as good as the best one.

    The rule takes the candidates whose mean score is at most one standard error below the best
    one. Among them it chooses the one with the simplest value of a parameter, and of equally
    simple ones the one with the best score. The standard error is that of the best candidate's
    mean over the folds.

    Parameters
    ----------
    param : str
        Parameter by which candidates are compared, as in the search space. Its values have to be
        numbers or None. None counts as infinity, which is what it means for ``max_depth`` and
        ``max_leaf_nodes``. Candidates without the parameter are not chosen.
    smaller_is_simpler : bool, default=True
        True for a depth or a number of leaves, False for the strength of a penalty.
    metric : str, default=None
        Metric to compare by, if the search has several: a key of ``scoring``. The search then
        maximises it.

    Returns
    -------
    rule : callable
        Takes ``cv_results_`` and returns the row of the chosen candidate. It can be passed as
        ``refit`` to the searches of scikit-learn too, and it can be pickled.

    Raises
    ------
    SearchSpaceError
        When the search begins, if no candidate has the parameter, or a value is no number.
    ValueError
        When the search begins, if the metric is not among those of the search, or there is only
        one fold, so that there is no standard error. Searches of scikit-learn raise these errors
        at their end.

    References
    ----------
    T. Hastie, R. Tibshirani, J. Friedman (2009), "The Elements of Statistical Learning", second
    edition, section 7.10.1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skmeta.search import MetaLearnedSearchCV, one_standard_error
    >>> X, y = load_iris(return_X_y=True)
    >>> search = MetaLearnedSearchCV(
    ...     DecisionTreeClassifier(random_state=0),
    ...     {"max_depth": [1, 2, 3, 4, 5, 6]},
    ...     n_iter="all",
    ...     refit=one_standard_error("max_depth"),
    ... ).fit(X, y)
    >>> search.best_params_
    {'max_depth': 3}
    """
    return OneStandardError(param, smaller_is_simpler, metric)


@dataclass(frozen=True)
class OneStandardError:
    """The rule that `one_standard_error` returns; see there for its attributes."""

    param: str
    smaller_is_simpler: bool = True
    metric: str | None = None

    def __call__(self, results: Mapping[str, Any]) -> int:
        """Return the row of ``cv_results_`` of the simplest candidate within one standard error."""
        metric = result_metric(results, self.metric)
        means = np.asarray(results[f"mean_test_{metric}"], dtype=np.float64)
        complexity = self._complexity(results["params"])
        if np.isnan(means).all():
            return 0
        best = int(np.nanargmax(means))
        margin = _standard_error(results, metric, best)
        # Rounding must not decide between candidates with equal folds.
        near = means >= means[best] - margin - 1e-12 * abs(means[best])
        eligible = np.flatnonzero(near & ~np.isnan(complexity))
        if not len(eligible):
            return best
        order = np.lexsort((-means[eligible], complexity[eligible]))
        return int(eligible[order[0]])

    def check_metric(self, metrics: Collection[str]) -> None:
        """Raise if it is not said by which of the metrics of a search candidates are compared.

        Parameters
        ----------
        metrics : collection of str

        Raises
        ------
        ValueError
        """
        _choose(metrics, self.metric, None)

    def check_n_folds(self, n_folds: int) -> None:
        """Raise if there are too few folds for a standard error.

        Parameters
        ----------
        n_folds : int

        Raises
        ------
        ValueError
        """
        _check_n_folds(n_folds)

    def check_values(self, values: Iterable[Any]) -> None:
        """Raise if some values of the parameter are neither numbers nor None.

        Parameters
        ----------
        values : iterable

        Raises
        ------
        SearchSpaceError
        """
        for value in values:
            self._number({self.param: value})

    def check_params(self, names: Collection[str]) -> None:
        """Raise if the parameter is not among those of a search.

        Parameters
        ----------
        names : collection of str

        Raises
        ------
        SearchSpaceError
        """
        if self.param not in names:
            # Names without the step's prefix or in another case come first, then typing errors.
            near = [name for name in names if name.lower().endswith(self.param.lower())]
            near += difflib.get_close_matches(self.param, names, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SearchSpaceError(
                f"one_standard_error({self.param!r}) names a parameter that no candidate has.{hint}"
                f" The parameters of the search are {sorted(names)}."
            )

    def _complexity(self, candidates: Collection[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Return how complex each candidate is; NaN for one without the parameter."""
        self.check_params({name for params in candidates for name in params})
        values = [self._number(params) for params in candidates]
        return np.array(values) if self.smaller_is_simpler else -np.array(values)

    def _number(self, params: Mapping[str, Any]) -> float:
        value = params.get(self.param, math.nan)
        if value is None:
            return math.inf
        if not isinstance(value, Real):
            raise SearchSpaceError(
                f"one_standard_error({self.param!r}) compares numbers, but a candidate has the "
                f"value {value!r}. Name a parameter whose values are numbers or None."
            )
        return float(value)


def best_within(limits: Mapping[str, float], *, metric: str | None = None) -> "BestWithin":
    """Return a rule for ``refit``: the best candidate that keeps some limits.

    Parameters
    ----------
    limits : dict of str -> float
        ``"fit_time"`` and ``"score_time"`` have an upper limit: the mean seconds in which the
        training part of a fold is fitted, and its test part is predicted and scored. Any other
        name is a key of ``scoring`` and has a lower limit, since greater is better for scorers.
        :func:`neg_model_size` is a scorer for the size of the fitted model.
    metric : str, default=None
        Metric that is to be best, if the search has several: a key of ``scoring``. The search
        maximises it.

    Returns
    -------
    rule : callable
        Takes ``cv_results_`` and returns the row of the chosen candidate. It can be passed as
        ``refit`` to the searches of scikit-learn too, and it can be pickled. If no candidate keeps
        all limits, it warns, and takes the one that exceeds them least, relative to the limits.

    Raises
    ------
    ValueError
        When the search begins, if a limit or the metric is not among those of the search.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skmeta.search import MetaLearnedSearchCV, best_within, neg_model_size
    >>> X, y = load_iris(return_X_y=True)
    >>> search = MetaLearnedSearchCV(
    ...     DecisionTreeClassifier(random_state=0),
    ...     {"max_depth": [1, 2, 3, 4, 5, 6]},
    ...     n_iter="all",
    ...     scoring={"accuracy": "accuracy", "size": neg_model_size},
    ...     refit=best_within({"size": -2100}, metric="accuracy"),
    ... ).fit(X, y)
    >>> search.best_params_["max_depth"] < 4
    True
    """
    return BestWithin(dict(limits), metric)


def neg_model_size(estimator: Any, X: Any = None, y: Any = None) -> float:
    """Return the size of a fitted model, as a scorer: minus the bytes of its pickle.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X, y : object, default=None
        Not used.

    Returns
    -------
    float
        Greater is better, that is, smaller models.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> neg_model_size(DummyClassifier().fit([[0], [1]], [0, 1])) < 0
    True
    """
    return -float(len(pickle.dumps(estimator)))


# Limits on what is not a score: the column of ``cv_results_``.
_TIMES = {"fit_time": "mean_fit_time", "score_time": "mean_score_time"}


@dataclass(frozen=True)
class BestWithin:
    """The rule that `best_within` returns; see there for its attributes."""

    limits: Mapping[str, float]
    metric: str | None = None

    def __call__(self, results: Mapping[str, Any]) -> int:
        """Return the row of ``cv_results_`` of the best candidate within the limits."""
        metric = result_metric(results, self.metric)
        means = np.asarray(results[f"mean_test_{metric}"], dtype=np.float64)
        excess = self._excess(results)
        if np.isnan(means).all():
            return 0
        excess[np.isnan(means)] = np.inf
        least = float(np.min(excess))
        if least > 0:
            warn_caller(
                f"No candidate keeps the limits {dict(self.limits)}. The one that exceeds them "
                "least is taken. Raise the limits, or search a space with simpler models.",
                SkmetaWarning,
            )
        return int(np.nanargmax(np.where(excess == least, means, -np.inf)))

    def check_metric(self, metrics: Collection[str]) -> None:
        """Raise if a search does not have the metric, or what is limited.

        Parameters
        ----------
        metrics : collection of str

        Raises
        ------
        ValueError
        """
        _choose(metrics, self.metric, None)
        known = [*_TIMES, *metrics]
        for name, limit in self.limits.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"best_within limits {name!r}, which is none of {known}.{hint} Use one of "
                    "these, or add a scorer of that name to scoring."
                )
            if not isinstance(limit, Real) or not math.isfinite(limit):
                raise ValueError(
                    f"best_within limits {name!r} by {limit!r}, which is no finite number. Give a "
                    "number of seconds, or the lowest score."
                )

    def columns(self, results: Mapping[str, Any], metric: str) -> dict[str, NDArray[Any]]:
        """Return what a leaderboard shows: what is limited, and which candidates are best.

        Parameters
        ----------
        results : dict
            ``cv_results_``.
        metric : str
            Metric of the leaderboard's score.

        Returns
        -------
        dict of str -> ndarray
            A column for each limited quantity; ``within``, whether a candidate keeps all limits;
            ``front``, whether no other one is at least as good in all of them and in the score.
        """
        values = {name: self._values(results, name) for name in self.limits}
        goods = [-v if name in _TIMES else v for name, v in values.items()]
        G = np.column_stack([np.asarray(results[f"mean_test_{metric}"], dtype=np.float64), *goods])
        G[np.isnan(G).any(axis=1)] = -np.inf
        no_worse = (G[:, None] >= G).all(axis=2)
        better = (G[:, None] > G).any(axis=2)
        front = ~(no_worse & better).any(axis=0) & np.isfinite(G).all(axis=1)
        return {**values, "within": self._excess(results) == 0, "front": front}

    def _values(self, results: Mapping[str, Any], name: str) -> NDArray[np.float64]:
        return np.asarray(results[_TIMES.get(name, f"mean_test_{name}")], dtype=np.float64)

    def _excess(self, results: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return by how much each candidate exceeds the limits, relative to them, added up."""
        excess = np.zeros(len(results["params"]))
        for name, limit in self.limits.items():
            over = (self._values(results, name) - limit) * (1 if name in _TIMES else -1)
            excess += np.maximum(over, 0.0) / (abs(limit) or 1.0)
        return np.where(np.isnan(excess), np.inf, excess)


def check_refit(refit: Any, metrics: Collection[str], *, needs_best: bool = False) -> None:
    """Raise if it is not said which of several metrics chooses the candidate to refit.

    Parameters
    ----------
    refit : bool, str or callable
        The parameter of the search.
    metrics : collection of str
    needs_best : bool, default=False
        Whether there must be a best candidate although none is refitted.

    Raises
    ------
    ValueError
    """
    if isinstance(refit, OneStandardError | BestWithin):
        refit.check_metric(metrics)
    elif needs_best and not refit:
        raise ValueError(
            "return_predictions needs a best candidate, but refit=False does not say which of the "
            f"metrics {list(metrics)} decides. Set refit to one of them."
        )
    elif refit and not callable(refit) and refit not in metrics:
        raise ValueError(
            # The first sentence is scikit-learn's.
            "For multi-metric scoring, the parameter refit must be set to a scorer key or a "
            f"callable to refit. scoring returns the metrics {list(metrics)}, and refit={refit!r} "
            "is none of them. Set refit to one of them, to a callable, or to False."
        )


def result_metric(results: Mapping[str, Any], metric: str | None, default: Any = None) -> str:
    """Return a metric of ``cv_results_``.

    Parameters
    ----------
    results : dict
    metric : str or None
        The metric that the user named.
    default : object, default=None
        Used if the user named no metric and this is one.

    Returns
    -------
    str
        The only metric, if there is one.

    Raises
    ------
    ValueError
        If the metric is not in the results, or none is named and there are several.
    """
    prefix = "mean_test_"
    metrics = [key.removeprefix(prefix) for key in results if key.startswith(prefix)]
    return _choose(metrics, metric, default)


def _choose(metrics: Collection[str], metric: str | None, default: Any) -> str:
    metrics = list(metrics)
    chosen = metric if metric is not None else default
    if isinstance(chosen, str) and chosen in metrics:
        return chosen
    if metric is None and len(metrics) == 1:
        return metrics[0]
    given = "none was named" if metric is None else f"got metric={metric!r}"
    raise ValueError(
        f"The metrics of the search are {metrics}; {given}. Set metric to one of them."
    )


def _standard_error(results: Mapping[str, Any], metric: str, row: int) -> float:
    """Return the standard error of a candidate's mean score over the folds."""
    folds: list[float] = []
    while (key := f"split{len(folds)}_test_{metric}") in results:
        folds.append(float(results[key][row]))
    _check_n_folds(len(folds))
    return float(np.std(folds, ddof=1)) / math.sqrt(len(folds))


def _check_n_folds(n_folds: int) -> None:
    if n_folds < 2:
        raise ValueError(
            f"one_standard_error needs scores on at least 2 folds, got {n_folds}. Use another cv, "
            "or refit=True."
        )
