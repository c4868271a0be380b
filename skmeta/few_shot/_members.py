"""Models beside the prior, and the shares of all in a prediction.

A prior for any table was meta-trained on few rows of many tables. Other models find what it does
not: a Gaussian process finds smooth targets with little noise; a linear classifier reads all
columns of wide rows, such as embeddings, at once; trees find interactions among many rows. The mean
of a regression is the sum over models k of s_k times their means, with shares s_k that sum to 1.
Probabilities of classes are proportional to the product of the models' probabilities to the powers
s_k, so that a confident model is not diluted by an uncertain one.

Amounts, counts, shares and ratings are on a scale of the targets (``_target_scale``).

Shares are estimated on held-out rows, which all models predict from the others: the rows of each of
five folds; with 200 rows or more those of one fold, a quarter or about a thousand. Shares are means
of their posterior distribution: with few rows, shares near 1 are not supported by the data. The
prior density of the shares decreases in those of the other models, and for wide rows in that of the
prior.

References: Breiman (1996), Stacked regressions; Yao et al. (2018), Using stacking to average
Bayesian predictive distributions; Genest and Zidek (1986), Combining probability distributions
(section 3.1: logarithmic opinion pools).

Notation: n rows, k models, g shares that are tried, c classes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.special import log_softmax

from skmeta._tabular import (
    LEVELS,
    MANY_ROWS,
    MAX_CLASSES,
    MAX_RELEVANCES,
    Fold,
    GaussianProcess,
    WeightedRows,
    average_weights,
    fit_boosting,
    fit_forest,
    fit_process,
    fit_ridge,
    hold_out,
    location_and_scale,
    mix,
    reshape_distributions,
    weight_grid,
)
from skmeta.few_shot._table_task import TableTask
from skmeta.few_shot._target_scale import ChosenScale, TargetScale

_MIN_ROWS_OF_PROCESS = 5
# Of ordered classes: chosen on development sets.
_N_FOLDS_OF_ORDERED = 3
# Number of rows that the prior of the shares counts as; chosen on development sets of
# benchmarks/measure/small_tables.py.
_N_OF_PRIOR = 1.5
_MIN_PROBABILITY, _MIN_ERROR, _MIN_SHARE = 1e-7, 1e-5, 1e-9


class Predictor(Protocol):
    """A fitted model."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return probabilities (n, c) of classes, or means (n,)."""


# From rows, and models of the same kind of parts of these rows. One that has a method
# `predict_held_out(rows, sets)` predicts sets of rows from the others, without a model for each.
Fit = Callable[[WeightedRows, list[Any]], Predictor]


