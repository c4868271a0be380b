"""Run the searches that the shipped priors of LightGBM, XGBoost and CatBoost are learned from.

    SKMETA_DATA=<folder> python -m benchmarks.make.boosting_searches --estimators LGBMRegressor

As ``make/searches.py``, on the same sets and folds, with up to 500 rows. Each configuration is
scored twice, from one fit on nine tenths of the fold's training rows: at the number of rounds that
it names, and where the loss on the last tenth has not improved for 20 rounds ("early stopping", at
most 1,000 rounds). The two are two rows of ``results/boosting_searches.parquet``.
"""

import time
import warnings
from functools import partial
from importlib import import_module

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from benchmarks.lib.resumable import read_options
from benchmarks.lib.tabular_sets import load
from benchmarks.make.searches import candidate_record, plan, record_all, search_set

CATBOOST = {"thread_count": 1, "verbose": 0, "random_seed": 0, "allow_writing_files": False}
PACKAGES = {
    "LGBM": ("lightgbm", {"n_jobs": 1, "verbose": -1, "random_state": 0}),
    "XGB": ("xgboost", {"n_jobs": 1, "random_state": 0}),
    "CatBoost": ("catboost", CATBOOST),
}
BOOSTERS = {
    f"{name}{kind}": package
    for name, package in PACKAGES.items()
    for kind in ("Classifier", "Regressor")
}
# Parameter of the number of rounds, and its default.
ROUNDS = {
    "lightgbm": ("n_estimators", 100),
    "xgboost": ("n_estimators", 100),
    "catboost": ("iterations", 1000),
}
EARLY = "early stopping"  # the configuration's value of the number of rounds
N_CONFIGURATIONS, MAX_ROWS = 30, 500
MAX_COLUMNS_OF_CATBOOST = 60  # a fit of more takes minutes
MAX_ROUNDS, PATIENCE, HELD = 1000, 20, 0.1


def main():
    options = read_options(__doc__, estimators=[*BOOSTERS], minutes=float("inf"))

    def search_one(history, end, name, dataset):
        package = BOOSTERS[name][0]
        n_columns = load(dataset["name"])[0].shape[1]
        if package == "catboost" and n_columns > MAX_COLUMNS_OF_CATBOOST:
            return
        named = "make_boosting_searches 1", name, make_booster(name), dataset
        evaluate_one = partial(evaluate, package)
        search_set(history, end, *named, N_CONFIGURATIONS, MAX_ROWS, evaluate_one, impute=True)

    record_all(plan(options.estimators), search_one, "boosting_searches", options.minutes)


def make_booster(name):
    """Return an estimator on one core."""
    package, settings = BOOSTERS[name]
    return getattr(import_module(package), name)(**settings)


def evaluate(package, estimator, candidate, X, y, splits, scoring):
    """Evaluate one configuration on all folds: with early stopping, and at its own rounds."""
    rounds, default = ROUNDS[package]
    n_rounds = candidate.get(rounds, default)
    by_rounds = {EARLY: [], n_rounds: []}
    fit_times = []
    for train, test in splits:
        begun = time.perf_counter()
        model, best = fit(package, estimator, candidate, n_rounds, X[train], y[train])
        fit_times.append(time.perf_counter() - begun)
        for key, n in ((n_rounds, n_rounds), (EARLY, best)):
            truncated = TRUNCATED[is_classifier(estimator)](model, package, n)
            with warnings.catch_warnings(action="ignore"):
                scorer = check_scoring(model, scoring, raise_exc=False)
                scores = scorer(truncated, X[test], y[test])
            # A metric that cannot be computed is the text of an error.
            by_rounds[key].append({m: s if np.isreal(s) else np.nan for m, s in scores.items()})
    for key, by_fold in by_rounds.items():
        # The one at its own rounds comes last: what is on record is told by it.
        named = candidate if key is not EARLY else {**candidate, rounds: EARLY}
        scores = {m: [by_metric[m] for by_metric in by_fold] for m in scoring}
        source = "random" if candidate else "added"
        yield candidate_record(estimator, named, scores, fit_times, source=source)


class Stopper:
    """Follows the loss on held rows; `is_done` after the rounds that are wanted in any case."""

    def __init__(self, n_rounds):
        self._n_rounds = n_rounds
        self.losses = []

    def observe(self, loss):
        self.losses.append(loss)

    @property
    def best(self):
        """Number of rounds that early stopping finds."""
        lowest, best = np.inf, 0
        for k, loss in enumerate(self.losses[:MAX_ROUNDS]):
            if loss < lowest:
                lowest, best = loss, k + 1
            elif k + 1 - best >= PATIENCE:
                break
        return max(1, best)

    @property
    def is_done(self):
        n = len(self.losses)
        stopped = n >= MAX_ROUNDS or n - int(np.argmin(self.losses)) - 1 >= PATIENCE
        return stopped and n >= self._n_rounds


def fit(package, estimator, candidate, n_rounds, X, y):
    """Return a model of at least `n_rounds` rounds, and the rounds of early stopping."""
    settings = {**candidate, ROUNDS[package][0]: max(n_rounds, MAX_ROUNDS)}
    model = type(estimator)(**{**estimator.get_params(), **settings})
    stratify = y if is_classifier(model) else None
    X, X_held, y, y_held = train_test_split(X, y, test_size=HELD, stratify=stratify, random_state=0)
    stopper = Stopper(n_rounds)
    held = (X_held, y_held)
    with warnings.catch_warnings(action="ignore"):
        FIT[package](model, X, y, held, stopper)
    return model, stopper.best


def fit_lightgbm(model, X, y, held, stopper):
    from lightgbm.callback import EarlyStopException

    def follow(env):
        stopper.observe(env.evaluation_result_list[0][2])
        if stopper.is_done:
            raise EarlyStopException(env.iteration, env.evaluation_result_list)

    model.fit(X, y, eval_set=[held], callbacks=[follow])


def fit_xgboost(model, X, y, held, stopper):
    from xgboost.callback import TrainingCallback

    class Follow(TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            [losses] = evals_log["validation_0"].values()
            stopper.observe(losses[-1])
            return stopper.is_done

    model.set_params(callbacks=[Follow()]).fit(X, y, eval_set=[held], verbose=False)
    model.set_params(callbacks=None)


def fit_catboost(model, X, y, held, stopper):
    class Follow:
        def after_iteration(self, info):
            [losses] = info.metrics["validation"].values()
            stopper.observe(losses[-1])
            return not stopper.is_done

    model.fit(X, y, eval_set=held, use_best_model=False, callbacks=[Follow()])


FIT = {"lightgbm": fit_lightgbm, "xgboost": fit_xgboost, "catboost": fit_catboost}


class Truncated(BaseEstimator):
    """A fitted model of which only the first rounds predict."""

    def __init__(self, model, package, n_rounds):
        self.model = model
        self.package = package
        self.n_rounds = n_rounds

    def __sklearn_is_fitted__(self):
        return True

    def _first(self):
        if self.package == "xgboost":
            return {"iteration_range": (0, self.n_rounds)}
        return {{"lightgbm": "num_iteration"}.get(self.package, "ntree_end"): self.n_rounds}

    def predict(self, X):
        return np.ravel(self.model.predict(X, **self._first()))


class TruncatedClassifier(ClassifierMixin, Truncated):
    @property
    def classes_(self):
        return self.model.classes_

    def predict_proba(self, X):
        return self.model.predict_proba(X, **self._first())


class TruncatedRegressor(RegressorMixin, Truncated):
    pass


TRUNCATED = {True: TruncatedClassifier, False: TruncatedRegressor}


if __name__ == "__main__":
    main()
