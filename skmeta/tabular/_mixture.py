"""The mixture of the members: weights by the number of known rows, and their calibration.

Groups are held out, and of each of them some rows are known. The weights of the predictions follow
from the losses in these groups: see :mod:`skmeta.tabular._weights`.

Notation: m predictions, n rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from skmeta.tabular._member import (
    CalibratedOutputs,
    Conditioned,
    Level,
    Member,
    Outputs,
    interpolate,
)
from skmeta.tabular._table import Table, make_cases, some
from skmeta.tabular._units import TargetUnits
from skmeta.tabular._weights import Found, fall_back, gain_of_known_rows, join_levels, mix, sharpen

# Folds are held out until these have so many groups and rows; and groups of a fold, at most. The
# number of rows was chosen on development tables with groups of two to five rows.
_ENOUGH_GROUPS, _ENOUGH_ROWS, _MAX_GROUPS = 30, 300, 40
# The members that predict them are fitted on this many others, at most.
_MAX_OTHERS = 300
# A level needs this many rows to predict.
_MIN_ROWS = 10


@dataclass(frozen=True)
class Mixture:
    """The weighted mean of members, which may use the outputs of earlier ones."""

    members: dict[str, Member]
    levels: list[Level]  # weights for new groups
    known_levels: list[Level]  # weights for groups of fit
    n_groups: int
    group_scales: np.ndarray | None = None  # factors (n_groups,) of the deviations of groups of fit
    gain: np.ndarray | None = None  # from known rows of the group, see `gain_of_known_rows`

    def predict(self, known: Table, at: Table) -> CalibratedOutputs:
        """Predict rows of groups, given known rows of these groups."""
        return self.condition(known).predict(at)

    def condition(self, known: Table) -> ConditionedMixture:
        """Condition all members on the known rows of groups."""
        conditioned = {name: member.condition(known) for name, member in self.members.items()}
        return ConditionedMixture(self, conditioned, np.bincount(known.group, minlength=1))

    def calibrated(
        self,
        units: TargetUnits,
        scales: tuple[np.ndarray, np.ndarray] | None = None,
        others: Sequence[Mixture] = (),
    ) -> Mixture:
        """Return a mixture with distributions on the target's own units.

        `scales` are factors of deviations by group and by row; `others` are mixtures on other
        scales.
        """
        mine = self if scales is None else self.with_scales(*scales)
        mine = mine if units.exposure is None else mine.with_exposure(units.exposure)
        new = _calibrate(units, mine.levels, [other.levels for other in others])
        known = _calibrate(units, mine.known_levels, [other.known_levels for other in others])
        return replace(mine, levels=new, known_levels=known)

    def with_exposure(self, exposure: np.ndarray) -> Mixture:
        """Return a mixture whose deviations differ by exposures (n,) of rows, over their mean."""
        levels = [level.with_exposure(exposure) for level in self.levels]
        known = [level.with_exposure(exposure) for level in self.known_levels]
        return replace(self, levels=levels, known_levels=known)

    def with_scales(self, group_scales: np.ndarray, row_scales: np.ndarray) -> Mixture:
        """Return a mixture whose deviations differ by group."""
        known = [_with_scales(level, row_scales) for level in self.known_levels]
        return replace(self, known_levels=known, group_scales=group_scales)


def _calibrate(
    units: TargetUnits, levels: list[Level], others: Sequence[list[Level]]
) -> list[Level]:
    return [units.calibrate(level, [one[k] for one in others]) for k, level in enumerate(levels)]


def _with_scales(level: Level, row_scales: np.ndarray) -> Level:
    """Return a level whose deviations differ by row, and whose quantiles allow for that."""
    held_out = level.held_out
    if held_out is None:
        return level
    held_out = held_out._replace(std=held_out.std * row_scales[held_out.place])
    return level._replace(quantiles=held_out.quantiles(), held_out=held_out)


class ConditionedMixture(NamedTuple):
    """A mixture that knows some rows of groups."""

    mixture: Mixture
    members: dict[str, Conditioned]
    counts: np.ndarray

    def predict(self, at: Table) -> CalibratedOutputs:
        """Predict rows by the mixture."""
        levels, known_levels = self.mixture.levels, self.mixture.known_levels
        group = at.group
        has_rows = (group >= 0) & (group < len(self.counts))
        n_known = np.where(has_rows, self.counts[np.where(has_rows, group, 0)], 0)
        weights, quantiles, precision, calibration, slope = interpolate(levels, n_known)
        is_old = (group >= 0) & (group < self.mixture.n_groups)
        if is_old.any():
            known_only = interpolate(known_levels, n_known)
            weights = np.where(is_old, known_only[0], weights)
            quantiles = np.where(is_old[:, None], known_only[1], quantiles)
            precision = np.where(is_old, known_only[2], precision)
            calibration = np.where(is_old[:, None], known_only[3], calibration)
            slope = np.where(is_old, known_only[4], slope)
        distributions = weights, quantiles, precision, calibration
        outputs = combine(self.mixture.members, self.members, at, *distributions)
        if outputs.mean.ndim > 1:
            return outputs._replace(mean=sharpen(outputs.mean, slope))
        scales = self.mixture.group_scales
        if scales is None:
            return outputs
        wider = np.where(is_old, scales[np.where(is_old, group, 0)], 1.0)
        return outputs._replace(std=outputs.std * wider)


def predict_each(
    members: Mapping[str, Conditioned], at: Table, needed: Collection[str] | None = None
) -> dict[str, Outputs]:
    """Predict rows by each member, or by those that are needed and what they use."""
    outputs: dict[str, Outputs] = {}
    for name, member in members.items():
        if needed is None or name in needed:
            outputs[name] = member.predict(at, outputs)
    return outputs


def combine(
    members: Mapping[str, Member],
    conditioned: Mapping[str, Conditioned],
    at: Table,
    weights: np.ndarray,
    quantiles: np.ndarray,
    precision: np.ndarray,
    calibration: np.ndarray,
) -> CalibratedOutputs:
    """Mix predictions, with weights (m, n), quantiles (n, k) and calibration (n, 5 + s) by row.

    Below `precision` (n,), a member falls back on the first one.
    """
    names = list(members)
    used = {name for name, row in zip(names, weights, strict=True) if row.any()}
    used |= {names[0]} if precision.any() else set()
    bases = {getattr(members[name], "base", name) for name in used}
    member_outputs = predict_each(conditioned, at, used | bases)
    none = Outputs(np.zeros(at.shared.shape), np.zeros(len(at.y)))
    outputs = [member_outputs.get(name, none) for name in names]
    means = np.stack([each.mean for each in outputs])
    stds = np.stack([each.std for each in outputs])
    if precision.any():
        means = fall_back(means, stds, precision)
    return CalibratedOutputs(mix(means, weights), mix(stds, weights), quantiles, calibration)


def fit_mixture(
    members: dict[str, Member], names: Collection[str], table: Table, n_classes: int
) -> Mixture | None:
    """Weigh the members `names` on held-out groups; None if no group can be held out."""
    n_groups, n_folds = int(table.group.max()) + 1, int(table.fold.max()) + 1
    # Enough groups are held out, and as few members as that takes are fitted again.
    share = max(_ENOUGH_GROUPS / n_groups, _ENOUGH_ROWS / len(table.y))
    n_held_out = min(n_folds, int(np.ceil(share * n_folds)))
    by_level: dict[float, list[Found]] = {}
    as_new: list[list[Outputs]] = []
    any_group = np.array([not member.known_only for member in members.values()]) | (len(names) == 1)
    for fold in range(n_held_out):
        kept = np.unique(table.group[table.fold != fold])
        others = table.take(np.flatnonzero(np.isin(table.group, some(kept, _MAX_OTHERS))))
        if not _can_learn(others, n_classes):
            continue
        groups = some(np.unique(table.group[table.fold == fold]), _MAX_GROUPS)
        cases = make_cases(table.group, table.times, groups)
        if not cases:
            continue
        known = table.take_cases([case.known for case in cases])
        query = table.take_cases([case.query for case in cases])
        fitted = {name: member.without(others) for name, member in members.items()}
        conditioned = {name: member.condition(known) for name, member in fitted.items()}
        member_outputs = predict_each(conditioned, query)
        level = np.array([case.level for case in cases])[query.group]
        n_known = np.array([len(case.known) for case in cases])
        for value in np.unique(level):
            rows = np.flatnonzero(level == value)
            counts = n_known[np.unique(query.group[rows])]
            outputs = [Outputs(each.mean[rows], each.std[rows]) for each in member_outputs.values()]
            # A row may be in several cases: use its original group.
            at = table.take(query.place[rows])
            by_level.setdefault(value, []).append((at, counts, outputs))
            if value == np.inf:
                as_new.append(_predict_as_new(conditioned, query.take(rows), any_group))
    if not by_level:
        return None
    predicts = np.array([name in names for name in members])
    # Members of known groups count where most rows are known, and alone.
    least_rows = min(_MIN_ROWS, n_groups)
    levels, known_levels = (
        join_levels(by_level, predicts & any_group, at_most, n_classes, least_rows, is_new)
        for at_most, is_new in ((predicts & any_group, True), (predicts, False))
    )
    if not levels:
        return None
    gain = gain_of_known_rows(by_level.get(np.inf, []), as_new, levels[0], known_levels[-1])
    return Mixture(members, levels, known_levels, n_groups, gain=gain)


def _predict_as_new(
    conditioned: Mapping[str, Conditioned], at: Table, used: np.ndarray
) -> list[Outputs]:
    """Predict rows as those of new groups; zeros by members that predict known groups only."""
    needed = [name for name, is_used in zip(conditioned, used, strict=True) if is_used]
    predicted = predict_each(conditioned, at._replace(codes=np.full_like(at.codes, -1)), needed)
    shape = next(iter(predicted.values())).mean.shape
    none = Outputs(np.zeros(shape), np.zeros(len(at.y)))
    return [predicted.get(name, none) for name in conditioned]


def _can_learn(table: Table, n_classes: int) -> bool:
    """Return whether a model can learn how groups differ."""
    has_pair = bool(np.bincount(table.group).max() > 1)
    return has_pair and (not n_classes or len(np.unique(table.y)) > 1)
