"""Factors of predicted deviations: groups may have more noise than others, or less."""

from __future__ import annotations

import numpy as np

from skmeta._tabular import Outputs, Table


def residual_scales(outputs: Outputs, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return factors of deviations: of each group, and of each row from the others of its group.

    Log mean absolute residuals of groups are shrunk by the variances between and within groups.
    """
    size = np.abs(table.y - outputs.mean) / np.maximum(outputs.std, 1e-300)
    group = table.group
    n_groups = int(group.max()) + 1
    size /= max(float(np.average(size, weights=table.weight)), 1e-300)
    count, total = np.bincount(group), np.bincount(group, size)
    # One more row, of average size: the logarithm of a single residual may be anything.
    mean = (total + 1) / (count + 1)
    within = float(np.sum((size / mean[group] - 1) ** 2)) / max(len(size) - n_groups, 1)
    several = count > 1
    log_mean = np.log(mean)
    noise = within * count / (count + 1) ** 2
    between = 0.0
    if several.sum() > 1:
        centred = log_mean[several] - np.average(log_mean[several], weights=count[several])
        between = max(float(np.average(centred**2 - noise[several], weights=count[several])), 0.0)

    def shrunken(total: np.ndarray, count: np.ndarray) -> np.ndarray:
        log_mean = np.log((total + 1) / (count + 1))
        return np.asarray(np.exp(between / (between + within / (count + 1)) * log_mean))

    return shrunken(total, count), shrunken(total[group] - size, count[group] - 1)
