"""The effect of one column: a mixed-effects model with columns that the data call for.

Notation: n rows, k treatment columns D (n, k), other columns W (n, d), F factors of groups with
levels `codes` (n, F), q coefficients of a design. The linear predictor is

    eta = a + D b + W c + (means of D by group) e + (functions of W) f + (D x W) h,

with effects of each group on the intercept, and on D where it varies within groups. Coefficients of
D rest on changes within groups, as the means of D by group have their own. The columns in
parentheses enter where the data call for them:

- steps, hinges and products of columns that predict what a linear model leaves of the target, or
  of D;
- squares of D, and products of D with other columns.

The model is then that of lme4 where these are not needed. A contrast is a difference of mean
predictions over rows, with its standard error by the delta method.

References: Belloni, Chernozhukov and Hansen (2014), Inference on treatment effects after selection
among high-dimensional controls; Mundlak (1978), On the pooling of time series and cross section
data; Rao (1948), Large sample tests of statistical hypotheses concerning several parameters;
Satterthwaite (1946), An approximate distribution of estimates of variance components; Schluchter
and Elashoff (1990), Small-sample adjustments to tests with unbalanced repeated measures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2
from scipy.stats import t as student

from skmeta._mixed import Conditioned, Family, MixedModel, Normal, Prior, fit
from skmeta._reporting._functions import MIN_LEFT, Functions, choose_functions
from skmeta._reporting._sample import (
    MANY_SHARE,
    TreatmentRows,
    between_groups,
    df_of_groups,
    differs_within,
    kept_columns,
    left_by,
)

# Products enter at this level, which is shared by those that are tried.
_CHANCE = 0.01
# Steps of differences: in a linear predictor, and in a parameter over its deviation.
_STEP, _SHARE, _LONGEST = 1e-4, 0.3, 0.2
# Deviations of effects between groups that estimates of groups are averaged over, per standard
# deviation of the column, and the scale of their half-normal prior.
_BETWEEN, _LEAST, _PRIOR = np.geomspace(0.02, 2.0, 12), 1e-3, 0.25
# Decrease of the log likelihood that ends a fit; a share of a variance that is none.
_TOLERANCE, _NONE = 1e-4, 1e-9


class Estimate(NamedTuple):
    """An estimate with its standard error, and degrees of freedom of a t distribution."""

    value: float
    std: float
    df: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the bounds of the interval."""
        half = float(student.ppf(0.5 + level / 2, self.df)) * self.std
        return self.value - half, self.value + half


