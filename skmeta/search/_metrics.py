"""The metrics of a search, and a rule that chooses the candidate to refit by them.

Names of metrics mean the same in every search.
"""

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import get_scorer, get_scorer_names

from skmeta._sklearn_compat import (
    ScorerParts,
    is_passthrough_scorer,
    printed,
    scorer_parts,
    scorers_by_name,
)
from skmeta._validation import suggest
from skmeta._warnings import warn_caller
from skmeta.exceptions import SkmetaWarning
from skmeta.search.history import mask_password
from skmeta.search.record import CandidateRecord
from skmeta.search.report import result_metric

# Field of a candidate's record -> key of the output of a fold.
NUMBERS_OF_FOLDS = {
    "fit_times": "fit_time",
    "score_times": "score_time",
    "n_test_samples": "n_test_samples",
}
# Longer arguments of a scorer do not become part of a metric's name.
_MAX_TEXT = 30


class Metrics:
    """The metrics of a search; it maximises the first, unless `refit` names another."""

    def __init__(self, scorers: Any, estimator: Any, refit: Any, error_score: Any) -> None:
        self.scorers, named = scorers, scorers_by_name(scorers)
        self.is_multiple = named is not None
        self.names: dict[str, str] = {}
        for key, scorer in ({"score": scorers} if named is None else named).items():
            name = metric_name(scorer, estimator)
            # If two scorers measure the same, the second keeps the user's name.
            self.names[key] = name if name not in self.names.values() else key
        self._refit = refit
        self._wanted = getattr(refit, "metric", refit)
        self._error_score = error_score

    def objective(self, keys: Iterable[str]) -> str:
        """Return the key, as in ``mean_test_<key>``, of the metric to maximise."""
        keys = list(keys)
        if isinstance(self._wanted, str) and self._wanted in keys:
            return self._wanted
        return keys[0]

    def check_refit(self, keys: Collection[str]) -> None:
        """Raise if it is not said which of several metrics chooses the best candidate."""
        refit = self._refit
        if isinstance(refit, BestWithin):
            refit.check_metric(keys)
        elif refit and not callable(refit) and refit not in keys:
            raise ValueError(
                # The first sentence is scikit-learn's.
                "For multi-metric scoring, the parameter refit must be set to a scorer key or a "
                f"callable to refit. scoring returns the metrics {list(keys)}, and refit={refit!r} "
                "is none of them. Set refit to one of them, to a callable, or to False."
            )

    @property
    def refit_metric(self) -> str:
        """Name of the metric to maximise, in a history."""
        return self.names[self.objective(self.names)]

    def scores_of(self, output: dict[str, Any], kind: str = "test_scores") -> dict[str, float]:
        """Return the scores of one fold by the user's names; NaN if the fit failed."""
        scores = output.get(kind)
        if output.get("fit_error") is not None or scores is None:
            return dict.fromkeys(self.names, np.nan)
        return dict(scores) if isinstance(scores, Mapping) else {"score": float(scores)}

    def fold_scores(self, outputs: Sequence[dict[str, Any]]) -> list[float]:
        """Return the score of each fold by the metric to maximise; NaN if the fit failed."""
        scores = [self.scores_of(output) for output in outputs]
        key = self.objective(scores[0])
        return [own.get(key, np.nan) for own in scores]

    def by_name(self, outputs: Sequence[dict[str, Any]], kind: str) -> dict[str, tuple[float, ...]]:
        """Return the scores of each fold by the metrics' names in a history; empty for no fold."""
        if not outputs:
            return {}
        scores = [self.scores_of(output, kind) for output in outputs]
        # A callable `scoring` may return metrics that were not known before.
        keys = max(scores, key=lambda own: sum(value == value for value in own.values()))
        return {
            self.names.get(key, key): tuple(float(own.get(key, np.nan)) for own in scores)
            for key in keys
        }

    def output_of(self, candidate: CandidateRecord, fold: int) -> dict[str, Any]:
        """Return what scikit-learn would have computed for a fold that is on record."""
        keys = {name: key for key, name in self.names.items()}
        output: dict[str, Any] = {
            "fit_error": candidate.error if _failed(candidate, fold) else None,
            "test_scores": self._scores(candidate, candidate.scores, keys, fold),
        }
        for name, key in NUMBERS_OF_FOLDS.items():
            if numbers := getattr(candidate, name):
                output[key] = numbers[fold]
        if candidate.train_scores:
            output["train_scores"] = self._scores(candidate, candidate.train_scores, keys, fold)
        return output

    def _scores(
        self,
        candidate: CandidateRecord,
        scores: Mapping[str, Sequence[float]],
        keys: Mapping[str, str],
        fold: int,
    ) -> Any:
        own = {keys.get(name, name): values[fold] for name, values in scores.items()}
        if _failed(candidate, fold) and self._error_score != "raise":
            own = dict.fromkeys(own, self._error_score)
        return own["score"] if set(own) == {"score"} and not self.is_multiple else own


