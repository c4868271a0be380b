"""What ``learned_defaults`` promises, beside what comes of it.

    SKMETA_DATA=... python -m benchmarks.measure.promises           # no fit is run
    SKMETA_DATA=... python -m benchmarks.measure.promises --offsets # and the cards are written
    SKMETA_DATA=... python -m benchmarks.measure.promises --fits

Each past task of the shipped priors is taken for a new data set in turn: the prior leaves out its
origin, chooses a candidate, and states the probability that it is better than the estimator as
given. Whether it is better says the task's own surface. Tasks of 2,500 rows and more are predicted
once more from tasks of at most a third, and at most a tenth of their rows, as tables are that are
larger than any past one. The coefficients of ``skmeta/search/prior/_promise.py`` are a logistic
regression over all of it, with an offset for each prior, which ``--offsets`` writes to its card.
``results/promises.json`` has the calibration, cross-validated over ten folds of origins.

``--fits`` fits the estimator as given and with learned parameters on tables of
``large_tables.csv``, origins left out, learns from two thirds of some rows and scores on those of
another part: the loss, which is the log loss or 1 - R2. Results are in ``results/promises.jsonl``.
"""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import GroupKFold

from benchmarks.lib.large_tables import RECORDED, REPORTED, load_table
from benchmarks.lib.origins import origin, same_origin
from benchmarks.lib.resumable import read_options, report, run_cells
from benchmarks.make.search_priors import read_cards, write_cards
from benchmarks.make.searches_at_sizes import MAX_CLASSES, MAX_TEST_ROWS, draw, grow_pool, make_any
from skmeta.search import MetaLearnedSearchCV, learned_defaults
from skmeta.search._arguments import resolve_arguments
from skmeta.search.prior import evidence, load_shipped, resemblance
from skmeta.search.surrogate import design_from_surfaces, expected_utility

