"""Check and resolve the arguments of a search, before any work."""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import KW_ONLY, dataclass
from inspect import isfunction
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from skmeta._sklearn_compat import resolve_scorers
from skmeta._validation import check_rng
from skmeta._warnings import warn_caller
from skmeta.search._metrics import Metrics
from skmeta.search.report import FittedSearch
from skmeta.search.space import (
    Candidate,
    SearchSpace,
    default_search_space,
    every_param,
    expand_choices,
    is_estimator,
    kept_params,
    target_scale,
)

# Candidates of a search whose number is not given.
_N_ITER = 10
# The only step of a pipeline that chooses between estimators.
_STEP = "model"
# Number of bits of a drawn seed: integers in the JSON of some databases have 64, one for the sign.
_SEED_BITS = 63


@dataclass(eq=False, repr=False)
class Search(FittedSearch):
    """The parameters of a `MetaLearnedSearchCV`, and what its `fit` sets."""

    estimator: Any
    param_distributions: Any = None
    _: KW_ONLY
    param_grid: Any = None
    n_iter: int | None = None
    history: Any = None
    name: str | None = None
    prior: Any = "auto"
    learn_from_same_data: bool = False
    batch_size: int = 1
    racing: bool = False
    time_budget: float | None = None
    target_score: float | None = None
    patience: int | None = None
    start: Any = None
    scoring: Any = None
    n_jobs: int | None = None
    refit: Any = True
    cv: Any = None
    verbose: int | str = "auto"
    pre_dispatch: int | str = "2*n_jobs"
    random_state: Any = None
    error_score: Any = np.nan
    return_train_score: bool = False


def lines_per_candidate(search: Search) -> int:
    """Return how much a search prints of each candidate, by its parameter `verbose`."""
    return 0 if isinstance(search.verbose, str) else int(search.verbose)


def may_end_early(search: Search) -> bool:
    """Return whether scores may end a search before its number of candidates."""
    return search.patience is not None or search.target_score is not None


@dataclass(frozen=True)
class Arguments:
    """The arguments of a search, resolved."""

    estimator: Any
    space: SearchSpace
    n_iter: int
    walks_grid: bool  # evaluate a finite space in GridSearchCV's order
    refit_metric: Any  # key of the metric that chooses the best candidate
    metrics: Metrics
    seed: int
    as_given: Candidate | None  # leaves the estimator as it is, if it is to be tried
    excluded: str  # its parameters that the space does not contain, if it is not
    start: list[Candidate]  # first candidates
    notes: list[str]  # shown before the first candidate
    target_scale: float = 1.0  # deviation of a regression's targets, the unit of SVR's C


def resolve_arguments(search: Search, y: Any) -> Arguments:
    """Check and resolve the constructor's parameters of a search with one estimator."""
    scoring = search.scoring
    if isfunction(scoring) and scoring.__module__.startswith("sklearn.metrics."):
        raise ValueError(
            f"scoring is the function {scoring.__name__}, which compares targets; a scorer is "
            "called with an estimator, X and y. Pass the name of a scorer, such as 'accuracy', or "
            f"make_scorer({scoring.__name__})."
        )
    scorers, refit_metric = resolve_scorers(search)
    if search.name is not None and (search.history is None or not search.name):
        raise ValueError(
            f"name={search.name!r} is the name of a search in a history, a text that is not empty. "
            "Pass it with history=..., or leave it out."
        )
    if getattr(search.history, "shared", False) and search.name is None:
        raise ValueError(
            "Workers of a shared search know it by its name. Pass the same name=... in all of them."
        )
    estimator = search.estimator
    scale = target_scale(estimator, y)
    space = _resolve_space(search, scale)
    space.check(estimator)
    metrics = Metrics(scorers, estimator, search.refit, search.error_score)
    # Which metrics a callable returns is not known before.
    if not callable(scoring) and (metrics.is_multiple or callable(search.refit)):
        metrics.check_refit(metrics.names)
    n_iter = _resolve_n_iter(search, space)
    is_default_space = search.param_distributions is None and search.param_grid is None
    as_given, outside = space.nearest(estimator)
    if outside and not is_default_space:
        as_given = None
    start = [_complete(space, estimator, k, one) for k, one in enumerate(search.start or ())]
    # If every candidate will be evaluated, they are in GridSearchCV's order.
    is_plain = not (search.racing or search.start or may_end_early(search))
    walks_grid = n_iter == space.size and is_plain
    seed = search.random_state
    if not isinstance(seed, int | np.integer):
        seed = check_rng(seed).integers(2**_SEED_BITS)
    unseen = [] if walks_grid or as_given is not None else outside
    values = every_param(estimator)
    excluded = ", ".join(f"{name}={values[name]!r}" for name in unseen if name in values)
    return Arguments(
        estimator=estimator,
        space=space,
        n_iter=n_iter,
        walks_grid=walks_grid,
        refit_metric=refit_metric,
        metrics=metrics,
        seed=int(seed),
        as_given=as_given,
        excluded=excluded,
        start=start,
        notes=list(_notes(estimator, space, is_default_space, excluded)),
        target_scale=scale,
    )


