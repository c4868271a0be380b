"""The mixture of the members: weights by the number of known rows, and their calibration.

Groups are held out, and of each of them some rows are known. The weights of the predictions follow
from the losses in these groups, as in :func:`skmeta.tabular.average_weights`.

Notation: m predictions, g grid points, n rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from skmeta.tabular._member import (
    CalibratedOutputs,
    Conditioned,
    HeldOut,
    Level,
    Member,
    Outputs,
    interpolate,
)
from skmeta.tabular._population import losses_of
from skmeta.tabular._table import Table, make_cases, some
from skmeta.tabular._units import TargetUnits
from skmeta.tabular._weights import average_weights, mix, weight_grid

# Steps of the grid from 0 to 1.
_N_STEPS = 6
# Rows of a group are dependent, and count like this number of rows in all.
_N_INDEPENDENT = 10.0
# Draws of the bootstrap.
_N_DRAWS = 100
# Folds are held out until these have so many groups and rows; and groups of a fold, at most. The
# number of rows was chosen on development tables with groups of two to five rows.
_ENOUGH_GROUPS, _ENOUGH_ROWS, _MAX_GROUPS = 30, 300, 40
# The members that predict them are fitted on this many others, at most.
_MAX_OTHERS = 300
# A level needs this many rows to predict.
_MIN_ROWS = 10
# Weights below this are 0.
_MIN_WEIGHT = 0.02
# Unsure members fall back on the population, unless the held-out loss is higher by this share.
_MAX_LOSS = 0.04
# A level of few rows that is near the number of rows of known groups is left out.
_NEAR = 1.5
# Of the interval of the gain.
_COVERAGE = 0.95


def weigh(
    outputs: np.ndarray,
    stds: np.ndarray | None,
    y: np.ndarray,
    row_weights: np.ndarray,
    codes: np.ndarray,
    n_known: float,
) -> Level:
    """Estimate weights of predictions (m, n) or (m, n, c) in held-out groups, simplest first."""
    grid = weight_grid(len(outputs), _N_STEPS)
    groups = np.unique(codes, return_inverse=True)[1]
    totals = np.bincount(groups, row_weights)
    # Each group counts alike, whatever the number of its rows.
    by_group = np.array(
        [
            np.bincount(groups, row_weights * losses_of(y, mix(outputs, weights))) / totals
            for weights in grid
        ]
    )
    weights = average_weights(
        by_group,
        grid,
        n_independent=min(_N_INDEPENDENT * len(totals), len(y)),
        squared=stds is not None,
        n_draws=_N_DRAWS,
    )
    member_losses = [float(np.average(losses_of(y, each), weights=row_weights)) for each in outputs]
    mixture = mix(outputs, weights)
    member_losses.append(float(np.average(losses_of(y, mixture), weights=row_weights)))
    level = Level(n_known, weights, np.array(member_losses), np.zeros(0))
    if stds is None:
        return level
    held_out = HeldOut(mixture, mix(stds, weights), y, row_weights, codes, np.arange(len(y)))
    return level._replace(quantiles=held_out.quantiles(), held_out=held_out)


def fall_back(means: np.ndarray, stds: np.ndarray, precision: np.ndarray | float) -> np.ndarray:
    """Move means (m, n) towards the first, of the population, where their deviations are large.

    The known rows of a group may say nothing about others of its rows: those of small cars do not
    tell how a maker's sports cars differ. The predicted deviation shows where that is so.
    """
    share = 1 / np.maximum(precision * stds**2, 1.0)
    return np.asarray(means[0] + share * (means - means[0]))


@dataclass(frozen=True)
class Mixture:
    """The weighted mean of members, which may use the outputs of earlier ones."""

    members: dict[str, Member]
    levels: list[Level]  # weights for new groups
    known_levels: list[Level]  # weights for groups of fit
    n_groups: int
    group_scales: np.ndarray | None = None  # factors (n_groups,) of the deviations of groups of fit
    gain: np.ndarray | None = None  # from known rows of the group, see `_gain`

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

        `scales` are the factors of deviations of each group of fit, and of each row from the others
        of its group; `others` are mixtures of the targets on other scales.
        """
        mine = self if scales is None else self.with_scales(*scales)
        new = _calibrate(units, mine.levels, [other.levels for other in others])
        known = _calibrate(units, mine.known_levels, [other.known_levels for other in others])
        return replace(mine, levels=new, known_levels=known)

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
        weights, quantiles, precision, calibration = interpolate(levels, n_known)
        is_old = (group >= 0) & (group < self.mixture.n_groups)
        if is_old.any():
            known_only = interpolate(known_levels, n_known)
            weights = np.where(is_old, known_only[0], weights)
            quantiles = np.where(is_old[:, None], known_only[1], quantiles)
            precision = np.where(is_old, known_only[2], precision)
            calibration = np.where(is_old[:, None], known_only[3], calibration)
        distributions = weights, quantiles, precision, calibration
        outputs = combine(self.mixture.members, self.members, at, *distributions)
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
    """Mix predictions, with weights (m, n), quantiles (n, k) and calibration (n, 4 + s) by row.

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
    """Estimate weights of `names` on held-out groups; None if no group can be held out.

    Other members have weight 0, but may be used by those of `names`.
    """
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
            # Of each group once.
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
    gain = _gain(by_level.get(np.inf, []), as_new, levels[0], known_levels[-1])
    return Mixture(members, levels, known_levels, n_groups, gain=gain)


Found = tuple[Table, np.ndarray, list[Outputs]]


def _predict_as_new(
    conditioned: Mapping[str, Conditioned], at: Table, used: np.ndarray
) -> list[Outputs]:
    """Predict rows as those of new groups; zeros by members that predict known groups only."""
    needed = [name for name, is_used in zip(conditioned, used, strict=True) if is_used]
    predicted = predict_each(conditioned, at._replace(codes=np.full_like(at.codes, -1)), needed)
    shape = next(iter(predicted.values())).mean.shape
    none = Outputs(np.zeros(shape), np.zeros(len(at.y)))
    return [predicted.get(name, none) for name in conditioned]


def _gain(
    parts: Sequence[Found], as_new: Sequence[list[Outputs]], new: Level, known: Level
) -> np.ndarray | None:
    """Return by what share known rows of a group change the loss, with its 95 % interval (3,).

    The same mixture predicts the same rows as those of new groups and of known ones, each with its
    weights. The interval is Student's, of a ratio of sums over the groups that were held out.
    """
    if not parts:
        return None
    at = Table(*(np.concatenate(of) for of in zip(*(part[0] for part in parts), strict=True)))
    losses = []
    for level, outputs in ((new, as_new), (known, [part[2] for part in parts])):
        members = list(zip(*outputs, strict=True))
        means = np.stack([np.concatenate([part.mean for part in of]) for of in members])
        stds = np.stack([np.concatenate([part.std for part in of]) for of in members])
        means = fall_back(means, stds, level.precision) if level.precision else means
        losses.append(at.weight * losses_of(at.y, mix(means, level.weights)))
    groups = np.unique(at.group, return_inverse=True)[1]
    before, after = (np.bincount(groups, loss) for loss in losses)
    n = len(before)
    if n < 2 or before.sum() <= 0:
        return None
    ratio = after.sum() / before.sum()
    error = np.sqrt(n) * (after - ratio * before).std(ddof=1) / before.sum()
    width = student.ppf((1 + _COVERAGE) / 2, n - 1) * error
    return np.asarray(ratio - 1 + width * np.array([0.0, -1.0, 1.0]))


def _can_learn(table: Table, n_classes: int) -> bool:
    """Return whether a model can learn how groups differ."""
    has_pair = bool(np.bincount(table.group).max() > 1)
    return has_pair and (not n_classes or len(np.unique(table.y)) > 1)


def join_levels(
    by_level: dict[float, list[Found]],
    used: np.ndarray,
    used_at_most: np.ndarray,
    n_classes: int,
    least_rows: int,
    is_new: bool,
) -> list[Level]:
    """Return levels with members (m,) that are used, and those used where most rows are known."""
    joined = (
        _join_folds(parts, used_at_most if value == np.inf else used, n_classes, least_rows, is_new)
        for value, parts in sorted(by_level.items())
    )
    levels = [level for level in joined if level is not None]
    fixed, last = levels[:-1], levels[-1:]
    return [level for level in fixed if level.n_known < last[0].n_known / _NEAR] + last


def _join_folds(
    parts: list[Found], used: np.ndarray, n_classes: int, least_rows: int, is_new: bool
) -> Level | None:
    tables, counts, outputs = zip(*parts, strict=True)
    at = Table(*(np.concatenate(of) for of in zip(*tables, strict=True)))
    if len(at.y) < least_rows:
        return None
    n_known = float(np.expm1(np.mean(np.log1p(np.concatenate(counts)))))
    members = list(zip(*outputs, strict=True))
    means = np.stack([np.concatenate([part.mean for part in of]) for of in members])
    stds = np.stack([np.concatenate([part.std for part in of]) for of in members])
    return find_level(means, None if n_classes else stds, at, n_known, used, is_new)


def find_level(
    means: np.ndarray,
    stds: np.ndarray | None,
    at: Table,
    n_known: float,
    used: np.ndarray,
    falls_back: bool = False,
) -> Level:
    """Estimate weights of the used members from means (m, n) or (m, n, c); others have weight 0.

    With `falls_back`, unsure members may fall back on the first one, the population.
    """
    used_stds = None if stds is None else stds[used]
    rows = at.y, at.weight, at.group, n_known
    level = weigh(means[used], used_stds, *rows)
    if falls_back and stds is not None and used.sum() > 1:
        error = np.average((means[0] - at.y) ** 2, weights=at.weight)
        precision = 1 / max(error, 1e-300)
        careful = weigh(fall_back(means, stds, precision)[used], used_stds, *rows)
        if careful.losses[-1] <= (1 + _MAX_LOSS) * level.losses[-1]:
            level = careful._replace(precision=precision)
    weights, losses = np.zeros(len(used)), np.full(len(used) + 1, np.nan)
    weights[used] = np.where(level.weights < _MIN_WEIGHT, 0.0, level.weights)
    losses[np.append(used, True)] = level.losses
    if level.held_out is not None:
        level = level._replace(held_out=level.held_out._replace(place=at.place))
    return level._replace(weights=weights / weights.sum(), losses=losses)