RESULTS = Path(__file__).parents[1] / "results" / "promises.jsonl"
METRICS = (
    *("neg_log_loss", "accuracy", "balanced_accuracy", "roc_auc"),
    *("r2", "neg_mean_absolute_error"),
)
LARGE, SHARES = 2_500, (1.0, 1 / 3, 1 / 10)
N_CANDIDATES, N_ROUNDS = 200, 10
BINS = (0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ESTIMATORS = ("LGBM", "HistGradientBoosting", "RandomForest", "ExtraTrees", "LogisticRegression")
FIT_SIZES = (300, 1_000, 10_000, 20_000)
EVIDENCE = ["odds", "distance", "skill", "size"]
# Of the offset of a prior towards 0. Chosen by the log loss, origins left out; an offset below 0 is
# shrunk less, so that a prior whose promises were too high says so.
SHRINKAGE, SHRINKAGE_BELOW = 16.0, 2.0


def main():
    options = read_options(
        __doc__,
        fits=False,
        offsets=False,
        estimators=[*ESTIMATORS],
        sizes=[*FIT_SIZES],
        tables=[],  # beginnings of names
        minutes=float("inf"),
    )
    warnings.simplefilter("ignore")
    if options.fits:
        tables = [*REPORTED, *RECORDED[::-1]]
        cells = [
            (name, table.name, size)
            for size in options.sizes
            for table in tables
            for name in options.estimators
            if not options.tables or table.name.startswith(tuple(options.tables))
        ]
        run_cells(cells, run, RESULTS, options.minutes)
        return
    pairs = [(name, m) for name, card in read_cards()[0].items() for m in card["metrics"]]
    promises = [one for pair in pairs if pair[1] in METRICS for one in promises_of(*pair)]
    calibrate(pd.DataFrame(promises), options.offsets)


def promises_of(name, metric):
    """Return what the prior of an estimator promises of each of its own tasks."""
    prior = load_shipped(name, metric)
    estimator = make_any(name)
    y = np.random.default_rng(0).normal(size=100)
    is_regression = metric in METRICS[4:]
    search = MetaLearnedSearchCV(estimator, random_state=0)
    arguments = resolve_arguments(search, y if is_regression else y > 0)
    rng, given = np.random.default_rng(0), arguments.as_given or {}

    def utility(surfaces):  # of what is best on different sets of past tasks
        weights = rng.dirichlet(np.full(prior.n_tasks, 0.15))
        return expected_utility(surfaces, weights, 0)

    args = estimator, prior, arguments, given, N_CANDIDATES, utility, rng
    _, F = grow_pool(*args, n_rounds=N_ROUNDS)
    features = prior.dataset_features
    origins = np.array([origin(one) for one in prior.datasets])
    log_rows = np.array([one.get("log_rows", np.nan) for one in features])
    promises = []
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
            promises.append(
                {
                    "estimator": name,
                    "metric": metric,
                    "dataset": prior.datasets[t],
                    "origin": origins[t],
                    "rows": np.exp(log_rows[t]),
                    "share": share,
                    "moved": best > 0,
                    "better": F[t, best] > F[t, 0],
                    **dict(zip(EVIDENCE, known, strict=True)),
                }
            )
    return promises


def calibrate(frame, writes_offsets):
    """Store how often probabilities are right, and write the offsets of priors to their cards."""
    moved = frame[frame["moved"]].reset_index(drop=True)
    names, own = np.unique(moved["estimator"] + "." + moved["metric"], return_inverse=True)
    X, y = moved[EVIDENCE].to_numpy(), moved["better"].to_numpy()
    moved["probability"] = 0.0
    for train, test in GroupKFold(10).split(X, y, moved["origin"]):
        intercept, coefficients, offsets = regress(X[train], own[train], y[train], len(names))
        odds = intercept + X[test] @ coefficients + offsets[own[test]]
        moved.loc[test, "probability"] = expit(odds)
    intercept, coefficients, offsets = regress(X, own, y, len(names))
    if writes_offsets:
        write_offsets(dict(zip(names, offsets, strict=True)))
    bins = moved.groupby(pd.cut(moved["probability"], BINS), observed=True)
    likelihood = np.where(y, moved["probability"], 1 - moved["probability"])
    summary = {
        "log loss": round(float(-np.log(likelihood).mean()), 4),
        "intercept and coefficients": np.round([intercept, *coefficients], 2).tolist(),
        "bins": [
            [each.left, each.right, len(part), *part[["probability", "better"]].mean().round(3)]
            for each, part in bins
        ],
    }
    report(summary, RESULTS.with_suffix(".json"))


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


def write_offsets(offsets):
    """Write the offsets of promises to the cards of the package."""
    cards, datasets = read_cards()
    for name, offset in offsets.items():
        estimator, metric = name.split(".")
        cards[estimator]["metrics"][metric]["promise offset"] = round(float(offset), 2)
    write_cards(cards, datasets)


# -- fits ------------------------------------------------------------------------------------------


@cache
def data(name):
    """Return X, y, and whether y are classes."""
    [table] = [one for one in (*REPORTED, *RECORDED) if one.name == name]
    return *load_table(table, FIT_SIZES[-1] + MAX_TEST_ROWS), table.is_classification


def run(cell):
    """Return the losses as given and with learned parameters, and what was promised."""
    kind, dataset, size = cell
    X, y, is_classification = data(dataset)
    n_test, n_train = min(len(y) // 3, MAX_TEST_ROWS), size * 2 // 3
    name = kind + ("Classifier" if is_classification else "Regressor")
    if kind == "LogisticRegression":
        name = kind
    is_fitting = is_classification or kind != "LogisticRegression"
    is_fitting &= not is_classification or y.max() < MAX_CLASSES
    if not is_fitting or n_train > len(y) - n_test:
        return None
    train, test = draw(y, n_test, n_train, is_classification, seed=0)
    metric = "neg_log_loss" if is_classification else "r2"
    prior = load_shipped(name, metric).without(datasets=same_origin(dataset))
    X = np.where(np.isnan(X), np.nanmedian(X[train], axis=0), X)
    given = make_any(name)
    past = {"prior": prior, "history": None, "return_gain": True}
    learned, gain = learned_defaults(given, X[train], y[train], metric, **past)

    def loss(model):
        model.fit(X[train], y[train])
        if is_classification:
            return log_loss(y[test], model.predict_proba(X[test]), labels=model.classes_)
        return 1 - r2_score(y[test], model.predict(X[test]))

    before = loss(clone(given))
    is_changed = gain["advice"].startswith("Changed")
    return {
        "cell": cell,
        "is_reported": any(one.name == dataset for one in REPORTED),
        "given": round(float(before), 5),
        "learned": round(float(loss(learned)) if is_changed else float(before), 5),
        "changed": is_changed,
        "expected": gain,
    }


def summarise(lines):
    """Return, by size and part, how often learned parameters are better, and ratios of losses."""
    parts = {}
    for line in lines:
        parts.setdefault((line["cell"][2], part_of(line)), []).append(line)
    order = ("reported", "recorded", "made")
    return {
        key: describe(parts[key]) for key in sorted(parts, key=lambda k: (k[0], order.index(k[1])))
    }


def part_of(line):
    if line["is_reported"]:
        return "reported"
    return "made" if line["cell"][1].startswith("made::") else "recorded"


def describe(lines):
    ratio = np.array([max(o["learned"], 1e-5) / max(o["given"], 1e-5) for o in lines])
    changed = np.array([one["changed"] for one in lines])
    said = np.array([one["expected"]["better_on"] for one in lines])
    return {
        "tables": len({one["cell"][1] for one in lines}),
        "pairs": len(lines),
        "changed": int(changed.sum()),
        "promised": float(said[changed].mean()),
        "better, of the changed": float((ratio[changed] < 1).mean()),
        "not worse by more than 1 %": float((ratio <= 1.01).mean()),
        "geometric mean": float(np.exp(np.log(ratio).mean())),
        "worst": float(ratio.max()),
    }


if __name__ == "__main__":
    main()
