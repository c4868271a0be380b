"""A list of estimators to choose from, as one estimator and its space."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.pipeline import Pipeline

from skmeta.exceptions import SearchSpaceError
from skmeta.search.space import is_estimator

__all__ = ["as_one_estimator"]

_STEP = "model"


@contextmanager
def as_one_estimator(search: Any) -> Iterator[None]:
    """Let a search over a list of estimators be, for a while, one over a pipeline's only step.

    scikit-learn's searches know of one estimator. Parameters are as the user set them afterwards.

    Parameters
    ----------
    search : MetaLearnedSearchCV

    Raises
    ------
    SearchSpaceError
        If the list is empty, or a space is given as well.
    TypeError
        If something in the list is not an estimator.
    """
    given, space = search.estimator, search.param_distributions
    if not isinstance(given, list | tuple):
        yield
        return
    _check(given, space, search.param_grid)
    search.estimator = Pipeline([(_STEP, given[0])])
    search.param_distributions = {_STEP: list(given)}
    try:
        yield
    finally:
        search.estimator, search.param_distributions = given, space


def _check(estimators: Any, *spaces: Any) -> None:
    if not estimators:
        raise SearchSpaceError("estimator is an empty list. Pass at least one estimator in it.")
    for estimator in estimators:
        if not is_estimator(estimator):
            raise TypeError(
                f"estimator is a list that holds {estimator!r}, which is not an estimator. "
                "Pass instances, such as [SVC(), RandomForestClassifier()]."
            )
    if any(space is not None for space in spaces):
        raise SearchSpaceError(
            "A list of estimators was given and a search space as well. Leave the space out, so "
            "that each estimator has its default one, or pass a pipeline and one sub-space for "
            'each choice of its step: [{"clf": [SVC()], "clf__C": ...}, ...].'
        )
