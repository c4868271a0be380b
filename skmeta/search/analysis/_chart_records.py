"""What the pictures of a search show, whoever draws them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from skmeta.search.analysis._incumbent import ExpectedIncumbent, expected_incumbent, score_floor

__all__ = ["IncumbentChart", "TimelineChart", "pad_range", "style_sources"]

Array = NDArray[np.float64]
Style = TypeVar("Style")


class IncumbentChart(NamedTuple):
    """Best score so far.

    Attributes
    ----------
    incumbent : ndarray of shape (n_candidates,)
        Best score after each candidate; NaN before the first score.
    expected : ExpectedIncumbent
        The same for candidates in random order.
    floor : float
        Lowest score to draw.
    """

    incumbent: Array
    expected: ExpectedIncumbent
    floor: float

    @classmethod
    def of(cls, scores: Array, reference: Array | None = None) -> "IncumbentChart":
        """Compute the chart of a search.

        Parameters
        ----------
        scores : ndarray of shape (n_candidates,)
            Scores in the order of evaluation; NaN for a candidate that failed.
        reference : ndarray of shape (n_reference,), optional
            Scores whose random orders are expected; by default ``scores``.

        Returns
        -------
        IncumbentChart
        """
        incumbent = np.fmax.accumulate(scores) if len(scores) else scores
        expected = expected_incumbent(scores if reference is None else reference)
        return cls(incumbent, expected, score_floor(scores))


class TimelineChart(NamedTuple):
    """When each candidate would begin and end, one after the other.

    Attributes
    ----------
    begins : ndarray of shape (n_candidates,)
        Seconds at which the fits begin.
    fits, scores : ndarray of shape (n_candidates,)
        Seconds of fitting and scoring; 0 where they are not known.
    ends : ndarray of shape (n_candidates,)
        Seconds at which the scoring ends.
    """

    begins: Array
    fits: Array
    scores: Array
    ends: Array

    @classmethod
    def of(cls, fits: Any, scores: Any) -> "TimelineChart":
        """Compute the chart of a search.

        Parameters
        ----------
        fits, scores : array-like of shape (n_candidates,)
            Seconds of fitting and scoring; NaN where they are not known.

        Returns
        -------
        TimelineChart
        """
        known_fits, known_scores = (
            np.nan_to_num(np.asarray(seconds, dtype=np.float64)) for seconds in (fits, scores)
        )
        ends = np.cumsum(known_fits + known_scores)
        return cls(ends - known_fits - known_scores, known_fits, known_scores, ends)


def pad_range(low: float, high: float, below: float, above: float) -> tuple[float, float]:
    """Return the limits of an axis that leave room around what it shows.

    Parameters
    ----------
    low, high : float
        Smallest and largest value.
    below, above : float
        Room, in units of the range.

    Returns
    -------
    tuple of float
        The limits.
    """
    size = (high - low) or 0.1 * abs(high) or 1.0
    return low - below * size, high + above * size


def style_sources(
    sources: Iterable[str], known: Mapping[str, Style], others: Sequence[Style]
) -> dict[str, Style]:
    """Return how the candidates of each source are drawn.

    Parameters
    ----------
    sources : iterable of str
        Source of each candidate.
    known : mapping of str
        Styles of the usual sources.
    others : sequence
        Styles of the other ones, in turn.

    Returns
    -------
    dict of str
        Styles of the sources, in the order of their first appearance.
    """
    names = list(dict.fromkeys(sources))
    unusual = [name for name in names if name not in known]
    extra = {name: others[k % len(others)] for k, name in enumerate(unusual)}
    return {name: known.get(name) or extra[name] for name in names}
