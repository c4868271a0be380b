"""What a report shows of a search, wherever the search comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmeta.search.record import CandidateRecord

__all__ = ["PriorSummary", "SearchSummary"]


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
    score_key : str
        Its key among the scores of the candidates.
    sign : int
        1 if a greater score is better, else -1.
    candidates : sequence of CandidateRecord
        In the order in which they were evaluated. Their configurations have short names.
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
    score_key: str
    candidates: Sequence[CandidateRecord]
    best: int | None
    code: str
    facts: Mapping[str, str]
    versions: Mapping[str, str]
    prior: PriorSummary | None = None
    sign: int = 1

    @property
    def title(self) -> str:
        """The estimator, and the data set if it has a name."""
        return self.estimator + (f" on {self.dataset}" if self.dataset else "")

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Mean score of each candidate over the folds, greater is better; NaN if a fit failed."""
        scores = self.sign * self.mean_scores(self.score_key)
        return np.where(np.isfinite(scores), scores, np.nan)

    @cached_property
    def stds(self) -> NDArray[np.float64]:
        """Standard deviation of the scores over the folds; NaN if a fit failed."""
        folds = [candidate.scores.get(self.score_key, ()) for candidate in self.candidates]
        return np.array([np.std(own) if len(own) > 1 else np.nan for own in folds])

    def mean_scores(self, key: str) -> NDArray[np.float64]:
        """Return the mean of each candidate's scores by one metric; NaN where there are none."""
        folds = [candidate.scores.get(key, ()) for candidate in self.candidates]
        return np.array([np.mean(own) if len(own) else np.nan for own in folds], dtype=np.float64)

    @property
    def other_metrics(self) -> tuple[str, ...]:
        """Keys of the metrics besides the score."""
        keys = dict.fromkeys(key for one in self.candidates for key in one.scores)
        return tuple(key for key in keys if key != self.score_key)

    @property
    def best_candidate(self) -> CandidateRecord | None:
        """The chosen candidate."""
        return None if self.best is None else self.candidates[self.best]

    @property
    def seconds(self) -> float:
        """Seconds of all fits and scores."""
        return float(np.nansum([c.seconds for c in self.candidates]))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Parameters of all candidates, in the order of their first appearance."""
        return tuple(dict.fromkeys(name for c in self.candidates for name in c.configuration))

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """Parameters that differ between candidates."""
        missing = object()
        return tuple(
            name
            for name in self.parameters
            if len({repr(c.configuration.get(name, missing)) for c in self.candidates}) > 1
        )