@dataclass(frozen=True)
class ContrastDesign:
    """Columns (n, q) of the model: 1, D and W, means of D, functions of W, and products."""

    centre: np.ndarray  # of D and W together
    scale: np.ndarray
    kept: np.ndarray  # columns of W
    means: tuple[tuple[int, np.ndarray], ...]  # factors, and means of D by level
    functions: Functions | None = None
    products: tuple[tuple[int, int], ...] = ()  # of columns without the intercept

    def __call__(self, D: np.ndarray, W: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the columns of rows."""
        both = (np.hstack([D, W[:, self.kept]]) - self.centre) / self.scale
        # The means of D are 0 in groups that are not known.
        means = [np.where(codes[:, [f]] >= 0, of[codes[:, [f]]], 0.0) for f, of in self.means]
        base = np.hstack([both, *means])
        if self.functions is not None:
            base = np.hstack([base, self.functions(both[:, D.shape[1] :])])
        products = [base[:, [a]] * base[:, [b]] for a, b in self.products]
        return np.hstack([np.ones((len(D), 1)), base, *products])


@dataclass(frozen=True)
class Effect:
    """A fitted model of the effect of D."""

    sample: TreatmentRows
    design: ContrastDesign
    X: np.ndarray  # the columns (n, q) of the rows
    target: np.ndarray  # standardised numbers, counts or positions of classes
    centre: float  # of y
    scale: float
    model: MixedModel
    given: Conditioned

    def rows(
        self, treatments: np.ndarray, others: np.ndarray, codes: np.ndarray
    ) -> list[np.ndarray]:
        """Return the columns (n, q) of rows that have the same treatment, for each of (m, k)."""
        each = (np.tile(D, (len(others), 1)) for D in treatments)
        return [self.design(D, others, codes) for D in each]

    def compare(
        self, to: np.ndarray, versus: np.ndarray, known: np.ndarray | None = None
    ) -> tuple[Estimate, Estimate]:
        """Return the difference of means over rows, and the logarithm of their ratio.

        Rows have the columns `to` and `versus` (n, q). Means are over groups, too, but for those of
        `known` (F,): levels, and -1 for factors that means are over. Ratios of probabilities are
        those of odds.
        """
        known = np.full(len(self.model.columns), -1) if known is None else known
        (a, da), (b, db) = self._mean(to, known), self._mean(versus, known)
        difference = self._estimate(a - b, da - db, known)
        if hasattr(self.model.family, "n_classes"):
            (a, da), (b, db) = ((p / (1 - p), dp / (1 - p) ** 2) for p, dp in ((a, da), (b, db)))
        if min(a, b) <= 0:
            return difference, Estimate(np.nan, np.nan, np.inf)
        return difference, self._estimate(np.log(a / b), da / a - db / b, known)

    def _mean(self, X: np.ndarray, known: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean of targets over rows, and its gradient (q,) in coefficients."""
        eta = self.given.moments(X, np.tile(known, (len(X), 1)))[0]
        spread = _between(self.model, X, known)[:, None, None] * self.sample.has_groups

        def means(at: np.ndarray) -> np.ndarray:
            family = self.model.family
            values = family.averaged(at, spread) if spread.any() else family.means(at)
            return np.asarray(self.centre + self.scale * values.reshape(len(X), -1)[:, -1])

        slopes = (means(eta + _STEP) - means(eta - _STEP)) / (2 * _STEP)
        return float(means(eta).mean()), slopes @ X / len(X)

    def _estimate(self, value: float, gradient: np.ndarray, known: np.ndarray) -> Estimate:
        """Return an estimate with Satterthwaite's degrees of freedom; of a group, those of rows."""

        def variance(given: Conditioned) -> float:
            whole = given.moments(gradient[None], known[None])[1][0, 0, 0]
            return float(whole - _between(given.prior, gradient[None], known)[0])

        own = variance(self.given)
        if (known >= 0).any():
            df = max(float(len(self.X) - self.X.shape[1] - self.sample.codes.max()), 1.0)
            return Estimate(value, float(np.sqrt(own)), df)
        slopes = self.slopes(variance)
        spread = float(slopes @ self.model.uncertainty @ slopes)
        df = 2 * own**2 / spread if spread > _NONE * own**2 else np.inf
        # The variance between groups may be estimated at 0, and df are then those of rows.
        most = df_of_groups(self.X[:, 1:], self.sample.treatment.shape[1], self.sample.codes)
        return Estimate(value, float(np.sqrt(own)), max(min(df, *most), 1.0))

    def slopes(self, of: Callable[[Conditioned], Any]) -> np.ndarray:
        """Return derivatives (..., p) of a function of the model in its parameters."""
        slopes = [(of(up) - of(down)) / (2 * step) for up, down, step in self._moves]
        return np.stack(slopes, -1)

    @cached_property
    def _moves(self) -> list[tuple[Conditioned, Conditioned, float]]:
        """Models a step up and down in each parameter, and the step."""
        std = np.sqrt(np.diag(self.model.uncertainty))
        steps = np.clip(_SHARE * std, 1e-8, _LONGEST)
        each = zip(steps, np.diag(steps), strict=True)
        return [(self._moved(move), self._moved(-move), step) for step, move in each]

    def _moved(self, step: np.ndarray) -> Conditioned:
        """Return the model after a step (p,) of its parameters, given the rows."""
        return condition_effect(self.model.moved(step), self.X, self.target, self.sample)

    def by_group(self, factor: int) -> tuple[list[float], list[Effect]]:
        """Return weights of, and models by, how much effects differ between groups.

        Few groups do not tell this, and the likeliest value is often 0.
        """
        if len(self.model.columns[factor]) == 1:
            raise ValueError(
                "The effect cannot be told for each group: the column is the same in all rows of a "
                "group, or groups have too few rows of each value. Leave group out for the common "
                "effect."
            )
        shapes, sample = self.model.shapes, self.sample
        first = sum(shape.n_parameters for shape in shapes[:factor])
        places = first + np.flatnonzero(self.model.columns[factor] > 0)
        steps = np.zeros((len(_BETWEEN), len(self.model.uncertainty)))
        steps[:, places] = np.log(_BETWEEN)[:, None] - self.model.parameters[places]
        rows = self.X, self.target, sample.codes, sample.weight, sample.offset
        log = self.model.log_likelihoods(steps, *rows)
        weights = np.exp(log - log.max() - 0.5 * (_BETWEEN / _PRIOR) ** 2) * _BETWEEN
        used = np.flatnonzero(weights > _LEAST * weights.sum())
        models = [replace(self, given=self._moved(steps[k])) for k in used]
        return weights[used].tolist(), models


def averaged(weights: Sequence[float], estimates: Sequence[Estimate]) -> Estimate:
    """Return the estimate of a mixture of models, given that of each."""
    w, values = np.array(weights) / sum(weights), np.array([one.value for one in estimates])
    value = float(w @ values)
    variance = w @ (np.array([one.std for one in estimates]) ** 2 + (values - value) ** 2)
    return Estimate(value, float(np.sqrt(variance)), estimates[0].df)


def _between(model: MixedModel | Prior, X: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return variances (n,) of linear predictors over the groups that are not known."""
    total = np.zeros(len(X))
    for level, used, S in zip(known, model.columns, model.covariances, strict=True):
        if level < 0:
            total += np.einsum("nq,qp,np->n", X[:, used], S[0], X[:, used])
    return total


def condition_effect(
    model: MixedModel, X: np.ndarray, target: np.ndarray, sample: TreatmentRows
) -> Conditioned:
    """Return the model given the rows of a sample."""
    return model.condition(X, target, sample.codes, sample.weight, sample.offset)


# ---------------------------------------------------------------------------------------- fit


def fit_effect(
    sample: TreatmentRows,
    family: Family,
    products: tuple[tuple[int, int], ...] | None = None,
    with_slopes: bool = False,
) -> Effect:
    """Fit the model of the effect of D on targets: numbers, counts, or positions of classes.

    Given products of columns of D and W, it has these, and nothing is chosen. Effects of single
    groups need slopes.
    """
    D, W, target, centre, scale = sample.treatment, sample.others, sample.y, 0.0, 1.0
    if isinstance(family, Normal):
        centre = float(np.average(target, weights=sample.weight))
        scale = float(np.sqrt(np.average((target - centre) ** 2, weights=sample.weight))) or 1.0
        target = (target - centre) / scale
    kept = kept_columns(sample)
    means, columns, codes = between_groups(sample, with_slopes)
    # The effect of a single group would be the intercept once more, so no row has it.
    sample = sample._replace(codes=codes if sample.has_groups else codes - 1)
    both = np.hstack([D, W[:, kept]])
    design = ContrastDesign(both.mean(0), both.std(0), kept, means, products=products or ())

    def fitted(design: ContrastDesign) -> Effect:
        X = design(D, W, sample.codes)
        settings: Any = {"columns": columns, "w": sample.weight, "offset": sample.offset}
        model = fit(X, target, sample.codes, family, tolerance=_TOLERANCE, **settings)
        given = condition_effect(model, X, target, sample)
        return Effect(sample, design, X, target, centre, scale, model, given)

    effect = fitted(design)
    if products is None:
        wide = replace(design, functions=_functions(effect) if len(kept) else None)
        n_linear = effect.X.shape[1] - 1
        wide = replace(wide, products=_products(effect, wide(D, W, sample.codes), n_linear))
        effect = fitted(wide) if wide.functions or wide.products else effect
    return effect


def _functions(effect: Effect) -> Functions | None:
    """Return functions of W that predict what it leaves of the target, or of D."""
    sample, family, X = effect.sample, effect.model.family, effect.X
    k, codes = sample.treatment.shape[1], np.maximum(sample.codes[:, 0], 0)
    D, linear = X[:, 1 : 1 + k], X[:, 1 + k :]
    # Differences within groups are left, or those between them.
    known = sample.codes if differs_within(D, codes).any() else np.full_like(sample.codes, -1)
    eta = effect.given.moments(X, known)[0] + sample.offset[:, None]
    curvature = np.maximum(family.curvature(effect.target, eta)[:, 0, 0], 1e-6)
    # The target without the effect of D, which it may have in place of a function of W.
    left = family.score(effect.target, eta)[:, 0] / curvature + D @ effect.given.mean[0, 1 : 1 + k]
    targets, W = np.column_stack([left, D]), linear[:, : len(effect.design.kept)]
    weights = sample.weight[:, None] * np.column_stack([curvature, np.ones(D.shape)])
    functions = choose_functions(W, linear, targets, weights, codes)
    return functions if len(functions.columns) else None


def _products(effect: Effect, X: np.ndarray, n_linear: int) -> tuple[tuple[int, int], ...]:
    """Return squares of D and its products with linear columns of X that a score test calls for."""
    sample, base, k = effect.sample, X[:, 1:], effect.sample.treatment.shape[1]
    pairs = [(a, b) for a in range(k) for b in (a, *range(k, n_linear))]
    tried = [(a, b) for a, b in pairs if left_by(base, base[:, a] * base[:, b]) > MIN_LEFT]
    if not tried or len(tried) > MANY_SHARE * len(base):
        return ()
    X = np.column_stack([X, *(base[:, a] * base[:, b] for a, b in tried)])
    # One Newton step of all coefficients, from 0 for those that the model lacks (Rao, 1948).
    given = condition_effect(_wider(effect.model, X.shape[1]), X, effect.target, sample)
    eta = given.moments(X, sample.codes)[0] + sample.offset[:, None]
    score = sample.weight * effect.model.family.score(effect.target, eta)[:, 0]
    step = given.mean[0] + given.mean_covariance @ X.T @ score
    z = (step / np.sqrt(np.diag(given.mean_covariance)))[-len(tried) :]
    called = z**2 > chi2.isf(_CHANCE / len(tried), 1)
    return tuple(pair for pair, used in zip(tried, called, strict=True) if used)


def _wider(model: MixedModel, q: int) -> MixedModel:
    """Return a model of q columns, whose coefficients of further ones are 0."""
    n = q - model.mean.shape[1]
    prior = np.concatenate([model.mean_prior, np.repeat(model.mean_prior[-1], n)])
    return replace(model, mean=np.pad(model.mean, ((0, 0), (0, n))), mean_prior=prior)
