"""Names of metrics that mean the same in every search, whatever the user called them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import get_scorer, get_scorer_names

from skmeta.search._describe import token

__all__ = ["metric_name", "metric_names"]


def metric_name(scorer: Any, estimator: Any) -> str:
    """Return the name of what a scorer measures.

    Parameters
    ----------
    scorer : str, callable or None
        As `scoring` of a search; None is the estimator's own ``score``.
    estimator : estimator

    Returns
    -------
    str
        scikit-learn's name where it has one, the function's name otherwise. Greater is better.

    Examples
    --------
    >>> from sklearn.metrics import accuracy_score, make_scorer
    >>> from sklearn.svm import SVC
    >>> metric_name(None, SVC()), metric_name(make_scorer(accuracy_score), SVC())
    ('accuracy', 'accuracy')
    """
    if isinstance(scorer, str):
        return scorer
    function = getattr(scorer, "_score_func", None)
    if scorer is None or type(scorer).__name__ == "_PassthroughScorer":
        return (
            "accuracy"
            if is_classifier(estimator)
            else "r2"
            if is_regressor(estimator)
            else (f"{type(estimator).__name__}.score")
        )
    if function is None:
        return getattr(scorer, "__name__", type(scorer).__name__)
    return _known().get(_identity(scorer)) or _spelled(scorer)


def metric_names(scorers: Mapping[str, Any], estimator: Any) -> dict[str, str]:
    """Return the name of each of several scorers, by the name that the user gave it.

    Parameters
    ----------
    scorers : dict of str -> scorer
    estimator : estimator

    Returns
    -------
    dict of str -> str
        No two are equal: where two scorers measure the same, the second keeps its own name.
    """
    names: dict[str, str] = {}
    for key, scorer in scorers.items():
        name = metric_name(scorer, estimator)
        names[key] = name if name not in names.values() else key
    return names


def _identity(scorer: Any) -> tuple[Any, ...]:
    function = scorer._score_func
    response = getattr(scorer, "_response_method", None)
    return (
        f"{function.__module__}.{getattr(function, '__qualname__', function)}",
        scorer._sign,
        token(scorer._kwargs),
        token(response),
    )


@cache
def _known() -> dict[tuple[Any, ...], str]:
    known: dict[tuple[Any, ...], str] = {}
    for name in sorted(get_scorer_names(), key=len):
        known.setdefault(_identity(get_scorer(name)), name)
    return known


def _spelled(scorer: Any) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in sorted(scorer._kwargs.items()))
    name = getattr(scorer._score_func, "__name__", type(scorer._score_func).__name__)
    return ("neg_" if scorer._sign < 0 else "") + name + (f"({arguments})" if arguments else "")
