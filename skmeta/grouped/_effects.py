"""What a fitted model says of the groups: effects, and whether groups matter.

Linear predictors of the mixed model are linear in the columns of a row, given the group: they are
predictions of a regression, log odds of a classification, and logarithms of rates. So coefficients
follow from those of an average row, and of rows that differ from it in one column, or have another
category. Their variances are quadratic forms of the row, so deviations of the coefficients follow,
too. Columns that are constant within groups have one coefficient for all.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from skmeta._mixed import ConditionedGroups, MixedModel, varies_within
from skmeta._optional import import_optional
from skmeta._tabular import Level, Mixture, find_nested
from skmeta.grouped._members import TITLES
from skmeta.grouped._model import FittedModel
from skmeta.grouped._verdict import LEVEL, chance_of_groups
from skmeta.grouped.members import POPULATION, MixedEffects, as_columns

# A mixture that is behind one of its parts by so much is called so.
_WORTH_TELLING = 0.01


class Labels(NamedTuple):
    """What a user calls the parts of a table."""

    factors: list[str]  # columns of groups
    groups: list[dict[Any, int]]  # for each of them, numbers by the groups' labels
    columns: list[str]  # other columns, as they are encoded
    places: np.ndarray  # their positions in the order of the model
    classes: list[Any] | None  # None for a regression
    levels: dict[int, tuple[str, int | None]]  # columns of categories: a name, and the reference
    rate: str = ""  # the unit of rates

    def level(self, k: int) -> tuple[str, int | None]:
        """Return what a column compares, and the column of the reference, if it has one."""
        return self.levels.get(k, (self.columns[k], None))


class Coefficients(NamedTuple):
    """Coefficients of each known group, then shared ones, for r outputs: targets or log odds."""

    names: list[str]  # ``intercept``, the prediction for an average row, then the columns
    mean: np.ndarray  # (n_groups + 1, q, r)
    std: np.ndarray | None  # (n_groups + 1, q, r): what rows leave open; of shared ones, errors
    between: np.ndarray | None  # (q, r): how groups differ


def coefficients(model: FittedModel, labels: Labels) -> Coefficients | None:
    """Return the coefficients of the model of the columns, as given; None without one."""
    effects = model.effects_of_columns
    if effects is None:
        return None
    known, n_groups = model.known, int(model.known.group.max()) + 1
    Z, names, changes, sizes = effects.design(known), *_changes(model, effects, labels)
    p, centre = len(changes), Z.mean(0)
    varies = varies_within(np.hstack([np.ones((len(Z), 1)), Z]), known.group)[1:]
    if isinstance(effects.model, MixedModel):
        varies &= np.isin(np.arange(1, 1 + len(varies)), effects.model.columns[0])
    # An average row, with the group's own values of columns that are the same in all its rows.
    own = np.zeros((n_groups, Z.shape[1]))
    np.add.at(own, known.group, Z)
    own = np.where(varies, centre, own / np.bincount(known.group)[:, None])
    # For each known group and a new one, that row, and rows with more and with less of a column.
    at = np.vstack([own, centre])[:, None] + np.vstack([0 * centre[None], changes, -changes])
    points = np.vstack([at.reshape(-1, len(centre)), own])
    codes = np.repeat(np.arange(n_groups + 1), 1 + 2 * p)
    conditioned = effects.condition(known)
    at_codes = np.append(codes, np.full(n_groups, n_groups))[:, None]
    covariances = _covariances(effects)
    r = model.n_classes if model.n_classes > 2 else 1
    if covariances is not None and len(covariances[0]) == r:
        values, variance = conditioned.predictors(points, at_codes)
    else:
        covariances = None
        values = as_columns(conditioned.outputs(points, at_codes).mean, model.n_classes)
    by_group = values[: len(codes)].reshape(n_groups + 1, 1 + 2 * p, -1)
    mean = np.concatenate([by_group[:, :1], by_group[:, 1 : 1 + p] - by_group[:, :1]], 1)
    mean[:-1, 0] -= values[len(codes) :] - by_group[-1, 0]
    is_shared = np.append(False, ~(changes[:, varies] != 0).any(1))
    mean[:, is_shared] = mean[-1, is_shared]
    std = between = None
    sizes = np.append(1.0, sizes)[:, None] / scale_of(model)
    if covariances is not None:
        variance = variance[: len(codes)].reshape(by_group.shape)
        middle, above, below = np.split(variance, [1, 1 + p], axis=1)
        std = np.sqrt(np.maximum(np.hstack([middle, (above + below) / 2 - middle]), 0.0))
        rows = effects.units.with_intercept(np.vstack([centre, centre + changes]))
        rows[1:] -= rows[0]
        std[-1] = np.sqrt(np.einsum("pq,jqr,pr->pj", rows, covariances[0], rows))
        std[:, is_shared] = std[-1, is_shared]
        rows[:, 1:] *= varies
        own = np.einsum("pq,jqr,pr->pj", rows, covariances[1], rows)
        between = np.sqrt(own @ (np.eye(r) - (r > 1) / r) ** 2) / sizes
        std = std / sizes
    mean = mean / sizes
    if model.target_units is not None:
        is_log = effects.form.counts is not None
        units = model.target_units
        mean[:, 0] += -np.log(units.unit) if is_log else units.centre
    return Coefficients(names, mean, std, between)


def scale_of(model: FittedModel) -> float:
    """Return the unit of effects: 1 for those on the log odds, or on logarithms of rates."""
    if model.target_units is None or (model.crossed is None and _is_log(model)):
        return 1.0
    return model.target_units.scale


def _is_log(model: FittedModel) -> bool:
    """Return whether effects of groups are those on logarithms of rates."""
    effects = model.effects_of_columns
    return effects is not None and effects.form.counts is not None


def _covariances(effects: MixedEffects) -> tuple[np.ndarray, np.ndarray] | None:
    """Return covariances (j, q, q) of the estimates of shared coefficients, and between groups."""
    if not isinstance(effects.model, MixedModel):
        return None
    return effects.model.mean_covariances, effects.model.covariance


def _changes(
    model: FittedModel, effects: MixedEffects, labels: Labels
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names of the coefficients, changes (p, d) of columns, and their sizes as given.

    A column changes by its deviation, and a category goes from the first to another.
    """
    d, place = len(labels.columns), {int(of): k for k, of in enumerate(labels.places)}
    used = {int(column): j for j, column in enumerate(effects.design.columns)}
    Z, scale = effects.design(model.known), model.column_units.scale
    names, changes, sizes = ["intercept"], [], []
    for is_missing, k in itertools.product((False, True), range(d)):
        name, reference = (labels.columns[k], None) if is_missing else labels.level(k)
        j = used.get(place[k] + d * is_missing)
        if j is None or reference == k or np.ptp(Z[:, j]) == 0:
            continue
        change, size = np.zeros(Z.shape[1]), 1.0 if is_missing else float(scale[place[k]])
        change[j] = 1.0
        if reference is not None and (base := used.get(place[reference])) is not None:
            change[[j, base]] = 1 / size, -1 / scale[place[reference]]
            size = 1.0
        names.append(f"{name} is missing" if is_missing else name)
        changes.append(change)
        sizes.append(size)
    return names, np.array(changes).reshape(-1, Z.shape[1]), np.array(sizes)


