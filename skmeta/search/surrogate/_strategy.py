"""Which candidate to try next: an initial design, then models that compete on the evidence.

The strategy knows candidates by their position in a pool that may grow. It asks for positions and
is told scores; it knows nothing of estimators.

Every model gives each candidate a normal distribution of its score and an evidence, the density
of the scores seen so far. The acquisition is the expected improvement under their mixture,
weighted by evidence: a history that misleads loses its say as scores come in.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skmeta._validation import check_count
from skmeta.search.record import Configuration
from skmeta.search.space import Encoding, parameter_names
from skmeta.search.surrogate._acquisition import log_expected_improvement
from skmeta.search.surrogate._initial_design import design_from_surfaces, design_of_least_variance
from skmeta.search.surrogate._models import LearnedModels, Model, PlainModel
from skmeta.search.surrogate._surfaces import winsorize_scores

__all__ = ["SearchStrategy", "Suggestion", "TaskSurfaces"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

# Chosen on the development half of benchmarks/search_tables.py.
_REMAINDERS = (0.03, 0.1, 0.3, 1.0)  # variances of what past tasks do not explain
_NOISE = 0.03  # variance, where past tasks have variance 1
_PLAIN_LOG_WEIGHT = -1.0  # of the model without history, before any score
_BOUND = 1.0  # of how bad a score may be
_MIN_TASK_CORRELATION = 0.05
_N_INITIAL_LEARNED = 3
_N_INITIAL_PLAIN = 2  # and one more of each further sub-space, up to
_MAX_INITIAL_PLAIN = 5
_TOO_CLOSE = 0.05  # in a batch, in units of every parameter's range
# Weight from which a model takes part in a suggestion; its expected improvement may exceed that of
# the others by orders of magnitude.
_MIN_WEIGHT = 1e-4


class TaskSurfaces(Protocol):
    """What a strategy asks of a prior; `SearchPrior` is one."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data set of each past task."""

    @property
    def task_weights(self) -> Array:
        """Weight of each past task, of shape (n_tasks,); they sum to 1."""

    def __len__(self) -> int: ...

    def encode(self, configurations: Sequence[Configuration], names: Collection[str]) -> Array:
        """Encode configurations of a search that varies the parameters `names`."""

    def covers(self, configurations: Sequence[Configuration]) -> NDArray[np.bool_]:
        """Whether past tasks tell of configurations, of shape (n_configurations,)."""

    def surfaces_of(self, Z: Array) -> Array:
        """Score of each past task at encoded configurations, of shape (n_tasks, n)."""


@dataclass(frozen=True)
class Suggestion:
    """A candidate to try.

    Attributes
    ----------
    index : int
        Its position in the pool.
    source : str
        ``"initial design"``; ``"prior"`` where past searches had most of the say and ``"model"``
        where the model without history had.
    mean, std : float
        The score expected, and its deviation; NaN before there are scores.
    """

    index: int
    source: str
    mean: float = float("nan")
    std: float = float("nan")


