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
from skmeta.grouped._ensemble import LEARNER, POPULATION
from skmeta.grouped._group_learner import Outputs
from skmeta.grouped._mixture import Level
from skmeta.grouped._model import GroupedModel
from skmeta.grouped._population import log_odds

_NAMES = {
    "population": "population",
    "learner": "learner",
    "both": "learner on population",
    "trees": "trees on learner",
    "rows": "trees that know the group",
}


class Coefficients(NamedTuple):
    """Coefficients of each known group, and last those of a new group.

    Attributes
    ----------
    names : list of str
        ``intercept``, which is the prediction for an average row, then the columns.
    mean : ndarray of shape (n_groups + 1, q, r)
        Coefficients of r outputs: the target, the log odds of the second of two classes, or those
        of each class.
    std : ndarray of shape (n_groups + 1, q) or None
        Standard deviations; of a new group, those between groups.
    """

    names: list[str]
    mean: np.ndarray
    std: np.ndarray | None


def coefficients(model: GroupedModel, names: list[str]) -> Coefficients | None:
    """Return the coefficients of the learner on the columns; None without a learner.

    Parameters
    ----------
    model : GroupedModel
        Fitted.
    names : list of str
        Names of the columns of the model.
    """
    learner = model.learner_on_columns()
    if learner is None:
        return None
    known = model.ensemble.rows_of(LEARNER, model.known)
    n_groups, d = int(model.known.codes.max()) + 1, learner.n_columns
    centre = known.Z.mean(0)
    # An average row, then rows one unit above and below it in each column.
    points = np.vstack([centre, centre + np.eye(d), centre - np.eye(d)])
    codes = np.repeat(np.arange(n_groups + 1), len(points))
    Z = np.tile(points, (n_groups + 1, 1))
    found, noise = learner.predict_with_noise(known, model.known.codes, Z, codes)
    outputs = log_odds(found.mean) if model.n_classes else found.mean[:, None]
    by_group = outputs.reshape(n_groups + 1, len(points), -1)
    middle, above = by_group[:, :1], by_group[:, 1 : d + 1]
    mean = np.concatenate([middle, above - middle], axis=1)
    all_names, units = _columns(model, names)
    std = None if noise is None else _deviations(found, noise, n_groups + 1, d)
    if not model.n_classes:
        scale = float(model.of_targets.scale)
        mean = scale * mean
        mean[:, 0] += float(model.of_targets.centre)
        std = None if std is None else scale * std / units
    # The column of a table without columns has no slope.
    kept = np.flatnonzero(np.append(True, known.Z.max(0) > known.Z.min(0)))
    mean, std = mean / units[:, None], None if std is None else std[:, kept]
    return Coefficients([all_names[k] for k in kept], mean[:, kept], std)


def _deviations(found: Outputs, noise: np.ndarray, n_groups: int, d: int) -> np.ndarray:
    """Return standard deviations (n_groups, d + 1) of the coefficients."""
    assert found.std is not None
    variance = (found.std**2).reshape(n_groups, -1)
    middle, above, below = variance[:, :1], variance[:, 1 : d + 1], variance[:, d + 1 :]
    each = np.concatenate([middle - noise[:, None] ** 2, (above + below) / 2 - middle], axis=1)
    return np.asarray(np.sqrt(np.maximum(each, 0.0)))


def _columns(model: GroupedModel, names: list[str]) -> tuple[list[str], np.ndarray]:
    """Return names of the coefficients, and their units: standard deviations of the columns."""
    filled = ["intercept", *names, *(f"{name} is missing" for name in names)]
    scales = np.concatenate([[1.0], model.of_columns.scale, np.ones(len(names))])
    kept = np.append(0, 1 + model.ensemble.columns)
    return [filled[k] for k in kept], scales[kept]


def summarise(model: GroupedModel, shared: Coefficients | None) -> str:
    """Return in words whether groups matter, and what predicts them best."""
    n_groups, n_rows = int(model.known.codes.max()) + 1, len(model.known.y)
    what = "Log loss" if model.n_classes else "Squared error, as a share of the variance of y,"
    if model.ensemble.members == (POPULATION,):
        text = "the population alone" if n_groups > 1 else "one group, so the population alone"
        return f"{n_rows} rows, predicted by {text}. {what} in unseen rows: {_loss(model, -1)}."
    lines = [f"{n_rows} rows of {n_groups} groups."]
    last = model.known_levels[-1]
    if model.ensemble.members[0] == POPULATION:
        less = 1 - last.losses[-1] / last.losses[0] if last.losses[0] > 0 else 0.0
        verdict = "The group matters" if less > 0.02 else "The group matters little"
        change = f"{abs(less):.0%} {'less' if less >= 0 else 'more'}"
        lines[0] += f" {verdict}: for known groups the loss is {change} than without it."
    if shared is not None and shared.std is not None:
        between = shared.std[-1, 0] ** 2
        total = float(model.of_targets.scale) ** 2
        lines[0] += f" Groups differ by {shared.std[-1, 0]:.3g} in the mean"
        lines[0] += f" ({between / total:.0%} of the variance of y)."
    lines.append(f"{what} in groups held out, and the weights of the mixture:")
    lines += [_line(model, level) for level in _levels(model)]
    return "\n".join(lines)


def losses_frame(model: GroupedModel) -> Any:
    """Return a pandas data frame of the losses by number of known rows."""
    pandas = import_optional("pandas", "losses_")
    columns = [*(_NAMES[name] for name in model.ensemble.members), "mixture"]
    levels = _levels(model)
    index = pandas.Index([_n_known(model, level) for level in levels], name="known rows")
    return pandas.DataFrame([level.losses for level in levels], index=index, columns=columns)


def _levels(model: GroupedModel) -> list[Level]:
    """Return the levels of new groups, then that of known ones."""
    return [*model.levels[:-1], model.known_levels[-1]]


def _n_known(model: GroupedModel, level: Level) -> str:
    return "most" if level is model.known_levels[-1] else f"{level.n_known:.0f}"


def _line(model: GroupedModel, level: Level) -> str:
    n_known = _n_known(model, level)
    few = {"most": "known groups", "0": "no known row", "1": "1 known row"}
    of = few.get(n_known, f"{n_known} known rows")
    parts = [
        f"{_NAMES[name]} {loss:.3f} (weight {weight:.2f})"
        for name, loss, weight in zip(
            model.ensemble.members, level.losses, level.weights, strict=False
        )
        if np.isfinite(loss)
    ]
    return f"  {of}: {', '.join(parts)}; mixture {level.losses[-1]:.3f}"


def _loss(model: GroupedModel, k: int) -> str:
    return f"{model.levels[0].losses[k]:.3f}"


def as_frame(
    found: Coefficients, groups: list[Any], counts: np.ndarray, labels: list[Any] | None
) -> Any:
    """Return a pandas data frame of coefficients, the shared ones first."""
    pandas = import_optional("pandas", "effects_")
    order = [len(groups), *range(len(groups))]
    columns: dict[str, np.ndarray] = {"rows": np.append(counts, counts.sum())[order]}
    n_outputs = found.mean.shape[2]
    for j in range(n_outputs):
        of = "" if n_outputs == 1 or labels is None else f" ({labels[j]})"
        for k, name in enumerate(found.names):
            label = f"{name}{of}"
            while label in columns:
                label += " (column)"
            columns[label] = found.mean[order, k, j]
            if found.std is not None:
                columns[f"{label} std"] = found.std[order, k]
    return pandas.DataFrame(columns, index=pandas.Index(["shared", *groups], name="group"))
