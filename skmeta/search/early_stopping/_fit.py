"""Fits of a fold that stop early, on rows of the fold's own training part.

scikit-learn's evaluation of a fold sets a candidate's parameters, calls ``estimator.fit`` with the
training rows, and scores the estimator. During this one call, ``fit`` of the instance is another
function: it divides the rows, and passes the held rows to the part that predicts. A pipeline fits
the steps before that part on the other rows, as usual; they transform the held rows afterwards. So
metadata is routed as without early stopping, and the scorer sees the estimator itself.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from skmeta._sklearn_compat import check_method_params, safe_indexing
from skmeta.search.early_stopping._adapters import HeldRows, Predictor, find_predictor
from skmeta.search.early_stopping._held_rows import Held


@dataclass
class FoundRounds:
    """The number of rounds that a fit found; NaN before, and if it did not stop early."""

    n_rounds: float = float("nan")


@contextmanager
def stop_early(estimator: Any, rows: Held) -> Iterator[FoundRounds]:
    """Let the next fit of an estimator stop early, if what predicts can.

    Parameters
    ----------
    estimator : estimator
        Not fitted. Its parameters may change before its fit.
    rows : Held
        Positions of the held rows among those that ``fit`` will be given.

    Yields
    ------
    FoundRounds
        What the fit found.
    """
    rounds = FoundRounds()

    def fit(X: Any, y: Any = None, **params: Any) -> Any:
        predictor = find_predictor(estimator)
        if predictor.adapter is None:
            return original(X, y, **params)
        part = predictor.estimator
        kept = check_method_params(X, params=params, indices=rows.kept)
        held = check_method_params(X, params=params, indices=rows.held)
        fit_predictor = _fit_with_held_rows(
            predictor, X, y, rows, _Counterparts(kept, held), rounds
        )
        with _replaced_fit(part, fit_predictor):
            whole = original if predictor.pipelines else part.fit
            return whole(safe_indexing(X, rows.kept), safe_indexing(y, rows.kept), **kept)

    original = estimator.fit
    with _replaced_fit(estimator, fit):
        yield rounds


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


class _Counterparts:
    """Parameters of fit for the held rows, found by those for the other rows.

    A pipeline passes values on under other names, but as the same objects.
    """

    def __init__(self, kept: Mapping[str, Any], held: Mapping[str, Any]) -> None:
        self._pairs = [(value, held[name]) for name, value in kept.items()]

    def of(self, value: Any) -> Any:
        """Return what belongs to the held rows; None if the value is None or unknown."""
        if value is None:
            return None
        return next((held for kept, held in self._pairs if kept is value), None)


def _fit_with_held_rows(
    predictor: Predictor, X: Any, y: Any, rows: Held, held: _Counterparts, rounds: FoundRounds
) -> Callable[..., Any]:
    """Return the fit of what predicts, which is handed the held rows too."""

    def fit(X_kept: Any, y_kept: Any = None, **params: Any) -> Any:
        assert predictor.adapter is not None
        estimator = predictor.estimator
        X_held = safe_indexing(X, rows.held)
        for pipeline in predictor.pipelines:
            X_held = _transform(pipeline, X_held)
        held_rows = HeldRows(
            X_held, safe_indexing(y, rows.held), held.of(params.get("sample_weight"))
        )
        with _replaced_fit(estimator, None):
            rounds.n_rounds = predictor.adapter.fit(estimator, X_kept, y_kept, held_rows, params)
        return estimator

    return fit


def _transform(pipeline: Any, X: Any) -> Any:
    """Return rows as the fitted steps before the last one transform them."""
    for _, step, *_ in pipeline.steps[:-1]:
        # Steps that resample do nothing to new rows.
        if step is not None and step != "passthrough" and hasattr(step, "transform"):
            X = step.transform(X)
    return X
