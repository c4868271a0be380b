"""How often ``summary_`` of grouped estimators is right about groups, where the truth is known.

Tables of 50 groups of 20 rows have a linear and a curved column, one without effect, and noise.
Effects of groups have a share of the variance of the target that is left by the columns; with share
0 the groups are drawn at random. Classes are the target above its median.

``matters``  whether the summary says so, at a level of 5 %
``oracle``   whether a test that knows the effects of the columns says so: no test of sums within
             groups is likely to find more
``low``      and ``high``: the interval of the change of the loss by other known rows of a group
``change``   that change in 100 other rows of each group, over the same rows predicted as those of
             new groups by the same part of the population; the losses are expected ones, as the
             noise of these rows would be no error of the interval
``unnamed``  the change over rows whose group is given as a new one, which all parts of the
             population predict together

Rows go to ``results/verdicts.csv`` as they come, and tables that it has are not fitted again::

    python -m benchmarks.measure.verdicts --tables 200 --shares 0 0.05

The rule was chosen on tables below 1,000; ``--first 3000`` draws others.
"""

import csv
import itertools
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import log_loss, mean_squared_error

from benchmarks.lib.resumable import read_options
from skmeta import GroupedClassifier, GroupedRegressor
from skmeta._tabular._population import losses_of
from skmeta.grouped._verdict import permutation_test

RESULTS = Path(__file__).parents[1] / "results" / "verdicts.csv"
N_GROUPS, N_ROWS, N_OTHERS, LEVEL = 50, 20, 100, 0.05
ESTIMATORS = {"regression": GroupedRegressor, "classification": GroupedClassifier}
FIELDS = ("kind", "share", "seed", "matters", "oracle", "low", "high", "change", "unnamed")


def make_table(kind, share, seed):
    """Return columns with groups first, the target, and its mean by columns, and by groups too.

    The means of classes are their probabilities.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(N_GROUPS), N_ROWS + N_OTHERS)
    X = rng.normal(size=(len(group), 3))
    noise = np.sqrt(1 - share) * rng.normal(size=len(group))
    effects = np.sqrt(share) * rng.normal(size=N_GROUPS)[group]
    expected = X[:, 0] + np.sin(2 * X[:, 1])
    mean = expected + effects
    y = mean + noise
    if kind == "classification":
        middle = np.median(y)
        y, expected = (y > middle).astype(int), norm.cdf(expected - middle)
        mean = norm.cdf((mean - middle) / np.sqrt(1 - share))
    return np.column_stack([group, X]), y, expected, mean


def run(kind, share, seed):
    """Return a line of results, without kind, share and seed."""
    X, y, expected, mean = make_table(kind, share, seed)
    is_known = np.arange(len(y)) % (N_ROWS + N_OTHERS) < N_ROWS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ESTIMATORS[kind](0).fit(X[is_known], y[is_known])
        text = model.summary_
        unnamed = X[~is_known].copy()
        unnamed[:, 0] = -1
        losses = [loss(model, rows, y[~is_known]) for rows in (X[~is_known], unnamed)]
        change = change_of_same_rows(model, X[~is_known], mean[~is_known], 1 - share)
    groups, residuals = X[is_known, 0].astype(int), (y - expected)[is_known]
    chance = permutation_test(np.ones((len(groups), 1)), groups, residuals[:, None], 0 * groups)
    _, low, high = model.model_.mixture.gain
    shown = (f"{value:.4f}" for value in (low, high, change, losses[0] / losses[1] - 1))
    return [int("The group matters" in text), int(chance <= LEVEL), *shown]


def change_of_same_rows(model, X, mean, variance):
    """Return the change of the expected loss by known rows of the groups."""
    fitted, nothing = model.model_, np.zeros(len(X))
    codes = np.array([model._codes[0][group] for group in X[:, 0]])[:, None]
    at = fitted._table(model._numbers(X)[0], nothing, nothing, codes, nothing)
    tables = at, at._replace(codes=np.full_like(codes, -1))
    known, new = (fitted.mixture.predict(fitted.known, table).mean for table in tables)
    if fitted.target_units is None:
        ones = np.ones(len(X), dtype=int)
        losses = [
            mean * losses_of(ones, p) + (1 - mean) * losses_of(0 * ones, p) for p in (known, new)
        ]
    else:
        zero, one, *_ = fitted.target_units(np.array([0.0, 1.0]))
        losses = [
            losses_of(fitted.target_units(mean), p) + variance * (one - zero) ** 2
            for p in (known, new)
        ]
    return losses[0].mean() / losses[1].mean() - 1


def loss(model, X, y):
    """Return the log loss, or the mean squared error."""
    if hasattr(model, "predict_proba"):
        return log_loss(y, model.predict_proba(X))
    return mean_squared_error(y, model.predict(X))


def summarise(path):
    """Print the rates, by kind and share."""
    results = pd.read_csv(path)
    results["helps"], results["costs"] = results["high"] < 0, results["low"] > 0
    results["covered"] = (results["low"] <= results["change"]) & (
        results["change"] <= results["high"]
    )
    rates = results.groupby(["kind", "share"])
    columns = ["matters", "oracle", "helps", "costs", "covered", "change", "unnamed"]
    print(rates.size().to_frame("tables").join(rates[columns].mean().round(3)).to_string())
    for name in ("helps", "costs"):
        own = results[results[name]]
        is_right = own["change"] < 0 if name == "helps" else own["change"] > 0
        print(f"said {name}: {len(own)}, and so it is in {is_right.sum()}")


def main():
    options = read_options(
        __doc__,
        kinds=[*ESTIMATORS],
        shares=[0.0, 0.01, 0.02, 0.05, 0.1],
        tables=200,
        first=0,  # number of the first table
        results=RESULTS,
    )
    done = set()
    if options.results.exists():
        with options.results.open() as file:
            done = {(r["kind"], float(r["share"]), int(r["seed"])) for r in csv.DictReader(file)}
    with options.results.open("a", newline="") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow(FIELDS)
        tables = itertools.product(range(options.tables), options.kinds, options.shares)
        for k, kind, share in tables:
            seed = options.first + k
            if (kind, share, seed) not in done:
                writer.writerow([kind, share, seed, *run(kind, share, seed)])
                file.flush()
    summarise(options.results)


if __name__ == "__main__":
    main()
