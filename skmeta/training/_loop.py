"""The one outer loop: meta-batches, schedule, validation, checkpoint and resume, progress."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, partial
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmeta._callbacks import FitTask, IterationTask
from skmeta._progress import progress_bar
from skmeta._torch_compat import LinAlgError
from skmeta._warnings import warn_caller
from skmeta.exceptions import DivergenceWarning, SkmetaWarning
from skmeta.training._checkpoint import resume_checkpoint, save_checkpoint

State = dict[str, Tensor]
History = dict[str, list[float]]
Objective = Callable[[State, np.random.Generator, float], tuple[State, dict[str, float]]]

_CURE = "Lower meta_lr or clip_norm, or inner_lr if the learner has one."
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of the outer loop.

    Attributes
    ----------
    n_iterations : int
        Meta-iterations; with 0 the state that is given is validated and returned.
    optimizer : {"adam", "sgd"}
        Outer optimizer.
    lr : float
        Step size at the first iteration.
    schedule : {"constant", "linear", "cosine"}
        How the step size decreases towards the last iteration.
    clip_norm : float or None
        Largest norm of the meta-gradient; a larger one is scaled down to it.
    evaluate_every : int
        Iterations between two rows of the history, validations and checkpoints.
    patience : int or None
        Training ends after this many validations without a better score; None: never.
    verbose : int
        0 is silent, 1 shows a progress bar.
    checkpoint : path or None
        File that is written, and from which a run resumes.
    fingerprint : str
        Identifies the run. A checkpoint of another run is refused.
    """

    n_iterations: int
    optimizer: str = "adam"
    lr: float = 1e-3
    schedule: str = "constant"
    clip_norm: float | None = None
    evaluate_every: int = 100
    patience: int | None = None
    verbose: int = 0
    checkpoint: str | PathLike[str] | None = None
    fingerprint: str = ""


def meta_train(
    state: State,
    objective: Objective,
    validate: Callable[[State], dict[str, float]] | None,
    settings: TrainingSettings,
    rng: np.random.Generator,
    iteration_task: IterationTask | None = None,
    fitted: Callable[[State, History], dict[str, Any]] | None = None,
) -> tuple[State, History]:
    """Minimise a meta-objective.

    Parameters
    ----------
    state : dict of Tensor
        Initial state.
    objective : callable
        ``objective(state, rng, progress) -> (gradient, metrics)`` on a meta-batch drawn with
        ``rng``; ``progress`` is the share of the iterations that are done.
    validate : callable or None
        ``validate(state) -> metrics``; the state with the highest ``"score"`` is returned.
    settings : TrainingSettings
        Settings of the loop.
    rng : numpy.random.Generator
        The only source of randomness.
    iteration_task : callable, optional
        Opens the task that callbacks see of an iteration, and that may end the loop.
    fitted : callable, optional
        ``fitted(state, history)`` returns the attributes of an estimator that is fitted to the
        state, for callbacks; it is called when an iteration is evaluated.

    Returns
    -------
    state : dict of Tensor
        The best state by validation, or the last one without validation.
    history : dict of list
        One entry every ``evaluate_every`` iterations: ``iteration``, ``train_loss`` and
        ``train_score`` (means since the entry before), ``validation_loss`` and
        ``validation_score``, ``meta_lr``, ``seconds``.

    Raises
    ------
    CheckpointError
        If the checkpoint belongs to another run, or cannot be read or written.
    FloatingPointError
        If the loss or the state is not finite, and no state was validated before.

    Warns
    -----
    SkmetaWarning
        If the checkpoint can no longer be written, as on a full disk; training goes on.
    DivergenceWarning
        If the loss or the state is not finite; the best validated state is returned.
    """
    run = _Run(state, settings, rng, start_deadline())
    resume_checkpoint(settings.checkpoint, settings.fingerprint, run.restore)

    def score(state: State) -> dict[str, float]:
        metrics = validate(state) if validate else {}
        return {f"validation_{name}": value for name, value in metrics.items()}

    if not run.n_iterations:
        run.record(score(run.state))
    began = time.perf_counter() - run.seconds
    bar = progress_bar(
        run.n_iterations,
        "meta-training",
        "iterations",
        shown=bool(settings.verbose),
        initial=run.iteration,
    )
    recent: list[dict[str, float]] = []

    def evaluate() -> None:
        metrics = {f"train_{k}": float(np.mean([m[k] for m in recent])) for k in ("loss", "score")}
        recent.clear()
        # The seconds of a validation belong to the next row.
        run.seconds = time.perf_counter() - began
        metrics |= score(run.state)
        run.record(metrics)
        bar.set_postfix({name: f"{value:.4g}" for name, value in metrics.items()})
        run.save()

    with bar:
        try:
            while run.goes_on():
                with iteration_task() if iteration_task else nullcontext(FitTask(None)) as task:
                    recent.append(run.step(objective))
                    bar.update()
                    if run.iteration % settings.evaluate_every == 0 or run.is_at_end():
                        evaluate()
                        task.fitted = fitted and partial(fitted, run.chosen, run.history)
                if task.is_stopped:
                    if recent:
                        evaluate()
                    break
        except (FloatingPointError, LinAlgError) as error:
            run.fall_back(error)
    return run.chosen, run.history


