"""The mixture of the members: weights by regime and number of known rows, and their calibration.

Rows and groups are held out (:mod:`skmeta._tabular._cases`). The weights of the predictions follow
from the losses in these: see :mod:`skmeta._tabular._weights`.

Notation: m predictions, n rows, F columns of groups, p probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from skmeta._tabular._cases import (
    LATER,
    Division,
    Step,
    count_known,
    find_latest,
    find_nested,
    known_regime,
    regime_in_time,
    regime_of,
)
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
    TimeRule,
    gain_of_known_rows,
    join_levels,
    mix,
    mix_deviations,
    near_normal,
    sharpen,
)

# A level needs this many rows to predict, or as many as there are groups.
_MIN_ROWS = 10


class Refitted(NamedTuple):
    """Members that were fitted to kept rows, and what the population of these rows predicts."""

    members: Mapping[str, Member]
    with_shared: Callable[[Table], Table]


# Fits members to what a division keeps; or a fold of it, given those of the whole.
Refit = Callable[[Division, Refitted | None], Refitted]


@dataclass(frozen=True)
class Mixture:
    """The weighted mean of members, which may use the outputs of earlier ones.

    `regimes` has the levels of each regime: a new group of each column, several new groups, none;
    or of groups in time, known at `latest`, those of `regime_in_time`.
    """

    members: dict[str, Member]
    regimes: list[list[Level]]
    n_groups: np.ndarray  # (F,) of fit
    is_nested: np.ndarray  # (F, F) whether groups of a column are within those of another one
    group_scales: np.ndarray | None = None  # factors (n_groups,) of the deviations of groups of fit
    gain: np.ndarray | None = None  # from known rows of the group, see `gain_of_known_rows`
    latest: float | None = None  # time; None for members that do not know it

    def with_known(self, known: Table) -> Mixture:
        """Return a mixture whose members that keep rows know these."""
        return replace(self, members=_condition(self.members, known, keeping=True))

    def condition(self, known: Table) -> ConditionedMixture:
        """Condition the members that keep no rows on the known rows of groups."""
        known = share(self.members, known, known)
        return ConditionedMixture(self, _condition(self.members, known, keeping=False), known)

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
            # Groups in time may differ in size by far: what is known of all says little of one.
            is_own = self.latest is not None or units.is_given
            calibrated.append([units.calibrate(level, is_own) for level in levels])
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


def share(members: Mapping[str, Member], rows: Table, known: Table) -> Table:
    """Return rows with what members say, given known rows, that all members share."""
    for member in members.values():
        rows = member.with_shared(rows, known)
    return rows


class ConditionedMixture(NamedTuple):
    """A mixture that knows some rows."""

    mixture: Mixture
    members: dict[str, ConditionedMember]
    known: Table

    def predict(self, at: Table) -> CalibratedOutputs:
        """Predict rows by the mixture."""
        at = share(self.mixture.members, at, self.known)
        is_new = (at.codes < 0) | (at.codes >= self.mixture.n_groups)
        if self.mixture.latest is None:
            counts = count_known(self.known.codes, at.codes)
            regime, n_known = regime_of(is_new, counts, self.mixture.is_nested)
        else:
            regime, n_known = regime_in_time(self.known, at, self.mixture.latest)
        first, n = self.mixture.regimes[-1][0], len(at.y)
        weights, quantiles = np.zeros((len(first.weights), n)), np.zeros((n, len(first.quantiles)))
        calibration, slope = np.zeros((n, len(first.calibration))), np.ones(n)
        for number, levels in enumerate(self.mixture.regimes):
            rows = np.flatnonzero(regime == number)
            if len(rows):
                parts = interpolate(levels, n_known[rows])
                weights[:, rows], quantiles[rows], calibration[rows], slope[rows] = parts
        distributions = weights, quantiles, calibration
        in_time = self.mixture.latest is not None
        outputs = combine(self.mixture.members, self.members, at, *distributions, in_time)
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
    in_time: bool,
) -> CalibratedOutputs:
    """Mix predictions, with weights (m, n), quantiles (n, k) and calibration (n, 5) by row.

    In time, deviations are those of the mixture: members differ far from what is known.
    """
    used = {name for name, row in zip(members, weights, strict=True) if row.any()}
    bases = {getattr(members[name], "base", name) for name in used}
    member_outputs = predict_each(conditioned, at, used | bases)
    none = Outputs(np.zeros(at.shared.shape), np.zeros(len(at.y)))
    outputs = [member_outputs.get(name, none) for name in members]
    means = np.stack([each.mean for each in outputs])
    stds = np.stack([each.std for each in outputs])
    mixed = mix_deviations(means, stds, weights)[1] if in_time else mix(stds, weights)
    return CalibratedOutputs(mix(means, weights), mixed, quantiles, calibration)


def fit_mixture(
    members: dict[str, Member],
    table: Table,
    n_classes: int,
    divisions: Iterable[Division],
    refit: Refit,
    in_time: TimeRule | None = None,
) -> Mixture | None:
    """Weigh the members on what is held out; None if nothing can be."""
    n_groups = table.codes.max(0) + 1
    has_gain = len(n_groups) == 1 and in_time is None
    held_out: dict[tuple[int, float], list[HeldOutCase]] = {}
    as_new: list[list[Outputs]] = []
    any_group = np.array([not member.known_only for member in members.values()])
    for refitted, steps in _refit_each(divisions, refit, n_classes):
        for step in steps:
            known, query = refitted.with_shared(step.known), refitted.with_shared(step.query)
            query = share(refitted.members, query, known)
            known = share(refitted.members, known, known)
            conditioned = {
                name: member.condition(known) for name, member in refitted.members.items()
            }
            outputs = list(predict_each(conditioned, query).values())
            # Cases have numbers of their own: rows have the groups of fit.
            at, start = table.take(query.place), 0
            for level, n_rows, counts in step.parts:
                rows = np.arange(start, start + n_rows)
                case = at.take(rows), counts, [output.take(rows) for output in outputs]
                held_out.setdefault((step.regime, level), []).append(case)
                start += n_rows
                if has_gain and level == np.inf:
                    as_new.append(_predict_as_new(conditioned, query, any_group))
    regimes = _weigh(held_out, members, n_classes, n_groups, in_time)
    if regimes is None:
        return None
    gain = None
    if has_gain:
        gain = gain_of_known_rows(
            held_out.get((0, np.inf), []), as_new, regimes[0][0], regimes[-1][-1]
        )
    parts = members, regimes, n_groups, find_nested(table.codes)
    return Mixture(*parts, gain=gain, latest=find_latest(table) if in_time else None)


def _refit_each(
    divisions: Iterable[Division], refit: Refit, n_classes: int, whole: Refitted | None = None
) -> Iterator[tuple[Refitted, list[Step]]]:
    """Yield members without what is held out, and the steps of it; without folds after these."""
    for division in divisions:
        if division.kept is None or _can_learn(division.kept, n_classes):
            refitted = refit(division, whole)
            yield refitted, division.steps
            yield from _refit_each(division.folds, refit, n_classes, refitted)


def _weigh(
    held_out: dict[tuple[int, float], list[HeldOutCase]],
    members: Mapping[str, Member],
    n_classes: int,
    n_groups: np.ndarray,
    in_time: TimeRule | None,
) -> list[list[Level]] | None:
    """Return the levels of each regime; one in which nothing was held out has another's."""
    n_factors, last = len(n_groups), known_regime(len(n_groups))
    least_rows, regimes = min(_MIN_ROWS, int(n_groups.max())), list[list[Level]]()
    beliefs = np.array([member.belief for member in members.values()])
    any_group = np.array([not member.known_only for member in members.values()])
    for regime in range(last + 1):
        # With one column, most rows of the held-out groups are known, too, at the last level.
        number = 0 if n_factors == 1 and in_time is None else regime
        by_level = {level: each for (k, level), each in held_out.items() if k == number}
        is_one = regime < n_factors
        factor = regime if is_one else int(n_groups.argmax())
        used = any_group, np.ones_like(any_group) if regime == last else any_group
        rule = in_time, in_time is not None and regime == LATER
        levels = join_levels(by_level, used, beliefs, n_classes, factor, least_rows, *rule)
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
