"""What early stopping changes in a search: checks, limits of rounds, fits of folds, and the refit.

scikit-learn's evaluation of a fold sets a candidate's parameters, calls ``estimator.fit`` with the
training rows, and scores the estimator. During this one call, ``fit`` of the instance is another
function: it divides the rows, and passes the held rows to the part that predicts. A pipeline fits
the steps before that part on the other rows, as usual; they transform the held rows afterwards. So
metadata is routed as without early stopping, and the scorer sees the estimator itself.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)
from sklearn.utils.multiclass import type_of_target

from skmeta._sklearn_compat import check_method_params, safe_indexing
from skmeta.search.early_stopping._adapters import HeldRows, Predictor, find_predictor
from skmeta.search.space import (
    RoundLimit,
    SearchSpace,
    is_estimator,
    replace_parts,
)

# Parameters of fit for held rows.
_HELD_ROWS = {"eval_set", "eval_X", "X_val"}


def check_early_stopping(early_stopping: Any, estimator: Any, space: SearchSpace) -> None:
    """Raise a ValueError if nothing that a search tries can stop early."""
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
        if obstacle := one.adapter.obstacle(one.estimator):
            raise ValueError(
                f"early_stopping={early_stopping!r} was given, but {type(one.estimator).__name__} "
                f"cannot stop early: {obstacle}. Change that parameter, or leave early_stopping "
                "out."
            )


def check_held_rows(early_stopping: Any, given: Mapping[str, Any]) -> None:
    """Raise a ValueError if held rows are among the parameters of ``fit``."""
    for name in given:
        if name.rpartition("__")[2] in _HELD_ROWS:
            raise ValueError(
                f"fit got {name!r}, and early_stopping={early_stopping!r} holds out rows of each "
                "fold itself. Leave one of the two out."
            )


def limit_rounds(estimator: Any, spaces: Sequence[dict[str, Any]]) -> Any:
    """Return a copy of an estimator whose number of rounds is a limit, as in the spaces."""
    for space in spaces:
        for name, source in space.items():
            if not hasattr(source, "rvs"):
                space[name] = [_limited(v) if is_estimator(v) else v for v in source]
    return _limited(estimator)


def _limited(estimator: Any) -> Any:
    predictor = find_predictor(estimator)
    if predictor.adapter is None:
        return estimator
    limit = RoundLimit(predictor.adapter.round_limit(predictor.estimator))
    return clone(estimator, safe=False).set_params(**{predictor.rounds_name: limit})


def _candidates(estimator: Any, spaces: list[dict[str, Any]]) -> Iterator[Predictor]:
    """Yield the predictor for each combination of parts that sub-spaces put into an estimator."""
    for parts in SearchSpace(spaces).part_choices(estimator):
        yield find_predictor(replace_parts(estimator, parts))


def rounds_columns(
    outputs: Sequence[Sequence[Mapping[str, Any]]], n_splits: int
) -> dict[str, list[float]]:
    """Return ``n_rounds`` and ``split<k>_n_rounds`` of ``cv_results_``, one value per candidate."""
    rounds = np.full((len(outputs), n_splits), math.nan)
    for row, own in zip(rounds, outputs, strict=True):
        row[: len(own)] = [output["n_rounds"] for output in own]
    by_fold = {f"split{fold}_n_rounds": rounds[:, fold].tolist() for fold in range(n_splits)}
    known = [row[~np.isnan(row)] for row in rounds]
    typical = [float(np.ceil(np.median(own))) if len(own) else math.nan for own in known]
    return {**by_fold, "n_rounds": typical}


def refit_params(estimator: Any, n_rounds: float) -> dict[str, Any]:
    """Return the parameters for a refit of `n_rounds` that does not end before; none for NaN."""
    if math.isnan(n_rounds):
        return {}
    predictor = find_predictor(estimator)
    assert predictor.adapter is not None
    switched_off = predictor.adapter.without(predictor.estimator)
    return {
        predictor.rounds_name: int(n_rounds),
        **{predictor.prefix + name: value for name, value in switched_off.items()},
    }


# -- fits of folds ---------------------------------------------------------------------------------

# All candidates have the same held rows, whatever the seed of the search.
_SEED = 0


class Held(NamedTuple):
    """Positions within a fold's training part of the rows that are held out, and of the others."""

    kept: NDArray[np.intp]
    held: NDArray[np.intp]


