"""The choice between learners that were compared, and what to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from skmeta.learners.auto._comparison import Result
from skmeta.learners.auto._losses import TREES, mean_and_error
from skmeta.learners.auto._tasks import Design

# Share of all comparisons whose interval does not hold the true difference.
_ERROR_RATE = 0.05
# A gain of a smaller share of the loss is none, however certain it is: the losses of two learners
# can differ by almost nothing in all tasks, and the standard error of the difference is as small.
_NEGLIGIBLE = 1e-3
# Order of the leaderboard: learners that were compared come first.
_LAST = {"stopped": 1, "failed": 2}


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
        Learners that were compared on all folds. The first is the simplest whose loss is within
        one standard error of the least one, paired over tasks, or within a thousandth of it; the
        others follow by their loss.
    """
    finalists = [r for r in results if r.status == "compared"]
    if not finalists:
        return []
    by_loss = sorted(finalists, key=lambda r: np.average(r.loss, weights=weights))
    best = by_loss[0]
    least = np.average(best.loss, weights=weights)

    def is_as_good(result: Result) -> bool:
        gap, error = mean_and_error(result.loss - best.loss, weights)
        return result is best or bool(gap <= max(error, _NEGLIGIBLE * abs(least)))

    chosen = next(result for result in finalists if is_as_good(result))
    return [chosen, *(result for result in by_loss if result is not chosen)]


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
        Those that were stopped after the first fold come after the others.
    """
    rows, half_width = [], _half_width(1)
    for result in results:
        known = ~np.isnan(result.loss)
        mean, error = mean_and_error(result.loss[known], weights[known])
        row = {
            "learner": result.name,
            "loss": mean,
            "standard_error": error if np.isfinite(error) else np.nan,
            "low": mean - half_width * error,
            "high": mean + half_width * error,
            "n_tasks": int(known.sum()),
            "n_iterations": result.n_iterations,
            "seconds": round(result.seconds, 3),
            "chosen": result.name == chosen,
            "status": result.error or result.status,
        }
        rows.append(((_LAST.get(result.status, 0), mean), row))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


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
    weights, model = design.weights, chosen.name
    measure = "log loss" if design.kind == "classification" else "squared error (over the variance)"
    own, _ = mean_and_error(chosen.loss, weights)
    plain = [r for r in results if r.status == "plain"]
    best = min(plain, key=lambda r: np.average(r.loss, weights=weights))
    other, _ = mean_and_error(best.loss, weights)
    gain, error = mean_and_error(best.loss - chosen.loss, weights)
    margin, name = _half_width(len(plain)) * error, best.name.removesuffix(" (plain)")
    pays = "pays" if gain > margin else "may pay" if gain > error else "does not pay"
    text = (
        f"Meta-learning {pays} here: on {len(weights)} held-out tasks {model} has a {measure} of "
        f"{own:.3g}, the best plain model, {name}, has {other:.3g} (difference {gain:.2g} ± "
        f"{margin:.2g})."
    )
    is_beaten = bool(gain < -margin)
    if gain <= error:
        text += f" The plain model ({name}) {'is better' if is_beaten else 'does as well'}."
        if best.name == TREES:
            kind = "GroupedClassifier" if design.kind == "classification" else "GroupedRegressor"
            text += f" {kind} learns trees and groups together."
    elif model == "HierarchicalLinear":
        text += " A mixed-effects model is all that these tasks need: no network is better by more "
        text += "than one standard error."
    return text, is_beaten


def _half_width(n_comparisons: int) -> float:
    """Return half of a 95% interval in standard errors, by Bonferroni's (Dunn's) correction.

    The best of several plain models looks better than it is, so each has a wider interval.
    """
    return float(ndtri(1 - _ERROR_RATE / (2 * n_comparisons)))
