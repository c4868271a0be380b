"""The learners that are compared, and their settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from skmeta._sklearn_compat import validate_params
from skmeta.exceptions import EpisodeError
from skmeta.learners._core import LEARNERS, MetaLearner, read_settings
from skmeta.learners.auto._tasks import Design
from skmeta.training import Validation

# Step sizes of inner loops that are tried on tables.
_STEP_SIZES = (0.02, 0.1)
# A learner with an outer loop validates seldom, and ends when it gets no better.
_PATIENT = {"validation": Validation(0.15, n_tasks=32, every=100, patience=5)}
# Fine-tuning has a good start, so a validation would cost more than it gains.
_FINE_TUNED = {"prior": "tabular", "n_iterations": 200, "meta_lr": 2e-4, "validation": 0.0}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A learner that is compared.

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
    def n_iterations(self) -> int:
        """Meta-iterations of its training; 0 for a learner without an outer loop."""
        return 0 if self.is_shipped else read_settings(self.learner).n_iterations


def make_candidates(
    given: str | Sequence[MetaLearner], design: Design, device: Any
) -> list[Candidate]:
    """Return the learners to compare, with the sizes of the tasks set.

    Parameters
    ----------
    given : "auto" or sequence of MetaLearner
        What the user gave, the simplest learner first.
    design : Design
        The tasks.
    device : str or torch.device
        Where to compute.

    Returns
    -------
    list of Candidate
        Those that learn tasks of this kind.

    Raises
    ------
    TypeError
        If something else than learners was given.
    EpisodeError
        If there is none.
    """
    candidates = _defaults(design) if isinstance(given, str) else _named(given)
    kept = [c for c in candidates if design.kind in c.learner.kinds]
    is_missing = bool(np.isnan(design.X).any())
    if is_missing:
        kept = [c for c in kept if c.learner.allow_nan]
    if not kept:
        raise EpisodeError(
            f"None of the candidates learns {design.kind} tasks"
            f"{' with missing values' if is_missing else ''}. Add another learner, or leave "
            "candidates='auto'."
        )
    kept = [replace(c, learner=_for_tasks(c.learner, design, device)) for c in kept]
    if not isinstance(given, str):
        for candidate in kept:  # A wrong setting is an error before the comparison.
            candidate.learner.initial_prior(design.X, kind=design.kind)
    return kept


def _defaults(design: Design) -> list[Candidate]:
    shipped = Candidate("the prior that ships", _make("InContextLearner"), is_shipped=True)
    if design.is_image:
        # Each block halves the image.
        n_blocks = min(4, int(np.log2(max(2, min(design.input_shape[-2:])))))
        images = {"backbone": "conv4", "backbone_params": {"n_blocks": n_blocks}, **_PATIENT}
        return [
            Candidate("ProtoNet", _make("ProtoNet", **images)),
            Candidate("MAML", _make("MAML", first_order=True, n_inner_steps=3, **images)),
        ]
    fine_tuned = Candidate("InContextLearner", _make("InContextLearner", **_FINE_TUNED))
    if design.groups is None:
        return [shipped, Candidate("ProtoNet", _make("ProtoNet", **_PATIENT)), fine_tuned]
    # A classification needs a prior that knows the classes of all groups.
    tables = [Candidate("HierarchicalLinear", _make("HierarchicalLinear"))]
    tables += [shipped] if design.kind == "regression" else []
    for name in ("MAML", "MetaSGD"):
        for inner_lr in _STEP_SIZES:
            # A bounded activation: ReLU makes the gradient of a large row large.
            tanh = {"backbone_params": {"activation": "tanh"}, "inner_lr": inner_lr}
            label = f"{name} (inner_lr={inner_lr})"
            tables.append(Candidate(label, _make(name, **tanh, **_PATIENT)))
    return [*tables, Candidate("ALPaCA", _make("ALPaCA", **_PATIENT)), fine_tuned]


def _make(name: str, **settings: Any) -> MetaLearner:
    # By name, because the algorithms are in a room above this one.
    return LEARNERS[name](**settings)


def _named(given: Sequence[Any]) -> list[Candidate]:
    """Name learners by their class, and number them if a class comes twice."""
    wrong = [item for item in given if not isinstance(item, MetaLearner)]
    if wrong or not given:
        what = f"{wrong[0]!r} of type {type(wrong[0]).__name__}" if wrong else "an empty list"
        raise TypeError(
            "candidates must be 'auto' or a list of learners, such as [HierarchicalLinear(), "
            f"MAML()], got {what}."
        )
    names = [type(learner).__name__ for learner in given]
    candidates = []
    for k, (name, learner) in enumerate(zip(names, given, strict=True)):
        validate_params(learner)
        number = f" {names[: k + 1].count(name)}" if names.count(name) > 1 else ""
        candidates.append(Candidate(name + number, learner))
    return candidates


def _for_tasks(learner: MetaLearner, design: Design, device: Any) -> MetaLearner:
    """Return a copy with the sizes of the tasks, and the device."""
    learner = clone(learner)
    own, names = read_settings(learner), learner.get_params(deep=False)
    sampling = clone(own.sampling)
    if design.groups is not None and design.kind == "classification":
        needs_all = learner.needs_every_class(learner.resolve_head(design.kind, "groups"))
        sampling.shots_per = "class" if needs_all else "task"
    settings: dict[str, Any] = {
        **design.task_size,
        "sampling": sampling,
        "task_type": design.kind,
        "input_shape": own.input_shape or (design.input_shape if design.is_image else None),
        "device": device,
        "checkpoint": None,
        "verbose": 0,
    }
    return learner.set_params(**{n: v for n, v in settings.items() if n in names})
