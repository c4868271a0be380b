"""Counts, amounts, shares and ratings in grouped tables."""

import copy

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from tolerances import REFIT

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta._tabular import DECILES, quantile_loss

RNG = np.random.default_rng(0)
GROUP = np.repeat(np.arange(24), 12)
N = len(GROUP)
X = pd.DataFrame({"group": GROUP, "x": RNG.normal(size=N)})
LOG_MEAN = 0.6 * X["x"].to_numpy() + RNG.normal(0, 0.7, 24)[GROUP]
NEW = pd.DataFrame({"group": np.repeat([99, 3], 20), "x": RNG.normal(size=40)})
TARGETS = {
    "count": RNG.poisson(np.exp(0.5 + LOG_MEAN)).astype(float),
    "positive": np.exp(3 + LOG_MEAN + RNG.normal(0, 0.4, N)),
    "share": 1 / (1 + np.exp(-2 * LOG_MEAN - RNG.normal(0, 1, N))),
    "ordered": np.clip(np.round(3 + 2 * LOG_MEAN + RNG.normal(0, 1, N)), 1, 5),
}


@pytest.fixture(scope="module")
def fitted():
    # Of shares and ratings, only the range is tested.
    n_rows = {"count": N, "positive": N, "share": 110, "ordered": 110}
    return {k: GroupedRegressor("group").fit(X[:n], TARGETS[k][:n]) for k, n in n_rows.items()}


@pytest.mark.parametrize("kind", TARGETS)
def test_nothing_is_predicted_outside_of_what_is_possible(fitted, kind):
    model, y = fitted[kind], TARGETS[kind]
    assert model.target_type_ == kind
    low, high = {"share": (0, 1), "ordered": (1, 5)}.get(kind, (0, np.inf))
    quantiles = model.predict_quantiles(NEW, [0.001, 0.05, 0.5, 0.95, 0.999])
    assert (np.diff(quantiles, axis=1) >= 0).all()
    mean, std = model.predict(NEW, return_std=True)
    for values in (quantiles, mean):
        assert values.min() >= low
        assert values.max() <= high
    assert (std > 0).all()
    assert mean.max() < 2 * y.max()
    if kind == "count":
        np.testing.assert_array_equal(quantiles, np.round(quantiles))
    if kind in ("count", "positive"):
        # Scores of positive predictions work.
        assert mean.min() > 0


@pytest.mark.parametrize("kind", ["count", "positive"])
def test_intervals_hold_where_the_mean_is_small_and_where_it_is_large(fitted, kind):
    rng = np.random.default_rng(1)
    group, n = np.tile(GROUP, 8), 8 * N
    rows = pd.DataFrame({"group": group, "x": rng.normal(size=n)})
    log_mean = np.tile(LOG_MEAN, 8) + 0.6 * (rows["x"] - np.tile(X["x"], 8)).to_numpy()
    drawn = rng.poisson(np.exp(0.5 + log_mean)) * 1.0
    y = drawn if kind == "count" else np.exp(3 + log_mean + rng.normal(0, 0.4, n))
    low, high = fitted[kind].predict_quantiles(rows, [0.05, 0.95]).T
    held = (y >= low) & (y <= high)
    for part in np.array_split(np.argsort(log_mean), 3):
        # Of known groups they are wider than they say, and counts are whole numbers.
        assert 0.93 <= held[part].mean() <= 0.99


def test_targets_that_may_be_negative_are_modelled_as_ever():
    y = 170 + 8 * LOG_MEAN + np.random.default_rng(1).normal(0, 3, N)
    model = GroupedRegressor("group", model="mixed").fit(X, y)
    real = GroupedRegressor("group", model="mixed", target_type="real").fit(X, y)
    assert model.target_type_ == "real"
    np.testing.assert_allclose(model.predict(NEW), real.predict(NEW), **REFIT)
    assert "The target" not in model.summary_


def test_the_summary_says_what_the_target_is(fitted):
    assert (
        "The target: amounts from 0 on, modelled by their logarithm" in fitted["positive"].summary_
    )
    assert "The target: counts, modelled" in fitted["count"].summary_


