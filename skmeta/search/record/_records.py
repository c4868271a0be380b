"""What is remembered of a search: the shapes that history, prior and search exchange.

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
class Evaluation:
    """One candidate, evaluated on every fold.

    Attributes
    ----------
    configuration : dict
        What the candidate is, in names independent of the pipeline's step names.
    key : str
        Digest of the candidate's own parameters; equal keys are equal candidates.
    params : str
        JSON by which the search that wrote it rebuilds the candidate; empty where it cannot.
    scores : dict of str -> tuple of float
        Test scores of each fold, by metric. As the scorer returned them; NaN where it failed.
    train_scores : dict of str -> tuple of float
        Likewise on the training part; empty where it was not asked for.
    fit_times, score_times : tuple of float
        Seconds, by fold.
    n_test_samples : tuple of int
        Rows each fold was scored on; empty where unknown.
    error : str or None
        The last line of the traceback, where a fit failed.
    source : str
        Why it was tried: ``"initial design"``, ``"prior"``, ``"model"``, ``"grid"``, ``"random"``
        or ``"added"``.
    predicted_mean_score, predicted_std_score : float
        Mean and standard deviation of the score that the model expected just before the candidate
        was evaluated; NaN where there was no model.
    """

    configuration: Configuration
    key: str
    scores: Mapping[str, tuple[float, ...]]
    params: str = ""
    train_scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    fit_times: tuple[float, ...] = ()
    score_times: tuple[float, ...] = ()
    n_test_samples: tuple[int, ...] = ()
    error: str | None = None
    source: str = "added"
    predicted_mean_score: float = math.nan
    predicted_std_score: float = math.nan


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """What is known of a search before its first candidate.

    Attributes
    ----------
    fingerprint : str
        Digest of data, estimator, space, cv and scoring: equal fingerprints are the same search,
        which is how a search resumes.
    dataset : str or None
        Name that the user gave to the data set; None where the user gave none.
    data_digest : str
        Digest of X and y; empty where no data were given.
    data_sketch : tuple of int
        MinHash sketch of the rows, by which near duplicates are found; empty where unknown.
    estimator : str
        Class of the final predictor, such as ``"SVC"``; several, sorted and joined by ``"|"``,
        where the search chooses between them.
    signature : str
        The whole estimator, such as ``"Pipeline(StandardScaler, SVC)"``.
    space : dict of str -> str
        The searched parameters (names as in a configuration) and what each was drawn from.
    cv : str
        How rows were split, as text.
    metrics : dict of str -> int
        Metric and its sign: 1 where the recorded number is better when greater, as all of
        scikit-learn's scorers are, -1 where it is better when smaller.
    refit_metric : str
        The metric that the search maximises.
    metafeatures : dict of str -> float
        Meta-features of the data set.
    versions : dict of str -> str
        Library versions.
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
    metafeatures: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def dataset_label(self) -> str:
        """Return the data set's name, or the first 12 characters of its digest."""
        return self.data_digest[:12] if self.dataset is None else self.dataset


@dataclass(frozen=True, kw_only=True)
class PastSearch:
    """A past search as the prior sees it: configurations and one score each.

    Attributes
    ----------
    dataset : str
        Name of the data set, or the first 12 characters of its digest.
    configurations : tuple of dict
        One a candidate.
    scores : ndarray of shape (n_candidates,)
        Mean over folds, signed so that greater is better; NaN where the candidate failed.
    metric : str
        What the scores are.
    estimator : str
        As in `SearchRecord`.
    data_digest, data_sketch, metafeatures
        As in `SearchRecord`.
    """

    dataset: str
    configurations: tuple[Configuration, ...]
    scores: NDArray[np.float64]
    metric: str = "score"
    estimator: str = ""
    data_digest: str = ""
    data_sketch: tuple[int, ...] = ()
    metafeatures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RecordedSearch:
    """A search as a history holds it, whole.

    Attributes
    ----------
    record : SearchRecord
        What was known before the first candidate.
    evaluations : tuple of Evaluation
        The candidates that finished, in the order they were recorded.
    started, finished : float or None
        Seconds since 1970; ``finished`` is None while it runs, and where it was cut short.
    """

    record: SearchRecord
    evaluations: tuple[Evaluation, ...]
    started: float
    finished: float | None = None
