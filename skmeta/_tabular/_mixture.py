"""The mixture of the members: weights by regime and number of known rows, and their calibration.

Rows and groups are held out (:mod:`skmeta._tabular._cases`). The weights of the predictions follow
from the losses in these: see :mod:`skmeta._tabular._weights`.

Notation: m predictions, n rows, F columns of groups, p probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from skmeta._tabular._cases import Division, count_known, find_nested, known_regime, regime_of
from skmeta._tabular._member import (
    CalibratedOutputs,
    ConditionedMember,
    Level,
    Member,
    Outputs,
    interpolate,
)
from skmeta._tabular._table import Table
from skmeta._tabular._units import TargetUnits
from skmeta._tabular._weights import (
    HeldOutCase,
    gain_of_known_rows,
    join_levels,
    mix,
    near_normal,
    sharpen,
)

# A level needs this many rows to predict, or as many as there are groups.
_MIN_ROWS = 10


class Refitted(NamedTuple):
    """Members that were fitted to kept rows, and what the population of these rows predicts."""

    members: Mapping[str, Member]
    with_shared: Callable[[Table], Table]


@dataclass(frozen=True)
class Mixture:
    """The weighted mean of members, which may use the outputs of earlier ones.

    `regimes` has the levels of each regime: a new group of each column, several new groups, none.
    """

    members: dict[str, Member]
    regimes: list[list[Level]]
    n_groups: np.ndarray  # (F,) of fit
    is_nested: np.ndarray  # (F, F) whether groups of a column are within those of another one
    group_scales: np.ndarray | None = None  # factors (n_groups,) of the deviations of groups of fit
    gain: np.ndarray | None = None  # from known rows of the group, see `gain_of_known_rows`

    def with_known(self, known: Table) -> Mixture:
        """Return a mixture whose members that keep rows know these."""
        return replace(self, members=_condition(self.members, known, keeping=True))

    def condition(self, known: Table) -> ConditionedMixture:
        """Condition the members that keep no rows on the known rows of groups."""
        conditioned = _condition(self.members, known, keeping=False)
        return ConditionedMixture(self, conditioned, known.codes)

    def predict(self, known: Table, at: Table) -> CalibratedOutputs:
        """Predict rows, given the known rows of their groups."""
        return self.condition(known).predict(at)

    def calibrated(
        self, units: TargetUnits, scales: tuple[np.ndarray, np.ndarray] | None = None
    ) -> Mixture:
        """Return a mixture with distributions on the target's own units.

        `scales` are factors of deviations by group and by row.
        """
        regimes = [list(levels) for levels in self.regimes]
        if scales is not None:
            regimes[-1] = [_with_scales(level, scales[1]) for level in regimes[-1]]
        calibrated = []
        for levels in regimes:
            if units.exposure is not None:
                levels = [level.with_exposure(units.exposure) for level in levels]
            calibrated.append([units.calibrate(level) for level in levels])
        group_scales = None if scales is None else scales[0]
        return replace(self, regimes=calibrated, group_scales=group_scales)


def _condition(members: Mapping[str, Member], known: Table, *, keeping: bool) -> dict[str, Any]:
    """Condition the members that keep rows, or those that do not; the others stay."""
    return {
        name: member.condition(known) if member.keeps_rows == keeping else member
        for name, member in members.items()
    }


def _with_scales(level: Level, row_scales: np.ndarray) -> Level:
    """Return a level whose deviations differ by row, and whose quantiles allow for that."""
    held_out = level.held_out
    if held_out is None:
        return level
    held_out = held_out._replace(std=held_out.std * row_scales[held_out.place])
    return level._replace(quantiles=held_out.quantiles(), held_out=held_out)


class ConditionedMixture(NamedTuple):
    """A mixture that knows some rows, of these groups (k, F)."""

    mixture: Mixture
    members: dict[str, ConditionedMember]
    known: np.ndarray

    def predict(self, at: Table) -> CalibratedOutputs:
        """Predict rows by the mixture."""
        is_new = (at.codes < 0) | (at.codes >= self.mixture.n_groups)
        counts = count_known(self.known, at.codes)
        regime, n_known = regime_of(is_new, counts, self.mixture.is_nested)
        first, n = self.mixture.regimes[-1][0], len(at.y)
        weights, quantiles = np.zeros((len(first.weights), n)), np.zeros((n, len(first.quantiles)))
        calibration, slope = np.zeros((n, len(first.calibration))), np.ones(n)
        for number, levels in enumerate(self.mixture.regimes):
            rows = np.flatnonzero(regime == number)
            if len(rows):
                parts = interpolate(levels, n_known[rows])
                weights[:, rows], quantiles[rows], calibration[rows], slope[rows] = parts
        distributions = weights, quantiles, calibration
        outputs = combine(self.mixture.members, self.members, at, *distributions)
        if outputs.mean.ndim > 1:
            return outputs._replace(mean=sharpen(outputs.mean, slope))
        scales = self.mixture.group_scales
        if scales is None:
            return outputs
        is_old = ~is_new[:, 0]
        wider = np.where(is_old, scales[np.where(is_old, at.group, 0)], 1.0)
        return outputs._replace(std=outputs.std * wider)


def predict_each(
    members: Mapping[str, ConditionedMember], at: Table, needed: Collection[str] | None = None
) -> dict[str, Outputs]:
    """Predict rows by each member, or by those that are needed and what they use."""
    outputs: dict[str, Outputs] = {}
    for name, member in members.items():
        if needed is None or name in needed:
            outputs[name] = member.predict(at, outputs)
    return outputs


def combine(
    members: Mapping[str, Member],
    conditioned: Mapping[str, ConditionedMember],
    at: Table,
    weights: np.ndarray,
    quantiles: np.ndarray,
    calibration: np.ndarray,
) -> CalibratedOutputs:
    """Mix predictions, with weights (m, n), quantiles (n, k) and calibration (n, 5) by row."""
    used = {name for name, row in zip(members, weights, strict=True) if row.any()}
    bases = {getattr(members[name], "base", name) for name in used}
    member_outputs = predict_each(conditioned, at, used | bases)
    none = Outputs(np.zeros(at.shared.shape), np.zeros(len(at.y)))
    outputs = [member_outputs.get(name, none) for name in members]
    means = np.stack([each.mean for each in outputs])
    stds = np.stack([each.std for each in outputs])
    return CalibratedOutputs(mix(means, weights), mix(stds, weights), quantiles, calibration)


def fit_mixture(
    members: dict[str, Member],
    table: Table,
    n_classes: int,
    divisions: Iterable[Division],
    refit: Callable[[Table], Refitted],
) -> Mixture | None:
    """Weigh the members on what is held out; None if nothing can be."""
    n_groups = table.codes.max(0) + 1
    has_one_column = len(n_groups) == 1
    held_out: dict[tuple[int, float], list[HeldOutCase]] = {}
    as_new: list[list[Outputs]] = []
    any_group = np.array([not member.known_only for member in members.values()])
    for division in divisions:
        if not _can_learn(division.kept, n_classes):
            continue
        refitted = refit(division.kept)
        for step in division.steps:
            known, query = refitted.with_shared(step.known), refitted.with_shared(step.query)
            conditioned = {
                name: member.condition(known) for name, member in refitted.members.items()
            }
            outputs = list(predict_each(conditioned, query).values())
            # Cases have numbers of their own: rows have the groups of fit.
            at = table.take(query.place)
            held_out.setdefault((step.regime, step.level), []).append((at, step.counts, outputs))
            if has_one_column and step.level == np.inf:
                as_new.append(_predict_as_new(conditioned, query, any_group))
    beliefs = np.array([member.belief for member in members.values()])
    regimes = _weigh(held_out, any_group, beliefs, n_classes, n_groups)
    if regimes is None:
        return None
    gain = None
    if has_one_column:
        gain = gain_of_known_rows(
            held_out.get((0, np.inf), []), as_new, regimes[0][0], regimes[-1][-1]
        )
    return Mixture(members, regimes, n_groups, find_nested(table.codes), gain=gain)


def _weigh(
    held_out: dict[tuple[int, float], list[HeldOutCase]],
    any_group: np.ndarray,
    beliefs: np.ndarray,
    n_classes: int,
    n_groups: np.ndarray,
) -> list[list[Level]] | None:
    """Return the levels of each regime; one in which nothing was held out has another's."""
    n_factors, last = len(n_groups), known_regime(len(n_groups))
    least_rows, regimes = min(_MIN_ROWS, int(n_groups.max())), list[list[Level]]()
    for regime in range(last + 1):
        # With one column, most rows of the held-out groups are known, too, at the last level.
        number = 0 if n_factors == 1 else regime
        by_level = {level: each for (k, level), each in held_out.items() if k == number}
        is_one = regime < n_factors
        factor = regime if is_one else int(n_groups.argmax())
        used = any_group, np.ones_like(any_group) if regime == last else any_group
        levels = join_levels(by_level, used, beliefs, n_classes, factor, least_rows)
        if n_factors > 1:
            # What a new group adds is drawn from as few values as there are groups.
            n_new = n_groups[regime] if is_one else n_groups.min()
            levels = [near_normal(level, None if regime == last else n_new) for level in levels]
        regimes.append(levels)
    spare = next((levels for levels in regimes if levels), None)
    if spare is None:
        return None
    several = next((levels for levels in regimes[-2::-1] if levels), spare)
    return [levels or several for levels in regimes[:-1]] + [regimes[-1] or [spare[-1]]]


def _predict_as_new(
    conditioned: Mapping[str, ConditionedMember], at: Table, used: np.ndarray
) -> list[Outputs]:
    """Predict rows as those of new groups; zeros by members that predict known groups only."""
    needed = [name for name, is_used in zip(conditioned, used, strict=True) if is_used]
    predicted = predict_each(conditioned, at._replace(codes=np.full_like(at.codes, -1)), needed)
    shape = next(iter(predicted.values())).mean.shape
    none = Outputs(np.zeros(shape), np.zeros(len(at.y)))
    return [predicted.get(name, none) for name in conditioned]


def _can_learn(table: Table, n_classes: int) -> bool:
    """Return whether a model can learn how groups differ."""
    codes = table.codes
    has_pair = any(np.bincount(column).max() > 1 for column in codes.T)
    several = codes.shape[1] == 1 or bool((codes.max(0) > 0).all())
    return has_pair and several and (not n_classes or len(np.unique(table.y)) > 1)
