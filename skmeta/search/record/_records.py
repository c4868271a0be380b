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

    One without scores is being evaluated by a worker of a shared search. Scores are as the scorer
    returned them, NaN if the fold failed. What is unknown is empty. `configuration` has canonical
    names, and from `params`, JSON, the same search rebuilds the candidate. `source` is ``"initial
    design"``, ``"as given"``, ``"prior"``, ``"model"``, ``"grid"``, ``"random"`` or ``"added"``.
    The predicted score is what the model expected just before the evaluation; NaN without a model.
    """

    configuration: Configuration
    key: str  # digest of the parameters; equal keys are equal candidates
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # metric -> each fold
    params: str = ""
    train_scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    fit_times: tuple[float, ...] = ()  # seconds of each fold
    score_times: tuple[float, ...] = ()
    n_test_samples: tuple[int, ...] = ()  # rows of each fold
    error: str | None = None  # last line of a failed fit's traceback
    source: str = "added"
    # NaN does not equal itself.
    predicted_mean_score: float = field(default=math.nan, compare=False)
    predicted_std_score: float = field(default=math.nan, compare=False)


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """Description of a search: data set, estimator, space and metrics.

    What is unknown is empty or None. `estimator` is the class of the final predictor, or their
    sorted names joined by ``"|"``, and `signature` has the classes of the whole estimator. `space`
    has values or distributions as text, ``"added"`` if the candidates were measured elsewhere.
    `learned_until` is the position in the history up to which the prior was learned, so that a
    resumed search learns from the same past searches. A prior divides parameters in the target's
    unit, such as SVR's ``C``, by `target_scale`, the standard deviation of the targets of a
    regression.
    """

    fingerprint: str  # its own: a digest of its name, or drawn
    estimator: str
    metrics: Mapping[str, int]  # metric -> 1 if greater is better, else -1
    refit_metric: str  # that the search maximises
    dataset: str | None = None  # the user's name of the search, or of the data
    settings: Mapping[str, str] = field(default_factory=dict)  # digests; a named search has them
    data_digest: str = ""  # of X and y
    data_sketch: tuple[int, ...] = ()  # of the rows, see `DataFingerprint`
    data_columns: tuple[float, ...] = ()
    signature: str = ""
    space: Mapping[str, str] = field(default_factory=dict)
    cv: str = ""  # splitter, as text
    dataset_features: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None  # from which the candidates follow
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

    Parameters in the target's unit are relative to its standard deviation.
    """

    dataset: str  # name, or the first 12 characters of its digest
    configurations: tuple[Configuration, ...]
    scores: NDArray[np.float64]  # means over folds, greater is better; NaN if failed
    metric: str = "score"
    estimator: str = ""
    data_digest: str = ""
    data_sketch: tuple[int, ...] = ()
    dataset_features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RecordedSearch:
    """A search with its finished candidates in the order of recording, as a history holds it."""

    record: SearchRecord
    candidates: tuple[CandidateRecord, ...]
    started: float  # seconds since 1970
