"""Amounts, counts, shares and ratings: the scale on which models see the targets.

A Gaussian process predicts held-out rows on each scale, and the scale of the smallest quantile
loss, in units of the targets, is that of all models. Their quantiles are averaged with those of the
known targets, by the losses of both on held-out rows, so that they are no worse than knowing
nothing. The mean is that of this distribution.

Notation: n rows, q levels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from skmeta._tabular import (
    DECILES,
    LEVELS,
    Fold,
    GaussianProcess,
    Scale,
    Target,
    WeightedRows,
    average_weights,
    fit_process,
    hold_out,
    mean_of_quantiles,
    places_of,
    quantile_loss,
    quantiles_at,
    recognise_target,
    scales_of,
    unconditional_quantiles,
)

_MIN_ROWS = 5
# Targets beyond these have no kind: their squares overflow or underflow.
_SMALLEST, _LARGEST = 1e-100, 1e100
# The known targets do not take part with less.
_MIN_SHARE = 0.01
# Rows that the belief in the width of distributions counts as, and the largest normal score.
_ROWS_OF_WIDTH, _MAX_SCORE = 10.0, 3.0

_NORMAL = norm.ppf(LEVELS)


class TargetScale(NamedTuple):
    """The kind of targets, and how predictions on a scale become predictions in their units."""

    target: Target
    scale: Scale
    known: np.ndarray  # quantiles (201,) of the known targets at ``LEVELS``
    share: float = 1.0  # of the models; the rest is that of `known`
    width: float = 1.0  # deviation of held-out rows' places in the distributions, as normal scores

    def weigh(
        self, rows: WeightedRows, folds: Sequence[Fold], quantiles: np.ndarray
    ) -> TargetScale:
        """Return this with the best share for held-out rows, predicted by `quantiles` (n, 201)."""
        held = np.concatenate([positions for _, positions in folds])
        y, weight = self.scale.inverse(rows.y[held]), rows.weight[held]
        nothing = [
            np.tile(
                unconditional_quantiles(self.scale.inverse(part.y), LEVELS, part.weight),
                (len(positions), 1),
            )
            for part, positions in folds
        ]
        models, known = self.scale.inverse(quantiles), np.concatenate(nothing)
        deciles = [quantiles_at(part, LEVELS, DECILES) for part in (models, known)]
        losses = [np.average(quantile_loss(y, each, DECILES), weights=weight) for each in deciles]
        n_rows = float(weight.sum())
        share = float(average_weights(np.array(losses), np.eye(2), n_rows, squared=True)[0])
        share = 1.0 if share > 1 - _MIN_SHARE else share
        places = places_of(y, _mix(models, known, share), LEVELS)
        scores = norm.ppf(places).clip(-_MAX_SCORE, _MAX_SCORE)
        total = float(weight @ scores**2) + _ROWS_OF_WIDTH
        width = np.sqrt(total / (n_rows + _ROWS_OF_WIDTH))
        return self._replace(share=share, width=float(width))

    def to_units(
        self, quantiles: np.ndarray, levels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean and deviation (n,), and quantiles (n, q), of those (n, 201) on the scale."""
        mixed = _mix(self.scale.inverse(quantiles), self.known, self.share)
        values = quantiles_at(mixed, LEVELS, norm.cdf(self.width * _NORMAL))
        mean = mean_of_quantiles(values, LEVELS)
        # The root mean square is scaled, because squares of large targets overflow.
        away = values - mean[:, None]
        unit = np.abs(away).max(1) + (np.abs(away).max(1) == 0)
        std = unit * np.sqrt(mean_of_quantiles((away / unit[:, None]) ** 2, LEVELS))
        at = quantiles_at(values, LEVELS, levels)
        return self.target.clip(mean), std, self.target.settle(at)


def _mix(models: np.ndarray, known: np.ndarray, share: float) -> np.ndarray:
    """Return means of quantiles (n, 201), with a share of the models; equal values stay."""
    return np.asarray(models + (1 - share) * (known - models))


# With the processes of the folds, which found it.
ChosenScale = tuple[TargetScale, list[GaussianProcess]]


def choose_by_process(
    support: WeightedRows,
    declared: str,
    categories: Collection[int],
) -> ChosenScale | None:
    """Choose the scale by processes that predict rows held out; None for real numbers."""
    y, size = support.y, float(abs(support.y).max())
    if declared == "auto" and not _SMALLEST < size < _LARGEST:
        return None
    target = recognise_target(y, declared)
    if target.kind == "real":
        return None
    known = unconditional_quantiles(support.y, LEVELS, support.weight)
    scales = scales_of(target, y)
    folds = hold_out(support) if len(y) >= _MIN_ROWS else []
    if not folds:
        return TargetScale(target, scales[0], known), []
    held = np.concatenate([positions for _, positions in folds])
    losses, processes = [], []
    for scale in scales:
        fitted = [
            fit_process(part._replace(y=scale.forward(part.y)), categories, []) for part, _ in folds
        ]
        quantiles = np.concatenate(
            [
                process.predict_quantiles(support.X[positions], DECILES)
                for process, (_, positions) in zip(fitted, folds, strict=True)
            ]
        )
        loss = quantile_loss(support.y[held], scale.inverse(quantiles), DECILES)
        losses.append(float(np.average(loss, weights=support.weight[held])))
        processes.append(fitted)
    best = int(np.argmin(losses))
    return TargetScale(target, scales[best], known), processes[best]
