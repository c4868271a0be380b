"""Errors and warnings of skmeta.

Every error inherits :class:`SkmetaError` and the matching built-in error of Python, so that callers
who know only Python's errors catch it.
"""

__all__ = [
    "BackboneError",
    "BaselineWarning",
    "CheckpointError",
    "DistributedError",
    "DistributionShiftWarning",
    "DivergenceWarning",
    "EpisodeError",
    "HistoryError",
    "HistoryFormatError",
    "HistoryWarning",
    "ModelFileError",
    "OverlapWarning",
    "PriorError",
    "SearchSpaceError",
    "SearchStoppedWarning",
    "SkmetaError",
    "SkmetaWarning",
    "UnusedDataWarning",
]


class SkmetaError(Exception):
    """Base class of every error that skmeta raises itself."""


class EpisodeError(SkmetaError, ValueError):
    """The given rows or environments cannot form the requested tasks."""


class BackboneError(SkmetaError, ValueError):
    """A backbone is unknown, or does not fit the shape of the input."""


class PriorError(SkmetaError, ValueError):
    """A prior cannot be read, or does not fit the data, the learner or the estimator."""


class ModelFileError(SkmetaError, ValueError):
    """A file of a fitted estimator is damaged or foreign, or holds types that are not trusted."""


class CheckpointError(SkmetaError, ValueError):
    """A checkpoint is damaged, belongs to another run, or cannot be read or written."""


class DistributedError(SkmetaError, RuntimeError):
    """Another process of a meta-training has ended."""


class SearchSpaceError(SkmetaError, ValueError):
    """A search space is empty, or names a parameter that the estimator does not have."""


class HistoryError(SkmetaError, OSError):
    """A history of searches cannot be opened, read or written now."""


class HistoryFormatError(SkmetaError, ValueError):
    """A history, or what is added to one, is damaged, foreign, or of a newer format."""


class SkmetaWarning(UserWarning):
    """Base class of every warning that skmeta issues itself."""


class OverlapWarning(SkmetaWarning):
    """Rows of a new task were used to train the prior."""


class DistributionShiftWarning(SkmetaWarning):
    """Rows of a new task are not of the distribution, or in the units, that a prior has seen."""


class DivergenceWarning(SkmetaWarning):
    """A meta-training diverged; the best state or the next learner is kept."""


class BaselineWarning(SkmetaWarning):
    """A plain model without meta-learning beats a prior on the prior's own validation tasks."""


class SearchStoppedWarning(SkmetaWarning):
    """A search ended before its last candidate; the best so far was kept."""


class HistoryWarning(SkmetaWarning):
    """A history is incomplete: part of it was not written, not read, or was changed."""


class UnusedDataWarning(SkmetaWarning):
    """Rows, groups, columns or a prior have no effect, or less than the user may expect."""
