"""A race of learners: successive halving on tasks that are held out.

Stage 0 trains every learner with an outer loop for a quarter of its meta-iterations, without the
tasks of the first fold. The best third of them goes on to stage 1, with all meta-iterations, on all
folds. Learners in closed form, and the prior that ships, are compared on the first fold, and on the
others if time allows and none is better beyond doubt.

Each run has a share of the time that is left. A run whose time is over ends early. If its
predictions take longer than that again, it is measured on fewer tasks.

References: Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter
optimization (successive halving).
"""

from __future__ import annotations

import math
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from skmeta._validation import check_rows
from skmeta.exceptions import SkmetaError, SkmetaWarning
from skmeta.learners._core import MetaLearner
from skmeta.learners.auto._candidates import Candidate
from skmeta.learners.auto._losses import losses_of_prior, mean_and_error
from skmeta.learners.auto._store import Clock, Run, Store
from skmeta.learners.auto._tasks import Design
from skmeta.priors import load_table_prior
from skmeta.training import time_limit

# Meta-iterations of stage 0, and the share of the candidates that goes on.
_FIRST_SHARE, _KEPT = 0.25, 1 / 3
# Shares of the time that is left, for the two stages and for the training on all tasks.
_TIME_OF_STAGE, _TIME_OF_LAST = (0.25, 0.45), 0.25
# Share of the time for the first fold of a learner in closed form, which ends early if it is over,
# and for the other folds with the last training.
_FIRST_CLOSED_SHARE, _CLOSED_SHARE = 0.25, 0.6
# Standard errors of a difference that is beyond doubt.
_DOUBT = 3.0
# A run of less than this many seconds is not worth it.
_SHORTEST = 0.3
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
        ``"plain"``, ``"compared"``, ``"stopped"`` (after its first run), ``"failed"`` or
        ``"no time"``.
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


RunTask = Callable[[MetaLearner, str], AbstractContextManager[Any]]
"""Opens the task that callbacks see of the fit of a learner, by its name."""


