"""The learners that are compared, and their settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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


@dataclass(eq=False)
class Entry:
    """A learner or a plain model that is compared, and what is known of it.

    Attributes
    ----------
    name : str
        Its name on the leaderboard.
    learner : MetaLearner or None
        Its settings; None for a plain model.
    is_shipped : bool
        Whether it is the prior that ships, which is not trained.
    status : str
        ``"plain"``, ``"compared"``, ``"stopped"`` (after the first fold) or ``"failed"``.
    error : str
        Why it failed.
    loss : ndarray of shape (n_tasks,)
        Loss of each held-out task, or of those of the first folds.
    n_iterations : int
        Meta-iterations of its last run.
    seconds : float
        Time of all runs.
    """

    name: str
    learner: Any = None
    is_shipped: bool = False
    status: str = "compared"
    error: str = ""
    loss: np.ndarray = field(default_factory=lambda: np.empty(0))
    n_iterations: int = 0
    seconds: float = 0.0

    @property
    def has_outer_loop(self) -> bool:
        """Whether it is trained by meta-iterations."""
        return not self.is_shipped and read_settings(self.learner).n_iterations > 0


def make_candidates(given: str | Sequence[MetaLearner], design: Design, device: Any) -> list[Entry]:
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
    list of Entry
        Those that learn tasks of this kind.

    Raises
    ------
    TypeError
        If something else than learners was given.
    EpisodeError
        If there is none.
    """
    candidates = _defaults(design) if isinstance(given, str) else _named(given)
    is_missing = bool(np.isnan(design.X).any())
    kept = [
        entry
        for entry in candidates
        if design.kind in entry.learner.kinds and (entry.learner.allow_nan or not is_missing)
    ]
    if not kept:
        raise EpisodeError(
            f"None of the candidates learns {design.kind} tasks"
            f"{' with missing values' if is_missing else ''}. Add another learner, or leave "
            "candidates='auto'."
        )
    for entry in kept:
        entry.learner = _for_tasks(entry.learner, design, device)
        if not isinstance(given, str):  # A wrong setting is an error before the comparison.
            entry.learner.initial_prior(design.X, kind=design.kind)
    return kept


def _defaults(design: Design) -> list[Entry]:
    shipped = Entry("the prior that ships", _make("InContextLearner"), is_shipped=True)
    if design.is_image:
        # Each block halves the image.
        n_blocks = min(4, int(np.log2(max(2, min(design.input_shape[-2:])))))
        images = {"backbone": "conv4", "backbone_params": {"n_blocks": n_blocks}, **_PATIENT}
        return [
            Entry("ProtoNet", _make("ProtoNet", **images)),
            Entry("MAML", _make("MAML", first_order=True, n_inner_steps=3, **images)),
        ]
    fine_tuned = Entry("InContextLearner", _make("InContextLearner", **_FINE_TUNED))
    if design.groups is None:
        return [shipped, Entry("ProtoNet", _make("ProtoNet", **_PATIENT)), fine_tuned]
    # A classification needs a prior that knows the classes of all groups.
    tables = [Entry("HierarchicalLinear", _make("HierarchicalLinear"))]
    tables += [shipped] if design.kind == "regression" else []
    for name in ("MAML", "MetaSGD"):
        for inner_lr in _STEP_SIZES:
            # A bounded activation: ReLU makes the gradient of a large row large.
            tanh = {"backbone_params": {"activation": "tanh"}, "inner_lr": inner_lr}
            label = f"{name} (inner_lr={inner_lr})"
            tables.append(Entry(label, _make(name, **tanh, **_PATIENT)))
    return [*tables, Entry("ALPaCA", _make("ALPaCA", **_PATIENT)), fine_tuned]


def _make(name: str, **settings: Any) -> MetaLearner:
    # By name, because the algorithms are in a room above this one.
    return LEARNERS[name](**settings)


def _named(given: Sequence[Any]) -> list[Entry]:
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
        candidates.append(Entry(name + number, learner))
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
