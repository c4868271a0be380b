"""Errors and warnings of skmeta.

Every error inherits :class:`SkmetaError` and the matching built-in error of Python, so that callers
who know only Python's errors catch it. A wrong parameter raises a ValueError or TypeError, as in
scikit-learn.
"""

__all__ = [
    "EpisodeError",
    "FileFormatError",
    "HistoryError",
    "PriorError",
    "PriorWarning",
    "SearchWarning",
    "SkmetaError",
    "SkmetaWarning",
    "UnusedDataWarning",
]


class SkmetaError(Exception):
    """Base class of skmeta's own errors."""


class EpisodeError(SkmetaError, ValueError):
    """The given rows or environments cannot form the requested tasks."""


class PriorError(SkmetaError, ValueError):
    """A prior cannot be read, or does not fit the data, the learner or the estimator."""


class FileFormatError(SkmetaError, ValueError):
    """A checkpoint, a history or a saved estimator is damaged, foreign, or of a newer format."""


class HistoryError(SkmetaError, OSError):
    """A history of searches cannot be opened, read or written now."""


class SkmetaWarning(UserWarning):
    """Base class of skmeta's own warnings."""


class PriorWarning(SkmetaWarning):
    """A prior has seen these rows, or rows of other units, or is no better than a plain model."""


class SearchWarning(SkmetaWarning):
    """A search ended before its last candidate, or part of its history is missing or changed."""


class UnusedDataWarning(SkmetaWarning):
    """Rows, groups, columns or a prior have no effect, or less than the user may expect."""
