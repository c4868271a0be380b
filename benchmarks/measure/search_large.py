"""Searches on tables of 5,000 to 100,000 rows, in equal seconds.

    SKMETA_DATA=... python -m benchmarks.measure.search_large --minutes 60
    python -m benchmarks.measure.search_large --summary

The eight tables (``REPORTED`` in ``lib/large_tables.py``) are of other origins than all past
searches. Two thirds of the rows train and one third scores, by log loss or R2, the same for every
method. Seconds are of the process (one thread), fits, scores and search together, so that other
work on the machine has no effect.

``given``       the estimator as it is
``random``      RandomizedSearchCV on the default space, 60 candidates
``ours``        MetaLearnedSearchCV with the shipped prior, 60 candidates at most: it ends when it
                has random's best score
``whole``       the same with ``n_iter_on_sample=0``
``plain``       the same without prior and samples
``no prior``    the same without prior
``halving``     HalvingRandomSearchCV: 81 candidates on a 27th of the rows, then a third on three
                times as many
``hyperband``   Optuna's TPE and HyperbandPruner; resources are ninths of the rows; 60 trials, or
                for as long as 60 random candidates take
``flaml``       FLAML on its own space, for as long as 60 random candidates take; LightGBM only

The goal is the best score of the 60 random candidates. A line of ``results/search_large.jsonl.gz``
has the score and the rows of each evaluation, and the seconds after which it was done.
"""

import contextlib
import os
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import clone, is_classifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import HalvingRandomSearchCV, RandomizedSearchCV, ShuffleSplit

from benchmarks.lib.large_tables import REPORTED, load_table
from benchmarks.lib.origins import same_origin
from benchmarks.lib.resumable import read_lines, read_options, report, run_cells
from benchmarks.measure.search_day_one import for_optuna
from skmeta.search import MetaLearnedSearchCV, default_search_space
from skmeta.search.prior import load_shipped

RESULTS = Path(__file__).parents[1] / "results" / "search_large.jsonl.gz"
ESTIMATORS = {
    "LightGBM": (LGBMClassifier, LGBMRegressor, {"n_jobs": 1, "verbose": -1}),
    "forest": (RandomForestClassifier, RandomForestRegressor, {}),
    "boosting": (HistGradientBoostingClassifier, HistGradientBoostingRegressor, {}),
}
METHODS = ("given", "random", "ours", "whole", "no prior", "plain", "halving", "hyperband", "flaml")
SHOWN_OURS = ("ours", "whole", "plain")
N_RANDOM, N_HALVING = 60, 81
MAX_ROWS = 100_000
CV = ShuffleSplit(1, test_size=1 / 3, random_state=0)
SHOWN = (1, 3, 5, 10)
BOUND = 2.0  # as in search_day_one.py

_log = []  # score, rows, seconds since the start of the process


def neg_log_loss(estimator, X, y):
    """Negative log loss, which notes the time."""
    proba = estimator.predict_proba(X)
    return noted(-float(log_loss(y, proba, labels=estimator.classes_)))


def r2(estimator, X, y):
    """R2, which notes the time."""
    return noted(float(r2_score(y, estimator.predict(X))))


def noted(score):
    _log.append((score, time.process_time()))
    return score


@cache
def data(name):
    """Return X, y, and whether y are classes."""
    [table] = [one for one in REPORTED if one.name == name]
    folder = Path(os.environ["SKMETA_DATA"]) / "tabular"
    return *load_table(folder, table, MAX_ROWS), table.is_classification


def run(cell):
    """Return the line of a table, an estimator and a method."""
    name, kind, method = cell
    if method == "flaml" and kind != "LightGBM":
        return None
    X, y, is_classification = data(name)
    classifier, regressor, settings = ESTIMATORS[kind]
    estimator = (classifier if is_classification else regressor)(random_state=0, **settings)
    _log.clear()
    begun = time.process_time()
    n_rows = SEARCHES.get(method, run_ours)(estimator, X, y, cell)
    scores, ends = (np.array(column) for column in zip(*_log, strict=True))
    return {
        "cell": cell,
        "n": len(y),
        "scores": scores.round(6).tolist(),
        "ends": (ends - begun).round(3).tolist(),
        "rows": n_rows if n_rows is not None else [len(y)] * len(scores),
        "total": round(time.process_time() - begun, 3),
    }


# -- searches, each of which returns the rows of its evaluations ----------------------------------


def scoring_of(estimator):
    return neg_log_loss if is_classifier(estimator) else r2


