"""The numbers of rounds that early stopping found: shown, and used again by the refit."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skmeta.search.early_stopping._predictor import find_predictor


def typical_rounds(outputs: Sequence[Mapping[str, Any]]) -> float:
    """Return the median number of rounds over a candidate's folds, rounded up.

    Parameters
    ----------
    outputs : sequence of dict
        Results of folds, with ``n_rounds``.

    Returns
    -------
    float
        NaN if no fold stopped early.
    """
    rounds = [output["n_rounds"] for output in outputs if not math.isnan(output["n_rounds"])]
    return float(math.ceil(np.median(rounds))) if rounds else math.nan


def rounds_columns(
    outputs: Sequence[Sequence[Mapping[str, Any]]], n_splits: int
) -> dict[str, list[float]]:
    """Return the columns of ``cv_results_`` that tell of rounds.

    Parameters
    ----------
    outputs : sequence of sequence of dict
        Results of each candidate's folds.
    n_splits : int

    Returns
    -------
    dict of str -> list of float
        ``n_rounds`` and ``split<k>_n_rounds``, with one value per candidate.
    """
    by_fold = {
        f"split{fold}_n_rounds": [
            own[fold]["n_rounds"] if fold < len(own) else math.nan for own in outputs
        ]
        for fold in range(n_splits)
    }
    return {**by_fold, "n_rounds": [typical_rounds(own) for own in outputs]}


def refit_params(estimator: Any, n_rounds: float) -> dict[str, Any]:
    """Return what to add to a candidate's parameters, so that it makes the rounds that were found.

    Parameters
    ----------
    estimator : estimator
        With the candidate's parameters set.
    n_rounds : float
        NaN if it does not stop early.

    Returns
    -------
    dict
        The number of rounds, and parameters that would end a fit before; empty for NaN.
    """
    if math.isnan(n_rounds):
        return {}
    predictor = find_predictor(estimator)
    assert predictor.adapter is not None
    switched_off = predictor.adapter.without(predictor.estimator)
    return {
        predictor.rounds_name: int(n_rounds),
        **{predictor.prefix + name: value for name, value in switched_off.items()},
    }