class SearchStrategy:
    """Ask for candidates of a pool, tell their scores.

    Parameters
    ----------
    pool : sequence of dict
        The candidates: canonical parameter names to values.
    prior : SearchPrior or None
        What was learned from past searches. With None, an empty one, or one whose past tasks do
        not agree with each other on which candidates are good, the search is a Gaussian process
        with expected improvement.
    rng : numpy.random.Generator
        Draws the first candidate of each estimator that the prior does not know.
    n_initial : int, default=None
        Number of candidates of the initial design; by default 3 with a prior. Without one it is
        2, and one more for each further sub-space (set of parameters), up to 5. Then comes one of
        each estimator that the prior does not know.
    """

    def __init__(
        self,
        pool: Sequence[Configuration],
        prior: TaskSurfaces | None = None,
        *,
        rng: np.random.Generator,
        n_initial: int | None = None,
    ) -> None:
        if len(pool) == 0:
            raise ValueError("pool is empty. Pass at least one configuration.")
        self._prior = prior if prior is not None and len(prior) else None
        self._rng = rng
        self._size = len(pool)
        self._names = frozenset(parameter_names(pool))
        self._encoding = Encoding.from_configurations(pool)
        X = self._encoding.transform(pool, self._names)
        self._plain = PlainModel(X, self._encoding.groups, _PLAIN_LOG_WEIGHT)
        self._learned = self._learn(pool)
        self._unseen_estimators = [] if self._learned is None else self._unknown(pool)
        n_plain = _N_INITIAL_PLAIN + len({frozenset(c) for c in pool}) - 1
        n_plain = min(n_plain, _MAX_INITIAL_PLAIN)
        default = n_plain if self._learned is None else _N_INITIAL_LEARNED
        self._n_initial = check_count(default if n_initial is None else n_initial, "n_initial")
        self._told: dict[int, float] = {}
        self._pending: dict[int, float] = {}

    def __len__(self) -> int:
        return self._size

    # -- ask and tell --------------------------------------------------------------------------

    def ask(self, n: int = 1) -> list[Suggestion]:
        """Suggest candidates to try together.

        Parameters
        ----------
        n : int, default=1
            How many.

        Returns
        -------
        suggestions : list of Suggestion
            None was asked or told before, and no two are nearly the same. Fewer than `n` where
            the pool is exhausted.
        """
        check_count(n, "n")
        suggestions: list[Suggestion] = []
        while len(suggestions) < n and self._open().any():
            suggestion = self._suggest()
            self._pending[suggestion.index] = suggestion.mean
            suggestions.append(suggestion)
        return suggestions

    def tell(self, indices: Iterable[int], scores: Iterable[float]) -> None:
        """Record scores.

        Parameters
        ----------
        indices : iterable of int
            Positions in the pool, asked for or not.
        scores : iterable of float
            Greater is better; NaN where the candidate failed.
        """
        for index, score in zip(indices, scores, strict=True):
            if not 0 <= index < self._size:
                raise IndexError(
                    f"indices holds {index}, but the pool has {self._size} candidates. "
                    "Tell positions that ask or extend gave."
                )
            self._told[int(index)] = float(score)
            self._pending.pop(int(index), None)

    def extend(self, configurations: Sequence[Configuration]) -> range:
        """Add candidates to the pool.

        Parameters
        ----------
        configurations : sequence of dict
            The candidates.

        Returns
        -------
        indices : range
            Their positions.
        """
        start = self._size
        if len(configurations):
            self._plain.extend(self._encoding.transform(configurations, self._names))
            if self._prior is not None and self._learned is not None:
                Z = self._prior.encode(configurations, self._names)
                self._learned.extend(self._prior.surfaces_of(Z), Z)
            self._size += len(configurations)
        return range(start, self._size)

    def report(self) -> dict[str, Any]:
        """Say how far the past was trusted, on the scores told so far.

        Returns
        -------
        report : dict
            ``"datasets"``, a tuple with the data set of each past task; ``"task_weights"``, an
            array with the probability of each, were the new task just like one of them; and
            ``"learned_weight"``, the share of the models that learned from the past, between 0
            and 1, where the rest is that of the plain model.
        """
        datasets = () if self._prior is None else self._prior.datasets
        rows, y, _, _ = self._observations()
        task_weights = np.empty(0) if self._prior is None else self._prior.task_weights
        learned_weight = float(self._learned is not None)
        if self._learned is not None and len(rows):
            task_weights = self._learned.agreement(rows, y)
            learned_weight = float(_normalise(self._observe(rows, y))[:-1].sum())
        return {
            "datasets": datasets,
            "task_weights": task_weights,
            "learned_weight": learned_weight,
        }

    # -- how ---------------------------------------------------------------------------------

    def _learn(self, pool: Sequence[Configuration]) -> LearnedModels | None:
        if self._prior is None:
            return None
        Z = self._prior.encode(pool, self._names)
        weights = self._prior.task_weights
        model = LearnedModels(self._prior.surfaces_of(Z), Z, weights, _REMAINDERS, _NOISE)
        # Past tasks that do not tell of each other will not tell of this one.
        return model if model.mean_task_correlation > _MIN_TASK_CORRELATION else None

    def _unknown(self, pool: Sequence[Configuration]) -> list[Rows]:
        """Rows of each estimator of the pool that the prior knows nothing of."""
        assert self._prior is not None
        rows: dict[frozenset[str], list[int]] = {}
        for row, known in enumerate(self._prior.covers(pool)):
            if not known:  # estimators differ in the names of their parameters
                rows.setdefault(frozenset(pool[row]), []).append(row)
        return [np.array(own) for own in rows.values()]

    def _suggest(self) -> Suggestion:
        seen = [*self._told, *self._pending]
        scored = np.isfinite([*self._told.values()]).any()
        if len(seen) < self._n_initial or not scored:
            return Suggestion(self._design(seen), "initial design")
        # A model that knows others well would not try what it knows nothing of.
        for rows in self._unseen_estimators:
            if not np.isin(rows, seen).any():
                return Suggestion(int(self._rng.choice(rows)), "initial design")
        rows, y, location, scale = self._observations()
        models = self._observe(rows, y)
        weights = _normalise(models)
        source = "model" if weights[-1] > 0.5 else "prior"
        kept = weights > _MIN_WEIGHT
        for model in (model for model, keep in zip(models, kept, strict=True) if not keep):
            model.forget()
        predictions = [model.predict() for model, keep in zip(models, kept, strict=True) if keep]
        weights = weights[kept] / weights[kept].sum()
        index = self._best(predictions, weights, float(y[: len(self._told)].max()))
        mean, std = _mixture(predictions, weights, index)
        return Suggestion(index, source, location + scale * mean, scale * std)

    def _design(self, seen: Sequence[int]) -> int:
        open_ = self._apart()
        if self._prior is not None and self._learned is not None:
            return design_from_surfaces(self._learned.F, self._prior.task_weights, seen, open_)
        return design_of_least_variance(self._plain.X, seen, open_)

    def _observations(self) -> tuple[Rows, Array, float, float]:
        """Rows seen, their scores standardised, and what turns these back into scores.

        Told ones come first. One that is pending counts as if it had its expected score.
        """
        rows = np.array([*self._told, *self._pending], dtype=np.intp)
        told = np.array([*self._told.values()])
        if not np.isfinite(told).any():
            return np.empty(0, dtype=np.intp), np.empty(0), 0.0, 1.0
        scores = winsorize_scores(told, _BOUND if len(told) > 2 else np.inf)
        location, scale = float(scores.mean()), float(scores.std()) or 1.0
        believed = np.array([*self._pending.values()])
        believed = np.where(np.isfinite(believed), believed, location)
        return rows, (np.concatenate([scores, believed]) - location) / scale, location, scale

    def _observe(self, rows: Rows, y: Array) -> list[Model]:
        """Let all models take note of the observations: the learned ones, then the plain one."""
        self._plain.observe(rows, y, len(self._told))
        learned = [] if self._learned is None else self._learned.observe(rows, y)
        return [*learned, self._plain]

    def _best(self, predictions: Sequence[tuple[Array, Array]], weights: Array, best: float) -> int:
        acquisition = np.logaddexp.reduce(
            [
                log_weight + log_expected_improvement(mean, std, best)
                for (mean, std), log_weight in zip(predictions, np.log(weights), strict=True)
            ]
        )
        return int(np.where(self._apart(), acquisition, -np.inf).argmax())

    def _open(self) -> NDArray[np.bool_]:
        """Candidates neither told nor pending."""
        open_ = np.ones(self._size, dtype=bool)
        open_[[*self._told, *self._pending]] = False
        return open_

    def _apart(self) -> NDArray[np.bool_]:
        """Open candidates that are not nearly one that is pending; all open ones if none is."""
        open_ = self._open()
        X = self._plain.X
        for index in self._pending:
            apart = open_ & (np.abs(X - X[index]).max(1, initial=0.0) > _TOO_CLOSE)
            open_ = apart if apart.any() else open_
        return open_


def _normalise(models: Sequence[Model]) -> Array:
    """Weights of models, which sum to 1."""
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
