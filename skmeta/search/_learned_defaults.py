"""The parameters that past searches expect to be best for a data set, without a search.

Notation (symbol, shape, meaning):

F       (T, n)           surfaces of T past tasks at n candidates; 0 is the estimator as given
w       (T,)             weights of the past tasks for this data set, with sum 1

The candidate is chosen by the rule for the first candidate of a search. Where it is not clear that
it is better than the estimator as given, that is returned.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import indexable

from skmeta._sklearn_compat import validate_params
from skmeta.search._arguments import Arguments, resolve_arguments
from skmeta.search._open_record import describe_search, open_history, resolve_prior
from skmeta.search._propose import add_crosses, draw_near
from skmeta.search._search_cv import MetaLearnedSearchCV
from skmeta.search.prior import PastSurfaces, probability_better
from skmeta.search.record import SearchRecord
from skmeta.search.space import (
    Candidate,
    CandidateDescriber,
    parameter_names,
    relative_configuration,
)
from skmeta.search.surrogate import (
    SurfaceInterpolation,
    design_from_surfaces,
    expected_utility,
    with_one_thread,
)

Array = NDArray[np.float64]

_N_CANDIDATES = 200  # drawn
_QUANTILES = (0.1, 0.9)
# Probability to be better from which parameters change: three of four data sets are better off.
_CLEAR = 0.75
_DIGITS = 3


def learned_defaults(
    estimator: Any,
    X: Any,
    y: Any = None,
    scoring: Any = None,
    *,
    prior: Any = "auto",
    history: Any = None,
    return_gain: bool = False,
) -> Any:
    """Return an estimator with the parameters that past searches expect to be best for a data set.

    Nothing is fitted: it takes milliseconds. Use it where a search would cost too much, and in
    place of the defaults of the estimator's class.

    Parameters
    ----------
    estimator : estimator
        A pipeline, for example. Parameters that you set on it are kept, as in
        :func:`default_search_space`.
    X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
        The rows to be fitted.
    y : array-like of shape (n_samples,), default=None
        Their targets.
    scoring : str or callable, default=None
        The metric, as for :class:`MetaLearnedSearchCV`.
    prior : "auto", "history", "shipped" or a prior, default="auto"
        What is known from past searches, as for :class:`MetaLearnedSearchCV`.
    history : str, path-like or SearchHistory, default=None
        Where past searches are read from, as for :class:`MetaLearnedSearchCV`. Nothing is written.
    return_gain : bool, default=False
        Return what is expected of the parameters, too.

    Returns
    -------
    estimator : estimator
        A copy that is not fitted. It keeps its parameters where it is not clear that others are
        better.
    gain : dict
        Only with ``return_gain``: what is expected of the copy in comparison with the estimator as
        given. See :ref:`learned-defaults`.

    Raises
    ------
    ValueError
        If nothing in the estimator has a default search space, or `scoring` names several metrics.
    PriorError
        If `prior` was learned from searches of other estimators.
    TypeError
        If `estimator` is no instance of an estimator.

    See Also
    --------
    MetaLearnedSearchCV : Searches, and begins with what is expected to be good.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import ExtraTreesClassifier
    >>> from skmeta.search import learned_defaults
    >>> X, y = load_iris(return_X_y=True)
    >>> settings = {"scoring": "neg_log_loss", "return_gain": True}
    >>> model, gain = learned_defaults(ExtraTreesClassifier(), X, y, **settings)
    >>> gain["metric"], gain["gain"] > 0
    ('neg_log_loss', True)
    >>> model = model.fit(X, y)
    """
    search = _check(estimator, scoring, prior, history)
    X, y = indexable(X, y)
    arguments = resolve_arguments(search, y)
    record = describe_search(arguments, X, y)
    past = resolve_prior(prior, record, open_history(history), learn_from_same_data=True)
    params: Candidate = {}
    gain = _gain(record, np.zeros(0), np.zeros(0), 0.0, "Kept as given: no past search is known.")
    if past is not None:
        params, gain = _choose(arguments, past, record)
    model = clone(estimator)
    model.set_params(**clone(params, safe=False))
    return (model, gain) if return_gain else model


def _check(estimator: Any, scoring: Any, prior: Any, history: Any) -> MetaLearnedSearchCV:
    """Return a search with the same arguments, whose checks are those of this function."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise TypeError(f"estimator must be an instance, such as SVC(), got {estimator!r}.")
    if isinstance(scoring, list | tuple | set | dict):
        raise ValueError(f"scoring must be one metric, got {scoring!r}. Name the one to maximise.")
    search = MetaLearnedSearchCV(estimator, scoring=scoring, prior=prior, history=history)
    validate_params(search)
    return search