def summarise(model: FittedModel, labels: Labels) -> str:
    """Return in words what the target is, whether groups matter, and what predicts them best."""
    units = model.target_units
    text = _summarise_groups(model, labels)
    return text if units is None or units.is_given else f"The target: {units}{labels.rate}.\n{text}"


def _summarise_groups(model: FittedModel, labels: Labels) -> str:
    mixture = model.mixture
    if mixture.latest is not None:
        return _summarise_in_time(model, labels)
    if len(labels.groups) > 1:
        return _summarise_several(model, mixture, labels)
    shared = coefficients(model, labels) if len(labels.groups) == 1 else None
    n_parts, n_groups = model.settings.n_parts, int(model.known.group.max()) + 1
    n_rows = len(model.known.y) // n_parts
    what = "Log loss" if model.n_classes else "Squared error, as a share of the variance of y,"
    members = list(mixture.members)
    if members == [POPULATION]:
        text = "the population alone" if n_groups > 1 else "one group, so the population alone"
        loss = f"{mixture.regimes[0][0].losses[-1]:.3f}"
        return f"{n_rows} rows, predicted by {text}. {what} in unseen rows: {loss}."
    lines = [f"{n_rows} rows of {n_groups} groups."]
    chance = chance_of_groups(model)
    if chance is not None:
        lines[0] += f" {_verdict(chance)}"
    has_groups = chance is not None and chance <= LEVEL
    if has_groups and not model.n_classes and shared is not None and shared.between is not None:
        between = shared.between[0, 0]
        lines[0] += f" Groups differ by {between:.3g} in the "
        if _is_log(model):
            lines[0] += "logarithm of the rate."
        else:
            share = (between / scale_of(model)) ** 2
            lines[0] += f"mean{labels.rate} ({share:.0%} of the variance of y)."
    if chance is not None and mixture.gain is not None:
        lines.append(_gain(mixture.gain))
    lines.append(f"{what} in groups held out, and the weights of the mixture:")
    for level in _levels(mixture):
        is_most = _n_known(mixture, level) == "most"
        of = "known groups" if is_most else _rows_of(level, n_parts)
        lines.append(_line([TITLES[name] for name in members], of, level))
    return "\n".join(lines)


