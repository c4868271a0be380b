"""The learners that a race begins with, and their settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from skmeta.learners._core import LEARNERS, MetaLearner, read_settings
from skmeta.learners.auto._tasks import Design
from skmeta.training import Validation

# Step sizes of inner loops that are tried on tables.
_STEP_SIZES = (0.02, 0.1)
# A candidate with an outer loop validates seldom, and ends when it gets no better.
_PATIENT = {"validation": Validation(0.15, n_tasks=32, every=100, patience=5)}
# Fine-tuning has a good start, so a validation would cost more than it gains.
_FINE_TUNED = {"prior": "tabular", "n_iterations": 200, "meta_lr": 2e-4, "validation": 0.0}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A learner in a race.

    Attributes
    ----------
    name : str
        Its name on the leaderboard.
    learner : MetaLearner
        Its settings.
    is_shipped : bool
        Whether it is the prior that ships, which is not trained.
    """

    name: str
    learner: MetaLearner
    is_shipped: bool = False

    @property
    def has_outer_loop(self) -> bool:
        """Whether more meta-iterations may make it better."""
        return not self.is_shipped and read_settings(self.learner).n_iterations > 0

    def configured(self, share: float, seed: int) -> MetaLearner:
        """Return a learner for a share of the meta-iterations.

        Parameters
        ----------
        share : float
            Share of ``n_iterations``, from 0 to 1.
        seed : int
            Its ``random_state``.

        Returns
        -------
        MetaLearner
            Not fitted.
        """
        learner: MetaLearner = clone(self.learner).set_params(random_state=seed)
        n_iterations = read_settings(learner).n_iterations
        if n_iterations:
            learner.set_params(n_iterations=max(1, round(share * n_iterations)))
        return learner


def default_candidates(design: Design) -> list[Candidate]:
    """Return the learners that suit the tasks, the simplest first.

    Parameters
    ----------
    design : Design
        The tasks.

    Returns
    -------
    list of Candidate
        With settings of their own.
    """
    shipped = Candidate("the prior that ships", _make("InContextLearner"), is_shipped=True)
    if design.is_image:
        # Each block halves the image.
        n_blocks = min(4, int(np.log2(max(2, min(design.input_shape[-2:])))))
        images = {
            "backbone": "conv4",
            "backbone_params": {"n_blocks": n_blocks},
            "input_shape": design.input_shape,
            **_PATIENT,
        }
        return [
            Candidate("ProtoNet", _make("ProtoNet", **images)),
            Candidate("MAML", _make("MAML", first_order=True, n_inner_steps=3, **images)),
        ]
    fine_tuned = Candidate("InContextLearner", _make("InContextLearner", **_FINE_TUNED))
    if design.groups is None:
        return [shipped, Candidate("ProtoNet", _make("ProtoNet", **_PATIENT)), fine_tuned]
    # A classification needs a prior that knows the classes of all groups.
    found = [Candidate("HierarchicalLinear", _make("HierarchicalLinear"))]
    found += [shipped] if design.kind == "regression" else []
    for name in ("MAML", "MetaSGD"):
        for inner_lr in _STEP_SIZES:
            # A bounded activation: ReLU makes the gradient of a large row large.
            tanh = {"backbone_params": {"activation": "tanh"}, "inner_lr": inner_lr}
            learner = _make(name, **tanh, **_PATIENT)
            found.append(Candidate(f"{name} (inner_lr={inner_lr})", learner))
    return [*found, Candidate("ALPaCA", _make("ALPaCA", **_PATIENT)), fine_tuned]


def own_candidates(learners: Sequence[MetaLearner]) -> list[Candidate]:
    """Make candidates of learners that a user gave, the simplest first.

    Parameters
    ----------
    learners : sequence of MetaLearner
        The learners.

    Returns
    -------
    list of Candidate
        Named by their class, and numbered if a class comes twice.
    """
    names = [type(learner).__name__ for learner in learners]
    labels = [
        name if names.count(name) == 1 else f"{name} {names[: k + 1].count(name)}"
        for k, name in enumerate(names)
    ]
    return [Candidate(name, learner) for name, learner in zip(labels, learners, strict=True)]


def prepare(
    candidates: Sequence[Candidate],
    design: Design,
    *,
    device: str | torch.device,
    n_jobs: int | None,
) -> list[Candidate]:
    """Give all candidates the tasks and the machine of the race.

    Parameters
    ----------
    candidates : sequence of Candidate
        The learners.
    design : Design
        The tasks.
    device : str or torch.device
        Where to compute.
    n_jobs : int or None
        Number of threads.

    Returns
    -------
    list of Candidate
        Copies with the settings, without learners for tasks of another kind.
    """
    found = []
    for candidate in candidates:
        if design.kind not in candidate.learner.kinds:
            continue
        learner: MetaLearner = clone(candidate.learner)
        known, names = read_settings(learner), learner.get_params(deep=False)
        execution, sampling = clone(known.execution), clone(known.sampling)
        if design.groups is not None and design.kind == "classification":
            needs_all = learner.needs_every_class(learner.resolve_head(design.kind, "groups"))
            sampling.shots_per = "class" if needs_all else "task"
        settings: dict[str, Any] = {
            "n_shot": design.n_shot,
            "n_query": design.n_query,
            "n_way": design.n_way if design.groups is None else known.n_way,
            "sampling": sampling,
            "task_type": design.kind,
            "input_shape": known.input_shape or (design.input_shape if design.is_image else None),
            "device": device,
            "execution": execution.set_params(n_jobs=n_jobs),
            "checkpoint": None,
            "verbose": 0,
        }
        settings = {name: value for name, value in settings.items() if name in names}
        found.append(
            Candidate(candidate.name, learner.set_params(**settings), candidate.is_shipped)
        )
    return found


def _make(name: str, **settings: Any) -> MetaLearner:
    # By name, because the algorithms are in a room above this one.
    return LEARNERS[name](**settings)