def metric_name(scorer: Any, estimator: Any) -> str:
    """Return scikit-learn's name of what a scorer measures, else the function's."""
    if isinstance(scorer, str):
        return scorer
    if scorer is None or is_passthrough_scorer(scorer):
        if is_classifier(estimator):
            return "accuracy"
        return "r2" if is_regressor(estimator) else f"{type(estimator).__name__}.score"
    parts = scorer_parts(scorer)
    if parts is None:
        return getattr(scorer, "__name__", type(scorer).__name__)
    return _known_names().get(_identity(parts)) or _spell(parts)


def _identity(parts: ScorerParts) -> tuple[Any, ...]:
    function = parts.function
    changed = {k: v for k, v in parts.kwargs.items() if v != _default(function, k)}
    return (
        f"{function.__module__}.{getattr(function, '__qualname__', function)}",
        parts.sign,
        printed(changed),
        printed(parts.response_method),
    )


def _default(function: Any, name: str) -> Any:
    try:
        return signature(function).parameters[name].default
    except (KeyError, TypeError, ValueError):  # hidden behind **kwargs, or not a function
        return None


@cache
def _known_names() -> dict[tuple[Any, ...], str]:
    known: dict[tuple[Any, ...], str] = {}
    for name in sorted(get_scorer_names(), key=len):
        parts = scorer_parts(get_scorer(name))
        if parts is not None:
            known.setdefault(_identity(parts), name)
    return known


def _spell(parts: ScorerParts) -> str:
    arguments = ", ".join(f"{k}={_spell_value(v)}" for k, v in sorted(parts.kwargs.items()))
    name = getattr(parts.function, "__name__", type(parts.function).__name__)
    return ("neg_" if parts.sign < 0 else "") + name + (f"({arguments})" if arguments else "")


def _spell_value(value: Any) -> str:
    """Return the text of an argument; of a long one a digest, as it may hold a secret."""
    text = repr(value)
    if len(text) <= _MAX_TEXT and mask_password(text) == text:
        return text
    text = printed(value)
    return f"digest:{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


def _failed(candidate: CandidateRecord, fold: int) -> bool:
    return candidate.error is not None and all(
        np.isnan(values[fold]) for values in candidate.scores.values()
    )


# -- the candidate to refit ------------------------------------------------------------------------


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
    ...     param_grid={"max_depth": [1, 2, 3, 4, 5, 6]},
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
        """Raise a ValueError if a search does not have the metric, or what is limited."""
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

    def columns(self, results: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return a leaderboard's columns: limited quantities, and ``within`` (all are kept)."""
        values = {name: self._values(results, name) for name in self.limits}
        return {**values, "within": self._excess(results) == 0}

    def _values(self, results: Mapping[str, Any], name: str) -> NDArray[np.float64]:
        return np.asarray(results[_TIMES.get(name, f"mean_test_{name}")], dtype=np.float64)

    def _excess(self, results: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return by how much each candidate exceeds the limits, relative to them, added up."""
        excess = np.zeros(len(results["params"]))
        for name, limit in self.limits.items():
            over = (self._values(results, name) - limit) * (1 if name in _TIMES else -1)
            excess += np.maximum(over, 0.0) / (abs(limit) or 1.0)
        return np.where(np.isnan(excess), np.inf, excess)