def _verdict(chance: float) -> str:
    """Say whether groups matter, given the probability that random groups differ as much."""
    p = "p < 0.01" if chance < 0.01 else f"p = {chance:.2f}"
    if chance <= LEVEL:
        text = "The group matters: if groups were random, such differences would be unlikely"
        return f"{text} ({p})."
    return f"These data show no difference between groups ({p})."


def _gain(gain: np.ndarray) -> str:
    """Say by how much known rows of a group change the loss, with a 95 % interval over groups."""
    value, low, high = gain
    costs = "The group costs: other" if low > 0 else "Other"
    text = f"{costs} known rows of a group change the loss by {value:+.1%} "
    text += f"(95 %: {low:+.1%} to {high:+.1%})"
    return f"{text}." if low > 0 or high < 0 else f"{text}, which may be chance."


def _summarise_several(model: FittedModel, mixture: Mixture, labels: Labels) -> str:
    """Return in words how much groups of several columns differ, and what predicts them best."""
    lines = []
    if model.crossed is not None:
        lines.append(_summarise_factors(model, model.crossed, labels))
    what = "Log loss" if model.n_classes else "Squared error, as a share of the variance of y,"
    lines.append(f"{what} in rows held out, and the weights of the mixture:")
    names = [TITLES[name] for name in mixture.members]
    for label, level in _levels_of_several(model, mixture, labels):
        lines.append(_line(names, label, level))
    return "\n".join(lines)


