"""Algorithm selection (CASH): a list of estimators, as one pipeline and its search space."""

from copy import copy
from typing import Any

from sklearn.pipeline import Pipeline

from skmeta.exceptions import SearchSpaceError
from skmeta.search.space import is_estimator

__all__ = ["with_one_estimator"]

_STEP = "model"


def with_one_estimator(search: Any) -> Any:
    """Return a search over a list of estimators as a search over one pipeline.

    scikit-learn's searches have one estimator. The list becomes the choices of the pipeline's
    only step.

    Parameters
    ----------
    search : MetaLearnedSearchCV

    Returns
    -------
    search : MetaLearnedSearchCV
        The search itself if it has one estimator, else a shallow copy. The search that was given
        stays as it is.

    Raises
    ------
    SearchSpaceError
        If the list is empty, or a space is given as well.
    TypeError
        If something in the list is not an estimator.
    """
    estimators = search.estimator
    if not isinstance(estimators, list | tuple):
        return search
    _check(estimators, search.param_distributions, search.param_grid)
    one = copy(search)
    one.estimator = Pipeline([(_STEP, estimators[0])])
    one.param_distributions = {_STEP: list(estimators)}
    return one


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
