"""What early stopping changes in a search: checks, limits of rounds, rounds of the refit."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from skmeta.search.early_stopping._adapters import Predictor, find_predictor
from skmeta.search.space import (
    RoundLimit,
    SearchSpace,
    default_search_space,
    is_estimator,
    replace_parts,
)

# Parameters of fit for held rows.
_HELD_ROWS = {"eval_set", "eval_X", "X_val"}


def check_early_stopping(early_stopping: Any, estimator: Any, space: SearchSpace) -> None:
    """Raise if nothing that a search tries can stop early.

    Parameters
    ----------
    early_stopping : float or splitter
    estimator : estimator
    space : SearchSpace

    Raises
    ------
    ValueError
    """
    candidates = [find_predictor(estimator), *_candidates(estimator, space.spaces)]
    known = [one for one in candidates if one.adapter is not None]
    if not known:
        names = sorted({type(one.estimator).__name__ for one in candidates})
        raise ValueError(
            f"early_stopping={early_stopping!r} needs an estimator that can stop early, got "
            f"{', '.join(names)}. These can: estimators of LightGBM, XGBoost and CatBoost, and "
            "HistGradientBoosting of scikit-learn, alone or as the last step of a pipeline. Leave "
            "early_stopping out."
        )
    for one in known:
        assert one.adapter is not None
        obstacle = one.adapter.obstacle(one.estimator)
        if obstacle is not None:
            raise ValueError(
                f"early_stopping={early_stopping!r} was given, but {type(one.estimator).__name__} "
                f"cannot stop early: {obstacle}. Change that parameter, or leave early_stopping "
                "out."
            )


def check_held_rows(early_stopping: Any, given: Mapping[str, Any]) -> None:
    """Raise if held rows are among the parameters of ``fit``.

    Parameters
    ----------
    early_stopping : float or splitter
    given : dict
        Parameters of ``fit``.

    Raises
    ------
    ValueError
    """
    for name in given:
        if name.rpartition("__")[2] in _HELD_ROWS:
            raise ValueError(
                f"fit got {name!r}, and early_stopping={early_stopping!r} holds out rows of each "
                "fold itself. Leave one of the two out."
            )


def limit_rounds(estimator: Any, space: SearchSpace) -> Any:
    """Return an estimator whose numbers of rounds are limits, and set those of the space's parts.

    Parameters
    ----------
    estimator : estimator
    space : SearchSpace
        Estimators in its lists are replaced.

    Returns
    -------
    estimator
        A copy.
    """
    for sub_space in space.spaces:
        for name, source in sub_space.items():
            if isinstance(source, list):
                sub_space[name] = [_limited(v) if is_estimator(v) else v for v in source]
    return _limited(estimator)


def _limited(estimator: Any) -> Any:
    predictor = find_predictor(estimator)
    if predictor.adapter is None:
        return estimator
    limit = RoundLimit(predictor.adapter.round_limit(predictor.estimator))
    return clone(estimator, safe=False).set_params(**{predictor.rounds_name: limit})


def without_default_rounds(estimator: Any, space: Any) -> Any:
    """Leave numbers of rounds out of default spaces: early stopping finds them.

    Parameters
    ----------
    estimator : estimator
    space : dict or list of dict
        A default space, or sub-spaces with the default spaces of their parts.

    Returns
    -------
    dict or list of dict
        Values that the user gave stay.
    """
    left = []
    for one in [space] if isinstance(space, Mapping) else space:
        dropped = set()
        for predictor in _candidates(estimator, [dict(one)]):
            if predictor.adapter is not None and predictor.rounds_name in one:
                own = default_search_space(predictor.estimator)
                leaf = predictor.rounds_name.removeprefix(predictor.prefix)
                values = [s.get(leaf) for s in ([own] if isinstance(own, dict) else own)]
                if any(source is one[predictor.rounds_name] for source in values):
                    dropped.add(predictor.rounds_name)
        left.append({name: source for name, source in one.items() if name not in dropped})
    return left[0] if isinstance(space, Mapping) else left


def _candidates(estimator: Any, spaces: list[dict[str, Any]]) -> Iterator[Predictor]:
    """Yield the predictor for each combination of parts that sub-spaces put into an estimator."""
    for parts in SearchSpace(spaces).part_choices(estimator):
        yield find_predictor(replace_parts(estimator, parts))


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
    rounds = np.full((len(outputs), n_splits), math.nan)
    for row, own in zip(rounds, outputs, strict=True):
        row[: len(own)] = [output["n_rounds"] for output in own]
    by_fold = {f"split{fold}_n_rounds": rounds[:, fold].tolist() for fold in range(n_splits)}
    known = [row[~np.isnan(row)] for row in rounds]
    typical = [float(np.ceil(np.median(own))) if len(own) else math.nan for own in known]
    return {**by_fold, "n_rounds": typical}


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
