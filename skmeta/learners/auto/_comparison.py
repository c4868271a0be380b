"""Train learners without some tasks, and compare them on these.

Learners with an outer loop are halved once: all of them have a quarter of their meta-iterations,
and the best third has all of them. The runs share the time that is left in equal parts; a training
whose time is over ends early.

References: Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter
optimization (successive halving).
"""

from __future__ import annotations

import math
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from skmeta._validation import check_rows
from skmeta.exceptions import SkmetaError, SkmetaWarning
from skmeta.learners._core import MetaLearner
from skmeta.learners.auto._candidates import Candidate
from skmeta.learners.auto._losses import losses_of_prior
from skmeta.learners.auto._tasks import Design
from skmeta.priors import load_table_prior
from skmeta.training import time_limit

# Share of the meta-iterations of the first stage, and of the learners that have all of them.
_FIRST_SHARE, _KEPT = 0.25, 1 / 3
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
        ``"plain"``, ``"compared"``, ``"stopped"`` (after its first run) or ``"failed"``.
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
    history : dict of list
        One entry for each run.
    """

    design: Design
    seed: int
    device: str | torch.device
    deadline: float
    report: Callable[[str], None]
    history: dict[str, list[object]] = field(default_factory=dict)
    # Runs that are still to be made.
    _n_left: int = 1

    def run(self, candidates: Sequence[Candidate]) -> list[Result]:
        """Compare learners, and return their results in the same order."""
        racing = [c for c in candidates if c.n_iterations]
        n_kept, folds = math.ceil(_KEPT * len(racing)), range(len(self.design.train_rows))
        n_final = len(candidates) - len(racing) + n_kept
        self._n_left = len(racing) + n_final * len(folds) + 1
        n_tasks = len(self.design.tasks)
        results = {c.name: Result(c.name, np.full(n_tasks, np.nan), "compared") for c in candidates}
        for candidate in racing:
            self._measure(candidate, results[candidate.name], 0, _FIRST_SHARE)
        sound = [c.name for c in racing if not results[c.name].error]
        means = {name: self._mean(results[name].loss, 0) for name in sound}
        kept = sorted(means, key=lambda name: means[name])[:n_kept]
        for candidate in candidates:
            result = results[candidate.name]
            if candidate.n_iterations and candidate.name not in kept:
                result.status = "failed" if result.error else "stopped"
                continue
            for fold in folds:
                if not result.error:
                    self._measure(candidate, result, fold, 1.0)
            result.status = "failed" if result.error else "compared"
        return list(results.values())

    def _measure(self, candidate: Candidate, result: Result, fold: int, share: float) -> None:
        """Train a learner without the tasks of a fold, and note its loss on them."""
        design, began = self.design, time.perf_counter()
        positions, stage = np.flatnonzero(design.fold == fold), int(share == 1)
        name = f"{candidate.name}, fold {fold}, stage {stage}"
        try:
            learner = self.fit(candidate, design.train_rows[fold], name, share)
            loss = losses_of_prior(learner.prior_, design, fold, self.device)
            if candidate.n_iterations:
                result.n_iterations = int(learner.history_["iteration"][-1])
            if np.isinf(loss).any():
                result.error = "a prediction is not finite"
        except FAILURES as error:
            loss, result.error = np.full(len(positions), np.inf), str(error)
        result.loss[positions] = loss
        seconds = time.perf_counter() - began
        result.seconds += seconds
        row = {"learner": candidate.name, "stage": stage, "fold": fold}
        row |= {"loss": self._mean(result.loss, fold), "n_iterations": result.n_iterations}
        for key, value in (row | {"seconds": seconds}).items():
            self.history.setdefault(key, []).append(value)

    def _mean(self, loss: np.ndarray, fold: int) -> float:
        positions = self.design.fold == fold
        return float(np.average(loss[positions], weights=self.design.weights[positions]))

    def fit(
        self, candidate: Candidate, rows: np.ndarray, name: str, share: float = 1.0
    ) -> MetaLearner:
        """Train a learner.

        Parameters
        ----------
        candidate : Candidate
            The learner.
        rows : ndarray of int
            Rows to learn from.
        name : str
            Name of the run.
        share : float, default=1.0
            Share of its meta-iterations.

        Returns
        -------
        MetaLearner
            The fitted learner.
        """
        design = self.design
        learner = candidate.configured(share, zlib.crc32(f"{self.seed} {candidate.name}".encode()))
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
