"""The model of groups in time: members, and their mixture by known rows and time ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from skmeta.grouped.longitudinal._curves import (
    Curve,
    LastValue,
    Shape,
    fit_curve,
    has_log,
    within,
)
from skmeta.grouped.longitudinal._effects import Effects, fit_effects
from skmeta.grouped.longitudinal._rows import (
    CUTS,
    Cases,
    TimedRows,
    first_rows,
    gaps,
    join_cases,
    later_rows,
    rows_between,
)
from skmeta.grouped.longitudinal._steps import Steps, cross_fit_steps, fit_steps, step_columns
from skmeta.grouped.longitudinal._weights import Held, Regime, find_regime, mix_members
from skmeta.grouped.members import FitSettings

# Rows that weights are found on, at most: before, and of cases.
_MOST_ROWS, _MOST_CASES = 4000, 4000
SHAPES = {
    "level": Shape("level", 1),
    "slopes": Shape("line", 2),
    "slopes around a curve": Shape("curve", 2),
    "curves": Shape("curve", 4),
    "slopes of logarithms": Shape("line", 2, True),
    "curves of logarithms": Shape("curve", 4, True),
}
LAST, EFFECTS, TREES = "last value", "group effects", "trees on the last value"
# Times are seen if so many groups, and this share of them, have later ones.
_LEAST_GROUPS, _LEAST_SHARE = 3, 0.05
_LEAST_CASES = 8
# Folds of groups of the trees on the last value, and of those beside the group effects.
_N_FOLDS, _N_FOLDS_EFFECTS = 3, 5


class Timed(NamedTuple):
    """Predictions (n,) with standard deviations and quantiles (n, q) of residuals over them."""

    mean: np.ndarray
    std: np.ndarray
    quantiles: np.ndarray


class Members(NamedTuple):
    """Members that are fitted to the same rows.

    Attributes
    ----------
    simple : dict of str to Curve, LastValue or Effects
        Members that need no other.
    trees : Steps
        Trees that correct the last value.
    """

    simple: Mapping[str, Curve | LastValue | Effects]
    trees: Steps

    def predict(self, known: TimedRows, at: TimedRows) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations (m, n) of all members."""
        outputs = {name: one.predict(known, at) for name, one in self.simple.items()}
        return self.with_trees(outputs, self.trees.predict(step_columns(known, at)))

    def with_trees(
        self, outputs: dict[str, tuple[np.ndarray, np.ndarray]], steps: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations of all, given those of the simple ones."""
        curves = {name: one for name, one in self.simple.items() if isinstance(one, Curve)}
        typical = np.mean([outputs[name][1] for name in curves], axis=0)
        last, some = outputs[LAST][0], next(iter(curves.values()))
        outputs[LAST] = last, typical
        outputs[TREES] = within(last + steps, some.lowest, some.highest), typical
        means, stds = zip(*outputs.values(), strict=True)
        return np.array(means), np.array(stds)


class Longitudinal(NamedTuple):
    """Fitted members, and their weights in each regime.

    Attributes
    ----------
    members : Members
        Fitted to all rows.
    is_safe : ndarray of shape (m,), bool
        Members that may predict further ahead than was seen.
    new : Regime or None
        Groups that were held out, at times when others are known.
    later : Regime or None
        Later rows of groups, beyond the times of all.
    between : Regime or None
        Rows of groups with earlier and later known rows.
    latest : float
        The latest time at which groups are known.
    """

    members: Members
    is_safe: np.ndarray
    new: Regime | None
    later: Regime | None
    between: Regime | None
    latest: float

    @property
    def names(self) -> list[str]:
        """Names of the members."""
        return [*self.members.simple, TREES]

    def predict(self, known: TimedRows, at: TimedRows) -> Timed:
        """Predict rows of groups, given known rows of these groups."""
        means, stds = self.members.predict(known, at)
        counts = np.bincount(known.codes, minlength=int(at.codes.max(initial=0)) + 1)
        n_known = np.where(at.codes >= 0, counts[at.codes], 0)
        ends = np.full(len(counts), -np.inf)
        np.maximum.at(ends, known.codes, known.times)
        end = np.where(at.codes >= 0, ends[at.codes], -np.inf)
        gap = gaps(known, at)
        is_between = (at.times <= end) & (n_known > 0)
        is_later = (at.times > self.latest) & (n_known > 0) & ~is_between
        regimes = np.where(is_between, 2, np.where(is_later, 1, 0))
        mean, std, quantiles = np.empty(len(gap)), np.empty(len(gap)), np.empty((len(gap), 0))
        for k, regime in enumerate(self._regimes()):
            rows = np.flatnonzero(regimes == k)
            weights = regime.weights_of(n_known[rows], gap[rows], self.is_safe)
            mean[rows], std[rows] = mix_members(means[:, rows], stds[:, rows], weights)
            shares = regime.shares(n_known[rows], gap[rows])
            row_quantiles = np.einsum("nab,abq->nq", shares, regime.quantiles)
            if not quantiles.shape[1]:
                quantiles = np.empty((len(gap), row_quantiles.shape[1]))
            quantiles[rows] = row_quantiles
        return Timed(mean, std, quantiles)

    def _regimes(self) -> list[Regime]:
        """Return the regimes; one without cases is replaced by another."""
        some = next(regime for regime in (self.new, self.later, self.between) if regime is not None)
        later = self.later if self.later is not None else some
        return [
            self.new if self.new is not None else later,
            later,
            self.between if self.between is not None else some,
        ]


def fit_longitudinal(
    rows: TimedRows, settings: FitSettings, zero: float, probabilities: np.ndarray
) -> Longitudinal | None:
    """Fit members and their weights.

    Parameters
    ----------
    rows : TimedRows
        Rows of all groups.
    settings : FitSettings
        How trees beside the effects of groups are fitted.
    zero : float
        The target 0, in standardised units.
    probabilities : ndarray of shape (q,)
        Probabilities of the quantiles of residuals that are kept.

    Returns
    -------
    Longitudinal or None
        None if no row of a group can be held out.
    """
    shapes = SHAPES if has_log(rows.y, zero) else {n: s for n, s in SHAPES.items() if not s.is_log}
    simple: dict[str, Any] = {LAST: LastValue(*_moments(rows.y))}
    simple |= {name: fit_curve(shape, rows, zero) for name, shape in shapes.items()}
    simple[EFFECTS] = fit_effects(rows, settings, _N_FOLDS_EFFECTS)
    sample = rows.some_groups(_MOST_ROWS)
    is_safe = np.array([*[True] * len(simple), False])
    cases = first_rows(sample, _MOST_CASES)
    trees, new = _hold_out_groups(simple, sample, cases, is_safe, probabilities)
    members = Members(simple, trees)
    later = _hold_out_later(members, sample, zero, is_safe, probabilities)
    between = None
    inner = rows_between(sample)
    if inner is not None and len(inner.group) >= _LEAST_CASES:
        means, stds = members.predict(inner.known, inner.query)
        between = find_regime(means, stds, _held(inner), is_safe, "between", probabilities)
    if new is None and later is None and between is None:
        return None
    ends = np.full(int(rows.codes.max()) + 1, -np.inf)
    np.maximum.at(ends, rows.codes, rows.times)
    n_later = min(max(_LEAST_GROUPS, round(_LEAST_SHARE * len(ends))), len(ends))
    latest = float(np.sort(ends)[-n_later])
    return Longitudinal(members, is_safe, new, later, between, latest)


def _moments(y: np.ndarray) -> tuple[float, float]:
    return float(y.mean()), float(y.std())


def _held(cases: Cases) -> Held:
    query = cases.query
    gap = gaps(cases.known, query)
    return Held(query.y, query.weight, cases.n_known, gap, cases.cell, cases.group)


def _hold_out_groups(
    simple: Mapping[str, Curve | LastValue | Effects],
    rows: TimedRows,
    cases: Cases,
    is_safe: np.ndarray,
    probabilities: np.ndarray,
) -> tuple[Steps, Regime | None]:
    """Predict groups of each fold without their rows; fit the trees, and find the weights."""
    fold = cases.query.fold
    if len(np.unique(fold)) < 2 or len(fold) < _LEAST_CASES:
        return Steps([], 0), None
    held_out = {name: (np.empty(len(fold)), np.empty(len(fold))) for name in simple}
    for k in np.unique(fold):
        at = np.flatnonzero(fold == k)
        kept, fold_cases = rows.take(np.flatnonzero(rows.fold != k)), cases.take(at)
        for name, member in simple.items():
            mean, std = member.without(kept).predict(fold_cases.known, fold_cases.query)
            held_out[name][0][at], held_out[name][1][at] = mean, std
    left = cases.query.y - held_out[LAST][0]
    columns = step_columns(cases.known, cases.query)
    trees, unseen = cross_fit_steps(columns, left, cases, fold % _N_FOLDS)
    means, stds = Members(simple, trees).with_trees(held_out, unseen)
    return trees, find_regime(means, stds, _held(cases), is_safe, "new", probabilities)


def _hold_out_later(
    members: Members, rows: TimedRows, zero: float, is_safe: np.ndarray, probabilities: np.ndarray
) -> Regime | None:
    """Predict later rows of groups by members that are fitted to the earlier ones."""
    parts, means, stds = [], [], []
    for step in range(len(CUTS)):
        divided = later_rows(rows, step)
        if divided is None or len(divided[1].group) < _LEAST_CASES:
            continue
        before, cases = divided
        earlier = _fit_again(members, before, zero)
        predicted = earlier.predict(cases.known, cases.query)
        parts.append(cases)
        means.append(predicted[0])
        stds.append(predicted[1])
    if not parts:
        return None
    held = _held(join_cases(parts))
    return find_regime(np.hstack(means), np.hstack(stds), held, is_safe, "later", probabilities)


def _fit_again(members: Members, rows: TimedRows, zero: float) -> Members:
    """Return the members, fitted to fewer rows of the groups."""
    simple: dict[str, Any] = {LAST: LastValue(*_moments(rows.y))}
    for name, one in members.simple.items():
        if isinstance(one, Curve):
            simple[name] = fit_curve(one.shape, rows, zero, one)
        elif isinstance(one, Effects):
            simple[name] = one.again(rows)
    n_rounds = members.trees.n_rounds
    if not n_rounds:
        return Members(simple, Steps([], 0))
    cases = first_rows(rows, _MOST_CASES)
    last = simple[LAST].predict(cases.known, cases.query)[0]
    columns = step_columns(cases.known, cases.query)
    return Members(simple, fit_steps(columns, cases.query.y - last, cases, n_rounds))
