"""What a task is, and how tasks are drawn from a table (NumPy only)."""

from skmeta.tasks._noise import with_wrong_labels
from skmeta.tasks._overlap import warn_if_reused
from skmeta.tasks._samplers import ClassEpisodes, EpisodeSampler, GroupEpisodes
from skmeta.tasks._shots import check_shots
from skmeta.tasks._splits import EpisodeSplit, split_tasks
from skmeta.tasks._superclasses import Superclass, usable_superclasses
from skmeta.tasks._task import Task

__all__ = [
    "ClassEpisodes",
    "EpisodeSampler",
    "EpisodeSplit",
    "GroupEpisodes",
    "Superclass",
    "Task",
    "check_shots",
    "split_tasks",
    "usable_superclasses",
    "warn_if_reused",
    "with_wrong_labels",
]
