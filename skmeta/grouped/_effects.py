"""What a fitted model says of the groups: effects, and whether groups matter.

The learner's prediction is linear in the columns of a row, given the group: for a regression in the
target, for a classification in the log odds. So its coefficients follow from its predictions for an
average row, and for rows that differ from it in one column. The variance of a prediction is a
quadratic form of the row plus that of the noise, so deviations of the coefficients follow, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skmeta._optional import import_optional
from skmeta.grouped._model import FittedModel
from skmeta.grouped._several import SeveralColumns
from skmeta.grouped._verdict import LEVEL, chance_of_groups
from skmeta.grouped.longitudinal import Longitudinal
from skmeta.grouped.members import POPULATION, GroupEffects, as_columns
from skmeta.tabular import Level, Mixture, Outputs

# A mixture that is behind one of its parts by so much is called so.
_WORTH_TELLING = 0.01
_NAMES = {
    "population": "population",
    "learner": "learner",
    "both": "learner on population",
    "trees": "trees on learner",
    "rows": "trees that know the group",
    "lags": "trees that know earlier classes",
    "cumulative": "cumulative model",
    "groups": "groups without columns",
}


class Labels(NamedTuple):
    """What a user calls the parts of a table."""

    factors: list[str]  # columns of groups
    groups: list[dict[Any, int]]  # for each of them, numbers by the groups' labels
    columns: list[str]  # other columns, as they are encoded
    places: np.ndarray  # their positions in the order of the model
    classes: list[Any] | None  # None for a regression


class Coefficients(NamedTuple):
    """Coefficients of each known group, then of a new one, for r outputs: targets or log odds."""

    names: list[str]  # ``intercept``, the prediction for an average row, then the columns
    mean: np.ndarray  # (n_groups + 1, q, r)
    std: np.ndarray | None  # (n_groups + 1, q); of a new group, those between groups


def coefficients(model: FittedModel, labels: Labels) -> Coefficients | None:
    """Return the coefficients of the model of the columns, as given; None without one."""
    effects = model.effects_of_columns
    if effects is None:
        return None
    known = model.known
    n_groups, Z = int(known.group.max()) + 1, effects.design(known)
    d, centre = Z.shape[1], Z.mean(0)
    # An average row, then rows one unit above and below it in each column.
    points = np.vstack([centre, centre + np.eye(d), centre - np.eye(d)])
    conditioned = effects.condition(known)
    codes = np.repeat(np.arange(n_groups + 1), len(points))
    predictions = conditioned.outputs(np.tile(points, (n_groups + 1, 1)), codes)
    by_group = as_columns(predictions.mean, model.n_classes).reshape(n_groups + 1, len(points), -1)
    middle, above = by_group[:, :1], by_group[:, 1 : d + 1]
    mean = np.concatenate([middle, above - middle], axis=1)
    all_names, units, place = _columns(model, effects, labels)
    noise = conditioned.given.noise
    std = None if model.n_classes else _deviations(predictions, noise, n_groups + 1, d)
    if model.target_units is not None:
        scale = model.target_units.scale
        mean = scale * mean
        mean[:, 0] += model.target_units.centre
        std = None if std is None else scale * std / units
    # The column of a table without columns has no slope.
    kept = np.flatnonzero(np.append(True, Z.max(0) > Z.min(0)))
    kept = kept[np.argsort(place[kept])]
    mean, std = mean / units[:, None], None if std is None else std[:, kept]
    return Coefficients([all_names[k] for k in kept], mean[:, kept], std)


def scale_of(model: FittedModel) -> float:
    """Return the unit of effects: 1 for those on the log odds."""
    return 1.0 if model.target_units is None else model.target_units.scale


def _deviations(outputs: Outputs, noise: float, n_groups: int, d: int) -> np.ndarray:
    """Return standard deviations (n_groups, d + 1) of the coefficients."""
    variance = (outputs.std**2).reshape(n_groups, -1)
    middle, above, below = variance[:, :1], variance[:, 1 : d + 1], variance[:, d + 1 :]
    each = np.concatenate([middle - noise**2, (above + below) / 2 - middle], axis=1)
    return np.asarray(np.sqrt(np.maximum(each, 0.0)))


def _columns(
    model: FittedModel, effects: GroupEffects, labels: Labels
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names of the coefficients, their units, which are deviations, and their places."""
    names, d = [labels.columns[k] for k in labels.places], len(labels.columns)
    filled = ["intercept", *names, *(f"{name} is missing" for name in names)]
    scales = np.concatenate([[1.0], model.column_units.scale, np.ones(d)])
    places = np.concatenate([[0], 1 + labels.places, 1 + d + labels.places])
    kept = np.append(0, 1 + effects.design.columns)
    return [filled[k] for k in kept], scales[kept], places[kept]


