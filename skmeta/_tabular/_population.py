"""What all groups share: an estimator that is cross-fitted over folds of groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits

from skmeta._sklearn_compat import Parallel, cut_rounds, delayed
from skmeta._tabular._ensemble import mean_of, trees_to_arrays

# Boosted trees: chosen, as those below, on development tables of benchmarks/measure/grouped.py.
# Smaller steps and more leaves pay beside the effects of groups, where few rounds are best.
_BOOSTED: dict[str, Any] = {"learning_rate": 0.2, "max_leaf_nodes": 15}
_BOOSTED_CORRECTION: dict[str, Any] = {"learning_rate": 0.1, "max_leaf_nodes": 31}
# Small ones, of rounds up to the second number.
_BOOSTED_SMALL, _MAX_SMALL = {"learning_rate": 0.1, "max_leaf_nodes": 12}, 80
# Numbers of rounds that are fitted, one after the other.
_ROUNDS = (10, 20, 40, 80, 160, 320)
# More are fitted if the best number of rounds is more than this share of them.
_LATE = 0.75
# The number of a regression is chosen on two folds if these have this many rows.
_ENOUGH_ROWS = 400
# Extremely randomised trees, for tables of no more rows.
_N_RANDOMISED, _RANDOMISED = 25, {"min_samples_leaf": 3, "max_features": 0.5}
_MAX_RANDOMISED = 10_000
# Trees of "auto" are fitted to this many rows at most.
_MAX_ROWS = 200_000
# Rounds are compared on so many held-out rows of a fold at most.
_MAX_HELD_OUT = 50_000
# Fewer rounds are better unless more have a loss that is lower by this share.
_MIN_GAIN = 1e-3
# Probabilities are not below this before their logarithms are taken.
MIN_PROBABILITY = 1e-3


class FitSettings(NamedTuple):
    """How populations are fitted: `report` is called after each fit."""

    estimator: Any  # a regressor or classifier, or "auto"
    n_jobs: int | None
    report: Callable[[], None]

    @property
    def is_auto(self) -> bool:
        """Whether the estimator is chosen by the package."""
        return isinstance(self.estimator, str)


def silent() -> None:
    """Report nothing: the ``report`` of settings that are kept."""


class Population:
    """Fitted models of the rows of all groups but those of one fold.

    A group that the models were fitted on is predicted by the one that was fitted without it, and a
    new group by the mean of all. With fewer models than folds, folds are joined. `labels`
    (n_classes,) are class codes, None for a regression; `is_filled` says whether missing values are
    filled; `n_rounds` is 0 for models without boosting.
    """

    def __init__(
        self, models: list[Any], labels: np.ndarray | None, is_filled: bool, n_rounds: int = 0
    ) -> None:
        self.models, self.labels = models, labels
        self.is_filled, self.n_rounds = is_filled, n_rounds

    def predict(self, X: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """Return targets (n,) or probabilities (n, c), given folds of groups; -1 is a new one."""
        shape = (len(X),) if self.labels is None else (len(X), len(self.labels))
        predictions = np.empty(shape)
        joined = np.where(folds < 0, -1, folds % len(self.models))
        for k, model in enumerate(self.models):
            rows = np.flatnonzero(joined == k)
            if len(rows):
                predictions[rows] = self._outputs(model, X[rows])
        rows = np.flatnonzero(joined < 0)
        if len(rows):
            outputs = [self._outputs(model, X[rows]) for model in self.models]
            predictions[rows] = np.mean(outputs, axis=0)
        return predictions

    def _outputs(self, model: Any, X: np.ndarray) -> np.ndarray:
        return outputs_of(model, fill(X) if self.is_filled else X, self.labels)


def fill(X: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
    """Return `columns`, by default all, of X with means for NaN and then indicators of NaN."""
    d = X.shape[1]
    columns = np.arange(2 * d) if columns is None else columns
    is_own = columns < d
    filled = np.empty((len(X), len(columns)))
    filled[:, is_own] = np.nan_to_num(X[:, columns[is_own]])
    filled[:, ~is_own] = np.isnan(X[:, columns[~is_own] - d])
    return filled


def varying(X: np.ndarray) -> np.ndarray:
    """Return the positions of the columns of `fill(X)` that are not constant."""
    missing, filled = np.isnan(X), np.nan_to_num(X)
    own = np.flatnonzero(filled.max(0) > filled.min(0))
    return np.append(own, X.shape[1] + np.flatnonzero(missing.any(0) & ~missing.all(0)))


def folds_of(folds: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the fold of each row's group (n,), from those of groups; -1 if it has none."""
    is_known = (codes >= 0) & (codes < len(folds))
    return np.where(is_known, folds[np.where(is_known, codes, 0)], -1)