@dataclass(eq=False)
class Race:
    """Learners, the tasks they are compared on, and the time they have.

    Attributes
    ----------
    design : Design
        The rows and the tasks.
    candidates : sequence of Candidate
        The learners, the simplest first.
    store : Store
        Runs that are done.
    clock : Clock
        The time.
    seed : int
        Seed of all runs.
    device : str or torch.device
        Where to compute.
    report : callable
        Is told the name of a learner before each run, and its loss after it.
    run_task : callable
        Opens the task that callbacks see of a fit, given the learner and a name.
    history : dict of list
        One entry for each run.
    """

    design: Design
    candidates: Sequence[Candidate]
    store: Store
    clock: Clock
    seed: int
    device: str | torch.device
    report: Callable[[str, float | None], None]
    run_task: RunTask = lambda learner, name: nullcontext()
    history: dict[str, list[object]] = field(default_factory=dict)
    # Seconds that a run takes beyond the limit of its training, by candidate; and these limits.
    _overhead: dict[str, float] = field(default_factory=dict)
    _limits: dict[str, float] = field(default_factory=dict)
    _stages: dict[str, int] = field(default_factory=dict)

    def run(self) -> list[Result]:
        """Compare all candidates.

        Returns
        -------
        list of Result
            In the order of the candidates.
        """
        found = self._compare_closed([c for c in self.candidates if not c.has_outer_loop])
        found |= self._halve([c for c in self.candidates if c.has_outer_loop])
        return [found[candidate.name] for candidate in self.candidates]

    def _compare_closed(self, closed: list[Candidate]) -> dict[str, Result]:
        """Compare learners without an outer loop, on the first fold and then on the others."""
        runs = {}
        for candidate in closed:
            limit = max(_FIRST_CLOSED_SHARE * self.clock.left(), _SHORTEST)
            self._limits[candidate.name] = limit
            runs[candidate.name] = [self._run(candidate, 0, 1, limit)]
        found = {}
        for candidate in closed:
            first = runs[candidate.name][0]
            is_worse = any(self._is_worse(first, other[0]) for other in runs.values())
            n_others = len(self.design.folds) - 1
            # As long again is needed for the training on all tasks.
            is_short = (n_others + 1) * first.seconds < _CLOSED_SHARE * self.clock.left()
            if is_short and not is_worse:
                limit = self._limits[candidate.name]
                others = range(1, n_others + 1)
                runs[candidate.name] += [self._run(candidate, fold, 1, limit) for fold in others]
            status = "stopped" if is_worse else "compared"
            found[candidate.name] = self._result(candidate, runs[candidate.name], status)
        return found

    def _is_worse(self, run: Run, other: Run) -> bool:
        """Whether a run is worse than another one on the first fold, beyond doubt."""
        weights = self.design.weights[self.design.of_fold(0)]
        if run.error or other.error:
            return False
        difference = run.loss - other.loss
        known = ~np.isnan(difference)
        gap, error = mean_and_error(difference[known], weights[known])
        return gap > _DOUBT * error

    def _halve(self, racing: list[Candidate]) -> dict[str, Result]:
        """Run the two stages of the learners with an outer loop."""
        left = self.clock.left()
        found: dict[str, Result] = {}
        runs: dict[str, Run] = {}
        budget = _TIME_OF_STAGE[0] * left
        # If time is short, it is for the learners that can do more.
        n_first = int(min(len(racing), max(2, budget)))
        first_stage = racing[len(racing) - n_first :]
        for k, candidate in enumerate(first_stage):
            if runs and self.clock.left() < _TIME_OF_LAST * left:
                break  # It could not begin without the time for the training on all tasks.
            limit = max(budget / (n_first - k), _SHORTEST)
            began = time.perf_counter()
            runs[candidate.name] = self._run(candidate, 0, 0, limit)
            self._limits[candidate.name] = limit
            budget -= time.perf_counter() - began
        mean = {
            c: self._mean(runs[c.name].loss, 0)
            for c in racing
            if c.name in runs and not runs[c.name].error
        }
        n_kept = max(1, math.ceil(_KEPT * len(first_stage)))
        kept = sorted(mean, key=lambda c: mean[c])[:n_kept]
        for candidate in racing:
            first = runs.get(candidate.name)
            # One that has no time for the second stage is compared as it is.
            status = "compared" if candidate in kept else "stopped"
            status = "no time" if first is None else status
            found[candidate.name] = self._result(candidate, [first] if first else [], status)
        is_needed = len(racing) == len(self.candidates)
        times = _TIME_OF_STAGE[1] * left, _TIME_OF_LAST * left
        return found | self._final(kept, *times, is_needed)

    def _final(
        self, kept: list[Candidate], budget: float, longest: float, is_needed: bool
    ) -> dict[str, Result]:
        """Run all meta-iterations of the best; what has no time left is left out."""
        runs: dict[str, list[Run]] = {c.name: [] for c in kept}
        n_folds = len(self.design.folds)
        in_time = list(kept)
        for fold in range(n_folds):
            n_left = len(in_time) * (n_folds - fold)
            for candidate in list(in_time):
                overhead = self._overhead.get(candidate.name, 0.0)
                # Another run as long is needed for the training on all tasks.
                is_late = 2 * (overhead + _SHORTEST) > self.clock.left()
                is_first = is_needed and fold == 0 and candidate is kept[0]
                if is_late and not is_first:
                    in_time.remove(candidate)
                    continue
                began = time.perf_counter()
                if fold == 0:
                    limit = min(max(budget / n_left - overhead, _SHORTEST), longest)
                    self._limits[candidate.name] = limit
                    self._stages[candidate.name] = 1
                limit = self._limits[candidate.name]
                runs[candidate.name].append(self._run(candidate, fold, 1, limit))
                budget -= time.perf_counter() - began
                n_left -= 1
        found = {}
        for candidate in (c for c in kept if runs[c.name]):
            result = self._result(candidate, runs[candidate.name])
            result.seconds += self.store.runs[_key(candidate, 0, 0)].seconds
            found[candidate.name] = result
        return found

    # ------------------------------------------------------------------------------ one run

    def _run(self, candidate: Candidate, fold: int, stage: int, limit: float | None) -> Run:
        """Train a learner without the tasks of a fold, and compare it on them; or look it up."""
        self.report(candidate.name, None)
        key = _key(candidate, fold, stage)
        run = self.store.runs.get(key)
        if run is None:
            run = self._train(candidate, fold, stage, limit)
            self.store.add(key, run, self.clock.spent())
        self._overhead[candidate.name] = run.seconds - run.limited_seconds
        loss = self._mean(run.loss, fold)
        row = {"learner": candidate.name, "stage": stage, "fold": fold, "loss": loss}
        row |= {"n_iterations": run.n_iterations, "seconds": run.seconds}
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)
        self.report(candidate.name, loss)
        return run

    def _train(self, candidate: Candidate, fold: int, stage: int, limit: float | None) -> Run:
        design, began = self.design, time.perf_counter()
        tasks = [design.tasks[k] for k in design.of_fold(fold)]
        try:
            name = _key(candidate, fold, stage)
            learner = self.fit(candidate, design.folds[fold], stage, limit, name)
            of_training = time.perf_counter() - began
            loss = losses_of_prior(learner.prior_, design, tasks, self.device, _finite(limit))
        except FAILURES as error:
            failed = np.full(len(tasks), np.inf)
            return Run(failed, seconds=time.perf_counter() - began, error=str(error))
        history = learner.history_
        seconds = time.perf_counter() - began
        problem = "a prediction is not finite" if np.isinf(loss).any() else ""
        limited = 0.0
        if candidate.has_outer_loop:
            limited = of_training if limit is None else min(of_training, limit)
        iterations = history["iteration"][-1] if candidate.has_outer_loop else 0
        return Run(loss, int(iterations), seconds, limited, problem)

    def fit(
        self, candidate: Candidate, rows: np.ndarray, stage: int, limit: float | None, name: str
    ) -> MetaLearner:
        """Train a learner.

        Parameters
        ----------
        candidate : Candidate
            The learner.
        rows : ndarray of int
            Rows to learn from.
        stage : {0, 1}
            0 is a share of the meta-iterations, 1 all of them.
        limit : float or None
            Seconds of its training.
        name : str
            What callbacks call it.

        Returns
        -------
        MetaLearner
            The fitted learner.
        """
        design = self.design
        groups = None if design.groups is None else design.groups[rows]
        seed = zlib.crc32(f"{self.seed} {candidate.name}".encode())
        learner = candidate.configured(_FIRST_SHARE if stage == 0 else 1.0, seed)
        if candidate.is_shipped:
            check_rows(learner, design.X[rows], reset=True, allow_nan=True)
            learner.prior_, learner.history_ = load_table_prior(design.kind), {}
            return learner
        with (
            warnings.catch_warnings(),
            time_limit(_finite(limit)),
            self.run_task(learner, name),
        ):
            # Groups that are too small and plain models that are better are in the leaderboard.
            warnings.simplefilter("ignore", SkmetaWarning)
            learner.fit(design.X[rows], design.y[rows], groups)
        return learner

    def fit_on_all(self, candidate: Candidate) -> MetaLearner:
        """Train a learner on all tasks, as long as in its last comparison.

        Parameters
        ----------
        candidate : Candidate
            The learner.

        Returns
        -------
        MetaLearner
            The fitted learner.
        """
        rows, stage = np.arange(len(self.design.X)), self._stages.get(candidate.name, 0)
        stage = stage if candidate.has_outer_loop else 1
        limit = self._limits.get(candidate.name)
        return self.fit(candidate, rows, stage, limit, f"{candidate.name}, all tasks")

    # -------------------------------------------------------------------------------- results

    def _mean(self, loss: np.ndarray, fold: int) -> float:
        weights = self.design.weights[self.design.of_fold(fold)]
        known = ~np.isnan(loss)
        return float(np.average(loss[known], weights=weights[known]))

    def _result(self, candidate: Candidate, runs: list[Run], status: str = "compared") -> Result:
        loss = np.full(len(self.design.tasks), np.nan)
        for fold, run in enumerate(runs):
            loss[self.design.of_fold(fold)] = run.loss
        errors = [run.error for run in runs if run.error]
        return Result(
            candidate.name,
            loss,
            "failed" if errors else status,
            runs[-1].n_iterations if runs else 0,
            sum(run.seconds for run in runs),
            errors[0] if errors else "",
        )


def _key(candidate: Candidate, fold: int, stage: int) -> str:
    return f"{candidate.name}, fold {fold}, stage {stage}"


def _finite(limit: float | None) -> float | None:
    return None if limit is None or math.isinf(limit) else limit