@pytest.mark.slow
def test_units_of_amounts_do_not_matter(fitted):
    y = TARGETS["positive"]
    other = GroupedRegressor("group").fit(X, 1000 * y)
    expected = fitted["positive"].predict_quantiles(NEW, DECILES)
    np.testing.assert_allclose(other.predict_quantiles(NEW, DECILES), 1000 * expected, **REFIT)


def test_known_rows_of_new_groups_are_taken_in_any_range(fitted):
    model = copy.deepcopy(fitted["positive"])
    before = model.predict(NEW.iloc[:1])
    rows = pd.DataFrame({"group": 99, "x": 0.0}, index=range(6))
    model.partial_fit(rows, np.array([0.0, 1e4, 1e4, 1e4, 1e4, 1e4]))
    assert np.isfinite(model.predict(NEW)).all()
    assert model.predict(NEW.iloc[:1]) > before


@pytest.mark.slow
def test_counts_of_known_dispersion_have_its_quantiles():
    """Groups and columns tell all of the mean; the rest is Poisson."""
    rng = np.random.default_rng(3)
    y = rng.poisson(np.exp(0.3 * LOG_MEAN)) * 1.0
    model = GroupedRegressor("group").fit(X, y)
    means = np.tile(np.exp(0.3 * LOG_MEAN), 20)
    drawn = rng.poisson(means) * 1.0
    quantiles = np.tile(model.predict_quantiles(X, DECILES), (20, 1))
    true = poisson.ppf(DECILES, means[:, None])
    nothing = np.tile(np.quantile(y, DECILES), (len(drawn), 1))
    ours, best, worst = (
        quantile_loss(drawn, q, DECILES).mean() for q in (quantiles, true, nothing)
    )
    assert ours < min(1.05 * best, worst)


@pytest.mark.slow
def test_counts_know_that_their_means_are_products(fitted):
    at = X.assign(x=np.random.default_rng(4).normal(size=N))
    true = np.exp(0.5 + LOG_MEAN + 0.6 * (at["x"] - X["x"]))
    amounts = GroupedRegressor("group", target_type="positive").fit(X, TARGETS["count"])
    errors = [np.mean((each.predict(at) - true) ** 2) for each in (fitted["count"], amounts)]
    assert errors[0] < 0.9 * errors[1]


def test_rare_classes_are_not_behind_logistic_regression():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(100), 80)
    x, effects = rng.normal(size=(8000, 5)), 0.7 * rng.normal(size=100)
    log_odds = -5.6 + x @ [0.8, 0.5, -0.5, 0.3, 0] + effects[group]
    truth = 1 / (1 + np.exp(-log_odds))
    y = (rng.random(8000) < truth).astype(int)
    test = rng.random(8000) < 0.4
    table = pd.DataFrame(x, columns=list("abcde")).assign(group=group)
    ours = GroupedClassifier("group").fit(table[~test], y[~test]).predict_proba(table[test])
    linear = LogisticRegression().fit(x[~test], y[~test]).predict_proba(x[test])
    # Expected losses: which of the 3,200 rows have the rare class would decide otherwise.
    chances = np.column_stack([1 - truth[test], truth[test]])
    losses = [-np.mean((chances * np.log(proba)).sum(1)) for proba in (ours, linear)]
    assert losses[0] < losses[1]


def test_a_population_with_a_poisson_loss_works_for_counts():
    trees = HistGradientBoostingRegressor(loss="poisson", max_iter=20)
    model = GroupedRegressor("group", population=trees, n_folds=2).fit(X, TARGETS["count"])
    assert model.predict(NEW).min() > 0
    rank = pd.Series(model.predict(X)).corr(pd.Series(TARGETS["count"]), method="spearman")
    assert rank > 0.6


def test_a_population_that_needs_amounts_says_what_to_do():
    trees = HistGradientBoostingRegressor(loss="poisson", max_iter=20)
    model = GroupedRegressor("group", population=trees, target_type="real", n_folds=2)
    with pytest.raises(ValueError, match="set target_type='count' or 'positive'"):
        model.fit(X, TARGETS["count"])
