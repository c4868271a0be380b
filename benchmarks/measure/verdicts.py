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

    python -m benchmarks.measure.verdicts --tables 200 --shares 0 0.05

The rule was chosen on tables below 1,000; ``--first 3000`` draws others.
"""

import itertools

import numpy as np
from scipy.stats import norm

from benchmarks.lib.resumable import RESULTS, read_options, run_cells
from skmeta import GroupedClassifier, GroupedRegressor
from skmeta._tabular._population import losses_of
from skmeta.grouped._verdict import permutation_test

N_GROUPS, N_ROWS, N_OTHERS, LEVEL = 50, 20, 100, 0.05
ESTIMATORS = {"regression": GroupedRegressor, "classification": GroupedClassifier}


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


def run(cell):
    """Return the line of a table."""
    kind, share, seed = cell
    X, y, expected, mean = make_table(kind, share, seed)
    is_known = np.arange(len(y)) % (N_ROWS + N_OTHERS) < N_ROWS
    model = ESTIMATORS[kind](0).fit(X[is_known], y[is_known])
    groups, residuals = X[is_known, 0].astype(int), (y - expected)[is_known]
    chance = permutation_test(np.ones((len(groups), 1)), groups, residuals[:, None], 0 * groups)
    _, low, high = model.model_.mixture.gain
    change = change_of_same_rows(model, X[~is_known], mean[~is_known], 1 - share)
    shown = {"low": low, "high": high, "change": change}
    return {
        "cell": cell,
        "matters": int("The group matters" in model.summary_),
        "oracle": int(chance <= LEVEL),
        **{name: round(float(value), 4) for name, value in shown.items()},
    }


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


def main():
    options = read_options(
        __doc__,
        kinds=[*ESTIMATORS],
        shares=[0.0, 0.01, 0.02, 0.05, 0.1],
        tables=200,
        first=0,  # number of the first table
        results=RESULTS / "verdicts.jsonl",
        minutes=float("inf"),
    )
    seeds = range(options.first, options.first + options.tables)
    each = itertools.product(seeds, options.kinds, options.shares)
    cells = [(kind, share, seed) for seed, kind, share in each]
    run_cells(cells, run, options.results, options.minutes)


if __name__ == "__main__":
    main()
