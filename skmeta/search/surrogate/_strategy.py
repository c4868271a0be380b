"""Suggest the next candidate: an initial design, then models that are weighted by evidence.

The strategy identifies candidates by their position in a pool, which may grow. `ask` returns
positions and `tell` records scores. The strategy does not depend on estimators.

Each model predicts a normal distribution of the score of every candidate. Models are weighted by
their evidence, the density of the scores observed so far. The acquisition function is the upper
confidence bound under the mixture of the models, less a multiple of the logarithm of the expected
seconds if times are told, and else of the root of those that rounds and leaves suggest. The weight
of models that learned from a misleading history falls as scores are observed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmeta._validation import check_count
from skmeta.search.record import Configuration
from skmeta.search.space import Encoding, parameter_names
from skmeta.search.surrogate._acquisition import (
    design_from_surfaces,
    design_of_least_variance,
    expected_log_seconds,
    expected_utility,
    log_cost,
    most_promising,
)
from skmeta.search.surrogate._gp import with_one_thread
from skmeta.search.surrogate._models import LearnedModels, Model, PlainModel
from skmeta.search.surrogate._surfaces import SurfaceInterpolation, winsorize_scores

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

# Chosen on the development half of benchmarks/measure/search_tables.py.
_REMAINDERS = (0.03, 0.2, 1.0)  # variances that past tasks do not explain
_NOISE = 0.03  # variance; past tasks have variance 1
_PLAIN_LOG_WEIGHT = -1.0  # log prior weight of the model without history
_WINSOR_FACTOR = 1.0
_MIN_TASK_CORRELATION = 0.05
_N_INITIAL = 2  # without a prior plus one per further sub-space, up to the next constant
_MAX_INITIAL = 5
_N_BEFORE_UNSEEN = 3  # candidates before the estimators of a choice that were not tried yet
_MIN_DISTANCE = 0.05  # within a batch, in units of each parameter's range
# The kernel of the model without history is fitted again when the number of scores has grown by
# this factor. Fitting it less often costs regret if there is no other model.
_REFIT_ALONE, _REFIT_BESIDE_OTHERS = 1.1, 1.6
# Candidates between which the surfaces of past tasks are interpolated, for each set of parameters,
# and as many once more.
_N_NODES = 128
_MIN_WEIGHT = 0.01  # of a model that takes part in a suggestion


@dataclass(frozen=True)
class Suggestion:
    """A candidate to try: its position in the pool, and its predicted mean and deviation."""

    index: int
    source: str  # "initial design", or "prior" or "model", by the larger weight
    mean: float = float("nan")
    std: float = float("nan")


class _Observations(NamedTuple):
    """Standardised scores as the models see them: measured, then those expected of pending ones."""

    rows: Rows
    y: Array  # a score is location + scale * y, unless it was raised
    location: float
    scale: float


class SearchStrategy:
    """Suggest candidates of a pool (canonical names to values), and learn from their scores.

    The initial design has 2 candidates; without past tasks that are correlated, plus one per
    further set of parameters, up to 5. After three candidates, each estimator of a choice is tried
    once: at once if the prior does not know it (`rng` draws), and else as every other candidate.
    """

    @with_one_thread()
    def __init__(
        self,
        pool: Sequence[Configuration],
        prior: Any = None,
        *,
        rng: np.random.Generator,
        given: int | None = None,
    ) -> None:
        if len(pool) == 0:
            raise ValueError("pool is empty. Pass at least one configuration.")
        self._prior = prior if prior is not None and len(prior) else None
        self._rng, self._given = rng, given
        self._size = len(pool)
        self._names = frozenset(parameter_names(pool))
        self._encoding = Encoding.from_configurations(pool)
        X = self._encoding.transform(pool, self._names)
        self._F: Array = np.empty((0, len(pool)))  # surfaces of past tasks
        self._learned = self._learn(pool)
        refit = _REFIT_ALONE if self._learned is None else _REFIT_BESIDE_OTHERS
        self._plain = PlainModel(X, self._encoding.groups, _PLAIN_LOG_WEIGHT, refit=refit)
        self._kinds = [frozenset(one) for one in pool]  # the estimator of each candidate
        self._log_costs = [log_cost(one) for one in pool]
        self._seconds: dict[int, float] = {}
        self._unknown, self._known = ({}, {}) if self._learned is None else self._estimators(pool)
        n_more = 0 if self._learned is not None else len(set(self._kinds)) - 1
        self._n_initial = min(_N_INITIAL + n_more, _MAX_INITIAL)
        self._scores: dict[int, float] = {}
        self._pending: dict[int, float] = {}  # candidate -> its expected score
        self._is_outdated = False  # whether scores came after the expected ones

    def __len__(self) -> int:
        return self._size

    # -- ask and tell --------------------------------------------------------------------------

    @with_one_thread()
    def ask(self, n: int = 1) -> list[Suggestion]:
        """Suggest `n` candidates to try together, no two of them nearly equal."""
        check_count(n, "n")
        if self._pending and self._is_outdated:
            self._expect_pending()
        self._is_outdated = False
        suggestions: list[Suggestion] = []
        while len(suggestions) < n and self._untried().any():
            suggestion = self._suggest()
            self._pending[suggestion.index] = suggestion.mean
            suggestions.append(suggestion)
        return suggestions

    def tell(
        self,
        indices: Iterable[int],
        scores: Iterable[float],
        seconds: Iterable[float] | None = None,
    ) -> None:
        """Record scores at positions (NaN: failure); seconds are deducted from promises."""
        indices, scores = list(indices), list(scores)
        times = [float("nan")] * len(scores) if seconds is None else list(seconds)
        for index, score, time in zip(indices, scores, times, strict=True):
            if not 0 <= index < self._size:
                raise IndexError(
                    f"indices holds {index}, but the pool has {self._size} candidates. "
                    "Pass positions that ask or extend returned."
                )
            self._scores[int(index)] = float(score)
            self._seconds[int(index)] = float(time)
            self._pending.pop(int(index), None)
            self._is_outdated = True

    def set_pending(self, indices: Iterable[int]) -> None:
        """Replace the pending candidates by those that are evaluated elsewhere."""
        self._pending = {int(i): float("nan") for i in indices if i not in self._scores}
        self._is_outdated = True

    @with_one_thread()
    def extend(self, configurations: Sequence[Configuration]) -> range:
        """Add candidates to the pool, and return their positions."""
        start = self._size
        if len(configurations):
            self._plain.extend(self._encoding.transform(configurations, self._names))
            self._kinds += [frozenset(one) for one in configurations]
            self._log_costs += [log_cost(one) for one in configurations]
            if self._prior is not None and self._learned is not None:
                Z = self._prior.encode(configurations, self._names)
                F = self._surfaces(Z)
                self._F = np.concatenate([self._F, F], axis=1)
                self._learned.extend(F, Z)
            self._size += len(configurations)
        return range(start, self._size)

    def expected_utility(self) -> Array | None:
        """Return the utility of each candidate that past tasks expect, None without past tasks."""
        if self._prior is None or self._learned is None:
            return None
        return expected_utility(self._F, self._prior.task_weights, self._given)

    @with_one_thread()
    def report(self) -> dict[str, Any]:
        """Return the past data sets, their probabilities, and the weight of the learned models."""
        datasets = () if self._prior is None else self._prior.datasets
        seen = self._observations()
        task_weights = np.empty(0) if self._prior is None else self._prior.task_weights
        learned_weight = float(self._learned is not None)
        if self._learned is not None and len(seen.rows):
            task_weights = self._learned.agreement(seen.rows, seen.y)
            learned_weight = float(_normalise(self._observe(seen))[:-1].sum())
        return {
            "datasets": datasets,
            "task_weights": task_weights,
            "learned_weight": learned_weight,
        }

    # -- models and acquisition --------------------------------------------------------------

    def _learn(self, pool: Sequence[Configuration]) -> LearnedModels | None:
        if self._prior is None:
            return None
        Z = self._prior.encode(pool, self._names)
        n_nodes = _N_NODES * (1 + max(1, len({frozenset(c) for c in pool})))
        self._surfaces = SurfaceInterpolation(self._prior.surfaces_of, Z, n_nodes)
        weights = self._prior.task_weights, self._prior.pooled_weights
        self._F = self._surfaces.F
        model = LearnedModels(self._F, Z, *weights, _REMAINDERS, _NOISE)
        # Past tasks that do not predict each other will not predict this one.
        return model if model.mean_task_correlation > _MIN_TASK_CORRELATION else None

    def _estimators(
        self, pool: Sequence[Configuration]
    ) -> tuple[dict[frozenset[str], Rows], dict[frozenset[str], Rows]]:
        """Return the rows of each estimator that the prior does not cover, and that it covers."""
        assert self._prior is not None
        is_covered = self._prior.covers(pool)
        rows: dict[frozenset[str], list[int]] = {}
        for row, kind in enumerate(self._kinds):  # the names of parameters identify the estimator
            rows.setdefault(kind, []).append(row)
        unknown = {k: np.array(own) for k, own in rows.items() if not is_covered[own[0]]}
        return unknown, {k: np.array(own) for k, own in rows.items() if k not in unknown}

    def _suggest(self) -> Suggestion:
        seen = [*self._scores, *self._pending]
        scored = np.isfinite([*self._scores.values()]).any()
        if len(seen) < self._n_initial or not scored:
            return Suggestion(self._design(seen), "initial design")
        if len(seen) >= _N_BEFORE_UNSEEN:
            # The acquisition would rarely choose an estimator that the prior does not cover, or one
            # that it expects to be worse than another.
            tried = {self._kinds[row] for row in seen}
            for kind, rows in self._unknown.items():
                if kind not in tried:
                    return Suggestion(int(self._rng.choice(rows)), "initial design")
            untried = [rows for kind, rows in self._known.items() if kind not in tried]
            if untried and len(seen) % 2 == 0:
                rows = np.concatenate(untried)
                utility = self.expected_utility()
                assert utility is not None  # the prior covers them
                return Suggestion(int(rows[utility[rows].argmax()]), "initial design")
        observed, predictions, weights, source = self._predict()
        log_seconds = expected_log_seconds(self._kinds, self._log_costs, self._seconds)
        index = most_promising(predictions, weights, log_seconds, self._available())
        mean, std = _mixture(predictions, weights, index)
        location, scale = observed.location, observed.scale
        return Suggestion(index, source, location + scale * mean, scale * std)

    def _predict(self) -> tuple["_Observations", list[tuple[Array, Array]], Array, str]:
        """Return observations, predictions of the models, their weights, and the source."""
        observed = self._observations()
        models = self._observe(observed)
        weights = _normalise(models)
        source = "model" if weights[-1] > 0.5 else "prior"
        kept = weights > _MIN_WEIGHT
        predictions = [model.predict() for model, keep in zip(models, kept, strict=True) if keep]
        return observed, predictions, weights[kept] / weights[kept].sum(), source

    def _expect_pending(self) -> None:
        """Compute expected scores of pending candidates again, since other scores may have come."""
        if not np.isfinite([*self._scores.values()]).any():
            return
        pending, self._pending = [*self._pending], {}
        observed, predictions, weights, _ = self._predict()
        means = sum(w * mean[pending] for w, (mean, _) in zip(weights, predictions, strict=True))
        expected = observed.location + observed.scale * np.asarray(means)
        self._pending = dict(zip(pending, expected.tolist(), strict=True))

    def _design(self, seen: Sequence[int]) -> int:
        available = self._available()
        if self._prior is not None and self._learned is not None:
            weights = self._prior.task_weights
            return design_from_surfaces(self._F, weights, self._given, seen, available)
        return design_of_least_variance(self._plain.X, seen, available)

    def _observations(self) -> "_Observations":
        """Return the scores so far, and the expected scores of pending candidates."""
        rows = np.array([*self._scores, *self._pending], dtype=np.intp)
        scores = np.array([*self._scores.values()])
        if not np.isfinite(scores).any():
            return _Observations(np.empty(0, dtype=np.intp), np.empty(0), 0.0, 1.0)
        scores = winsorize_scores(scores, _WINSOR_FACTOR if len(scores) > 2 else np.inf)
        location, scale = float(scores.mean()), float(scores.std()) or 1.0
        expected = np.array([*self._pending.values()])
        expected = np.where(np.isfinite(expected), expected, location)
        y = (np.concatenate([scores, expected]) - location) / scale
        return _Observations(rows, y, location, scale)

    def _observe(self, seen: "_Observations") -> list[Model]:
        """Give the observations to all models, and return them, the plain model last."""
        self._plain.observe(seen.rows, seen.y, len(self._scores))
        learned = [] if self._learned is None else self._learned.observe(seen.rows, seen.y)
        return [*learned, self._plain]

    def _untried(self) -> NDArray[np.bool_]:
        """Return which candidates have no score and are not pending."""
        untried = np.ones(self._size, dtype=bool)
        untried[[*self._scores, *self._pending]] = False
        return untried

    def _available(self) -> NDArray[np.bool_]:
        """Return which untried candidates are far enough from pending ones, all if none is."""
        available = self._untried()
        X = self._plain.X
        for index in self._pending:
            distant = available & (np.abs(X - X[index]).max(1, initial=0.0) > _MIN_DISTANCE)
            available = distant if distant.any() else available
        return available


def _normalise(models: Sequence[Model]) -> Array:
    """Return the weights of models, which sum to 1."""
    log_weights = np.array([model.log_weight for model in models])
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def _mixture(
    predictions: Sequence[tuple[Array, Array]], weights: Array, index: int
) -> tuple[float, float]:
    means = np.array([mean[index] for mean, _ in predictions])
    variances = np.array([std[index] for _, std in predictions]) ** 2
    mean = float(weights @ means)
    return mean, float(np.sqrt(weights @ (variances + (means - mean) ** 2)))
