"""Racing over folds: a candidate that will not win is stopped before its last fold."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["Race", "expect_stopped", "fill_folds"]

# What scikit-learn's _fit_and_score returns: test_scores, fit_time, score_time, ...
Output = dict[str, Any]


class Race:
    """Decides after each fold of a candidate whether the candidate goes on.

    It is stopped if the mean of its scores so far is below the worst fold of the best candidate.
    This is the forgiving rule of Bergman et al. (2024). A candidate with a failed fold is stopped
    too, as its mean over all folds cannot be computed.

    The best candidate is that of the batches before, so that candidates of a batch may be
    evaluated in any order.

    References
    ----------
    E. Bergman, L. Purucker, F. Hutter (2024), "Don't waste your time: early stopping
    cross-validation", AutoML 2024.
    """

    def __init__(self) -> None:
        self._best_mean = -math.inf
        self._worst_fold = math.nan

    @property
    def has_begun(self) -> bool:
        """Whether there is a candidate to compare others with."""
        return not math.isnan(self._worst_fold)

    def is_lost(self, scores: Sequence[float]) -> bool:
        """Return whether a candidate is stopped after its first folds.

        Parameters
        ----------
        scores : sequence of float
            One per fold, in the order of the folds. NaN if the fit failed.
        """
        return self.has_begun and not np.mean(scores) >= self._worst_fold

    def enter(self, scores: Sequence[float]) -> None:
        """Compare later candidates with this one, if it is the best so far.

        Parameters
        ----------
        scores : sequence of float
            One per fold, of all folds.
        """
        mean = float(np.mean(scores))
        if mean > self._best_mean:
            self._best_mean, self._worst_fold = mean, float(np.min(scores))


def fill_folds(outputs: Sequence[Sequence[Output]], n_splits: int) -> list[Output]:
    """Return one result per candidate and fold, as scikit-learn expects them.

    Parameters
    ----------
    outputs : sequence of sequence of dict
        The results of each candidate; fewer than `n_splits` if it was stopped.
    n_splits : int

    Returns
    -------
    list of dict
        A fold that was not run has NaN scores, and the candidate's mean times, so that mean times
        are those of the folds that were run.
    """
    filled: list[Output] = []
    for own in outputs:
        filled += own
        if len(own) < n_splits:
            filled += [_missing_fold(own)] * (n_splits - len(own))
    return filled


@contextmanager
def expect_stopped(outputs: Sequence[Sequence[Output]], n_splits: int) -> Iterator[None]:
    """Silence scikit-learn's warning of scores that are not finite, if they were only not computed.

    Parameters
    ----------
    outputs : sequence of sequence of dict
        The results of each candidate; fewer than `n_splits` if it was stopped.
    n_splits : int
    """
    is_any_stopped = any(len(own) < n_splits for own in outputs)
    are_finite = all(
        np.isfinite(_values(output[kind])).all()
        for own in outputs
        for output in own
        for kind in ("test_scores", "train_scores")
        if kind in output
    )
    with warnings.catch_warnings():
        if is_any_stopped and are_finite:
            warnings.filterwarnings("ignore", "One or more of the .* scores are non-finite")
        yield


def _missing_fold(own: Sequence[Output]) -> Output:
    scores = {
        kind: dict.fromkeys(own[0][kind], math.nan)
        if isinstance(own[0][kind], Mapping)
        else math.nan
        for kind in ("test_scores", "train_scores")
        if kind in own[0]
    }
    times = {
        kind: float(np.mean([output[kind] for output in own]))
        for kind in ("fit_time", "score_time")
    }
    return {**own[0], **scores, **times}


def _values(scores: Any) -> list[float]:
    return list(scores.values()) if isinstance(scores, Mapping) else [scores]