def outputs_of(model: Any, X: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Return predictions (n,), or probabilities (n, c) of all classes."""
    if labels is None:
        return np.asarray(model.predict(X), dtype=np.float64).reshape(len(X))
    if hasattr(model, "predict_proba"):
        return _proba_with_all_classes(model.predict_proba(X), model, labels)
    return _proba_with_all_classes(model.predict(X)[:, None] == model.classes_, model, labels)


def _proba_with_all_classes(proba: np.ndarray, model: Any, labels: np.ndarray) -> np.ndarray:
    return with_all_classes(proba, np.searchsorted(labels, model.classes_), len(labels))


def with_all_classes(proba: np.ndarray, present: np.ndarray, n_classes: int) -> np.ndarray:
    """Return probabilities (n, n_classes) from those of the classes that are present."""
    all_classes = np.full((len(proba), n_classes), MIN_PROBABILITY / 10)
    all_classes[:, present] = np.maximum(proba, MIN_PROBABILITY / 10)
    return np.asarray(all_classes / all_classes.sum(1, keepdims=True))


def log_odds(proba: np.ndarray) -> np.ndarray:
    """Return log odds of probabilities (n, c): one column for two classes, else one for each."""
    logs = np.log(np.clip(proba, MIN_PROBABILITY, None))
    if logs.shape[1] == 2:
        return np.asarray(logs[:, 1:] - logs[:, :1])
    return np.asarray(logs - logs.mean(1, keepdims=True))


def fit_population(
    settings: FitSettings,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    folds: np.ndarray,
    n_classes: int,
    *,
    corrects_base: bool = False,
    refit: bool = False,
    categories: Sequence[int] = (),
    n_rounds: int = 0,
    is_small: bool = False,
) -> tuple[Population, np.ndarray]:
    """Fit one model per fold of rows (n,); return also predictions of each row by one without it.

    The estimator ``"auto"`` is boosted trees, small ones if `is_small`, with the rounds of the
    least loss of unseen rows, or `n_rounds`; in small regressions it is averaged with extremely
    randomised trees, unless it `corrects_base`: its columns or targets hold effects of groups. With
    `refit`, new rows are predicted by one model of all rows.
    """
    estimator, is_auto = settings.estimator, settings.is_auto
    labels = np.arange(n_classes) if n_classes else None
    is_filled = not is_auto and not get_tags(estimator).input_tags.allow_nan and np.isnan(X).any()
    rows = fill(X) if is_filled else X
    parts = [np.flatnonzero(folds != k) for k in range(folds.max() + 1)]
    if len(parts) == 1:
        parts = [np.arange(len(X))]
    fit = _Fit(rows, y, weight, labels, settings)
    if is_auto:
        size = corrects_base, n_rounds, is_small
        models, n_rounds = _boosted(fit, folds, parts, categories, *size)
        if labels is None and not corrects_base and len(y) <= _MAX_RANDOMISED:
            # Averaged with extremely randomised trees (Geurts et al., 2006).
            randomised = fit.each([_RandomisedTrees()] * len(parts), parts)
            trees = zip(_as_arrays(models), _as_arrays(randomised), strict=True)
            models = [mean_of(both) for both in trees]
        elif labels is not None and _has_rare_class(y, weight):
            linear = fit.each([_Logistic(tuple(categories))] * len(parts), parts)
            share = _linear_share(fit, folds, models, linear)
            models = [
                MeanOfClasses(list(pair), [1 - share, share], labels)
                for pair in zip(models, linear, strict=True)
            ]
    else:
        models = fit.each([estimator] * len(parts), parts)
    keep = _as_arrays if is_auto else list
    population = Population(keep(models), labels, bool(is_filled), n_rounds)
    unseen = population.predict(X, folds)
    if refit:
        # Of the same number of rounds.
        model = models[0] if is_auto else estimator
        every = [np.arange(len(X))]
        if isinstance(model, MeanOfClasses):
            each = [fit.each([one], every)[0] for one in model.models]
            whole: list[Any] = [MeanOfClasses(each, model.shares, model.classes_)]
        else:
            whole = fit.each([model], every)
        population = Population(keep(whole), labels, bool(is_filled), n_rounds)
    return population, unseen


class _Fit(NamedTuple):
    """Rows, and how models are fitted on parts of them."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    labels: np.ndarray | None
    settings: FitSettings

    def each(self, models: list[Any], parts: list[np.ndarray]) -> list[Any]:
        """Fit clones of models, each on its part of the rows."""
        return self.again([clone(model) for model in models], parts)

    def again(self, models: list[Any], parts: list[np.ndarray]) -> list[Any]:
        """Fit models, each on its part of the rows."""
        jobs, n_jobs = zip(models, parts, strict=True), self.settings.n_jobs
        if n_jobs in (None, 1):
            return [self._one(model, rows) for model, rows in jobs]
        # Models that are fitted at once share the cores.
        with threadpool_limits(1, user_api="openmp"):
            parallel = Parallel(n_jobs=n_jobs, prefer="threads")
            return list(parallel(delayed(self._one)(model, rows) for model, rows in jobs))

    def _one(self, model: Any, rows: np.ndarray) -> Any:
        if self.settings.is_auto:
            rows = _sample(rows, _MAX_ROWS)
        weight = self.weight[rows]
        if self.labels is not None and len(np.unique(self.y[rows])) == 1:
            # Not every classifier takes one class.
            model = DummyClassifier(strategy="prior")
        # Equal weights are none: some estimators take none, and others take longer with them.
        is_weighted = np.ptp(weight) > 0 and has_fit_parameter(model, "sample_weight")
        params = {"sample_weight": weight} if is_weighted else {}
        # Trees need a value in each column.
        X = np.where(np.isnan(self.X[rows]).all(0), 0.0, self.X[rows])
        try:
            with config_context(skip_parameter_validation=self.settings.is_auto):
                model.fit(X, self.y[rows], **params)
        except ValueError as error:
            if self.settings.is_auto or self.labels is not None or self.y.min() >= 0:
                raise
            raise ValueError(
                f"{type(model).__name__} raised '{error}' Its targets are standardised here, and "
                "some are below 0. If it needs targets from 0 on, set target_type='count' or "
                "'positive', and no order."
            ) from error
        self.settings.report()
        return model

    def losses_by_round(self, model: Any, rows: np.ndarray, n_rounds: int) -> np.ndarray:
        """Return the sum of the losses of rows after each round of boosting."""
        rows = _sample(rows, _MAX_HELD_OUT)
        X, y, weight = self.X[rows], self.y[rows], self.weight[rows]
        if not len(rows) or isinstance(model, DummyClassifier):
            outputs: Any = itertools.repeat(outputs_of(model, X, self.labels), n_rounds)
        elif self.labels is None:
            outputs = model.staged_predict(X)
        else:
            each = model.staged_predict_proba(X)
            outputs = (_proba_with_all_classes(proba, model, self.labels) for proba in each)
        return np.array([weight @ losses_of(y, one) for one in outputs])


def _sample(rows: np.ndarray, most: int) -> np.ndarray:
    """Return positions of rows, or of as many as allowed, drawn at random, in their order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).permutation(rows)[:most])


def losses_of(y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return squared errors of predictions (n,), or log losses of probabilities (n, c)."""
    if outputs.ndim == 1:
        return np.asarray((y - outputs) ** 2)
    chosen = outputs[np.arange(len(y)), y.astype(np.int64)]
    return np.asarray(-np.log(np.clip(chosen, MIN_PROBABILITY, None)))


def _boosted(
    fit: _Fit,
    folds: np.ndarray,
    parts: list[np.ndarray],
    categories: Sequence[int],
    corrects_base: bool,
    n_rounds: int,
    is_small: bool,
) -> tuple[list[Any], int]:
    """Fit boosted trees of each fold, with the same number of rounds; return it, too."""
    # Where they are used: predictions do without them.
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if fit.labels is None else HistGradientBoostingClassifier
    settings = dict(_BOOSTED_CORRECTION if corrects_base else _BOOSTED)
    settings |= _BOOSTED_SMALL if is_small else {}
    settings |= {"early_stopping": False, "random_state": 0}
    settings |= {"categorical_features": list(categories) or None}
    if n_rounds:
        models = [kind(max_iter=n_rounds, **settings) for _ in parts]
        return fit.again(models, parts), n_rounds
    held_out = [np.flatnonzero(folds == k) for k in range(len(parts))]
    is_enough = fit.labels is None and sum(map(len, held_out[:2])) >= _ENOUGH_ROWS
    n_tried = min(2, len(parts)) if is_enough else len(parts)
    models = [kind(max_iter=1, warm_start=True, **settings) for _ in range(n_tried)]
    for tried in _ROUNDS:
        for model in models:
            model.set_params(max_iter=tried)
        fitted = fit.again(models, parts[:n_tried])
        each = zip(fitted, held_out, strict=False)
        losses = np.sum([fit.losses_by_round(model, rows, tried) for model, rows in each], 0)
        best = int(np.argmax(losses <= losses.min() * (1 + _MIN_GAIN))) + 1
        if best <= _LATE * tried or (is_small and tried >= _MAX_SMALL):
            break
    for model in fitted:
        if not isinstance(model, DummyClassifier):
            cut_rounds(model.set_params(max_iter=best), best)
    rest = [kind(max_iter=best, **settings) for _ in parts[n_tried:]]
    return [*fitted, *fit.again(rest, parts[n_tried:])], best


# Where a class has a smaller share of the rows, trees are averaged with a linear classifier; the
# shares of it that are tried. Where none is rare, it did not pay on development tables.
_RARE = 0.05
_LINEAR_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def _has_rare_class(y: np.ndarray, weight: np.ndarray) -> bool:
    """Return whether a class holds few of the rows (n,)."""
    totals = np.bincount(y.astype(np.int64), weight)
    return bool(totals[totals > 0].min() < _RARE * weight.sum())


def _linear_share(fit: _Fit, folds: np.ndarray, trees: list[Any], linear: list[Any]) -> float:
    """Return the share of linear classifiers beside trees with the least held-out loss."""
    each = [
        Population(models, fit.labels, False).predict(fit.X, folds) for models in (trees, linear)
    ]
    losses = [
        fit.weight @ losses_of(fit.y, (1 - share) * each[0] + share * each[1])
        for share in _LINEAR_SHARES
    ]
    return _LINEAR_SHARES[int(np.argmin(losses))]


class MeanOfClasses:
    """The weighted mean of the probabilities of fitted classifiers."""

    def __init__(self, models: list[Any], shares: list[float], labels: np.ndarray) -> None:
        used = [k for k, share in enumerate(shares) if share]
        self.models, self.shares = [models[k] for k in used], [shares[k] for k in used]
        self.classes_ = labels

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict probabilities (n, c) of rows (n, d)."""
        each = [outputs_of(model, X, self.classes_) for model in self.models]
        return np.asarray(np.tensordot(self.shares, each, 1))


class _Logistic(ClassifierMixin, BaseEstimator):
    """Logistic regression of standardised columns, whose gaps are filled; without some of them."""

    def __init__(self, left_out: tuple[int, ...] = ()) -> None:
        self.left_out = left_out

    def _columns(self, X: np.ndarray) -> np.ndarray:
        return fill(np.delete(X, self.left_out, axis=1))

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:
        """Fit to rows (n, d), where NaN is a missing value."""
        from sklearn.linear_model import LogisticRegression

        self.model_ = LogisticRegression(max_iter=300).fit(self._columns(X), y, sample_weight)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict probabilities (n, c) of rows (n, d)."""
        return np.asarray(self.model_.predict_proba(self._columns(X)))


class _RandomisedTrees(RegressorMixin, BaseEstimator):
    """The mean of extremely randomised trees, one after the other: a thread per tree is slower."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:
        """Fit to rows (n, d), where NaN is a missing value."""
        from sklearn.tree import ExtraTreeRegressor

        is_checked = bool(np.isnan(X).any())
        if not is_checked:
            # What a tree does with its input, once for all.
            X, y = X.astype(np.float32), y[:, None]
        self.trees_ = [
            ExtraTreeRegressor(**_RANDOMISED, random_state=k).fit(
                X, y, sample_weight, check_input=is_checked
            )
            for k in range(_N_RANDOMISED)
        ]
        return self


def _as_arrays(models: list[Any]) -> list[Any]:
    """Return fitted trees as arrays; linear classifiers and dummies as they are."""
    return [
        MeanOfClasses(_as_arrays(model.models), model.shares, model.classes_)
        if isinstance(model, MeanOfClasses)
        else model
        if isinstance(model, (DummyClassifier, _Logistic))
        else trees_to_arrays(model)
        for model in models
    ]
