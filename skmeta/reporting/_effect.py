"""The effect of one column: a mixed-effects model with columns that the data call for.

Notation: n rows, k treatment columns D (n, k), other columns W (n, d), F factors of groups with
levels `codes` (n, F), q coefficients of a design. The linear predictor is

    eta = a + D b + W c + (means of D by group) e + (what was learned of W) f + (D x W) h,

with effects of each group on the intercept, and on D where it varies within groups. Coefficients of
D rest on changes within groups, as the means of D by group have their own. The columns in
parentheses enter where held-out rows, or the fit, call for them:

- predictions, of groups held out, of what a linear model leaves of the target, and of D, by splines
  and by trees;
- squares of D, and products of D with other columns.

The model is then that of lme4 where these are not needed.

References: Belloni, Chernozhukov and Hansen (2014), Inference on treatment effects after selection
among high-dimensional controls; Chernozhukov et al. (2018), Double/debiased machine learning for
treatment and structural parameters; Mundlak (1978), On the pooling of time series and cross section
data; Satterthwaite (1946), An approximate distribution of estimates of variance components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2
from scipy.stats import t as student

from skmeta.mixed import ConditionedFactors, FactorModel, Family, Normal, fit_factors
from skmeta.reporting._learned import (
    MIN_LEFT,
    N_FOLDS,
    Learned,
    folds_of_groups,
    group_means,
    learn_one,
    learners,
    left_by,
)
from skmeta.reporting._sample import (
    MANY_SHARE,
    WITHIN,
    Sample,
    between_groups,
    kept_columns,
)

# Products enter at this level, which is shared by those that are tried.
_CHANCE = 0.01
# Steps of differences: in a linear predictor, and in a parameter over its deviation.
_STEP, _SHARE, _LONGEST = 1e-4, 0.3, 0.2
# Deviations of effects between groups that estimates of groups are averaged over, per standard
# deviation of the column. Their prior is half-normal: of numbers in theirs, and of other targets.
_BETWEEN, _LEAST = np.geomspace(0.02, 2.0, 12), 1e-3
_PRIOR, _PRIOR_OF_LINKS = 0.25, 0.5


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
class Design:
    """Columns (n, q) of the model from D, W, and further columns L of rows."""

    centre: np.ndarray  # of D and W together
    scale: np.ndarray
    kept: np.ndarray  # columns of W
    n_treatments: int
    products: tuple[tuple[int, int], ...] = ()  # of columns without the intercept

    def __call__(self, D: np.ndarray, W: np.ndarray, L: np.ndarray) -> np.ndarray:
        """Return the columns; those of D follow the intercept."""
        both = (np.hstack([D, W[:, self.kept]]) - self.centre) / self.scale
        base = np.hstack([both, L])
        products = [(base[:, a] * base[:, b])[:, None] for a, b in self.products]
        return np.hstack([np.ones((len(D), 1)), base, *products])


@dataclass(frozen=True)
class Effect:
    """A fitted model of the effect of D."""

    sample: Sample
    design: Design
    extra: np.ndarray  # L (n, l) of the rows
    learned: tuple[Learned, ...]  # the last columns of L
    means: tuple[tuple[int, np.ndarray], ...]  # factors, and means of D by level
    target: np.ndarray  # standardised numbers, counts or positions of classes
    centre: float  # of y
    scale: float
    model: FactorModel
    given: ConditionedFactors
    has_groups: bool

    def rows(self, others: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return L (n, l) of new rows."""
        learned = [one(others)[:, None] for one in self.learned]
        return np.hstack([_means_of_rows(self.means, codes), *learned])

    # ------------------------------------------------------------------------------ estimates

    def compare(
        self,
        to: np.ndarray,
        versus: np.ndarray,
        others: np.ndarray,
        extra: np.ndarray,
        codes: np.ndarray | None = None,
    ) -> list[tuple[Estimate, Estimate]]:
        """Return the difference of means, and the logarithm of their ratio, for each output.

        `to` and `versus` (k,) are values of D. Means are over rows, and over groups; given codes
        (F,) of levels, they are those of these levels.
        """
        if codes is not None:
            return self._averaged(to, versus, others, extra, codes)
        return self._compare(to, versus, others, extra, None)

    def _averaged(
        self,
        to: np.ndarray,
        versus: np.ndarray,
        others: np.ndarray,
        extra: np.ndarray,
        codes: np.ndarray,
    ) -> list[tuple[Estimate, Estimate]]:
        """Return comparisons of a group, averaged over how much effects differ between groups.

        Few groups do not tell this, and the likeliest value is often 0.
        """
        rows = to, versus, others, extra
        weights, given = self.between_groups(int(np.argmax(codes >= 0)))
        parts = [replace(self, given=one)._compare(*rows, codes) for one in given]
        moments = np.array(parts)[..., :2]  # (k, c, 2, 2): values and deviations of estimates
        value = np.tensordot(weights, moments[..., 0], 1)
        variance = np.tensordot(weights, moments[..., 1] ** 2 + (moments[..., 0] - value) ** 2, 1)
        # What is left to the noise of a regression; that of other targets is known.
        df = float(max(len(self.target) - self._rows.shape[1] - self.sample.codes.max(), 1))
        df = df if isinstance(self.model.family, Normal) else np.inf
        both = zip(value, np.sqrt(variance), strict=True)
        return [(Estimate(v[0], s[0], df), Estimate(v[1], s[1], df)) for v, s in both]

    def between_groups(self, factor: int) -> tuple[np.ndarray, list[ConditionedFactors]]:
        """Return deviations of effects between groups: their weights, and effects given each."""
        if factor not in self._found:
            shapes, used = self.model.shapes, self.model.columns[factor]
            first = sum(shape.n_parameters for shape in shapes[:factor])
            places = first + np.flatnonzero(used > 0)
            steps = np.zeros((len(_BETWEEN), len(self.model.uncertainty)))
            steps[:, places] = np.log(_BETWEEN)[:, None] - self.model.parameters[places]
            X, sample = self._rows, self.sample
            parts = X, self.target, sample.codes, sample.weight
            log = self.model.log_likelihoods(steps, *parts, sample.offset)
            is_normal = isinstance(self.model.family, Normal)
            prior = -0.5 * (_BETWEEN / (_PRIOR if is_normal else _PRIOR_OF_LINKS)) ** 2
            weights = np.exp(log - log.max() + prior) * _BETWEEN
            used_steps = np.flatnonzero(weights > _LEAST * weights.sum())
            weights = weights[used_steps] / weights[used_steps].sum()
            models = [self.model.moved(steps[k]) for k in used_steps]
            given = [one.condition(*parts, None, sample.offset) for one in models]
            self._found[factor] = weights, given
        return self._found[factor]

    @cached_property
    def _found(self) -> dict[int, tuple[np.ndarray, list[ConditionedFactors]]]:
        return {}

    @property
    def _rows(self) -> np.ndarray:
        """The columns (n, q) of the rows."""
        return self.design(self.sample.treatment, self.sample.others, self.extra)

    def _compare(
        self,
        to: np.ndarray,
        versus: np.ndarray,
        others: np.ndarray,
        extra: np.ndarray,
        codes: np.ndarray | None,
    ) -> list[tuple[Estimate, Estimate]]:
        n = len(others)
        X = [self.design(np.tile(one, (n, 1)), others, extra) for one in (to, versus)]
        means, gradients = zip(*(self._mean(one, codes) for one in X), strict=True)
        pairs = []
        for c in range(len(means[0])):
            (a, b), (da, db) = (m[c] for m in means), (g[c] for g in gradients)
            pairs.append((self._estimate(a - b, da - db, codes), self._ratio(a, b, da, db, codes)))
        return pairs

    def _mean(self, X: np.ndarray, codes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return means of targets (c,) over rows, and their gradients (c, q) in coefficients."""
        family, eta = self.model.family, X @ self.given.mean.T
        if codes is None:
            spread = np.zeros((len(X), 1, 1))
            for used, S in zip(self.model.columns, self.model.covariances, strict=True):
                between = np.einsum("nq,qp,np->n", X[:, used], S[0], X[:, used])
                spread[:, 0, 0] += between * self.has_groups

            def means(at: np.ndarray) -> np.ndarray:
                return _columns(family.averaged(at, spread))
        else:
            eta = self.given.moments(X, np.tile(codes, (len(X), 1)))[0]

            def means(at: np.ndarray) -> np.ndarray:
                return _columns(family.means(at))

        if isinstance(family, Normal):
            value = self.centre + self.scale * eta.mean(0)
            return value, self.scale * X.mean(0)[None]
        slopes = (means(eta + _STEP) - means(eta - _STEP)) / (2 * _STEP)
        return means(eta).mean(0), slopes.T @ X / len(X)

    def _ratio(
        self, a: float, b: float, da: np.ndarray, db: np.ndarray, codes: np.ndarray | None
    ) -> Estimate:
        """Return the logarithm of the ratio of means, or of odds of probabilities."""
        if self.is_of_classes:
            left, right = a * (1 - a), b * (1 - b)
            value = np.log(a / (1 - a)) - np.log(b / (1 - b))
            return self._estimate(value, da / left - db / right, codes)
        if min(a, b) <= 0:
            return Estimate(np.nan, np.nan, np.inf)
        return self._estimate(np.log(a / b), da / a - db / b, codes)

    @property
    def is_of_classes(self) -> bool:
        """Whether targets are classes."""
        return hasattr(self.model.family, "n_classes")

    def _estimate(self, value: float, gradient: np.ndarray, codes: np.ndarray | None) -> Estimate:
        variance = float(gradient @ self.given.mean_covariance @ gradient)
        if codes is None:
            df = self._degrees(gradient, variance)
        else:
            at = self.given.moments(gradient[None], codes[None])[1]
            variance, df = float(at[0, 0, 0]), np.inf
        return Estimate(float(value), float(np.sqrt(variance)), df)

    def _degrees(self, gradient: np.ndarray, variance: float) -> float:
        """Return Satterthwaite's degrees of freedom of a variance."""
        slopes = np.zeros(len(self.model.uncertainty))
        for k, up, down, step in self._moves:
            slopes[k] = gradient @ (up - down) @ gradient / (2 * step)
        spread = float(slopes @ self.model.uncertainty @ slopes)
        return float(max(2 * variance**2 / max(spread, 1e-300), 1.0))

    @cached_property
    def _moves(self) -> list[tuple[int, np.ndarray, np.ndarray, float]]:
        """Covariances of the coefficients, a step up and down in each parameter."""
        moved, sample = [], self.sample
        rows = self._rows, self.target, sample.codes, sample.weight, None, sample.offset
        for k, std in enumerate(np.sqrt(np.diag(self.model.uncertainty))):
            step = np.zeros(len(self.model.uncertainty))
            step[k] = min(_SHARE * std, _LONGEST)
            if std > 0:
                models = self.model.moved(step), self.model.moved(-step)
                up, down = (one.condition(*rows).mean_covariance for one in models)
                moved.append((k, up, down, float(step[k])))
        return moved


def _columns(values: np.ndarray) -> np.ndarray:
    """Return means (n, 1), or probabilities (n, c - 1) of the classes after the first."""
    return values[:, None] if values.ndim == 1 else values[:, 1:]


# ---------------------------------------------------------------------------------------- fit


def fit_effect(
    sample: Sample,
    family: Family | None = None,
    products: tuple[tuple[int, int], ...] | None = None,
) -> Effect:
    """Fit the model of the effect of D on targets: numbers, counts, or positions of classes.

    Given products of columns of D and W, it has these, and nothing is learned.
    """
    family, has_groups = Normal() if family is None else family, sample.codes.max() > 0
    D, W, w = sample.treatment, sample.others, sample.weight
    k = D.shape[1]
    is_normal = isinstance(family, Normal)
    centre = float(np.average(sample.y, weights=w)) if is_normal else 0.0
    scale = float(np.sqrt(np.average((sample.y - centre) ** 2, weights=w))) if is_normal else 1.0
    target = (sample.y - centre) / (scale or 1.0)
    kept = kept_columns(sample, target)
    target = target.astype(np.int64) if hasattr(family, "n_classes") else target
    both = np.hstack([D, W[:, kept]])
    design = Design(both.mean(0), both.std(0), kept, k)
    means, slopes = between_groups(sample)
    columns = [np.r_[0, 1 + used] for used in slopes]
    unit = target, centre, scale or 1.0

    def fitted(
        design: Design,
        extra: np.ndarray,
        learned: tuple[Learned, ...] = (),
        start: FactorModel | None = None,
    ) -> Effect:
        X = design(D, W, extra)
        start = None if start is None else _with_columns(start, X.shape[1])
        settings: Any = {"columns": columns, "w": w, "offset": sample.offset, "tolerance": 1e-4}
        model = fit_factors(X, target, sample.codes, family, start=start, **settings)
        given = model.condition(X, target, sample.codes, w, None, sample.offset)
        return Effect(sample, design, extra, learned, means, *unit, model, given, has_groups)

    extra = _means_of_rows(means, sample.codes)
    if products is not None:
        return fitted(replace(design, products=products), extra)
    effect = fitted(design, extra)
    found = list(_surplus(effect, design(D, W, extra)[:, 1 + k :]))
    if found:
        values, learned = zip(*found, strict=True)
        effect = fitted(design, np.column_stack([extra, *values]), learned, effect.model)
    products = _products(effect, fitted)
    if not products:
        return effect
    return fitted(replace(design, products=products), effect.extra, effect.learned, effect.model)


def _means_of_rows(means: tuple[Any, ...], codes: np.ndarray) -> np.ndarray:
    """Return the means (n, l) of D in the groups of rows; 0 in those that are not known."""
    columns = [
        np.where(at >= 0, values[at], 0.0) for at, values in ((codes[:, f], v) for f, v in means)
    ]
    return np.stack(columns, 1) if columns else np.empty((len(codes), 0))


def _with_columns(model: FactorModel, q: int) -> FactorModel:
    """Return a model to start from, whose coefficients that were added are 0."""
    n = sum(shape.n_parameters for shape in model.shapes)
    mean = np.zeros(q)
    old = model.mean[0]
    mean[: min(q, len(old))] = old[:q]
    rest = model.parameters[n + len(old) :]
    return replace(model, parameters=np.concatenate([model.parameters[:n], mean, rest]))


# ------------------------------------------------------------------------------ what is learned


def _surplus(effect: Effect, W_design: np.ndarray) -> Iterator[tuple[np.ndarray, Learned]]:
    """Yield what can be learned of the residuals of the target and of D, for rows held out."""
    sample, target = effect.sample, effect.target
    W = sample.others[:, effect.design.kept]
    if W.shape[1] == 0 or len(W) < 5 * N_FOLDS:
        return
    X = effect.design(sample.treatment, sample.others, effect.extra)
    eta = effect.given.moments(X, sample.codes)[0] + sample.offset[:, None]
    family = effect.model.family
    curvature = np.maximum(family.curvature(target, eta)[:, 0, 0], 1e-6)
    left = family.score(target, eta)[:, 0] / curvature
    weight = sample.weight * curvature / curvature.mean()
    folds = folds_of_groups(sample.codes)
    for makers in learners(len(W), bool(np.ptp(weight))):
        yield from learn_one(
            makers, sample.others, W_design, left, weight, folds, sample.codes[:, 0]
        )
    if effect.has_groups:  # D is predicted from changes within groups, as its means have columns.
        first = sample.codes[:, 0]
        Z, D = (
            values - np.stack([group_means(one, first) for one in values.T], 1)[first]
            for values in (W_design, X[:, 1 : 1 + sample.treatment.shape[1]])
        )
    else:
        Z, D = W_design - W_design.mean(0), X[:, 1 : 1 + sample.treatment.shape[1]]
    for column in D.T:
        own = column - Z @ np.linalg.lstsq(Z, column, rcond=None)[0]
        if column.var() <= WITHIN:
            continue
        for makers in learners(len(W), bool(np.ptp(sample.weight))):
            yield from learn_one(
                makers, sample.others, W_design, own, sample.weight, folds, sample.codes[:, 0]
            )


def _products(effect: Effect, fitted: Callable[..., Effect]) -> tuple[tuple[int, int], ...]:
    """Return squares of D and its products with other columns that the fit calls for."""
    k, sample = effect.design.n_treatments, effect.sample
    X = effect.design(sample.treatment, sample.others, effect.extra)[:, 1:]
    q = X.shape[1]
    tried = [
        (a, b)
        for a in range(k)
        for b in (a, *range(k, q))
        if left_by(X, X[:, a] * X[:, b]) > MIN_LEFT
    ]
    if not tried or len(tried) > MANY_SHARE * len(X):
        return ()
    design = replace(effect.design, products=tuple(tried))
    wide = fitted(design, effect.extra, effect.learned, effect.model)
    std = np.sqrt(np.diag(wide.given.mean_covariance))[1 + q :]
    called = (wide.given.mean[0, 1 + q :] / std) ** 2 > chi2.isf(_CHANCE / len(tried), 1)
    return tuple(pair for pair, used in zip(tried, called, strict=True) if used)
