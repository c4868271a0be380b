"""The one outer loop: meta-batches, schedule, validation, checkpoint and resume, progress."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import cached_property, partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skmeta._backend import Ranks
from skmeta._progress import IterationTask, progress_bar, subtask
from skmeta._torch_compat import LinAlgError
from skmeta._training._checkpoint import open_checkpoint, resume_checkpoint, save_checkpoint
from skmeta._warnings import warn_caller
from skmeta.exceptions import SkmetaWarning

State = dict[str, Tensor]
LearningCurve = dict[str, list[float]]
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
# What a checkpoint holds, besides the states of the optimizer and of the generator.
_SAVED = ("state", "best", "best_score", "n_stale", "iteration", "seconds", "history")


_NO_TASK = partial(subtask, None, None, "meta-iteration")


def meta_train(
    state: State,
    objective: Objective,
    validate: Callable[[State], dict[str, float]] | None,
    settings: Any,
    rng: np.random.Generator,
    *,
    identity: str = "",
    iteration_task: IterationTask = _NO_TASK,
    fitted: Callable[[State, LearningCurve], dict[str, Any]] | None = None,
    ranks: Ranks | None = None,
) -> tuple[State, LearningCurve]:
    """Minimise a meta-objective, and return the best validated (or the last) state and the history.

    `objective(state, rng, progress)` draws a meta-batch with `rng`, the only source of randomness,
    and returns the gradient and metrics; `progress` is the share of finished iterations.
    `validate(state)` returns metrics, of which ``"score"`` is the highest at the best state.
    `settings` are those of :func:`read_parameters`. A checkpoint of another `identity` is refused.
    `iteration_task` opens the task that callbacks see, and may end the loop; `fitted(state,
    history)` returns the attributes of the fitted estimator for them. All `ranks` get the same
    results; rank 0 reads and writes checkpoints, shows progress, and its callbacks count.

    The history has an entry per evaluation: ``iteration``, ``train_loss`` and ``train_score``
    (means since the entry before), ``validation_loss``, ``validation_score``, ``meta_lr``,
    ``seconds``. If the loss or the state is not finite, the best validated state is returned with a
    ConvergenceWarning, or a FloatingPointError is raised if there is none. Training goes on with a
    warning if the checkpoint can no longer be written.
    """
    ranks = ranks or Ranks()
    run = _Run(state, objective, validate, settings, rng, identity, ranks)
    if settings.execution.checkpoint is not None:
        saved = ranks.from_first(partial(open_checkpoint, settings.execution.checkpoint, identity))
        resume_checkpoint(settings.execution.checkpoint, saved, run.restore)
    if not run.n_iterations:
        run.evaluate()
    run.began = time.perf_counter() - run.seconds
    verbose = settings.verbose if ranks.rank == 0 else 0
    with progress_bar(
        run.n_iterations, "meta-training", "iterations", verbose=verbose, initial=run.iteration
    ) as bar:
        try:
            while run.goes_on():
                with iteration_task() as task:
                    run.step()
                    bar.update()
                    if run.is_due():
                        bar.set_postfix(run.evaluate(), refresh=False)
                        task.fitted = fitted and partial(fitted, run.chosen, run.history)
                if ranks.from_first(partial(getattr, task, "is_stopped")):
                    if run.recent:
                        bar.set_postfix(run.evaluate(), refresh=False)
                    break
        except (FloatingPointError, LinAlgError) as error:
            run.fall_back(error)
    return run.chosen, run.history


def _ravel(state: State) -> Tensor:
    return torch.cat([value.detach().reshape(-1) for value in state.values()])


class _Run:
    """The state of a loop, which a checkpoint holds."""

    def __init__(
        self,
        state: State,
        objective: Objective,
        validate: Callable[[State], dict[str, float]] | None,
        settings: Any,
        rng: np.random.Generator,
        identity: str,
        ranks: Ranks,
    ) -> None:
        self.ranks = ranks
        self.objective, self.validate = objective, validate
        self.settings, self.rng, self.identity = settings, rng, identity
        # The state is one vector, which an optimizer changes in one operation, in named views.
        self._flat = _ravel(state) if state else torch.zeros(0)
        sizes = [value.numel() for value in state.values()]
        pieces = zip(self._flat.split(sizes), state.items(), strict=True)
        self.state = {n: piece.view(v.shape) for piece, (n, v) in pieces}
        # A state without tensors, such as ProtoNet's without a network, has nothing to learn.
        self.n_iterations = settings.n_iterations if state else 0
        self.lr, self.schedule = settings.meta_lr, settings.meta_optimizer.resolve_schedule()
        self.iteration, self.seconds, self.began = 0, 0.0, 0.0
        self.recent: list[dict[str, float]] = []  # Metrics since the last evaluation.
        self.history: LearningCurve = {}
        self.best: State | None = None
        self.best_score, self.n_stale = -math.inf, 0
        self.has_warned = False

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer, made when it is needed: the first one imports much of torch."""
        make_optimizer = OPTIMIZERS[self.settings.meta_optimizer.name]
        fused = self._flat.device.type in ("cpu", "cuda")
        return make_optimizer([self._flat], lr=self.settings.meta_lr, fused=fused)

    @property
    def chosen(self) -> State:
        """The best state by validation, or the last one without validation."""
        return self.state if self.best is None else self.best

    def goes_on(self) -> bool:
        patience = self.settings.validation.patience
        is_stale = isinstance(patience, Integral) and self.n_stale >= patience
        return self.iteration < self.n_iterations and not is_stale

    def is_due(self) -> bool:
        """Whether an evaluation follows the iteration."""
        is_last = self.iteration == self.n_iterations
        return is_last or self.iteration % self.settings.validation.every == 0

    def step(self) -> None:
        done = self.iteration / self.settings.n_iterations
        gradient, metrics = self.objective(self.state, self.rng, done)
        if not math.isfinite(metrics["loss"]):
            raise FloatingPointError(
                f"The meta-training loss is {metrics['loss']} at iteration {self.iteration}. "
                + _CURE
            )
        self._flat.grad = total = _ravel({name: gradient[name] for name in self.state})
        clip_norm = self.settings.meta_optimizer.clip_norm
        if clip_norm is not None and (norm := float(total.norm())) > clip_norm:
            total *= clip_norm / norm
        self.lr = self.settings.meta_lr * SCHEDULES[self.schedule](done)
        self.optimizer.param_groups[0]["lr"] = self.lr
        self.optimizer.step()
        self.iteration += 1
        self.recent.append(metrics)

    def evaluate(self) -> dict[str, str]:
        """Validate the state, write a row of the history and the checkpoint; return the metrics."""
        metrics: dict[str, float] = {}
        if self.recent:
            for name in ("loss", "score"):
                metrics[f"train_{name}"] = float(np.mean([row[name] for row in self.recent]))
            # The seconds of a validation belong to the next row.
            self.seconds = time.perf_counter() - self.began
        if self.validate is not None:
            metrics |= {f"validation_{n}": v for n, v in self.validate(self.state).items()}
        measured = metrics, self.seconds
        metrics, self.seconds = self.ranks.from_first(lambda: measured)
        self._record(metrics)
        if self.recent:
            self.recent.clear()
            self._save()
        return {name: f"{value:.4g}" for name, value in metrics.items()}

    def _record(self, metrics: dict[str, float]) -> None:
        broken = [n for n, v in self.state.items() if not bool(torch.isfinite(v).all())]
        if broken:
            raise FloatingPointError(
                f"The meta-trained {broken[0]!r} is not finite at iteration {self.iteration}. "
                + _CURE
            )
        row = {"iteration": self.iteration, **metrics, "meta_lr": self.lr, "seconds": self.seconds}
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)
        if (score := metrics.get("validation_score")) is not None:
            self.n_stale += 1
            if score > self.best_score:
                self.best_score, self.n_stale = score, 0
                self.best = {n: v.detach().clone() for n, v in self.state.items()}

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
            ConvergenceWarning,
        )

    def _save(self) -> None:
        """Write a checkpoint, if there should be one; failing to do so does not end the run."""
        path = self.settings.execution.checkpoint
        if path is None or self.ranks.rank > 0:
            return
        saved = {name: getattr(self, name) for name in _SAVED}
        saved["optimizer"] = self.optimizer.state_dict()["state"]
        saved["rng"] = self.rng.bit_generator.state
        try:
            save_checkpoint(path, self.identity, saved)
            self.has_warned = False
        except OSError as error:
            if not self.has_warned:
                warn_caller(
                    f"checkpoint={os.fspath(path)!r} cannot be written ({error}). Training goes "
                    "on, and each later checkpoint is tried again: free some space.",
                    SkmetaWarning,
                )
            self.has_warned = True

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        device = next(iter(self.state.values())).device
        for name, value in self.state.items():
            value.copy_(saved["state"][name])
        saved = saved | {"state": self.state}
        if saved["best"] is not None:
            saved["best"] = {n: v.to(device) for n, v in saved["best"].items()}
        vars(self).update({name: saved[name] for name in _SAVED})
        # Step sizes and the like are those of the settings, which the identity stands for.
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": saved["optimizer"], "param_groups": groups})
        self.rng.bit_generator.state = saved["rng"]