def _resolve_space(search: Search, scale: float) -> SearchSpace:
    given = [search.param_distributions, search.param_grid]
    if all(space is not None for space in given):
        raise ValueError(
            "param_distributions and param_grid were both given, but they are two names of one "
            "parameter. Pass one of them. It may have both lists and distributions."
        )
    chosen = given[0] if given[0] is not None else given[1]
    if chosen is None:
        chosen = default_search_space(search.estimator, target_scale=scale)
    elif not _is_whole_grid(search) and isinstance(chosen, (Mapping, list, tuple)):
        chosen = expand_choices(search.estimator, chosen, scale)
    space = SearchSpace(chosen)
    if not _is_whole_grid(search) and not space.names:
        raise ValueError(
            "The search space names no parameter. Name at least one, or pass param_grid={} "
            "without n_iter to evaluate the estimator as it is."
        )
    return space


def _is_whole_grid(search: Search) -> bool:
    return search.param_grid is not None and search.n_iter is None


def _complete(
    space: SearchSpace, estimator: Any, position: int, given: Mapping[str, Any]
) -> Candidate:
    """Return one candidate of ``start``."""
    if not isinstance(given, Mapping):
        raise TypeError(
            f"start[{position}] must be a dict of parameters, got {given!r}. Pass a list such as "
            '[{"C": 10.0}].'
        )
    try:
        return space.complete(estimator, given)
    except ValueError as error:
        raise ValueError(
            f"start[{position}] does not fit the search space: {error}. The parameters of "
            f"the search are {space.names}."
        ) from error


def _notes(
    estimator: Any, space: SearchSpace, is_default_space: bool, excluded: str
) -> Iterator[str]:
    if is_default_space:
        kept = ", ".join(f"{name}={value!r}" for name, value in kept_params(estimator).items())
        yield f"Searched by default: {', '.join(space.names)}."
        if kept:
            yield f"Kept as they were set: {kept}. Pass param_distributions to search them."
    elif excluded:
        yield f"The estimator as given is not tried: the space does not contain {excluded}."


def _resolve_n_iter(search: Search, space: SearchSpace) -> int:
    if _is_whole_grid(search):
        if not np.isfinite(space.size):
            drawn = [n for s in space.spaces for n in s if hasattr(s[n], "rvs")]
            raise ValueError(
                f"param_grid without n_iter is evaluated as a whole, but {drawn[0]!r} has a "
                "distribution. Give it a list of values, or set n_iter to a number of candidates."
            )
        return int(space.size)
    n_iter = _N_ITER if search.n_iter is None else int(search.n_iter)
    if n_iter > space.size:
        warn_caller(
            f"The total space of parameters {space.size} is smaller than n_iter={n_iter}. "
            f"Running {space.size} iterations. For exhaustive searches, use param_grid.",
            UserWarning,
        )
        return int(space.size)
    return n_iter


# -- algorithm selection (CASH): a list of estimators as one pipeline and its search space ---------


def with_one_estimator(search: Search) -> Any:
    """Return a search over a list of estimators as one over a pipeline's only step."""
    estimators = search.estimator
    if isinstance(estimators, type):
        name = estimators.__name__
        raise TypeError(f"estimator is the class {name}. Pass an instance of it, such as {name}().")
    if not isinstance(estimators, list | tuple):
        return search
    if not estimators:
        raise ValueError("estimator is an empty list. Pass at least one estimator in it.")
    for estimator in estimators:
        if not is_estimator(estimator):
            raise TypeError(
                f"estimator is a list that holds {estimator!r}, which is not an estimator. "
                "Pass instances, such as [SVC(), RandomForestClassifier()]."
            )
    if search.param_distributions is not None or search.param_grid is not None:
        raise ValueError(
            "A list of estimators was given and a search space as well. Leave the space out, so "
            "that each estimator has its default one, or pass a pipeline and one sub-space for "
            'each choice of its step: [{"clf": [SVC()], "clf__C": ...}, ...].'
        )
    one = copy(search)
    one.estimator = Pipeline([(_STEP, estimators[0])])
    one.param_distributions = {_STEP: list(estimators)}
    return one
