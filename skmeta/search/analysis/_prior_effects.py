"""What a prior expects of each value of each parameter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search.analysis._slices import Slice
from skmeta.search.prior import AlgorithmSelectionPrior, JointPrior, SearchPrior
from skmeta.search.record import Value
from skmeta.search.space import Domain

__all__ = ["PriorEffect", "prior_effects"]

Array = NDArray[np.float64]

_N_POINTS = 21
_N_ROWS = 48
_QUANTILES = (0.1, 0.9)
_MAX_TASKS = 120  # of larger priors, tasks are thinned out evenly


@dataclass(frozen=True)
class PriorEffect:
    """The scores that past searches expect along one parameter.

    Attributes
    ----------
    name : str
        The parameter, such as ``"SVC.C"``.
    origin : str
        ``"past searches"``; of a prior with two parts, ``"own searches"`` or ``"shipped"``.
    axis : Slice
        The values: ``numbers``, ``values`` and ``is_log``. Expected standardised scores, averaged
        over the other parameters and over the past data sets, and the 10% and 90% quantiles over
        the data sets: ``mean``, ``low`` and ``high`` for numbers, ``value_mean``, ``value_low``
        and ``value_high`` for the other values.
    best_shares : ndarray of shape (n_numbers + n_values,)
        Share of the data sets that expect the best score at each of these values.
    """

    name: str
    origin: str
    axis: Slice
    best_shares: Array

    @property
    def spread(self) -> float:
        """How much the expected score depends on the value: its standard deviation."""
        return float(np.concatenate([self.axis.mean, self.axis.value_mean]).std())


def prior_effects(prior: Any) -> list[PriorEffect]:
    """Return what a prior expects along each of its parameters.

    Parameters
    ----------
    prior : SearchPrior, JointPrior or AlgorithmSelectionPrior

    Returns
    -------
    list of PriorEffect
        Those on which the expected score depends most come first.
    """
    effects = []
    for origin, part in _parts(prior):
        rng = np.random.default_rng(0)
        tasks = np.unique(np.linspace(0, len(part) - 1, _MAX_TASKS).round().astype(np.intp))
        thinned = part.select(np.isin(np.arange(len(part)), tasks).tolist())
        domains = part.encoding.domains
        rows = _draw(domains, rng)
        effects += [
            _effect(thinned, origin, name, domain, rows) for name, domain in domains.items()
        ]
    return sorted(effects, key=lambda effect: -effect.spread)


def _parts(prior: Any) -> Iterator[tuple[str, SearchPrior]]:
    """Yield the parts of a prior that know the scores of one kind of estimator each."""
    pairs = [("past searches", prior)]
    if isinstance(prior, JointPrior):
        pairs = list(zip(("own searches", "shipped"), prior.parts, strict=True))
    for origin, part in pairs:
        if isinstance(part, AlgorithmSelectionPrior):
            yield from ((origin, one) for one in part.priors.values() if len(one))
        elif len(part):
            yield origin, part


def _effect(
    prior: SearchPrior,
    origin: str,
    name: str,
    domain: Domain,
    rows: list[dict[str, Value]],
) -> PriorEffect:
    numbers = _numbers(domain, np.linspace(0, 1, _N_POINTS)) if domain.has_numbers else np.empty(0)
    values: list[Any] = [*numbers.tolist(), *domain.values]
    grid = [{**row, name: value} for value in values for row in rows]
    F = prior.surfaces(grid, prior.parameters).reshape(len(prior), len(values), len(rows)).mean(2)
    mean, (low, high) = F.mean(0), np.quantile(F, _QUANTILES, axis=0)
    n = len(numbers)
    axis = Slice(
        name=name,
        is_log=domain.is_log,
        numbers=numbers,
        mean=mean[:n],
        low=low[:n],
        high=high[:n],
        values=domain.values,
        value_mean=mean[n:],
        value_low=low[n:],
        value_high=high[n:],
    )
    shares = np.bincount(F.argmax(axis=1), minlength=len(values)) / len(F)
    return PriorEffect(name, origin, axis, shares)


def _draw(domains: dict[str, Domain], rng: np.random.Generator) -> list[dict[str, Value]]:
    """Return random configurations of the region that past searches span."""
    rows: list[dict[str, Value]] = [{} for _ in range(_N_ROWS)]
    for name, domain in domains.items():
        numbers = _numbers(domain, rng.uniform(size=_N_ROWS)).tolist()
        n_kinds = domain.has_numbers + len(domain.values) + domain.may_be_absent
        chosen = rng.integers(n_kinds, size=_N_ROWS) - domain.has_numbers
        for row, number, k in zip(rows, numbers, chosen, strict=True):
            if k < 0:
                row[name] = number
            elif k < len(domain.values):
                row[name] = domain.values[k]
    return rows


def _numbers(domain: Domain, shares: Array) -> Array:
    if domain.is_log:
        return np.asarray(domain.low * (domain.high / domain.low) ** shares)
    return np.asarray(domain.low * (1 - shares) + domain.high * shares)
