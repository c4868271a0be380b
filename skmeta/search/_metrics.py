"""The metrics of a search. Their names mean the same in every search."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import get_scorer, get_scorer_names

from skmeta._sklearn_compat import (
    ScorerParts,
    is_passthrough_scorer,
    printed,
    scorer_parts,
    scorers_by_name,
)
from skmeta.search.history import mask_password
from skmeta.search.record import CandidateRecord

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
        self._error_score = error_score

    def objective(self, keys: Iterable[str]) -> str:
        """Return the key, as in ``mean_test_<key>``, of the metric to maximise."""
        keys = list(keys)
        if isinstance(self._refit, str) and self._refit in keys:
            return self._refit
        return keys[0]

    def check_refit(self, keys: Collection[str]) -> None:
        """Raise if it is not said which of several metrics chooses the best candidate."""
        refit = self._refit
        if refit and not callable(refit) and refit not in keys:
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