def _summarise_factors(model: FittedModel, crossed: MixedEffects, labels: Labels) -> str:
    """Return in words how much groups of several columns differ; see `_frame_of_several`."""
    known, scale, names = model.known, scale_of(model), labels.factors
    what = "log odds" if model.n_classes else "target"
    lines = [f"{len(known.y)} rows. Deviations of the {what}:"]
    deviations, is_nested = crossed.model.deviations, find_nested(known.codes)
    for f, (name, n_groups) in enumerate(zip(names, known.codes.max(0) + 1, strict=True)):
        outer = [names[g] for g in np.flatnonzero(is_nested[f])]
        nested = f", nested in {' and '.join(outer)}" if outer else ""
        for k, of in enumerate(_names_of_predictors(labels)):
            between = f"{scale * deviations[f][k, 0]:.4g}"
            lines.append(f"  between the {n_groups} groups of {name}{nested}{of}: {between}")
    for k, (f, g) in enumerate(crossed.pairs, start=len(names)):
        each = ", ".join(f"{scale * between:.4g}" for between in deviations[k][:, 0])
        lines.append(f"  between pairs of {names[f]} and {names[g]}: {each}")
    if isinstance(crossed.model, MixedModel) and not model.n_classes:
        lines.append(f"  of the rest: {scale * crossed.model.noise:.4g}")
    return "\n".join(lines)


def _names_of_predictors(labels: Labels) -> list[str]:
    if labels.classes is None or len(labels.classes) <= 2:
        return [""]
    return [f" ({label})" for label in labels.classes]


def _levels_of_several(
    model: FittedModel, mixture: Mixture, labels: Labels
) -> list[tuple[str, Level]]:
    """Return the levels of new groups of each column, and that of known ones, with their names."""
    (*new, several, known), n_parts = mixture.regimes, model.settings.n_parts
    named = []
    for name, levels in zip(labels.factors, new, strict=True):
        named += [(f"{name}, {_rows_of(level, n_parts)}", level) for level in levels]
    named += [(f"several new groups, {_rows_of(level, n_parts)}", level) for level in several[:1]]
    is_timed = np.ptp(model.known.times) > 0
    return [*named, ("later rows of known groups" if is_timed else "known groups", known[-1])]


def _rows_of(level: Level, n_parts: int = 1) -> str:
    few, n_known = {"0": "no known row", "1": "1 known row"}, _number(level.n_known, n_parts)
    return few.get(n_known, f"{n_known} known rows")


def _number(n_known: float, n_parts: int) -> str:
    """Return a number of known rows, each of which may be divided into parts."""
    return f"{n_known:.0f}" if n_parts == 1 else f"{round(n_known) / n_parts:.2g}"


def _summarise_in_time(model: FittedModel, labels: Labels) -> str:
    """Return in words what predicts new groups, and later rows of known ones."""
    lines = [f"{len(model.known.y)} rows of {int(model.known.group.max()) + 1} groups in time."]
    lines[0] += f" Seasons: {', '.join(model.seasons)}." if model.seasons else " No season."
    lines.append("Squared error, as a share of the variance of y, of rows held out:")
    for name, row in losses_frame(model, labels).iterrows():
        of = f"{name} known rows"
        if name.startswith("later"):
            of = name.replace("later", "later rows of known groups")
        best = row.drop("mixture").nsmallest(3)
        parts = ", ".join(f"{member} {loss:.3f}" for member, loss in best.items())
        lines.append(f"  {of}: mixture {row['mixture']:.3f}; {parts}")
    return "\n".join(lines)


def losses_frame(model: FittedModel, labels: Labels) -> Any:
    """Return a pandas data frame of the losses: new groups by known rows, then known groups."""
    pandas = import_optional("pandas", "losses_")
    mixture = model.mixture
    columns = [TITLES[name] for name in mixture.members]
    if mixture.latest is not None:
        new, later, _ = mixture.regimes
        levels = [*new, *later]
        rows = [f"{level.n_known:.0f}" for level in new]
        rows += [f"later, {level.n_known:.0f} known" for level in later[:-1]] + ["later"]
    elif len(labels.groups) > 1:
        each = _levels_of_several(model, mixture, labels)
        rows, levels = (list(of) for of in zip(*each, strict=True))
    else:
        levels = _levels(mixture)
        rows = [_n_known(mixture, level, model.settings.n_parts) for level in levels]
    return pandas.DataFrame(
        [level.losses for level in levels],
        index=pandas.Index(rows, name="known rows"),
        columns=[*columns, "mixture"],
    ).dropna(axis=1, how="all")


