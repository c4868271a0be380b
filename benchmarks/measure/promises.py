"""What ``learned_defaults`` promises, beside what comes of it. No fit is run.

    SKMETA_DATA=... python -m benchmarks.measure.promises           # results/promises.json
    SKMETA_DATA=... python -m benchmarks.measure.promises --offsets # and the cards are written

Each past task of the shipped priors is taken for a new data set in turn: the prior leaves out its
origin, chooses a candidate, and states the probability that it is better than the estimator as
given. Whether it is better says the task's own surface. Tasks of 2,500 rows and more are predicted
once more from tasks of at most a third, and at most a tenth of their rows, as tables are that are
larger than any past one. The coefficients of ``skmeta/search/prior/_promise.py`` are a logistic
regression over all of it, with an offset for each prior, which ``--offsets`` writes to its card.
The calibration is cross-validated over ten folds of origins.
"""

import warnings

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from benchmarks.lib.origins import origin
from benchmarks.lib.resumable import RESULTS, read_options, report
from benchmarks.make.search_priors import read_cards, write_cards
from benchmarks.make.searches_at_sizes import grow_pool, make_any
from skmeta.search import MetaLearnedSearchCV
from skmeta.search._arguments import resolve_arguments
from skmeta.search.prior import evidence, load_shipped, resemblance
from skmeta.search.surrogate import design_from_surfaces, expected_utility

OF_CLASSES = ("neg_log_loss", "accuracy", "balanced_accuracy", "roc_auc")
METRICS = (*OF_CLASSES, "r2", "neg_mean_absolute_error")
LARGE, SHARES = 2_500, (1.0, 1 / 3, 1 / 10)
N_CANDIDATES, N_ROUNDS = 200, 10
BINS = (0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
EVIDENCE = ["odds", "distance", "skill", "size"]
# Of the offset of a prior towards 0. Chosen by the log loss, origins left out; an offset below 0 is
# shrunk less, so that a prior whose promises were too high says so.
SHRINKAGE, SHRINKAGE_BELOW = 16.0, 2.0


def promises_of(name, metric):
    """Return what the prior of an estimator promises of each of its own tasks."""
    prior, estimator = load_shipped(name, metric), make_any(name)
    y = np.random.default_rng(0).normal(size=100)
    search = MetaLearnedSearchCV(estimator, random_state=0)
    arguments = resolve_arguments(search, y > 0 if metric in OF_CLASSES else y)
    rng, given = np.random.default_rng(0), arguments.as_given or {}

    def utility(surfaces):  # of what is best on different sets of past tasks
        weights = rng.dirichlet(np.full(prior.n_tasks, 0.15))
        return expected_utility(surfaces, weights, 0)

    args = estimator, prior, arguments, given, N_CANDIDATES, utility, rng
    _, F = grow_pool(*args, n_rounds=N_ROUNDS)
    features = prior.dataset_features
    origins = np.array([origin(one) for one in prior.datasets])
    log_rows = np.array([one.get("log_rows", np.nan) for one in features])
    for t, own in enumerate(features):
        for share in SHARES if log_rows[t] > np.log(LARGE) else SHARES[:1]:
            is_small = ~(log_rows > log_rows[t] + np.log(share)) | (share == 1)
            kept = np.flatnonzero((origins != origins[t]) & is_small)
            if len(kept) < 10 or not own:
                continue
            past = [features[k] for k in kept]
            weights, distance = resemblance(prior.errors[kept], past, own)
            best = design_from_surfaces(F[kept], weights, given=0)
            gains = F[kept, best] - F[kept, 0]
            known = evidence(gains, prior.errors[kept], weights, distance, own)
            if best > 0:  # it moves
                line = {"prior": f"{name}.{metric}", "origin": origins[t]}
                line["better"] = F[t, best] > F[t, 0]
                yield line | dict(zip(EVIDENCE, known, strict=True))


def calibrate(frame, writes_offsets):
    """Store how often probabilities are right, and write the offsets of priors to their cards."""
    names, own = np.unique(frame["prior"], return_inverse=True)
    X, y = frame[EVIDENCE].to_numpy(), frame["better"].to_numpy()
    frame["probability"] = 0.0
    for train, test in GroupKFold(10).split(X, y, frame["origin"]):
        intercept, coefficients, offsets = regress(X[train], own[train], y[train], len(names))
        odds = intercept + X[test] @ coefficients + offsets[own[test]]
        frame.loc[test, "probability"] = expit(odds)
    intercept, coefficients, offsets = regress(X, own, y, len(names))
    if writes_offsets:
        cards, datasets = read_cards()
        for name, offset in zip(names, offsets, strict=True):
            estimator, metric = name.split(".")
            cards[estimator]["metrics"][metric]["promise offset"] = round(float(offset), 2)
        write_cards(cards, datasets)
    bins = frame.groupby(pd.cut(frame["probability"], BINS), observed=True)
    likelihood = np.where(y, frame["probability"], 1 - frame["probability"])
    summary = {
        "log loss": round(float(-np.log(likelihood).mean()), 4),
        "intercept and coefficients": np.round([intercept, *coefficients], 2).tolist(),
        "bins": [
            [each.left, each.right, len(part), *part[["probability", "better"]].mean().round(3)]
            for each, part in bins
        ],
    }
    report(summary, RESULTS / "promises.json")


def regress(X, own, y, n_priors):
    """Return intercept, coefficients of the evidence and offsets of priors, shrunk towards 0."""
    columns = np.hstack([10 * X, np.eye(n_priors)[own] / np.sqrt(SHRINKAGE)])
    model = LogisticRegression(max_iter=1000).fit(columns, y)
    intercept, coefficients = model.intercept_[0], 10 * model.coef_[0, : X.shape[1]]
    offsets = model.coef_[0, X.shape[1] :] / np.sqrt(SHRINKAGE)
    odds = intercept + X @ coefficients
    for k in np.flatnonzero(offsets < 0):
        signs = np.where(y[own == k], 1, -1)

        def loss(offset, signs=signs, odds=odds[own == k]):
            return -log_expit(signs * (odds + offset)).sum() + SHRINKAGE_BELOW * offset**2 / 2

        offsets[k] = minimize_scalar(loss, bounds=(-3, 0), method="bounded").x
    return intercept, coefficients, offsets


def main():
    options = read_options(__doc__, offsets=False, estimators=[])
    warnings.simplefilter("ignore")
    cards = read_cards()[0]
    pairs = [(n, m) for n in options.estimators or cards for m in cards[n]["metrics"]]
    promises = [one for pair in pairs if pair[1] in METRICS for one in promises_of(*pair)]
    calibrate(pd.DataFrame(promises), options.offsets)


if __name__ == "__main__":
    main()
