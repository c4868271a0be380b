"""Rules that choose the candidate to refit."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._validation import suggest
from skmeta._warnings import warn_caller
from skmeta.exceptions import SkmetaWarning
from skmeta.search.report import result_metric


def best_within(limits: Mapping[str, float], *, metric: str | None = None) -> "BestWithin":
    """Return a rule for ``refit``: the best candidate that keeps some limits.

    Parameters
    ----------
    limits : dict of str -> float
        ``"fit_time"`` and ``"score_time"`` have an upper limit: the mean seconds in which the
        training part of a fold is fitted, and its test part is predicted and scored. Any other
        name is a key of ``scoring`` and has a lower limit, since greater is better for scorers.
        A scorer may measure anything, such as the size of the fitted model in the example.
    metric : str, default=None
        Metric that is to be best, if the search has several: a key of ``scoring``, by default the
        first. The search maximises it.

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
    >>> import pickle
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skmeta.search import MetaLearnedSearchCV, best_within
    >>> X, y = load_iris(return_X_y=True)
    >>> def neg_size(model, X, y):
    ...     return -len(pickle.dumps(model))
    >>> search = MetaLearnedSearchCV(
    ...     DecisionTreeClassifier(random_state=0),
    ...     {"max_depth": [1, 2, 3, 4, 5, 6]},
    ...     n_iter="all",
    ...     scoring={"accuracy": "accuracy", "size": neg_size},
    ...     refit=best_within({"size": -2100}, metric="accuracy"),
    ... ).fit(X, y)
    >>> search.best_params_["max_depth"] < 4
    True
    """
    return BestWithin(dict(limits), metric)


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
        result_metric([f"mean_test_{name}" for name in metrics], self.metric)
        known = [*_TIMES, *metrics]
        for name, limit in self.limits.items():
            if name not in known:
                raise ValueError(
                    f"best_within limits {name!r}, which is none of {known}.{suggest(name, known)} "
                    "Use one of these, or add a scorer of that name to scoring."
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
