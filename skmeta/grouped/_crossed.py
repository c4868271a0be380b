"""Several columns of groups, nested or crossed: an effect of each level, estimated together."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from scipy.special import ndtri

from skmeta._optional import import_optional
from skmeta.grouped._canonical import Standardiser, canonical_order, deal_groups
from skmeta.grouped._ensemble import LEARNER, POPULATION
from skmeta.grouped._mixture import PROBABILITIES
from skmeta.grouped._model import Predictions, Settings
from skmeta.grouped._population import fill, fit_population, log_odds
from skmeta.learners.hierarchical import CrossedFit, fit_crossed


class CrossedModel:
    """A population, and a mixed model with an intercept for each level of each factor.

    The mixed model has the columns of the table and the predictions of the population. The folds of
    the population are those of the levels of the first factor. Levels have numbers; -1 is one
    without known rows: its effect is 0.

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

    def fit(self, X: np.ndarray, y: np.ndarray, codes: np.ndarray) -> None:
        """Fit the population and the mixed model.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Columns; NaN is a missing value.
        y : ndarray of shape (n,)
            Targets or class codes.
        codes : ndarray of shape (n, n_factors), int64
            Levels, from 0 on.
        """
        self.of_columns = Standardiser.learn(X)
        X, settings = self.of_columns(X), self.settings
        if not self.n_classes:
            self.of_targets = Standardiser.learn(y)
            y = self.of_targets(y)
        # The order of the rows and the numbers of the levels follow from their content.
        orders = [canonical_order(np.column_stack([X, y]), column) for column in codes.T]
        rows = orders[0].rows
        X, y, codes = X[rows], y[rows], codes[rows]
        n_folds = min(settings.n_folds, len(orders[0].groups))
        of_level = deal_groups(orders[0].codes, y, n_folds)
        self.folds = np.empty_like(of_level)
        self.folds[orders[0].groups] = of_level
        self.population, shared = fit_population(
            settings.population,
            X,
            y,
            np.ones(len(y)),
            self.folds[codes[:, 0]],
            self.labels,
            n_jobs=settings.n_jobs,
            report=settings.report,
        )
        filled = fill(X)
        self.columns = np.flatnonzero(filled.max(0, initial=-1e9) > filled.min(0, initial=1e9))
        self.spread = 0.0 if self.n_classes else float(np.std(y - shared))
        self._rows = (X, shared, y, codes)
        self._estimate()

    def _estimate(self) -> None:
        """Estimate the mixed model from all known rows."""
        X, shared, y, codes = self._rows
        self.counts = [np.bincount(column) for column in codes.T]
        self.fits: list[CrossedFit] = []
        if self.settings.combine == POPULATION:
            return
        design = self._design(X, shared)
        of_classes = range(1 if self.n_classes == 2 else 0, self.n_classes)
        targets = [(y == k).astype(float) for k in of_classes] if self.n_classes else [y]
        for target in targets:
            is_classes = bool(self.n_classes)
            self.fits.append(
                fit_crossed(design, target, codes, is_classification=is_classes, ridge=True)
            )
        self.settings.report()

    def _design(self, X: np.ndarray, shared: np.ndarray) -> np.ndarray:
        parts = [np.ones((len(X), 1)), fill(X)[:, self.columns]]
        if self.settings.combine != LEARNER:
            parts.append(log_odds(shared) if self.n_classes else shared[:, None])
        return np.hstack(parts)

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
        first = codes[:, 0]
        is_known = (first >= 0) & (first < len(self.folds))
        folds = np.where(is_known, self.folds[np.where(is_known, first, 0)], -1)
        return self.population.predict(X, folds)

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
        quantiles = np.tile(ndtri(PROBABILITIES), (len(X), 1))
        if not self.fits:
            return Predictions(shared, np.full(len(X), self.spread), quantiles)
        design = self._design(X, shared)
        if self.n_classes:
            each = [fit.predict_proba(design, codes) for fit in self.fits]
            proba = np.column_stack([1 - each[0], each[0]] if len(each) == 1 else each)
            return Predictions(proba / proba.sum(1, keepdims=True), np.zeros(len(X)), quantiles)
        mean, std = self.fits[0].predict(design, codes, noise=True)
        return Predictions(mean, std, quantiles)

    def effects(self, names: list[str], levels: list[list[Any]]) -> Any:
        """Return a pandas data frame of the effects of all levels.

        Parameters
        ----------
        names : list of str
            Names of the factors.
        levels : list of list
            Labels of their levels.

        Returns
        -------
        pandas.DataFrame
            Indexed by factor and level, with the columns ``rows``, ``intercept`` and
            ``intercept std``. The row ``shared`` of a factor has the deviation between its levels.
        """
        pandas = import_optional("pandas", "effects_")
        scale = 1.0 if self.n_classes else float(self.of_targets.scale)
        fit, parts = self.fits[-1], []
        for f, (name, labels) in enumerate(zip(names, levels, strict=True)):
            between = float(np.sqrt(fit.covariances[f][0, 0]))
            index = pandas.MultiIndex.from_product([[name], ["shared", *labels]])
            counts = self.counts[f]
            columns = {
                "rows": np.r_[counts.sum(), counts],
                "intercept": scale * np.r_[0.0, fit.effects[f][:, 0]],
                "intercept std": scale * np.r_[between, fit.effect_std(f)[:, 0]],
            }
            parts.append(pandas.DataFrame(columns, index=index))
        return pandas.concat(parts).rename_axis(["column", "group"])

    def summary(self, names: list[str]) -> str:
        """Return in words how much groups differ.

        Parameters
        ----------
        names : list of str
            Names of the factors.
        """
        n_rows = len(self._rows[2])
        if not self.fits:
            return f"{n_rows} rows, predicted by the population alone."
        scale = 1.0 if self.n_classes else float(self.of_targets.scale)
        fit, what = self.fits[-1], "log odds" if self.n_classes else "target"
        lines = [f"{n_rows} rows. Deviations of the {what}:"]
        for name, counts, covariance in zip(names, self.counts, fit.covariances, strict=True):
            between = scale * float(np.sqrt(covariance[0, 0]))
            lines.append(f"  between the {len(counts)} groups of {name}: {between:.4g}")
        if not self.n_classes:
            lines.append(f"  of the rest: {scale * fit.sigma:.4g}")
        return "\n".join(lines)