@with_one_thread()
def _choose(
    arguments: Arguments, past: PastSurfaces, record: SearchRecord
) -> tuple[Candidate, dict[str, Any]]:
    """Return the parameters of the best candidate, and what is expected of it."""
    rng = np.random.default_rng(0)
    given = arguments.as_given or {}
    describe = CandidateDescriber(arguments.estimator)

    def encode(candidates: list[Candidate]) -> Array:
        scale = arguments.target_scale
        described = [relative_configuration(one, scale) for one in describe(candidates)]
        return np.asarray(past.encode(described, parameter_names(described)))

    candidates = [given, *draw_near(arguments.space, given, _N_CANDIDATES, rng)]
    surfaces = SurfaceInterpolation(past.surfaces_of, encode(candidates), len(candidates))
    blocks = [surfaces.F]

    def add(children: list[Candidate]) -> None:
        candidates.extend(children)
        blocks.append(surfaces(encode(children)))

    add_crosses(
        candidates, lambda: expected_utility(np.hstack(blocks), past.task_weights, 0), add, rng
    )
    F = np.hstack(blocks)
    best = design_from_surfaces(F, past.task_weights, given=0)
    difference, weights = F[:, best] - F[:, 0], past.task_weights
    if not best:
        advice = "Kept as given: past searches expect no other parameters to be better."
        return {}, _gain(record, difference, weights, 0.0, advice)
    better_on = probability_better(
        difference,
        past.errors,
        weights,
        past.distance,
        record.dataset_features,
        past.promise_offset,
    )
    # Rounded down, so that a probability below the bound does not read as the bound.
    better_on = float(np.floor(better_on * 10**_DIGITS) / 10**_DIGITS)
    gains = past.levels[:, 1] * difference
    if better_on >= _CLEAR and weights @ gains > 0:
        advice = (
            f"Changed: it is better than the estimator as given with probability {better_on:g}."
        )
        return candidates[best], _gain(record, gains, weights, better_on, advice)
    why = "but on past data sets it loses more than it gains."
    if better_on < _CLEAR:
        why = f"and parameters change from {_CLEAR} on."
    advice = f"Kept as given: the best candidate is better with probability {better_on:g}, {why}"
    return {}, _gain(record, 0 * gains, weights, better_on, advice)


def _gain(
    record: SearchRecord, gains: Array, weights: Array, better_on: float, advice: str
) -> dict[str, Any]:
    """Return what is expected, from the gain on each past data set."""
    kept = weights > 0
    gains, weights = gains[kept], weights[kept]
    if not len(gains):
        gains, weights = np.zeros(1), np.ones(1)
    order = np.argsort(gains)
    at = np.searchsorted(np.cumsum(weights[order]), np.array(_QUANTILES) * weights.sum())
    low, high = gains[order][np.minimum(at, len(order) - 1)]
    numbers = {"gain": weights @ gains, "low": low, "high": high, "better_on": better_on}
    rounded = {name: float(f"{value:.{_DIGITS}g}") for name, value in numbers.items()}
    n_datasets = int(kept.sum())
    return {"metric": record.refit_metric, **rounded, "n_datasets": n_datasets, "advice": advice}
