"""One candidate on one fold of a search: what runs in a worker process.

A worker imports the module of the function that it is given, and the packages around it. So this
module is not in the room of the searches, whose import takes longer than many fits, because of the
database of the history.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import get_tags

from skmeta._sklearn_compat import fit_and_score, safe_indexing

__all__ = ["Predictions", "evaluate_fold", "predict_fold"]


class Predictions(NamedTuple):
    """Predictions of the test part of a fold.

    Attributes
    ----------
    values : ndarray of shape (n_test,) or (n_test, n_outputs)
    classes : ndarray or None
        The classes that the columns stand for; None for labels and for regressions.
    """

    values: NDArray[Any]
    classes: NDArray[Any] | None


def evaluate_fold(task: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
    """Fit one candidate on the training part of a fold, and score it on the test part.

    Parameters
    ----------
    task : dict
        Arguments of `fit_and_score`, and ``stopping``: None, or a callable that takes the estimator
        and returns a context in which its fit stops early. The context yields an object whose
        ``n_rounds`` is the number of rounds that the fit found.

    Returns
    -------
    position : int
        Of the candidate.
    fold : int
    output : dict
        As `fit_and_score` returns it, with ``n_rounds`` if the fit could stop early.
    """
    position, fold = task["candidate_progress"][0], task["split_progress"][0]
    stopping = task["stopping"]
    settings = {name: value for name, value in task.items() if name != "stopping"}
    if stopping is None:
        return position, fold, fit_and_score(**settings)
    with stopping(task["estimator"]) as stopped:
        output = fit_and_score(**settings)
    return position, fold, {**output, "n_rounds": stopped.n_rounds}


def predict_fold(task: dict[str, Any], method: str) -> tuple[int, Predictions]:
    """Fit one candidate on the training part of a fold, and predict the test part.

    Parameters
    ----------
    task : dict
        As of `evaluate_fold`.
    method : str
        Name of the method that predicts.

    Returns
    -------
    fold : int
    predictions : Predictions

    Raises
    ------
    ValueError
        If the predictions are several arrays.
    """
    fold, estimator = task["split_progress"][0], task["estimator"]
    evaluate_fold({**task, "error_score": "raise"})
    X = safe_indexing(task["X"], task["test"])
    if get_tags(estimator).input_tags.pairwise:  # similarities to the rows of the training part
        X = safe_indexing(X, task["train"], axis=1)
    values = getattr(estimator, method)(X)
    if isinstance(values, list):
        raise ValueError(
            f"{method} of several outputs at once has no single array. Use "
            'return_predictions="predict".'
        )
    classes = None if method == "predict" else getattr(estimator, "classes_", None)
    return fold, Predictions(np.asarray(values), classes)
