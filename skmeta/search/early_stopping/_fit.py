"""Fits of a fold that stop early, on rows of the fold's own training part.

scikit-learn's evaluation of a fold sets a candidate's parameters, calls ``estimator.fit`` with the
training rows, and scores the estimator. During this one call, ``fit`` of the instance is another
function: it divides the rows, and passes the held rows to the part that predicts. A pipeline fits
the steps before that part on the other rows, as usual; they transform the held rows afterwards. So
metadata is routed as without early stopping, and the scorer sees the estimator itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Real
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)
from sklearn.utils.multiclass import type_of_target

from skmeta._sklearn_compat import check_method_params, safe_indexing
from skmeta.search.early_stopping._adapters import HeldRows, find_predictor

# All candidates have the same held rows, whatever the seed of the search.
_SEED = 0


class Held(NamedTuple):
    """The rows of a fold's training part that are held out, and the others.

    Attributes
    ----------
    kept, held : ndarray of int
        Positions within the training part.
    """

    kept: NDArray[np.intp]
    held: NDArray[np.intp]


@contextmanager
def stop_early(estimator: Any, rows: Held) -> Iterator[Any]:
    """Let the next fit of an estimator stop early, if its predictor can.

    Parameters
    ----------
    estimator : estimator
        Not fitted. Its parameters may change before its fit.
    rows : Held
        Positions of the held rows among those that ``fit`` will be given.

    Yields
    ------
    object
        With ``n_rounds``, the number of rounds that the fit found; NaN before, and if it did not
        stop early.
    """
    stop = SimpleNamespace(n_rounds=float("nan"))

    def fit(X: Any, y: Any = None, **params: Any) -> Any:
        predictor = find_predictor(estimator)
        if predictor.adapter is None:
            return original(X, y, **params)
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
            with _replaced_fit(part, None):
                stop.n_rounds = adapter.fit(part, X_kept, y_kept, held_rows, own)
            return part

        with _replaced_fit(part, fit_part):
            whole = original if predictor.pipelines else part.fit
            return whole(safe_indexing(X, rows.kept), safe_indexing(y, rows.kept), **kept)

    original = estimator.fit
    with _replaced_fit(estimator, fit):
        yield stop


@contextmanager
def _replaced_fit(estimator: Any, fit: Callable[..., Any] | None) -> Iterator[None]:
    """Let an instance have another ``fit``; None for that of its class."""
    before, own = vars(estimator).pop("fit", None), vars(estimator)
    if fit is not None:
        own["fit"] = fit
    try:
        yield
    finally:
        own.pop("fit", None)
        if before is not None:
            own["fit"] = before


def _transform(pipeline: Any, X: Any) -> Any:
    """Return rows as the fitted steps before the last one transform them."""
    for _, step, *_ in pipeline.steps[:-1]:
        # Steps that resample do nothing to new rows.
        if step is not None and step != "passthrough" and hasattr(step, "transform"):
            X = step.transform(X)
    return X


def hold_out(early_stopping: Any, X: Any, y: Any, groups: Any, is_classification: bool) -> Held:
    """Choose the rows on which early stopping computes the loss.

    Parameters
    ----------
    early_stopping : float or splitter
        Share of the rows, or a splitter, whose last split is used.
    X, y : array-like
        A fold's training part.
    groups : array-like or None
        Rows of a group stay together.
    is_classification : bool
        Whether the share is that of each class.

    Returns
    -------
    Held
        A class that would have no row left to fit on keeps its rows.

    Raises
    ------
    ValueError
        If no row is held out, or none is left.
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
    n = len(y)
    rows = np.zeros((n, 1))
    if groups is not None:
        if len(np.unique(groups)) < 2:
            raise ValueError(
                f"early_stopping={share} keeps the rows of a group together, but a fold's training "
                "part has one group only. Pass a splitter that divides it, or use other folds."
            )
        # Classes are stratified as far as whole groups allow.
        n_splits = round(1 / share)
        n_groups = len(np.unique(groups))
        if is_classification and min(_fewest(y), n_groups) >= n_splits >= 2:
            stratified = StratifiedGroupKFold(n_splits, shuffle=True, random_state=_SEED)
            return next(stratified.split(rows, y, groups))
        grouped = GroupShuffleSplit(1, test_size=share, random_state=_SEED)
        return next(grouped.split(rows, y, groups))
    n_held = max(1, round(share * n))
    if is_classification and _fewest(y) >= 2 and min(n_held, n - n_held) >= len(np.unique(y)):
        stratified = StratifiedShuffleSplit(1, test_size=n_held, random_state=_SEED)
        return next(stratified.split(rows, y))
    if n < 2:
        return np.arange(n), np.arange(0)
    return next(ShuffleSplit(1, test_size=min(n_held, n - 1), random_state=_SEED).split(rows))


def _fewest(y: Any) -> int:
    """Return the number of rows of the rarest class; 0 if rows have several labels."""
    if type_of_target(y) not in ("binary", "multiclass"):
        return 0
    return int(np.unique(np.asarray(y), return_counts=True)[1].min())
