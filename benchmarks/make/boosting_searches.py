"""Run the searches that the shipped priors of LightGBM, XGBoost and CatBoost are learned from.

    SKMETA_DATA=<folder> python -m benchmarks.make.boosting_searches searches.db

As ``make/searches.py``, on the same sets and folds, with up to 500 rows. Each configuration is
scored twice, from one fit on nine tenths of the fold's training rows: at the number of rounds that
it names, and where the loss on the last tenth has not improved for 20 rounds ("early stopping", at
most 1,000 rounds). The two are two rows of the history. What is on record is not evaluated again.
``--export FILE`` writes the history as parquet when done, and the history begins with what that
file holds.
"""

import argparse
import time
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from benchmarks.lib.tabular_sets import path_of
from benchmarks.make.searches import (
    FIRST,
    MAX_CLASSES_OF_BOOSTING,
    candidate_record,
    data_sets,
    design,
    load,
    metrics,
    not_recorded,
    record_all,
    record_search,
)

CATBOOST = {"thread_count": 1, "verbose": 0, "random_seed": 0, "allow_writing_files": False}
BOOSTERS = {
    "LGBMClassifier": ("lightgbm", {"n_jobs": 1, "verbose": -1, "random_state": 0}),
    "LGBMRegressor": ("lightgbm", {"n_jobs": 1, "verbose": -1, "random_state": 0}),
    "XGBClassifier": ("xgboost", {"n_jobs": 1, "random_state": 0}),
    "XGBRegressor": ("xgboost", {"n_jobs": 1, "random_state": 0}),
    "CatBoostClassifier": ("catboost", CATBOOST),
    "CatBoostRegressor": ("catboost", CATBOOST),
}
# Parameter of the number of rounds, and its default.
ROUNDS = {
    "lightgbm": ("n_estimators", 100),
    "xgboost": ("n_estimators", 100),
    "catboost": ("iterations", 1000),
}
EARLY = "early stopping"  # the configuration's value of the number of rounds
MAX_ROWS = 500
# Of more columns, a fit of CatBoost takes minutes.
MAX_COLUMNS = {"catboost": 60}
MAX_ROUNDS, PATIENCE, HELD = 1000, 20, 0.1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("history")
    parser.add_argument("--estimators", nargs="*", default=[*BOOSTERS])
    parser.add_argument("--n-configurations", type=int, default=30)
    parser.add_argument("--n-sets", type=int, help="the first ones only")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--export", type=Path)
    options = parser.parse_args()
    work = plan(options.estimators, options.n_sets)

    def search_one(history, end, name, dataset):
        search(history, name, dataset, options.n_configurations, end)

    record_all(options, work, search_one, options.minutes)


def plan(estimators, n_sets=None):
    """Return pairs of an estimator and a data set, in the order of work."""
    work = []
    for name in estimators:
        task = "classification" if name.endswith("Classifier") else "regression"
        sets = sorted((o for o in data_sets() if o["task"] == task), key=lambda o: o["rank"])
        usable = [
            o for o in sets if o.get("n_classes", 0) <= MAX_CLASSES_OF_BOOSTING or task[0] == "r"
        ]
        work += [
            (position, name, one) for position, one in enumerate(usable[: n_sets or FIRST[task]])
        ]
    # By estimator first: a prior of one needs all of its sets. Small sets, which are cheap, first.
    work.sort(key=lambda w: (estimators.index(w[1]), path_of(w[2]["name"]).stat().st_size, w[0]))
    return [(name, one) for _, name, one in work]


def search(history, name, dataset, n_configurations, end):
    """Evaluate one estimator on one set, but for what is on record."""
    package, settings = BOOSTERS[name]
    estimator = getattr(import_module(package), name)(**settings)
    candidates = design(estimator, n_configurations, seed=f"{name} {dataset['name']}")
    fingerprint = f"make_boosting_searches 1: {name} on {dataset['name']}"
    todo = not_recorded(history, fingerprint, candidates)
    if not todo:
        return
    X, y = load(dataset["name"], MAX_ROWS, is_classifier(estimator))
    if X.shape[1] > MAX_COLUMNS.get(package, np.inf):
        return
    X = SimpleImputer().fit_transform(X)
    scoring = metrics(estimator, y)

    def of_candidate(candidate, splits):
        return evaluate(package, estimator, candidate, X, y, splits, scoring)

    named = fingerprint, dataset["name"], name, estimator
    record_search(history, *named, X, y, scoring, todo, of_candidate, end)


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
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
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
        return {
            "lightgbm": {"num_iteration": self.n_rounds},
            "xgboost": {"iteration_range": (0, self.n_rounds)},
            "catboost": {"ntree_end": self.n_rounds},
        }[self.package]

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
