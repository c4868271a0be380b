"""Train learners without some tasks, compare them on these, and say which one to choose.

All learners are compared on the first fold. Of those with an outer loop, the best third goes on to
the other folds. The runs share the time that is left in equal parts; a training whose time is over
ends early.
"""

from __future__ import annotations

import math
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri
from sklearn.base import clone

from skmeta._validation import check_rows
from skmeta.exceptions import SkmetaError, SkmetaWarning
from skmeta.learners._core import MetaLearner
from skmeta.learners.auto._candidates import Entry
from skmeta.learners.auto._losses import TREES, losses_of_prior, mean_and_error
from skmeta.learners.auto._tasks import Design
from skmeta.priors import load_table_prior
from skmeta.training import time_limit

# Share of the learners with an outer loop that go on after the first fold.
_KEPT = 1 / 3
# What a learner may raise for data that it cannot learn; torch raises RuntimeErrors.
FAILURES = (SkmetaError, ValueError, ArithmeticError, RuntimeError)


@dataclass(eq=False)
class Comparison:
    """The tasks that learners are compared on, and how they are trained.

    Attributes
    ----------
    design : Design
        The rows and the tasks.
    seed : int
        Seed of all runs.
    device : str or torch.device
        Where to compute.
    deadline : float
        When the time is over, by :func:`time.perf_counter`; it may be infinite.
    report : callable
        Is told the name of each run before it begins.
    """

    design: Design
    seed: int
    device: str | torch.device
    deadline: float
    report: Callable[[str], None]
    # Runs that are still to be made.
    _n_left: int = 1

    def run(self, entries: Sequence[Entry]) -> None:
        """Compare learners: note what is known of each."""
        n_folds, weights = len(self.design.train_rows), self.design.weights
        racing = [entry for entry in entries if entry.has_outer_loop]
        n_kept = math.ceil(_KEPT * len(racing))
        n_final = len(entries) - len(racing) + n_kept
        self._n_left = len(entries) + n_final * (n_folds - 1) + 1
        for entry in entries:
            self._measure(entry, 0)
        if n_folds > 1:
            known = [entry for entry in racing if not entry.error]
            known.sort(key=lambda entry: mean_and_error(entry.loss, weights)[0])
            for entry in known[n_kept:]:
                entry.status = "stopped"
        for entry in entries:
            for fold in range(1, n_folds):
                if entry.status == "compared":
                    self._measure(entry, fold)

    def _measure(self, entry: Entry, fold: int) -> None:
        """Train a learner without the tasks of a fold, and note its loss on them."""
        design, began = self.design, time.perf_counter()
        try:
            learner = self.fit(entry, design.train_rows[fold], f"{entry.name}, fold {fold}")
            loss = losses_of_prior(learner.prior_, design, fold, self.device)
            if learner.history_:
                entry.n_iterations = int(learner.history_["iteration"][-1])
            if np.isinf(loss).any():
                entry.error = "a prediction is not finite"
            entry.loss = np.append(entry.loss, loss)
        except FAILURES as error:
            entry.error = str(error)
        entry.status = "failed" if entry.error else entry.status
        entry.seconds += time.perf_counter() - began

    def fit(self, entry: Entry, rows: np.ndarray, name: str) -> MetaLearner:
        """Train a learner.

        Parameters
        ----------
        entry : Entry
            The learner.
        rows : ndarray of int
            Rows to learn from.
        name : str
            Name of the run.

        Returns
        -------
        MetaLearner
            The fitted learner.
        """
        design = self.design
        learner: MetaLearner = clone(entry.learner)
        learner.set_params(random_state=zlib.crc32(f"{self.seed} {entry.name}".encode()))
        left = max(0.0, self.deadline - time.perf_counter())
        limit = left / max(1, self._n_left) if math.isfinite(left) else None
        self._n_left -= 1
        self.report(name)
        with warnings.catch_warnings(), time_limit(limit):
            # Groups that are too small and plain models that are better are in the leaderboard.
            warnings.simplefilter("ignore", SkmetaWarning)
            if entry.is_shipped:
                check_rows(learner, design.X[rows], reset=True, allow_nan=True)
                learner.prior_, learner.history_ = load_table_prior(design.kind), {}
            else:
                groups = None if design.groups is None else design.groups[rows]
                learner.fit(design.X[rows], design.y[rows], groups)
        return learner


# Share of all comparisons whose interval does not hold the true difference.
_ERROR_RATE = 0.05
# A gain of a smaller share of the loss is none, however certain it is: the losses of two learners
# can differ by almost nothing in all tasks, and the standard error of the difference is as small.
_NEGLIGIBLE = 1e-3
# Order of the leaderboard: learners that were compared come first.
_LAST = {"stopped": 1, "failed": 2}


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
        Of the learners that were compared on all folds, the first whose loss is within one standard
        error of the least one, paired over tasks, or within a thousandth of it.
    """
    finalists = [r for r in results if r.status == "compared"]
    if not finalists:
        return None
    best = min(finalists, key=lambda result: np.average(result.loss, weights=weights))
    least = np.average(best.loss, weights=weights)

    def is_as_good(result: Entry) -> bool:
        gap, error = mean_and_error(result.loss - best.loss, weights)
        return result is best or bool(gap <= max(error, _NEGLIGIBLE * abs(least)))

    return next(result for result in finalists if is_as_good(result))


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
        Those that were stopped after the first fold come after the others.
    """
    rows, half_width = [], _half_width(1)
    for result in results:
        mean, error = mean_and_error(result.loss, weights)
        row = {
            "learner": result.name,
            "loss": mean,
            "standard_error": error if np.isfinite(error) else np.nan,
            "low": mean - half_width * error,
            "high": mean + half_width * error,
            "n_tasks": len(result.loss),
            "n_iterations": result.n_iterations,
            "seconds": round(result.seconds, 3),
            "chosen": result.name == chosen,
            "status": result.error or result.status,
        }
        rows.append(((_LAST.get(result.status, 0), mean), row))
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