def summarise(model: FittedModel | SeveralColumns, labels: Labels) -> str:
    """Return in words what the target is, whether groups matter, and what predicts them best."""
    units = model.target_units
    text = _summarise_groups(model, labels)
    return text if units is None or units.is_given else f"The target: {units}.\n{text}"


def _summarise_groups(model: FittedModel | SeveralColumns, labels: Labels) -> str:
    if isinstance(model, SeveralColumns):
        return _summarise_several(model, labels)
    mixture = model.mixture
    if isinstance(mixture, Longitudinal):
        return _summarise_in_time(model, labels)
    assert isinstance(mixture, Mixture)
    shared = coefficients(model, labels) if len(labels.groups) == 1 else None
    n_groups, n_rows = int(model.known.group.max()) + 1, len(model.known.y)
    what = "Log loss" if model.n_classes else "Squared error, as a share of the variance of y,"
    members = list(mixture.members)
    if members == [POPULATION]:
        text = "the population alone" if n_groups > 1 else "one group, so the population alone"
        loss = f"{mixture.levels[0].losses[-1]:.3f}"
        return f"{n_rows} rows, predicted by {text}. {what} in unseen rows: {loss}."
    lines = [f"{n_rows} rows of {n_groups} groups."]
    chance = chance_of_groups(model)
    if chance is not None:
        lines[0] += f" {_verdict(chance)}"
    if chance is not None and chance <= LEVEL and shared is not None and shared.std is not None:
        share = (shared.std[-1, 0] / scale_of(model)) ** 2
        lines[0] += f" Groups differ by {shared.std[-1, 0]:.3g} in the mean"
        lines[0] += f" ({share:.0%} of the variance of y)."
    if chance is not None and mixture.gain is not None:
        lines.append(_gain(mixture.gain))
    lines.append(f"{what} in groups held out, and the weights of the mixture:")
    for level in _levels(mixture):
        of = "known groups" if _n_known(mixture, level) == "most" else _rows_of(level)
        lines.append(_line([_NAMES[name] for name in members], of, level))
    return "\n".join(lines)


def _verdict(chance: float) -> str:
    """Say whether groups matter, given the probability that groups of chance differ as much."""
    p = "p < 0.01" if chance < 0.01 else f"p = {chance:.2f}"
    if chance <= LEVEL:
        return f"The group matters: groups of chance would hardly differ as much, {p}."
    return f"The group makes no difference that these data can show, {p}."


def _gain(gain: np.ndarray) -> str:
    """Say by how much known rows of a group change the loss, with a 95 % interval over groups."""
    value, low, high = gain
    costs = "The group costs: other" if low > 0 else "Other"
    text = f"{costs} known rows of a group change the loss by {value:+.1%} "
    text += f"(95 %: {low:+.1%} to {high:+.1%})"
    return f"{text}." if low > 0 or high < 0 else f"{text}, which may be chance."


def _summarise_several(model: SeveralColumns, labels: Labels) -> str:
    """Return in words how much groups of several columns differ, and what predicts them best."""
    lines = []
    if model.joint.crossed is not None:
        scale = scale_of(model.joint)
        lines.append(model.joint.crossed.summary(labels.factors, scale, labels.classes))
    what = (
        "Log loss" if model.joint.n_classes else "Squared error, as a share of the variance of y,"
    )
    lines.append(f"{what} in rows held out, and the weights of the mixture:")
    names = _names_of_members(model, labels)
    for label, level in _levels_of_several(model, labels):
        lines.append(_line(names, label, level))
    return "\n".join(lines)