class _Run:
    """The state of a loop, which a checkpoint holds."""

    def __init__(
        self,
        state: State,
        settings: TrainingSettings,
        rng: np.random.Generator,
        deadline: Deadline | None = None,
    ) -> None:
        self.settings = settings
        self.deadline = deadline
        self.rng = rng
        self.state = {n: v.detach().clone() for n, v in state.items()}
        self.best: State | None = None
        self.best_score = -math.inf
        self.n_stale = 0
        self.iteration = 0
        self.seconds = 0.0
        self.history: History = {}
        self.has_warned = False
        # A state without tensors, such as ProtoNet's without a network, has nothing to learn.
        self.n_iterations = settings.n_iterations if state else 0
        self.lr = settings.lr

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer, made when it is needed: the first one imports much of torch."""
        make_optimizer = OPTIMIZERS[self.settings.optimizer]
        return make_optimizer(list(self.state.values()), lr=self.settings.lr)

    @property
    def chosen(self) -> State:
        """The best state by validation, or the last one without validation."""
        return self.state if self.best is None else self.best

    def step(self, objective: Objective) -> dict[str, float]:
        done = self.iteration / self.settings.n_iterations
        if self.deadline is not None:
            done = max(done, self.deadline.progress())
        gradient, metrics = objective(self.state, self.rng, done)
        if not math.isfinite(metrics["loss"]):
            raise FloatingPointError(
                f"The meta-training loss is {metrics['loss']} at iteration {self.iteration}. "
                + _CURE
            )
        for name, value in self.state.items():
            value.grad = gradient[name]
        if self.settings.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(list(self.state.values()), self.settings.clip_norm)
        self.lr = self.settings.lr * SCHEDULES[self.settings.schedule](done)
        self.optimizer.param_groups[0]["lr"] = self.lr
        self.optimizer.step()
        self.iteration += 1
        return metrics

    def is_at_end(self) -> bool:
        is_late = self.deadline is not None and self.deadline.is_over()
        return is_late or self.iteration == self.n_iterations

    def goes_on(self) -> bool:
        patience = self.settings.patience
        is_stale = patience is not None and self.n_stale >= patience
        if self.iteration >= self.n_iterations or is_stale:
            return False
        return self.iteration == 0 or self.deadline is None or not self.deadline.is_over()

    def fall_back(self, error: Exception) -> None:
        """Warn that the best validated state is kept; without one, the error stands."""
        if isinstance(error, LinAlgError):
            error = FloatingPointError(
                f"A matrix cannot be factorised at iteration {self.iteration} of the "
                f"meta-training. {_CURE}"
            )
        if self.best is None:
            raise error
        warn_caller(
            f"{error} The best validated state is kept, with the score {self.best_score:.4g}.",
            DivergenceWarning,
        )

    def record(self, metrics: dict[str, float]) -> None:
        broken = [n for n, v in self.state.items() if not bool(torch.isfinite(v).all())]
        if broken:
            raise FloatingPointError(
                f"The meta-trained {broken[0]!r} is not finite at iteration {self.iteration}. "
                + _CURE
            )
        row = {"iteration": self.iteration} | metrics
        row |= {"meta_lr": self.lr, "seconds": self.seconds}
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)
        score = metrics.get("validation_score")
        if score is None:
            return
        self.n_stale += 1
        if score > self.best_score:
            self.best_score, self.n_stale = score, 0
            self.best = {n: v.detach().clone() for n, v in self.state.items()}

    def saved(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "best": self.best,
            "best_score": self.best_score,
            "n_stale": self.n_stale,
            "iteration": self.iteration,
            "seconds": self.seconds,
            "history": self.history,
            "optimizer": self.optimizer.state_dict()["state"],
            "rng": self.rng.bit_generator.state,
        }

    def save(self) -> None:
        """Write a checkpoint, if there should be one; failing to do so does not end the run."""
        path = self.settings.checkpoint
        if path is None:
            return
        try:
            save_checkpoint(path, self.settings.fingerprint, self.saved())
        except OSError as error:
            if not self.has_warned:
                warn_caller(
                    f"checkpoint={os.fspath(path)!r} cannot be written ({error}). Training goes "
                    "on, and each later checkpoint is tried again: free some space.",
                    SkmetaWarning,
                )
            self.has_warned = True
        else:
            self.has_warned = False

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        for name, value in self.state.items():
            value.copy_(saved["state"][name])
        best = saved["best"]
        device = next(iter(self.state.values())).device
        self.best = None if best is None else {n: v.to(device) for n, v in best.items()}
        for name in ("best_score", "n_stale", "iteration", "seconds", "history"):
            setattr(self, name, saved[name])
        # Step sizes and the like are those of the settings, which the fingerprint stands for.
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": saved["optimizer"], "param_groups": groups})
        self.rng.bit_generator.state = saved["rng"]


# ------------------------------------------------------------------------------ its time


class Deadline:
    """A span of time.

    Parameters
    ----------
    seconds : float
        Its length.
    began : float, optional
        When it began, by :func:`time.perf_counter`; by default now.
    """

    def __init__(self, seconds: float, began: float | None = None) -> None:
        self.seconds = seconds
        self._began = time.perf_counter() if began is None else began

    def is_over(self) -> bool:
        """Return whether the time has passed."""
        return time.perf_counter() - self._began >= self.seconds

    def progress(self) -> float:
        """Return how far the second half has passed, from 0 to 1.

        A run that needs less than half of its time does not depend on the clock.
        """
        if self.seconds <= 0:
            return 1.0
        passed = (time.perf_counter() - self._began) / self.seconds
        return min(1.0, max(0.0, 2 * passed - 1))


_CURRENT: ContextVar[float | None] = ContextVar("seconds of a meta-training", default=None)
_BEGAN: ContextVar[float | None] = ContextVar("when a meta-training began", default=None)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Limit the time of each meta-training that begins within the context.

    The outer loop takes one step at least. As the end comes near, the schedule of the step size
    reaches its end too. An estimate in closed form before the loop, of a mixed-effects model, has a
    share of the time.

    Parameters
    ----------
    seconds : float or None
        Time of a meta-training; None is no limit.

    Yields
    ------
    None
        The context has no value.
    """
    token = _CURRENT.set(seconds)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def shared_deadline() -> Iterator[None]:
    """Let all parts of the work within the context have one limit together.

    Yields
    ------
    None
        The context has no value.
    """
    token = _BEGAN.set(time.perf_counter())
    try:
        yield
    finally:
        _BEGAN.reset(token)


def start_deadline(share: float = 1.0) -> Deadline | None:
    """Return the deadline of a part of a meta-training.

    The time counts from the beginning of the meta-training, or from now outside of one.

    Parameters
    ----------
    share : float, default=1.0
        Share of the time after which this part ends.

    Returns
    -------
    Deadline or None
        None without a limit.
    """
    seconds = _CURRENT.get()
    return None if seconds is None else Deadline(share * seconds, _BEGAN.get())
