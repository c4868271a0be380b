"""What a task is, and how tasks are drawn from a table (NumPy only)."""

from skmeta.tasks._group_divisions import KnownRowsGroupKFold, LaterRowsSplit
from skmeta.tasks._samplers import (
    ClassEpisodes,
    EpisodeSampler,
    GroupEpisodes,
    check_shots,
    check_ways,
)
from skmeta.tasks._splits import EpisodeSplit
from skmeta.tasks._task import (
    Superclass,
    Task,
    TaskBatch,
    split_tasks,
    stack_tasks,
    usable_superclasses,
)

__all__ = ["EpisodeSplit", "KnownRowsGroupKFold", "LaterRowsSplit", "split_tasks"]
