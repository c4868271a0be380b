"""The choice between learners that were compared, and what to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skmeta.learners.auto._losses import mean_and_error
from skmeta.learners.auto._plain import TREES
from skmeta.learners.auto._race import Result
from skmeta.learners.auto._tasks import Design

# Half of a 95% interval, in standard errors.
_HALF_WIDTH = 1.96
# A gain of a smaller share of the loss is none, however certain it is. InContextLearner mixes a
# mixed-effects model in, so its losses can differ from those of HierarchicalLinear by almost
# nothing in all tasks, and the standard error of the difference is as small.
_NEGLIGIBLE = 1e-3


def compared_tasks(results: Sequence[Result]) -> np.ndarray:
    """Return which tasks all learners of the last stage were compared on, (n_tasks,)."""
    finalists = [r.loss for r in results if r.status == "compared"]
    return np.asarray(~np.isnan(finalists).any(0))


def rank(results: Sequence[Result], weights: np.ndarray) -> list[Result]:
    """Order learners: the one to choose first.

    Parameters
    ----------
    results : sequence of Result
        The simplest learner first.
    weights : ndarray of shape (n_tasks,)
        Weights of the tasks.

    Returns
    -------
    list of Result
        Learners of the last stage. The first is the simplest whose loss is within one standard
        error of the least one, paired over tasks, or within a thousandth of it; the others follow
        by their loss.
    """
    finalists = [r for r in results if r.status == "compared"]
    if not finalists:
        return []
    kept = compared_tasks(results)
    by_loss = sorted(finalists, key=lambda r: np.average(r.loss[kept], weights=weights[kept]))
    best = by_loss[0]
    least = np.average(best.loss[kept], weights=weights[kept])
    for simple in finalists:
        gap, error = mean_and_error(simple.loss[kept] - best.loss[kept], weights[kept])
        if simple is best or gap <= max(error, _NEGLIGIBLE * abs(least)):
            return [simple, *(r for r in by_loss if r is not simple)]
    raise AssertionError("the best learner is among the learners")


def leaderboard_rows(
    results: Sequence[Result], chosen: str, weights: np.ndarray
) -> list[dict[str, Any]]:
    """Return one row for each learner and plain model, the least loss first.

    Parameters
    ----------
    results : sequence of Result
        All of them.
    chosen : str
        Name of the chosen learner.
    weights : ndarray of shape (n_tasks,)
        Weights of the tasks.

    Returns
    -------
    list of dict
        Those that were stopped after the first stage come after the others.
    """
    rows = []
    for result in results:
        known = ~np.isnan(result.loss)
        mean, error = mean_and_error(result.loss[known], weights[known])
        row = {
            "learner": result.name,
            "loss": mean,
            "standard_error": error if np.isfinite(error) else np.nan,
            "low": mean - _HALF_WIDTH * error,
            "high": mean + _HALF_WIDTH * error,
            "n_tasks": int(known.sum()),
            "n_iterations": result.n_iterations,
            "seconds": round(result.seconds, 3),
            "chosen": result.name == chosen,
            "status": result.error or result.status,
        }
        rows.append(row)
    last = {"stopped": 1, "failed": 2, "no time": 3}
    order = {
        r.name: (last.get(r.status, 0), row["loss"]) for r, row in zip(results, rows, strict=True)
    }
    return sorted(rows, key=lambda row: order[row["learner"]])


def summarise(design: Design, results: Sequence[Result], chosen: Result) -> tuple[str, bool]:
    """Say whether meta-learning pays.

    Parameters
    ----------
    design : Design
        The tasks.
    results : sequence of Result
        All learners and plain models.
    chosen : Result
        The chosen learner.

    Returns
    -------
    text : str
        One to three sentences.
    is_beaten : bool
        Whether a plain model is better beyond doubt.
    """
    kept, weights = ~np.isnan(chosen.loss), design.weights
    plain = [r for r in results if r.status == "plain"]
    measure = "log loss" if design.kind == "classification" else "squared error (over the variance)"
    own, _ = mean_and_error(chosen.loss[kept], weights[kept])
    facts = f"on {kept.sum()} held-out tasks {chosen.name} has a {measure} of {own:.3g}"
    if not plain:
        return f"{facts[0].upper()}{facts[1:]}.", False
    best = min(plain, key=lambda r: np.average(r.loss[kept], weights=weights[kept]))
    other, _ = mean_and_error(best.loss[kept], weights[kept])
    gain, error = mean_and_error(best.loss[kept] - chosen.loss[kept], weights[kept])
    verdict = _verdict(gain, error)
    text = (
        f"{verdict}: {facts}, the best plain model, {best.name.removesuffix(' (plain)')}, has "
        f"{other:.3g} (difference {gain:.2g} ± {_HALF_WIDTH * error:.2g})."
    )
    is_beaten = bool(gain < -_HALF_WIDTH * error)
    if is_beaten:
        text += f" The plain model ({best.name.removesuffix(' (plain)')}) is better."
    elif gain <= error:
        text += f" The plain model ({best.name.removesuffix(' (plain)')}) does as well."
    if best.name == TREES and gain <= error:
        kind = "GroupedClassifier" if design.kind == "classification" else "GroupedRegressor"
        text += f" {kind} learns trees and groups together."
    elif gain > error and chosen.name == "HierarchicalLinear":
        text += " A mixed-effects model is all that these tasks need: no network is better by more "
        text += "than one standard error."
    return text, is_beaten


def _verdict(gain: float, error: float) -> str:
    if gain > _HALF_WIDTH * error:
        return "Meta-learning pays here"
    if gain > error:
        return "Meta-learning may pay here"
    return "Meta-learning does not pay here"