def _levels(mixture: Mixture) -> list[Level]:
    """Return the levels of new groups, then that of known ones."""
    return [*mixture.regimes[0][:-1], mixture.regimes[-1][-1]]


def _n_known(mixture: Mixture, level: Level, n_parts: int = 1) -> str:
    return "most" if level is mixture.regimes[-1][-1] else _number(level.n_known, n_parts)


def _line(members: list[str], of: str, level: Level) -> str:
    parts = [
        f"{name} {loss:.3f} (weight {weight:.2f})"
        for name, loss, weight in zip(members, level.losses, level.weights, strict=False)
        if np.isfinite(loss)
    ]
    text = f"  {of}: {', '.join(parts)}; mixture {level.losses[-1]:.3f}"
    alone = np.where(np.isfinite(level.losses[:-1]), level.losses[:-1], np.inf)
    if level.losses[-1] - alone.min() > _WORTH_TELLING * abs(alone.min()):
        best = str(members[int(alone.argmin())])
        text += f" (behind {best.removesuffix(' alone')} alone)"
    return text


def effects_frame(model: FittedModel, labels: Labels) -> Any:
    """Return a pandas data frame of coefficients, the shared ones first; None without any."""
    if len(labels.groups) > 1:
        if model.crossed is None:
            return None
        return _frame_of_several(model.crossed, labels, scale_of(model))
    effects = coefficients(model, labels) if len(labels.groups) == 1 else None
    if effects is None:
        return None
    pandas, groups = import_optional("pandas", "effects_"), labels.groups[0]
    counts = np.bincount(model.known.group, minlength=len(groups)) // model.settings.n_parts
    order = [len(groups), *groups.values()]
    columns: dict[str, np.ndarray] = {"rows": np.append(counts, counts.sum())[order]}
    n_outputs = effects.mean.shape[2]
    for j in range(n_outputs):
        suffix = "" if n_outputs == 1 or labels.classes is None else f" ({labels.classes[j]})"
        for k, name in enumerate(effects.names):
            label = f"{name}{suffix}"
            while label in columns:
                label += " (column)"
            columns[label] = effects.mean[order, k, j]
            if effects.std is not None and effects.between is not None:
                columns[f"{label} std"] = effects.std[order, k, j]
                columns[f"{label} between"] = np.full(len(order), effects.between[k, j])
    return pandas.DataFrame(columns, index=pandas.Index(["shared", *groups], name="group"))


def _frame_of_several(crossed: MixedEffects, labels: Labels, scale: float) -> Any:
    """Return a data frame of the effects of all groups; see `GroupedRegressor.effects_`."""
    pandas, known = import_optional("pandas", "effects_"), crossed.known
    given = crossed.given
    assert known is not None
    assert not isinstance(given, ConditionedGroups)
    parts, effects, deviations = [], given.effects, crossed.model.deviations
    for f, (name, numbers) in enumerate(zip(labels.factors, labels.groups, strict=True)):
        index = pandas.MultiIndex.from_product([[name], ["shared", *numbers]])
        order, stds = list(numbers.values()), given.effect_std(f)
        counts = np.bincount(known.codes[:, f], minlength=len(order))[order]
        columns = {"rows": np.r_[counts.sum(), counts]}
        for k, of in enumerate(_names_of_predictors(labels)):
            columns[f"intercept{of}"] = scale * np.r_[0.0, effects[f][order, k, 0]]
            columns[f"intercept{of} std"] = scale * np.r_[0.0, stds[order, k, 0]]
            between = scale * deviations[f][k, 0]
            columns[f"intercept{of} between"] = np.full(len(order) + 1, between)
        parts.append(pandas.DataFrame(columns, index=index))
    return pandas.concat(parts).rename_axis(["column", "group"])
