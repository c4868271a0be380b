"""Train learners without some tasks, and compare them on these.

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

import numpy as np
import torch
from sklearn.base import clone

from skmeta._validation import check_rows
from skmeta.exceptions import SkmetaError, SkmetaWarning
from skmeta.learners._core import MetaLearner
from skmeta.learners.auto._candidates import Candidate
from skmeta.learners.auto._losses import losses_of_prior
from skmeta.learners.auto._tasks import Design
from skmeta.priors import load_table_prior
from skmeta.training import time_limit

# Share of the learners with an outer loop that go on after the first fold.
_KEPT = 1 / 3
# What a learner may raise for data that it cannot learn; torch raises RuntimeErrors.
FAILURES = (SkmetaError, ValueError, ArithmeticError, RuntimeError)


@dataclass(eq=False)
class Result:
    """What is known of a learner or a plain model.

    Attributes
    ----------
    name : str
        Its name.
    loss : ndarray of shape (n_tasks,)
        Loss of each held-out task; NaN where it was not compared.
    status : str
        ``"plain"``, ``"compared"``, ``"stopped"`` (after the first fold) or ``"failed"``.
    n_iterations : int
        Meta-iterations of its last run.
    seconds : float
        Time of all runs.
    error : str
        Why it failed.
    """

    name: str
    loss: np.ndarray
    status: str
    n_iterations: int = 0
    seconds: float = 0.0
    error: str = ""


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

    def run(self, candidates: Sequence[Candidate]) -> list[Result]:
        """Compare learners, and return their results in the same order."""
        n_folds, n_tasks = len(self.design.train_rows), len(self.design.tasks)
        results = [Result(c.name, np.full(n_tasks, np.nan), "compared") for c in candidates]
        racing = [r for c, r in zip(candidates, results, strict=True) if c.n_iterations]
        n_kept = math.ceil(_KEPT * len(racing))
        n_final = len(candidates) - len(racing) + n_kept
        self._n_left = len(candidates) + n_final * (n_folds - 1) + 1
        for candidate, result in zip(candidates, results, strict=True):
            self._measure(candidate, result, 0)
        if n_folds > 1:
            racing = sorted((r for r in racing if not r.error), key=self._mean_of_first_fold)
            for result in racing[n_kept:]:
                result.status = "stopped"
        for candidate, result in zip(candidates, results, strict=True):
            for fold in range(1, n_folds):
                if result.status == "compared":
                    self._measure(candidate, result, fold)
        return results

    def _measure(self, candidate: Candidate, result: Result, fold: int) -> None:
        """Train a learner without the tasks of a fold, and note its loss on them."""
        design, began = self.design, time.perf_counter()
        try:
            name = f"{candidate.name}, fold {fold}"
            learner = self.fit(candidate, design.train_rows[fold], name)
            loss = losses_of_prior(learner.prior_, design, fold, self.device)
            if candidate.n_iterations:
                result.n_iterations = int(learner.history_["iteration"][-1])
            if np.isinf(loss).any():
                result.error = "a prediction is not finite"
            result.loss[design.fold == fold] = loss
        except FAILURES as error:
            result.error = str(error)
        if result.error:
            result.status = "failed"
        result.seconds += time.perf_counter() - began

    def _mean_of_first_fold(self, result: Result) -> float:
        is_first = self.design.fold == 0
        return float(np.average(result.loss[is_first], weights=self.design.weights[is_first]))

    def fit(self, candidate: Candidate, rows: np.ndarray, name: str) -> MetaLearner:
        """Train a learner.

        Parameters
        ----------
        candidate : Candidate
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
        learner: MetaLearner = clone(candidate.learner)
        learner.set_params(random_state=zlib.crc32(f"{self.seed} {candidate.name}".encode()))
        left = max(0.0, self.deadline - time.perf_counter())
        limit = left / max(1, self._n_left) if math.isfinite(left) else None
        self._n_left -= 1
        self.report(name)
        with warnings.catch_warnings(), time_limit(limit):
            # Groups that are too small and plain models that are better are in the leaderboard.
            warnings.simplefilter("ignore", SkmetaWarning)
            if candidate.is_shipped:
                check_rows(learner, design.X[rows], reset=True, allow_nan=True)
                learner.prior_, learner.history_ = load_table_prior(design.kind), {}
            else:
                groups = None if design.groups is None else design.groups[rows]
                learner.fit(design.X[rows], design.y[rows], groups)
        return learner
