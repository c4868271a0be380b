"""What each meta-training is told: the outer loop, and small groups of settings for experts."""

from __future__ import annotations

import hashlib
import json
from numbers import Integral, Real
from os import PathLike
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch

from skmeta._identity import stable_repr
from skmeta._sklearn_compat import Interval, StrOptions, parameter_names
from skmeta.backend import MODES, NETWORK_PRECISIONS, Execution, Network
from skmeta.training._loop import OPTIMIZERS, SCHEDULES
from skmeta.training._parameters import (
    Declared,
    learner_name,
    options_of,
    parameter,
    settings_by_role,
)

# -1 is one thread per core, -2 one less.
N_JOBS = (
    Interval(Integral, 1, None, closed="left"),
    Interval(Integral, None, -1, closed="right"),
    None,
)


class Validation(Declared, kw_only=False, eq=True):
    """How meta-training is validated, for the parameter ``validation``.

    Parameters
    ----------
    fraction : float, default=0.1
        Share of the classes or groups that is set aside to choose the best state by; at least
        ``n_way`` classes, and none if that were more than a third. Policies are validated on new
        tasks, unless it is 0.
    n_tasks : int, default=100
        Tasks of a validation, and of ``score``.
    every : int, default=100
        Iterations between two validations, rows of ``history_`` and checkpoints.
    patience : int or None, default=None
        Validations without a better score after which meta-training ends; None: never.

    Examples
    --------
    >>> from skmeta.learners import MAML, Validation
    >>> MAML(validation=Validation(0.2, patience=5)).set_params(validation__patience=3).validation
    Validation(fraction=0.2, patience=3)
    """

    fraction: float = parameter(0.1, Interval(Real, 0, 1, closed="left"), role="training")
    n_tasks: int = parameter(100, Interval(Integral, 1, None, closed="left"), role="training")
    every: int = parameter(100, Interval(Integral, 1, None, closed="left"), role="training")
    patience: int | None = parameter(
        None, Interval(Integral, 1, None, closed="left"), None, role="training"
    )


class MetaOptimizer(Declared, kw_only=False, eq=True):
    """The optimizer of the outer loop, for the parameter ``meta_optimizer``.

    Parameters
    ----------
    name : {"adam", "sgd"}, default="adam"
        The algorithm.
    schedule : {"auto", "constant", "linear", "cosine"}, default="auto"
        How ``meta_lr`` falls towards 0 at the last iteration. ``auto``: ``cosine`` for Adam,
        ``linear`` for SGD.
    clip_norm : float or None, default=10.0
        Largest norm of the meta-gradient; None does not clip.

    Examples
    --------
    >>> from skmeta.learners import MAML, MetaOptimizer
    >>> learner = MAML(meta_optimizer=MetaOptimizer("sgd", clip_norm=None), meta_lr=0.1)
    """

    name: str = parameter("adam", StrOptions(set(OPTIMIZERS)), role="training")
    schedule: str = parameter("auto", StrOptions({"auto", *SCHEDULES}), role="training")
    clip_norm: float | None = parameter(
        10.0, Interval(Real, 0, None, closed="neither"), None, role="training"
    )

    def resolve_schedule(self) -> str:
        """Return the schedule that ``"auto"`` stands for."""
        if self.schedule != "auto":
            return self.schedule
        return "linear" if self.name == "sgd" else "cosine"


class ExecutionOptions(Declared, kw_only=False, eq=True):
    """How meta-training computes, for the parameter ``execution``.

    Parameters
    ----------
    mode : {"auto", "loop", "threads", "vmap"}, default="auto"
        How the tasks of a meta-iteration are computed: one by one, one thread per task, or
        vectorised. ``auto`` chooses by device and size.
    precision : {"float32", "float64", "bfloat16"}, default="float32"
        Precision of meta-training. With ``bfloat16``, a network's convolutions and products of
        matrices are computed in it, while weights and statistics stay in float32; it saves time on
        processors with AVX-512-BF16 or AMX, and on GPUs.
    chunk_size : int or None, default=None
        Tasks vectorised at once; None: as many as fit into 1 GiB, or half of a GPU's memory.
    n_jobs : int or None, default=None
        Threads over tasks: -1 is one per core, None all that torch uses.
    checkpoint : path or None, default=None
        File from which an interrupted ``fit`` resumes. See :ref:`going-on`.

    Examples
    --------
    >>> from skmeta.learners import ExecutionOptions, MAML
    >>> learner = MAML(execution=ExecutionOptions(precision="float64", n_jobs=2))
    """

    mode: str = parameter("auto", StrOptions(set(MODES)), role="machine")
    precision: str = parameter("float32", StrOptions(set(NETWORK_PRECISIONS)), role="training")
    chunk_size: int | None = parameter(
        None, Interval(Integral, 1, None, closed="left"), None, role="machine"
    )
    n_jobs: int | None = parameter(None, *N_JOBS, role="machine")
    checkpoint: str | PathLike[str] | None = parameter(None, str, PathLike, None, role="machine")

    def open(
        self, network: Network, device: torch.device, flops_per_task: float, **more: Any
    ) -> Execution:
        """Decide how tasks are computed; the arguments are those of ``Execution``."""
        return Execution(
            self.mode,
            device=device,
            flops_per_task=flops_per_task,
            n_jobs=self.n_jobs,
            chunk_size=self.chunk_size,
            can_vectorise=lambda: network.can_vectorise,
            **more,
        )


