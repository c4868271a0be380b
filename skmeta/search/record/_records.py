"""Records of searches: what the history, the prior and the search exchange.

A *configuration* describes an estimator by names that do not depend on a pipeline's step names
(``"SVC.C"``); its values are plain: bool, int, float, str or None. Scores are signed so that
greater is better.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Value = bool | int | float | str | None
Configuration = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class CandidateRecord:
    """One candidate of a search: its parameters, and its scores and times on every fold.

    One without scores is being evaluated by a worker of a shared search.

    Attributes
    ----------
    configuration : dict
        Parameters of the candidate, under names that do not depend on a pipeline's step names.
    key : str
        Digest of the candidate's parameters. Equal keys are equal candidates.
    params : str
        JSON from which the same search rebuilds the candidate; empty if it cannot.
    scores : dict of str -> tuple of float
        Metric -> test score of each fold, as the scorer returned it; NaN if the fold failed.
    train_scores : dict of str -> tuple of float
        The same on the training folds; empty if they were not scored.
    fit_times, score_times : tuple of float
        Seconds of each fold.
    costs : tuple of float
        Seconds of each fold, of its fit and score together, less what other work on the machine
        took; empty if unknown.
    n_test_samples : tuple of int
        Number of test rows of each fold; empty if unknown.
    n_rounds : tuple of float
        Number of boosting rounds that early stopping found on each fold, NaN where it found none;
        empty without early stopping.
    error : str or None
        Last line of the traceback if a fit failed.
    source : str
        Why the candidate was tried: ``"initial design"``, ``"as given"``, ``"prior"``,
        ``"model"``, ``"grid"``, ``"random"`` or ``"added"``.
    predicted_mean_score, predicted_std_score : float
        Mean and standard deviation of the score that the model expected just before the candidate
        was evaluated; NaN where there was no model.
    """

    configuration: Configuration
    key: str
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    params: str = ""
    train_scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    fit_times: tuple[float, ...] = ()
    score_times: tuple[float, ...] = ()
    costs: tuple[float, ...] = ()
    n_test_samples: tuple[int, ...] = ()
    n_rounds: tuple[float, ...] = ()
    error: str | None = None
    source: str = "added"
    # NaN does not equal itself.
    predicted_mean_score: float = field(default=math.nan, compare=False)
    predicted_std_score: float = field(default=math.nan, compare=False)


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """Description of a search: data set, estimator, space and metrics.

    Attributes
    ----------
    fingerprint : str
        Digest of data, estimator, space, cv and scoring. A search with a recorded fingerprint
        resumes.
    dataset : str or None
        Name that the user gave to the data set; None where the user gave none.
    data_digest : str
        Digest of X and y; empty if no data were given.
    data_sketch : tuple of int
        MinHash sketch of the rows, by which near duplicates are found; empty if unknown.
    estimator : str
        Class of the final predictor, such as ``"SVC"``. If the search chooses between several,
        their sorted names joined by ``"|"``.
    signature : str
        Classes of the whole estimator, such as ``"Pipeline(StandardScaler, SVC)"``.
    space : dict of str -> str
        Searched parameter (named as in a configuration) -> its values or distribution, as text;
        ``"added"`` if the candidates were measured elsewhere.
    cv : str
        Text representation of the splitter.
    metrics : dict of str -> int
        Metric -> its sign: 1 if greater is better, as for all scorers of scikit-learn, -1 if
        smaller is better.
    refit_metric : str
        Metric that the search maximises.
    dataset_features : dict of str -> float
        Numbers that describe the data set, for priors; empty if unknown. A search writes them
        when it opens its record, `skmeta.search._open_record`.
    seed : int or None
        Seed from which the candidates follow; None if they were measured elsewhere.
    learned_until : tuple of (str, int) or None
        Position in the history (its identity, and the id of its last candidate) up to which the
        search's prior was learned. A resumed search learns from the same past searches.
    target_scale : float
        Standard deviation of the targets of a regression; 1.0 if it is unknown. A prior divides
        parameters that have the target's unit, such as SVR's ``C``, by it.
    """

    fingerprint: str
    estimator: str
    metrics: Mapping[str, int]
    refit_metric: str
    dataset: str | None = None
    data_digest: str = ""
    data_sketch: tuple[int, ...] = ()
    signature: str = ""
    space: Mapping[str, str] = field(default_factory=dict)
    cv: str = ""
    dataset_features: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    learned_until: tuple[str, int] | None = None
    target_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.target_scale < math.inf:
            raise ValueError(f"target_scale must be positive and finite, got {self.target_scale}")

    @property
    def dataset_label(self) -> str:
        """Return the data set's name, or the first 12 characters of its digest."""
        return self.data_digest[:12] if self.dataset is None else self.dataset


@dataclass(frozen=True, kw_only=True)
class PastSearch:
    """Configurations of a past search, with one score each: what a prior learns from.

    Attributes
    ----------
    dataset : str
        Name of the data set, or the first 12 characters of its digest.
    configurations : tuple of dict
        One per candidate. Parameters that have the target's unit are relative to its standard
        deviation, if a history knows it.
    scores : ndarray of shape (n_candidates,)
        Mean over folds, signed so that greater is better; NaN if the candidate failed.
    metric : str
        Name of the metric.
    estimator : str
        As in `SearchRecord`.
    data_digest, data_sketch, dataset_features
        As in `SearchRecord`.
    n_folds : ndarray of shape (n_candidates,) or None
        Number of folds that each score is the mean of, as a search with racing stops some
        candidates early; None if it is the same for all.
    """

    dataset: str
    configurations: tuple[Configuration, ...]
    scores: NDArray[np.float64]
    metric: str = "score"
    estimator: str = ""
    data_digest: str = ""
    data_sketch: tuple[int, ...] = ()
    dataset_features: Mapping[str, float] = field(default_factory=dict)
    n_folds: NDArray[np.intp] | None = None


@dataclass(frozen=True, kw_only=True)
class RecordedSearch:
    """A search with its finished candidates in the order of recording, as a history holds it.

    `started` is in seconds since 1970.
    """

    record: SearchRecord
    candidates: tuple[CandidateRecord, ...]
    started: float
