"""What the losses on held-out tasks say: which learner to choose, and whether it pays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

from skmeta.learners.auto._candidates import TREES, Entry
from skmeta.learners.auto._tasks import Design

# Share of all verdicts whose intervals do not hold the true differences.
_ERROR_RATE = 0.05
# A difference of a smaller share of the loss is none, however certain it is: two models can differ
# by almost nothing in all tasks, and the standard error of the difference is as small.
_NEGLIGIBLE = 0.01


class Mean(NamedTuple):
    """A weighted mean over tasks.

    Attributes
    ----------
    value : float
        The mean.
    error : float
        Its standard error; infinite for a single task, or a value that is not finite.
    n_tasks : float
        Number of tasks that count alike and would have this error.
    """

    value: float
    error: float
    n_tasks: float

    @classmethod
    def over(cls, values: np.ndarray, weights: np.ndarray) -> Mean:
        """Average the values (n_tasks,) of tasks."""
        n, mean = len(values), float(np.average(values, weights=weights))
        n_alike = float(weights.sum() ** 2 / (weights**2).sum())
        if n < 2 or not np.isfinite(values).all():
            return cls(mean, np.inf, n_alike)
        spread = (weights**2 * (values - mean) ** 2).sum() * n / (n - 1)
        return cls(mean, float(np.sqrt(spread) / weights.sum()), n_alike)

    def margin(self, n_comparisons: int = 1) -> float:
        """Return half of a 95% interval of Student's t, by Bonferroni's (Dunn's) correction.

        The best of several models looks better than it is, so each has a wider interval.
        """
        level = 1 - _ERROR_RATE / (2 * n_comparisons)
        return float(t.ppf(level, max(self.n_tasks - 1, 1)) * self.error)


def choose(results: Sequence[Entry], weights: np.ndarray) -> Entry | None:
    """Choose the simplest learner that is as good as the best one.

    Parameters
    ----------
    results : sequence of Entry
        The simplest learner first.
    weights : ndarray of shape (n_tasks,)
        Weights of the tasks.

    Returns
    -------
    Entry or None
        Of the learners that did not fail, the first whose loss is within one standard error of the
        least one, paired over tasks, or within a hundredth of it.
    """
    known = [r for r in results if not r.error]
    if not known:
        return None
    best = min(known, key=lambda result: np.average(result.loss, weights=weights))
    least = np.average(best.loss, weights=weights)

    def is_as_good(result: Entry) -> bool:
        gap = Mean.over(result.loss - best.loss, weights)
        return result is best or bool(gap.value <= max(gap.error, _NEGLIGIBLE * abs(least)))

    return next(result for result in known if is_as_good(result))


def leaderboard_rows(
    results: Sequence[Entry], chosen: str, weights: np.ndarray
) -> list[dict[str, Any]]:
    """Return one row for each learner and plain model, the least loss first.

    Parameters
    ----------
    results : sequence of Entry
        All of them.
    chosen : str
        Name of the chosen learner.
    weights : ndarray of shape (n_tasks,)
        Weights of the tasks.

    Returns
    -------
    list of dict
        Those that failed come after the others.
    """
    rows = []
    for result in results:
        loss = result.loss if len(result.loss) else np.full(len(weights), np.nan)
        mean = Mean.over(loss, weights)
        row = {
            "learner": result.name,
            "loss": mean.value,
            "standard_error": mean.error if np.isfinite(mean.error) else np.nan,
            "low": mean.value - mean.margin(),
            "high": mean.value + mean.margin(),
            "seconds": round(result.seconds, 3),
            "chosen": result.name == chosen,
            "status": result.status,
        }
        rows.append(((bool(result.error), mean.value), row))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def summarise(design: Design, results: Sequence[Entry], chosen: Entry) -> tuple[str, bool]:
    """Say whether meta-learning pays.

    Parameters
    ----------
    design : Design
        The tasks.
    results : sequence of Entry
        All learners and plain models.
    chosen : Entry
        The chosen learner.

    Returns
    -------
    text : str
        One to three sentences.
    is_beaten : bool
        Whether a plain model is better beyond doubt.

    References
    ----------
    Dunn (1961), Multiple comparisons among means: a learner and a plain model were chosen, so the
    interval is that of one of all their pairs.
    """
    weights, model = design.weights, chosen.name
    measure = "log loss" if design.kind == "classification" else "squared error (over the variance)"
    plain = [r for r in results if r.learner is None]
    best = min(plain, key=lambda r: np.average(r.loss, weights=weights))
    own, other = (float(np.average(r.loss, weights=weights)) for r in (chosen, best))
    gain = Mean.over(best.loss - chosen.loss, weights)
    n_learners = sum(r.learner is not None and not r.error for r in results)
    margin, name = gain.margin(len(plain) * max(n_learners, 1)), best.name.removesuffix(" (plain)")
    least = _NEGLIGIBLE * abs(other)
    is_better = gain.value > max(gain.error, least)
    is_beaten = bool(gain.value < -max(margin, least))
    pays = "pays" if is_better and gain.value > margin else "may pay"
    text = (
        f"Meta-learning {pays if is_better else 'does not pay'} here: on {len(weights)} held-out "
        f"tasks {model} has a {measure} of {own:.3g}, the best plain model, {name}, has "
        f"{other:.3g} (difference {gain.value:.2g} ± {margin:.2g})."
    )
    if not is_better:
        text += f" The plain model ({name}) {'is better' if is_beaten else 'does as well'}."
        if best.name == TREES:
            kind = "GroupedClassifier" if design.kind == "classification" else "GroupedRegressor"
            text += f" {kind} learns trees and groups together."
    elif model == "HierarchicalLinear":
        text += " A mixed-effects model is all that these tasks need: no network is better by more "
        text += "than one standard error."
    return text, is_beaten