class FitSettings(Declared):
    """Settings of every learner, with an outer loop or without.

    Parameters
    ----------
    device : str or torch.device, default="auto"
        Where to compute; ``auto`` takes a GPU if there is one.
    """

    # What it may compute in.
    _precisions: ClassVar[tuple[str, ...]] = tuple(NETWORK_PRECISIONS)

    device: Any = parameter("auto", str, torch.device, role="machine")


class OuterLoopSettings(FitSettings):
    """Settings of a learner with an outer loop.

    Parameters
    ----------
    n_iterations : int, default=1000
        Meta-iterations, at most.
    meta_batch_size : int, default=8
        Tasks of a meta-iteration.
    meta_lr : float, default=0.001
        Step size of the outer loop (beta in the papers) at its start.
    meta_optimizer : {"adam", "sgd"} or MetaOptimizer, default="adam"
        Optimizer of the outer loop, or a :class:`~skmeta.learners.MetaOptimizer`.
    validation : float or Validation, default=0.1
        Share of the classes or groups that is set aside to choose the best state, or a
        :class:`~skmeta.learners.Validation`, which can also stop early.
    execution : {"auto", "loop", "threads", "vmap"} or ExecutionOptions, default="auto"
        How tasks are computed, or an :class:`~skmeta.learners.ExecutionOptions`, which also has the
        precision and the file of a checkpoint. See :ref:`execution`.
    verbose : int, default=0
        1 shows a progress bar.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the drawn weights and tasks.
    """

    n_iterations: int = parameter(1000, Interval(Integral, 1, None, closed="left"), role="training")
    meta_batch_size: int = parameter(8, Interval(Integral, 1, None, closed="left"), role="training")
    meta_lr: float = parameter(1e-3, Interval(Real, 0, None, closed="neither"), role="training")
    meta_optimizer: Any = parameter("adam", str, MetaOptimizer, role="training")
    validation: Any = parameter(0.1, Real, Validation, role="training")
    execution: Any = parameter("auto", str, ExecutionOptions, role="machine")
    verbose: int = parameter(0, "verbose", role="machine")
    random_state: Any = parameter(None, "random_state", np.random.Generator, role="training")


def read_parameters(learner: FitSettings) -> SimpleNamespace:
    """Read and check the parameters of a learner, with its options as objects.

    A number or a string in place of an option is its first setting.
    """
    values = {name: getattr(learner, name) for name in parameter_names(type(learner))}
    values |= options_of(learner)
    execution = values.get("execution", ExecutionOptions())
    precision, checkpoint = execution.precision, execution.checkpoint
    if "execution" in values and precision not in learner._precisions:
        raise ValueError(
            f"{type(learner).__name__} computes in {' or '.join(learner._precisions)}, but "
            f"execution has precision={precision!r}. Set one of these."
        )
    if checkpoint is not None and not isinstance(values["random_state"], Integral):
        raise ValueError(
            f"checkpoint={str(checkpoint)!r} can only be resumed with the same tasks, but "
            f"random_state is {values['random_state']!r}. Set random_state to an integer."
        )
    return SimpleNamespace(**values)


def fingerprint(learner: Any, *content: Any) -> str:
    """Return a hexadecimal digest of a run's settings and data, which its checkpoint must have."""
    settings = settings_by_role(learner, "prior", "training")
    text = {n: stable_repr(getattr(value, "digest", value)) for n, value in settings}
    names = [learner_name(type(learner)), text]
    digest = hashlib.sha256(json.dumps(names, sort_keys=True).encode())
    for part in content:
        values = np.asarray(part)
        is_number = values.dtype.kind in "biuf"
        digest.update(np.ascontiguousarray(values if is_number else values.astype(str)).tobytes())
    return digest.hexdigest()