@contextmanager
def stop_early(estimator: Any, rows: Held) -> Iterator[Any]:
    """Let the next fit stop early, if the predictor can; yield an object with ``n_rounds``."""
    stop = SimpleNamespace(n_rounds=float("nan"))

    def fit(X: Any, y: Any = None, **params: Any) -> Any:
        del vars(estimator)["fit"]  # from here on, it is that of the class
        predictor = find_predictor(estimator)
        if predictor.adapter is None:
            return estimator.fit(X, y, **params)
        part, adapter = predictor.estimator, predictor.adapter
        kept, held = (check_method_params(X, params=params, indices=own) for own in rows)

        def fit_part(X_kept: Any, y_kept: Any = None, **own: Any) -> Any:
            X_held = safe_indexing(X, rows.held)
            for pipeline in predictor.pipelines:
                X_held = _transform(pipeline, X_held)
            # A pipeline passes values on under other names, but as the same objects.
            given = own.get("sample_weight")
            names = [n for n, value in kept.items() if value is given and given is not None]
            weight = held[names[0]] if names else None
            held_rows = HeldRows(X_held, safe_indexing(y, rows.held), weight)
            del vars(part)["fit"]
            stop.n_rounds = adapter.fit(part, X_kept, y_kept, held_rows, own)
            return part

        vars(part)["fit"] = fit_part
        return estimator.fit(safe_indexing(X, rows.kept), safe_indexing(y, rows.kept), **kept)

    vars(estimator)["fit"] = fit
    yield stop


def _transform(pipeline: Any, X: Any) -> Any:
    """Return rows as the fitted steps before the last one transform them."""
    for _, step, *_ in pipeline.steps[:-1]:
        # Steps that resample do nothing to new rows.
        if step is not None and step != "passthrough" and hasattr(step, "transform"):
            X = step.transform(X)
    return X


def hold_out(early_stopping: Any, X: Any, y: Any, groups: Any, is_classification: bool) -> Held:
    """Choose the rows on which early stopping computes the loss, or raise a ValueError.

    They are a share of each class, or a splitter's last split. Groups stay together, and a class
    that would have no row left to fit on keeps its rows.
    """
    if isinstance(early_stopping, Real):
        kept, held = _hold_share(float(early_stopping), y, groups, is_classification)
    else:
        splits = list(early_stopping.split(X, y, groups))
        kept, held = map(np.asarray, splits[-1]) if splits else (np.arange(0), np.arange(0))
    if is_classification and len(held) and _fewest(y):
        # A loss needs the probability of each class, and the scores of a fold its prediction.
        labels = np.asarray(y)
        lost = ~np.isin(labels[held], np.unique(labels[kept]))
        kept, held = np.sort(np.concatenate([kept, held[lost]])), held[~lost]
    if not len(kept) or not len(held):
        raise ValueError(
            f"early_stopping={early_stopping!r} holds out {len(held)} and leaves {len(kept)} rows "
            "of a fold's training part. Both need at least one. Pass another share or splitter."
        )
    return Held(kept, held)


def _hold_share(share: float, y: Any, groups: Any, is_classification: bool) -> Any:
    n, n_groups = len(y), 0 if groups is None else len(np.unique(groups))
    n_held = max(1, round(share * n))
    splitter: Any
    if groups is not None:
        if n_groups < 2:
            raise ValueError(
                f"early_stopping={share} keeps the rows of a group together, but a fold's training "
                "part has one group only. Pass a splitter that divides it, or use other folds."
            )
        # Classes are stratified as far as whole groups allow.
        n_splits = round(1 / share)
        splitter = GroupShuffleSplit(1, test_size=share, random_state=_SEED)
        if is_classification and min(_fewest(y), n_groups) >= n_splits >= 2:
            splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=_SEED)
    elif is_classification and _fewest(y) >= 2 and min(n_held, n - n_held) >= len(np.unique(y)):
        splitter = StratifiedShuffleSplit(1, test_size=n_held, random_state=_SEED)
    elif n < 2:
        return np.arange(n), np.arange(0)
    else:
        splitter = ShuffleSplit(1, test_size=min(n_held, n - 1), random_state=_SEED)
    return next(splitter.split(np.zeros((n, 1)), y, groups))


def _fewest(y: Any) -> int:
    """Return the number of rows of the rarest class; 0 if rows have several labels."""
    if type_of_target(y) not in ("binary", "multiclass"):
        return 0
    return int(np.unique(np.asarray(y), return_counts=True)[1].min())