def _names_of_members(model: SeveralColumns, labels: Labels) -> list[str]:
    """Return names of the members: those of all columns, and the model of the series."""
    factors = [*labels.factors, " and ".join(labels.factors)]
    alone = [f"{factors[part.factor]} alone" for part in model.parts if part.factor is not None]
    return [*(_NAMES[name] for name in model.names), *alone]


def _levels_of_several(model: SeveralColumns, labels: Labels) -> list[tuple[str, Level]]:
    """Return the levels of new groups of each column, and that of known ones, with their names."""
    named = []
    for name, levels in zip(labels.factors, model.regimes, strict=False):
        named += [(f"{name}, {_rows_of(level)}", level) for level in levels]
    several, known = model.regimes[model.n_factors], model.regimes[-1][-1]
    named += [(f"several new groups, {_rows_of(level)}", level) for level in several[:1]]
    if model.series is not None:
        new = model.regimes[model.n_factors + 1]
        named += [(f"new series of known groups, {_rows_of(level)}", level) for level in new]
    is_timed = np.ptp(model.known.times) > 0
    return [*named, ("later rows of known groups" if is_timed else "known groups", known)]


def _rows_of(level: Level) -> str:
    few = {0: "no known row", 1: "1 known row"}
    return few.get(round(level.n_known), f"{level.n_known:.0f} known rows")


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


def losses_frame(model: FittedModel | SeveralColumns, labels: Labels) -> Any:
    """Return a pandas data frame of the losses: new groups by known rows, then known groups."""
    pandas = import_optional("pandas", "losses_")
    mixture = None if isinstance(model, SeveralColumns) else model.mixture
    if isinstance(mixture, Longitudinal):
        columns, new = mixture.names, mixture.regimes.get("new", [])
        levels = [*new, *mixture.regimes.get("later", [])]
        later = levels[len(new) :]
        names = [f"later, {level.n_known:.0f} known" for level in later]
        rows = [f"{level.n_known:.0f}" for level in new]
        rows += names if len(later) > 1 else ["later"] * len(later)
    elif isinstance(model, SeveralColumns):
        columns = _names_of_members(model, labels)
        rows, levels = (list(of) for of in zip(*_levels_of_several(model, labels), strict=True))
    else:
        assert isinstance(mixture, Mixture)
        columns, levels = [_NAMES[name] for name in mixture.members], _levels(mixture)
        rows = [_n_known(mixture, level) for level in levels]
    return pandas.DataFrame(
        [level.losses for level in levels],
        index=pandas.Index(rows, name="known rows"),
        columns=[*columns, "mixture"],
    ).dropna(axis=1, how="all")


def _levels(mixture: Mixture) -> list[Level]:
    """Return the levels of new groups, then that of known ones."""
    return [*mixture.levels[:-1], mixture.known_levels[-1]]


def _n_known(mixture: Mixture, level: Level) -> str:
    return "most" if level is mixture.known_levels[-1] else f"{level.n_known:.0f}"


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


def effects_frame(model: FittedModel | SeveralColumns, labels: Labels) -> Any:
    """Return a pandas data frame of coefficients, the shared ones first; None without any."""
    if isinstance(model, SeveralColumns):
        joint, names = model.joint, (labels.factors, labels.groups)
        if joint.crossed is None:
            return None
        return joint.crossed.effects(*names, scale_of(joint), labels.classes)
    effects = coefficients(model, labels) if len(labels.groups) == 1 else None
    if effects is None:
        return None
    pandas, groups = import_optional("pandas", "effects_"), labels.groups[0]
    counts = np.bincount(model.known.group, minlength=len(groups))
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
            if effects.std is not None:
                columns[f"{label} std"] = effects.std[order, k]
    return pandas.DataFrame(columns, index=pandas.Index(["shared", *groups], name="group"))