def run_given(estimator, X, y, cell):
    [(train, test)] = CV.split(X)
    scoring_of(estimator)(clone(estimator).fit(X[train], y[train]), X[test], y[test])


def run_random(estimator, X, y, cell):
    common = {"scoring": scoring_of(estimator), "cv": CV, "refit": False, "random_state": 0}
    space = default_search_space(estimator)
    RandomizedSearchCV(estimator, space, n_iter=N_RANDOM, **common).fit(X, y)


def run_ours(estimator, X, y, cell):
    name, _, method = cell
    scoring = scoring_of(estimator)
    prior = None
    if method in ("ours", "whole"):
        prior = load_shipped(type(estimator).__name__, scoring.__name__)
        prior = prior.without(datasets=same_origin(name))
    search = MetaLearnedSearchCV(
        estimator,
        n_iter=N_RANDOM,
        target_score=max(line_of_random(cell)["scores"]),
        prior=prior,
        n_iter_on_sample=5 if method in ("ours", "no prior") else 0,
        history=None,
        scoring=scoring,
        cv=CV,
        refit=False,
        random_state=0,
    ).fit(X, y)
    results = search.cv_results_
    return results.get("n_resources", np.full(len(results["params"]), len(y))).tolist()


def run_halving(estimator, X, y, cell):
    search = HalvingRandomSearchCV(
        estimator,
        default_search_space(estimator),
        n_candidates=N_HALVING,
        min_resources=len(y) // 27,
        factor=3,
        scoring=scoring_of(estimator),
        cv=CV,
        refit=False,
        return_train_score=False,
        random_state=0,
    ).fit(X, y)
    rows = search.cv_results_["n_resources"]
    return np.where(rows >= 27 * (len(y) // 27), len(y), rows).tolist()


def run_hyperband(estimator, X, y, cell):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    [(train, test)] = CV.split(X)
    space = {name: for_optuna(source) for name, source in default_search_space(estimator).items()}
    fixed = {name for name, one in space.items() if getattr(one, "choices", (0, 0))[1:] == ()}
    rows = []

    def objective(trial):
        params = {name: trial._suggest(name, space[name]) for name in space if name not in fixed}
        params |= {name: space[name].choices[0] for name in fixed}
        for ninths in (1, 3, 9):
            sample = train[: len(train) * ninths // 9]
            model = clone(estimator).set_params(**params).fit(X[sample], y[sample])
            rows.append(len(y) * ninths // 9)
            score = scoring_of(estimator)(model, X[test], y[test])
            trial.report(score, ninths)
            if ninths < 9 and trial.should_prune():
                raise optuna.TrialPruned
        return score

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3),
    )
    limit = time.process_time() + seconds_of_random(cell)

    def end(study, trial):
        if time.process_time() > limit:
            study.stop()

    study.optimize(objective, n_trials=N_RANDOM, callbacks=[end])
    return rows


def seconds_of_random(cell):
    """Return the seconds that the random candidates of a table took."""
    return line_of_random(cell)["total"]


def line_of_random(cell):
    """Return the results of the random candidates of a table."""
    wanted = [*cell[:2], "random"]
    return next(one for one in read_lines(RESULTS) if one["cell"] == wanted)


def run_flaml(estimator, X, y, cell):
    from flaml import AutoML

    limit = time.process_time() + seconds_of_random(cell)
    [(train, test)] = CV.split(X)
    rows = []

    def metric(X_val, y_val, model, labels, X_train, y_train, *rest, **more):
        rows.append(len(y_train) * len(y) // len(train))
        score = scoring_of(estimator)(model, X_val, y_val)
        if time.process_time() > limit:
            raise KeyboardInterrupt
        return -score, {}

    with contextlib.suppress(KeyboardInterrupt):
        AutoML().fit(
            X_train=X[train],
            y_train=y[train],
            X_val=X[test],
            y_val=y[test],
            task="classification" if is_classifier(estimator) else "regression",
            metric=metric,
            estimator_list=["lgbm"],
            time_budget=30 * seconds_of_random(cell),  # on the clock; `limit` ends it
            eval_method="holdout",
            n_jobs=1,
            seed=0,
            verbose=0,
            retrain_full=False,
        )
    return rows


SEARCHES = {
    "given": run_given,
    "random": run_random,
    "halving": run_halving,
    "hyperband": run_hyperband,
    "flaml": run_flaml,
}


def warm_up():
    """Import what searches import, so that no method's seconds have it."""
    X, y = np.random.default_rng(0).normal(size=(300, 3)), np.arange(300) % 2
    for classifier, _, settings in ESTIMATORS.values():
        estimator = classifier(**settings).set_params(random_state=0)
        MetaLearnedSearchCV(estimator, n_iter=4, history=None, random_state=0).fit(X, y)


# -- what it says ---------------------------------------------------------------------------------


def summarise():
    by_cell = {tuple(line["cell"]): line for line in read_lines(RESULTS)}
    pairs = sorted({cell[:2] for cell in by_cell if (*cell[:2], "random") in by_cell})
    lines = {
        pair: {m: by_cell[(*pair, m)] for m in METHODS if (*pair, m) in by_cell} for pair in pairs
    }
    seconds = {
        pair: {m: seconds_to_goal(line, own["random"]) for m, line in own.items()}
        for pair, own in lines.items()
    }
    summary = {"pairs": len(pairs), "seconds to the goal, over random's": {}}
    for method in METHODS[1:]:
        known = [own for own in seconds.values() if method in own and "ours" in own]
        if known:
            own, theirs = (np.array([one[m][0] for one in known]) for m in ("ours", method))
            summary["seconds to the goal, over random's"][method] = {
                "pairs": len(known),
                "geometric mean": round(float(np.exp(np.log(theirs).mean())), 3),
                "reached": share(one[method][1] for one in known),
                "ours over it": round(float(np.exp(np.log(own / theirs).mean())), 3),
                "ours faster": share(own < theirs),
            }
    for method in SHOWN_OURS:
        known = [own for own in lines.values() if method in own and "given" in own]
        first = [whole_scores(own[method])[0] for own in known]
        random = [np.array(own["random"]["scores"]) for own in known]
        given = [own["given"]["scores"][0] for own in known]
        summary[f"first candidate, {method}"] = {
            "pairs": len(known),
            "better than random's first": share(np.array(first) > [one[0] for one in random]),
            "share of random candidates that are worse": share(
                np.mean(one < own) for one, own in zip(random, first, strict=True)
            ),
            "better than given": share(np.array(first) > given),
        }
    full = [own for own in lines.values() if all(m in own for m in SHOWN_OURS)]
    summary["regret"] = {"pairs": len(full), "after": SHOWN} | {
        m: np.mean([regret(own, m) for own in full], axis=0).round(3).tolist() for m in SHOWN_OURS
    }
    summary["lines"] = {
        "; ".join(pair): {m: [round(float(v), 2) for v in values] for m, values in own.items()}
        for pair, own in seconds.items()
    }
    return summary


def share(values):
    return round(float(np.mean([*values])), 3)


def seconds_to_goal(line, random):
    """Return the seconds to random's best score, over random's own, and whether it was reached.

    A method that does not reach it counts with the seconds of all random candidates, or its own
    if it took longer.
    """
    scores = np.array(random["scores"])
    own = random["ends"][int(np.argmax(scores))]
    reached = np.array(line["scores"]) >= scores.max()
    if "flaml" not in line["cell"]:
        reached &= np.array(line["rows"]) >= line["n"]
    end = line["ends"][int(np.argmax(reached))]
    if not reached.any():
        end = max(random["ends"][-1], line["ends"][-1])
    return end / own, float(reached.any())


def whole_scores(line):
    """Return the scores on all rows."""
    return np.array(line["scores"])[np.array(line["rows"]) >= line["n"]]


def regret(own, method):
    random = whole_scores(own["random"])
    every = np.concatenate([random, *(whole_scores(own[m]) for m in SHOWN_OURS)])
    best = every.max()
    floor = max(every.min(), np.median(random) - BOUND * (best - np.median(random)))
    curve = np.maximum.accumulate(np.fmax(whole_scores(own[method]), floor))
    return (best - curve[[min(k, len(curve)) - 1 for k in SHOWN]]) / (best - floor)


def main():
    options = read_options(
        __doc__,
        estimators=["LightGBM", "forest"],
        methods=[*METHODS],
        min_rows=0,
        max_rows=MAX_ROWS,
        minutes=float("inf"),
        summary=False,
    )
    if options.summary:
        report(summarise(), RESULTS.with_name("search_large.json"))
        return
    warnings.simplefilter("ignore")
    warm_up()
    sizes = {one.name: len(data(one.name)[1]) for one in REPORTED}
    cells = [
        (name, kind, method)
        for name in sorted(sizes, key=sizes.get)
        if options.min_rows <= sizes[name] <= options.max_rows
        for kind in options.estimators
        for method in options.methods
    ]
    run_cells(cells, run, RESULTS, options.minutes)


if __name__ == "__main__":
    main()
