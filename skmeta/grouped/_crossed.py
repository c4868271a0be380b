"""Several columns of groups, nested or crossed: an effect of each level, estimated together."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
from scipy.special import ndtri

from skmeta._optional import import_optional
from skmeta._validation import quote, quote_some
from skmeta.exceptions import EpisodeError
from skmeta.grouped._canonical import Standardiser, canonical_order, deal_groups
from skmeta.grouped._ensemble import BOTH, LEARNER, POPULATION
from skmeta.grouped._mixture import PROBABILITIES
from skmeta.grouped._model import Predictions, Settings
from skmeta.grouped._population import (
    Population,
    fill,
    fit_population,
    folds_of,
    log_odds,
    varying,
)
from skmeta.learners.hierarchical import CrossedFit, fit_crossed

# Settings of `combine` for several columns of groups.
_COMBINE = ("auto", POPULATION, LEARNER, BOTH)
# The least share of a row's variance that its own target does not explain.
_LEAST_LEFT = 1e-6


def check_settings(learner: Any, combine: str, order: Any) -> None:
    """Raise an error if a setting is for one column of groups only."""
    if not isinstance(learner, str):
        rule = f"learner={type(learner).__name__}", "learner='auto'"
    elif combine not in _COMBINE:
        rule = f"combine={combine!r}", f"combine to one of {quote_some(_COMBINE, 4)}"
    elif order is not None:
        rule = f"order={order!r}", "order=None"
    else:
        return
    raise ValueError(
        f"{rule[0]} is for one column of groups, but groups names several. Set {rule[1]}, or name "
        "one column."
    )


def check_factors(codes: np.ndarray, names: list[str]) -> None:
    """Raise an error if a column of groups has one group, or is the same as another one."""
    for f, name in enumerate(names):
        if codes[:, f].max() == 0:
            raise EpisodeError(
                f"Group column {quote(name)} has one group only, so nothing says how its groups "
                "differ. Leave it out of groups."
            )
        for g in range(f):
            if _parents(codes, f, g) is not None and _parents(codes, g, f) is not None:
                raise EpisodeError(
                    f"Group columns {quote(names[g])} and {quote(name)} divide the rows into the "
                    "same groups. Name one of them."
                )


def _parents(codes: np.ndarray, f: int, g: int) -> np.ndarray | None:
    """Return the level of factor g for each level of f; None if f is not nested in g."""
    parents = np.empty(codes[:, f].max() + 1, np.int64)
    parents[codes[:, f]] = codes[:, g]
    return parents if (parents[codes[:, f]] == codes[:, g]).all() else None


class CrossedModel:
    """A population, and a mixed model with an intercept for each level of each factor.

    The mixed model has the columns of the table and the predictions of the population. The folds of
    the population are those of the levels of the first factor that has enough. Levels have numbers;
    -1 is one without known rows: its effect is 0. A factor is nested in another one if each of its
    levels occurs with one level of the other. A level is then known beside that one only.

    Parameters
    ----------
    settings : Settings
        How it is fitted.
    n_classes : int
        Number of classes; 0 for a regression.
    """

    def __init__(self, settings: Settings, n_classes: int) -> None:
        self.settings, self.n_classes = settings, n_classes
        self.labels = np.arange(n_classes) if n_classes else None

    def fit(self, X: np.ndarray, y: np.ndarray, codes: np.ndarray) -> list[np.ndarray]:
        """Fit the population and the mixed model.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Columns; NaN is a missing value.
        y : ndarray of shape (n,)
            Targets or class codes.
        codes : ndarray of shape (n, n_factors), int64
            Levels, from 0 on.

        Returns
        -------
        list of ndarray of shape (n_levels,)
            For each factor, the given number of each level of this model.
        """
        self.of_columns = Standardiser.learn(X)
        X, settings = self.of_columns(X), self.settings
        if not self.n_classes:
            self.of_targets = Standardiser.learn(y)
            y = self.of_targets(y)
        # The order of the rows and the numbers of the levels follow from their content.
        orders = [canonical_order(np.column_stack([X, y]), column) for column in codes.T]
        given = [order.groups for order in orders]
        columns = zip(given, codes.T, strict=True)
        codes = np.column_stack([np.argsort(groups)[column] for groups, column in columns])
        rows = np.lexsort((*codes.T, y, *X.T))
        X, y, codes = X[rows], y[rows], codes[rows]
        n_levels = [len(groups) for groups in given]
        enough = [f for f, n in enumerate(n_levels) if n >= 2 * settings.n_folds]
        self.fold_factor = enough[0] if enough else int(np.argmax(n_levels))
        own = codes[:, self.fold_factor]
        self.folds = deal_groups(own, y, min(settings.n_folds, n_levels[self.fold_factor]))
        self.columns = varying(fill(X))
        # What is shared without a population: the mean, or the shares of the classes.
        self.mean = (
            np.bincount(y.astype(int), minlength=self.n_classes) / len(y)
            if self.n_classes
            else np.array(y.mean())
        )
        self.population: Population | None = None
        shared = np.repeat(self.mean[None], len(y), axis=0)
        if settings.combine != LEARNER and len(self.columns):
            self.population, shared = fit_population(
                settings.population,
                X,
                y,
                np.ones(len(y)),
                self.folds[own],
                self.labels,
                n_jobs=settings.n_jobs,
                report=settings.report,
            )
        self.spread = 0.0 if self.n_classes else float(np.std(y - shared))
        self._rows = (X, shared, y, codes)
        self.of_design = Standardiser.learn(self._columns(X, shared))
        self._estimate()
        return given

    def _estimate(self) -> None:
        """Estimate the mixed model from all known rows."""
        X, shared, y, codes = self._rows
        self.counts = [np.bincount(column) for column in codes.T]
        pairs = itertools.permutations(range(codes.shape[1]), 2)
        self.parents = {pair: _parents(codes, *pair) for pair in pairs}
        self.fits: list[CrossedFit] = []
        if self.settings.combine == POPULATION:
            return
        design = self._design(X, shared)
        of_classes = range(1 if self.n_classes == 2 else 0, self.n_classes)
        targets = [(y == k).astype(float) for k in of_classes] if self.n_classes else [y]
        for target in targets:
            is_classes, ridge = bool(self.n_classes), design.shape[1] > 1
            self.fits.append(
                fit_crossed(design, target, codes, is_classification=is_classes, ridge=ridge)
            )
        if not self.n_classes:
            self.quantiles = _left_out_quantiles(self.fits[0], design, y, codes)
        self.settings.report()

    def _columns(self, X: np.ndarray, shared: np.ndarray) -> np.ndarray:
        columns = fill(X)[:, self.columns]
        if self.population is None:
            return columns
        return np.hstack([columns, log_odds(shared) if self.n_classes else shared[:, None]])

    def _design(self, X: np.ndarray, shared: np.ndarray) -> np.ndarray:
        return np.hstack([np.ones((len(X), 1)), self.of_design(self._columns(X, shared))])

    def add(self, X: np.ndarray, y: np.ndarray, codes: np.ndarray) -> CrossedModel:
        """Return a model with more known rows. The population stays as it is.

        Parameters
        ----------
        X, y, codes
            As for :meth:`fit`. New levels have numbers that were not used before.
        """
        found = copy.copy(self)
        X = self.of_columns(X)
        y = y if self.n_classes else self.of_targets(y)
        more = (X, self._shared(X, codes), y, codes)
        X, shared, y, codes = (np.concatenate(p) for p in zip(self._rows, more, strict=True))
        found._rows = (X, shared, y, codes)
        found._estimate()
        return found

    def _shared(self, X: np.ndarray, codes: np.ndarray) -> np.ndarray:
        if self.population is None:
            return np.repeat(self.mean[None], len(X), axis=0)
        folds = folds_of(self.folds, codes[:, self.fold_factor])
        return self.population.predict(X, folds)

    def within_parents(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (n, n_factors), -1 for levels beside another level than they are nested in.

        Parameters
        ----------
        codes : ndarray of shape (n, n_factors), int64
            Levels by their labels; -1 for those without known rows.
        """
        found = codes.copy()
        for (f, g), parents in self.parents.items():
            if parents is not None:
                found[parents[codes[:, f]] != codes[:, g], f] = -1
        return found

    def predict(self, X: np.ndarray, codes: np.ndarray) -> Predictions:
        """Predict rows.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Columns.
        codes : ndarray of shape (n, n_factors), int64
            Levels; -1 for those without known rows.

        Returns
        -------
        Predictions
            In standardised units.
        """
        X = self.of_columns(X)
        shared = self._shared(X, codes)
        if not self.fits:
            quantiles = np.tile(ndtri(PROBABILITIES), (len(X), 1))
            return Predictions(shared, np.full(len(X), self.spread), quantiles)
        design = self._design(X, shared)
        if self.n_classes:
            each = [fit.predict_proba(design, codes) for fit in self.fits]
            proba = np.column_stack([1 - each[0], each[0]] if len(each) == 1 else each)
            proba /= proba.sum(1, keepdims=True)
            return Predictions(proba, np.zeros(len(X)), np.zeros((len(X), 0)))
        mean, std = self.fits[0].predict(design, codes, noise=True)
        return Predictions(mean, std, np.tile(self.quantiles, (len(X), 1)))

    def effects(
        self, names: list[str], levels: list[list[Any]], classes: list[Any] | None = None
    ) -> Any:
        """Return a pandas data frame of the effects of all levels.

        Parameters
        ----------
        names : list of str
            Names of the factors.
        levels : list of list
            Labels of their levels.
        classes : list, optional
            Labels of the classes. Of more than two, each has columns of its own.

        Returns
        -------
        pandas.DataFrame
            Indexed by factor and level, with the columns ``rows``, ``intercept`` and
            ``intercept std``. The row ``shared`` of a factor has the deviation between its levels.
        """
        pandas = import_optional("pandas", "effects_")
        scale = 1.0 if self.n_classes else float(self.of_targets.scale)
        parts = []
        for f, (name, labels) in enumerate(zip(names, levels, strict=True)):
            index = pandas.MultiIndex.from_product([[name], ["shared", *labels]])
            counts = self.counts[f]
            columns = {"rows": np.r_[counts.sum(), counts]}
            for fit, of in zip(self.fits, self._names_of_fits(classes), strict=True):
                between = float(np.sqrt(fit.covariances[f][0, 0]))
                columns[f"intercept{of}"] = scale * np.r_[0.0, fit.effects[f][:, 0]]
                columns[f"intercept{of} std"] = scale * np.r_[between, fit.effect_std(f)[:, 0]]
            parts.append(pandas.DataFrame(columns, index=index))
        return pandas.concat(parts).rename_axis(["column", "group"])

    def _names_of_fits(self, classes: list[Any] | None) -> list[str]:
        if classes is None or len(self.fits) == 1:
            return [""] * len(self.fits)
        return [f" ({label})" for label in classes]

    def summary(self, names: list[str], classes: list[Any] | None = None) -> str:
        """Return in words how much groups differ.

        Parameters
        ----------
        names : list of str
            Names of the factors.
        classes : list, optional
            Labels of the classes.
        """
        n_rows = len(self._rows[2])
        if not self.fits:
            return f"{n_rows} rows, predicted by the population alone."
        scale = 1.0 if self.n_classes else float(self.of_targets.scale)
        what = "log odds" if self.n_classes else "target"
        lines = [f"{n_rows} rows. Deviations of the {what}:"]
        for f, name in enumerate(names):
            outer = [names[g] for g in range(len(names)) if self.parents.get((f, g)) is not None]
            nested = f", nested in {' and '.join(outer)}" if outer else ""
            for fit, of in zip(self.fits, self._names_of_fits(classes), strict=True):
                between = scale * float(np.sqrt(fit.covariances[f][0, 0]))
                of_groups = f"{len(self.counts[f])} groups of {name}{nested}{of}"
                lines.append(f"  between the {of_groups}: {between:.4g}")
        if not self.n_classes:
            lines.append(f"  of the rest: {scale * self.fits[0].sigma:.4g}")
        return "\n".join(lines)


def _left_out_quantiles(
    fit: CrossedFit, design: np.ndarray, y: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """Return quantiles of residuals over the predicted deviation, each row left out in turn.

    The residual of a row that is left out is its residual over 1 - h, and its predicted variance is
    sigma^2 / (1 - h), where sigma^2 h is the variance of its fitted value.
    """
    mean, std = fit.predict(design, codes)
    left = np.maximum(1 - (std / fit.sigma) ** 2, _LEAST_LEFT)
    return np.asarray(np.quantile((y - mean) / (fit.sigma * np.sqrt(left)), PROBABILITIES))
