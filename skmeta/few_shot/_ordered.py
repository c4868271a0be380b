"""Ordered classes: cumulative models beside the nominal one.

The classes are numbered by their order. A regression of the numbers predicts a distribution, and
its shares between half-integers are the probabilities of the classes (a cumulative model). The
prior for regressions and a Gaussian process are such models, and the frequencies of the classes are
the model that knows no columns. Held-out rows tell the shares of all, as in ``_members``.

Reference: McCullagh (1980), Regression models for ordinal data.

Notation: n rows, c classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from skmeta._tabular import LEVELS, WeightedRows, cut_distributions, fit_process
from skmeta._tabular.table_prior import ConditionedPrior
from skmeta.few_shot._members import Fit
from skmeta.few_shot._priors import RunSettings
from skmeta.few_shot._table_task import condition_prior
from skmeta.priors import MetaPrior

# Rows that the belief in equal frequencies of the classes counts as.
_ROWS_OF_BELIEF = 1.0


class Distributions(Protocol):
    """A fitted regression."""

    def predict_quantiles(self, X: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Return quantiles (n, q) at levels (q,)."""


class Cumulative(NamedTuple):
    """A regression of the classes' numbers, whose distribution is cut between them."""

    model: Distributions
    rank: np.ndarray  # number of each class (c,)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return probabilities (n, c)."""
        return _cut(self.model.predict_quantiles(X, LEVELS), self.rank)


class Frequencies(NamedTuple):
    """Frequencies (c,) of the classes."""

    share: np.ndarray

    @classmethod
    def of(cls, rows: WeightedRows, n_classes: int) -> Frequencies:
        """Count the classes of rows."""
        count = np.bincount(rows.y, rows.weight, n_classes) + _ROWS_OF_BELIEF / n_classes
        return cls(count / count.sum())

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return probabilities (n, c)."""
        return np.tile(self.share, (len(X), 1))


class PriorModel:
    """A prior for any table, adapted to rows, as a model beside another one."""

    def __init__(
        self, prior: MetaPrior, rows: WeightedRows, settings: RunSettings, nominal: tuple[int, ...]
    ) -> None:
        self._given = prior, rows, settings, nominal

    @cached_property
    def context(self) -> ConditionedPrior:
        """The prior, which reads the rows on its first prediction."""
        prior, rows, settings, nominal = self._given
        return condition_prior(prior, rows, 0, settings, nominal)

    def __getstate__(self) -> dict[str, Any]:
        return {"_given": self._given}

    def predict_quantiles(self, X: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Return quantiles (n, q) at levels (q,)."""
        return self.context.predict_quantiles(X, levels)


@dataclass(frozen=True)
class FitCumulative:
    """Adapts a prior for regressions to the classes' numbers."""

    prior: MetaPrior
    rank: np.ndarray  # number of each class (c,)
    settings: RunSettings
    nominal: tuple[int, ...]

    def __call__(self, rows: WeightedRows, others: list[Any]) -> Cumulative:
        """Adapt to rows."""
        rows = with_numbers(rows, self.rank)
        return Cumulative(PriorModel(self.prior, rows, self.settings, self.nominal), self.rank)

    def predict_held_out(self, rows: WeightedRows, sets: list[np.ndarray]) -> list[np.ndarray]:
        """Predict sets of rows from the others: probabilities (n, c)."""
        rows = with_numbers(rows, self.rank)
        context = condition_prior(self.prior, rows, 0, self.settings, self.nominal)
        distributions = context.predict_held_out(sets, LEVELS)
        return [_cut(each.quantiles, self.rank) for each in distributions]


def with_numbers(rows: WeightedRows, rank: np.ndarray) -> WeightedRows:
    """Return rows whose targets are the numbers of their classes."""
    return rows._replace(y=rank[rows.y].astype(float))


def _cut(quantiles: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return probabilities (n, c) of classes, given quantiles (n, q) of their numbers."""
    return cut_distributions(quantiles, LEVELS, len(rank))[:, rank]


def ordered_members(
    rank: np.ndarray, settings: RunSettings, nominal: tuple[int, ...]
) -> dict[str, Fit]:
    """Return how to fit the models of ordered classes, whose numbers are `rank` (c,)."""
    prior = MetaPrior.load_shipped("regression")

    def fit_cumulative_process(rows: WeightedRows, others: list[Any]) -> Cumulative:
        fitted = [other.model for other in others]
        return Cumulative(fit_process(with_numbers(rows, rank), nominal, fitted), rank)

    return {
        "cumulative": FitCumulative(prior, rank, settings, nominal),
        "cumulative process": fit_cumulative_process,
        "frequencies": lambda rows, _: Frequencies.of(rows, len(rank)),
    }
