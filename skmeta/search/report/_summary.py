"""What a report shows of a search, wherever the search comes from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import Value

__all__ = ["CandidateSummary", "PriorSummary", "SearchSummary"]


@dataclass(frozen=True, kw_only=True)
class CandidateSummary:
    """One candidate.

    Attributes
    ----------
    params : dict
        Parameters under short names, with plain values.
    score, std : float
        Mean and standard deviation over the folds; NaN if a fit failed.
    source : str
        Why the candidate was tried.
    fit_seconds, score_seconds : float
        Of all its folds.
    predicted_mean, predicted_std : float
        The score that was expected, and its standard deviation; NaN if there was no model.
    others : dict of str -> float
        Mean scores by other metrics.
    error : str or None
        Last line of the traceback, if a fit failed and it is known.
    """

    params: Mapping[str, Value]
    score: float
    std: float
    source: str
    fit_seconds: float
    score_seconds: float
    predicted_mean: float = math.nan
    predicted_std: float = math.nan
    others: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def seconds(self) -> float:
        """Seconds of all its fits and scores."""
        return self.fit_seconds + self.score_seconds


@dataclass(frozen=True, kw_only=True)
class PriorSummary:
    """What past searches contributed.

    Attributes
    ----------
    text : str
        The prior, described.
    learned_weight : float
        Weight of the models that learned from past searches, after the last candidate.
    datasets : tuple of str
        Data sets of the past searches.
    task_weights : ndarray of shape (n_tasks,)
        Probability of each, if the new data set is like one of them.
    """

    text: str
    learned_weight: float
    datasets: tuple[str, ...]
    task_weights: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SearchSummary:
    """A search.

    Attributes
    ----------
    estimator : str
        Class of what was tuned.
    dataset : str or None
        Name of the data set.
    metric : str
        Name of the score.
    candidates : tuple of CandidateSummary
        In the order in which they were evaluated.
    best : int or None
        Position of the chosen candidate.
    code : str
        The best parameters as Python.
    facts : dict of str -> str
        What else is known: label -> text.
    versions : dict of str -> str
        Package -> version.
    prior : PriorSummary or None
    """

    estimator: str
    dataset: str | None
    metric: str
    candidates: Sequence[CandidateSummary]
    best: int | None
    code: str
    facts: Mapping[str, str]
    versions: Mapping[str, str]
    prior: PriorSummary | None = None

    @property
    def title(self) -> str:
        """The estimator, and the data set if it has a name."""
        return self.estimator + (f" on {self.dataset}" if self.dataset else "")

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Scores of the candidates; NaN if a fit failed."""
        return np.array([c.score for c in self.candidates], dtype=np.float64)

    @property
    def best_candidate(self) -> CandidateSummary | None:
        """The chosen candidate."""
        return None if self.best is None else self.candidates[self.best]

    @property
    def seconds(self) -> float:
        """Seconds of all fits and scores."""
        return float(np.nansum([c.seconds for c in self.candidates]))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Parameters of all candidates, in the order of their first appearance."""
        return tuple(dict.fromkeys(name for c in self.candidates for name in c.params))

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """Parameters that differ between candidates."""
        missing = object()
        return tuple(
            name
            for name in self.parameters
            if len({repr(c.params.get(name, missing)) for c in self.candidates}) > 1
        )