class Ensemble(NamedTuple):
    """Models beside the prior, and the shares of ``"prior"`` and of each.

    The spread is the root mean squared error on held-out rows, over that without boosted trees.
    """

    members: dict[str, Predictor]
    shares: dict[str, float]
    spread: float = 1.0  # at most 1; 1 for a classification
    scale: TargetScale | None = None  # of targets, if models see them on one

    def mix(self, own: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Mix the prior's means (n,) or probabilities (n, c) with those of the other models."""
        predicted = [own, *(member.predict(X) for member in self.members.values())]
        shares = np.array(list(self.shares.values()))
        if own.ndim == 1:
            return mix(np.stack(predicted), shares)
        return np.asarray(np.exp(_pool(_log(np.stack(predicted)), shares)))

    def mix_distributions(
        self, own: np.ndarray, quantiles: np.ndarray, X: np.ndarray, levels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mix the prior's means `own` (n,) and quantiles (n, 201) with those of the other models.

        Return means and standard deviations (n,), and quantiles (n, q) at `levels`.
        """
        process, mean = self.members.get("process"), self.mix(own, X)
        if isinstance(process, GaussianProcess):
            quantiles = _mix_quantiles(self.shares, quantiles, process.predict_quantiles(X, LEVELS))
        if self.scale is None:
            return mean, *reshape_distributions(quantiles, mean, self.spread, levels)
        quantiles = reshape_distributions(quantiles, mean, self.spread, LEVELS)[1]
        return self.scale.to_units(quantiles, levels)

    @property
    def all_shares(self) -> dict[str, float]:
        """Shares of the models, and of the quantiles of the known targets if they take part."""
        if self.scale is None:
            return dict(self.shares)
        shares = {name: self.scale.share * share for name, share in self.shares.items()}
        return {**shares, "known targets": 1 - self.scale.share}


def fit_ensemble(
    task: TableTask, more: Mapping[str, Fit] | None = None, chosen: ChosenScale | None = None
) -> Ensemble | None:
    """Fit the models that suit a table, `more` models, and the shares of all; None without any."""
    n_classes, support = task.n_classes, task.support
    fits = {**(more or {}), **_choose_members(support, n_classes, task.nominal)}
    scale, processes = chosen or (None, [])
    if not fits or len(np.unique(support.y)) < 2:
        return None if scale is None else Ensemble({}, {"prior": 1.0}, scale=scale)
    names = ["prior", *fits]
    # The prior sees a part of the columns of wide rows at a time.
    best = "ridge" if "ridge" in fits and support.X.shape[1] > MAX_RELEVANCES else "prior"
    believed = np.array([name == best for name in names], float)
    if more:
        believed = np.full(len(names), 1 / len(names))
    shares, spread = believed, 1.0
    folds = hold_out(support, n_classes, *([_N_FOLDS_OF_ORDERED] if more else []))
    models: dict[str, list[Any]] = {"process": processes} if processes else {}
    for name, fit in fits.items():
        if name not in models and not hasattr(fit, "predict_held_out"):
            models[name] = [fit(part, []) for part, _ in folds]
    if folds:
        rows = np.concatenate([positions for _, positions in folds])
        predicted, quantiles = _predict_held_out(
            task, support, folds, fits, models, scale is not None
        )
        losses = _losses(support, n_classes, rows, predicted)
        grid = weight_grid(len(names))
        shares = average_weights(
            losses(grid).mean(1),
            grid,
            float(support.weight[rows].sum()),
            squared=not n_classes,
            prior=believed,
            n_of_prior=_N_OF_PRIOR,
        )
        if not n_classes:
            without = _without_boosting(dict(zip(names, shares, strict=True)))
            mixed, others = losses(np.stack([shares, list(without.values())])).mean(1)
            spread = min(1.0, float(np.sqrt(mixed / others)))
        if scale is not None and quantiles is not None:
            pairs = zip(models["process"], folds, strict=True)
            theirs = [each.predict_quantiles(support.X[held], LEVELS) for each, (_, held) in pairs]
            named = dict(zip(names, shares, strict=True))
            quantiles = _mix_quantiles(named, quantiles, np.concatenate(theirs))
            mean = mix(predicted, shares)
            quantiles = reshape_distributions(quantiles, mean, spread, LEVELS)[1]
            scale = scale.weigh(support, folds, quantiles)
    members = {name: fit(support, models.get(name, [])) for name, fit in fits.items()}
    return Ensemble(members, dict(zip(names, shares.tolist(), strict=True)), spread, scale)


def _mix_quantiles(shares: Mapping[str, float], own: np.ndarray, process: np.ndarray) -> np.ndarray:
    """Return means of quantiles of the prior and of the process, by their shares."""
    share = _without_boosting(shares)["process"]
    return np.asarray((1 - share) * own + share * process)


def _without_boosting(shares: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of the models that predict a distribution, which sum to 1."""
    rest = {**shares, "boosting": 0.0} if "boosting" in shares else dict(shares)
    total = sum(rest.values())
    if total < _MIN_SHARE:
        return {name: float(name == "prior") for name in shares}
    return {name: share / total for name, share in rest.items()}


def _choose_members(
    support: WeightedRows, n_classes: int, categories: Collection[int]
) -> dict[str, Fit]:
    """Return how to fit the models that suit a table."""
    X, n_rows, fits = support.X, len(support.y), dict[str, Fit]()
    is_wide = X.shape[1] > MAX_RELEVANCES and not categories and not np.isnan(X).any()
    if n_classes and (is_wide or n_rows >= MANY_ROWS):
        fits["ridge"] = lambda part, _: fit_ridge(part, n_classes, categories)
    if not n_classes and n_rows >= _MIN_ROWS_OF_PROCESS:
        fits["process"] = lambda part, others: fit_process(part, categories, others)
    if n_rows >= MANY_ROWS and n_classes <= MAX_CLASSES:
        fits["boosting"] = lambda part, _: fit_boosting(part, n_classes)
        if n_classes:
            fits["forest"] = lambda part, _: fit_forest(part, n_classes)
    return fits


def _predict_held_out(
    task: TableTask,
    support: WeightedRows,
    folds: list[Fold],
    fits: dict[str, Fit],
    models: dict[str, list[Any]],
    with_quantiles: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return predictions (k, n[, c]) of held-out rows, and the prior's quantiles (n, 201)."""
    sets, quantiles = [positions for _, positions in folds], None
    own = task.context.predict_held_out(sets, LEVELS if with_quantiles else ())
    if with_quantiles:
        quantiles = np.concatenate([part.quantiles for part in own])
    each = [own if task.n_classes else [part.mean for part in own]]
    for name, fit in fits.items():
        if name in models:
            pairs = zip(models[name], sets, strict=True)
            each.append([model.predict(support.X[held]) for model, held in pairs])
        else:
            each.append(fit.predict_held_out(support, sets))  # type: ignore[attr-defined]
    return np.stack([np.concatenate(parts) for parts in each]), quantiles


def _losses(
    support: WeightedRows, n_classes: int, rows: np.ndarray, predicted: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of shares (g, k): log losses or squared errors (g, n) of held-out rows."""
    y, weight = support.y[rows], support.weight[rows] / support.weight[rows].mean()
    if n_classes:
        log_p, at = _log(predicted), np.arange(len(rows))
        return lambda shares: np.stack([-weight * _pool(log_p, s)[at, y] for s in shares])
    errors = (predicted - y) / location_and_scale(support.y, support.weight)[1]
    return lambda shares: weight * ((shares @ errors) ** 2 + _MIN_ERROR)


def _log(probability: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(probability, _MIN_PROBABILITY)))


def _pool(log_p: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the log probabilities (n, c) of a mixture of log probabilities (k, n, c)."""
    return np.asarray(log_softmax(np.tensordot(shares, log_p, 1), axis=1))
