"""Counts, amounts, shares and ratings in grouped tables."""

import copy

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, poisson
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from tolerances import REFIT

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta.grouped._target_scale import choose_scale
from skmeta.tabular import (
    DECILES,
    PROBABILITIES,
    HeldOut,
    count_independent,
    quantile_loss,
    recognise_target,
    scales_of,
)

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
    return {kind: GroupedRegressor("group").fit(X, y) for kind, y in TARGETS.items()}


@pytest.mark.parametrize("kind", TARGETS)
def test_nothing_is_predicted_outside_of_what_is_possible(fitted, kind):
    model, y = fitted[kind], TARGETS[kind]
    assert model.target_kind_ == kind
    low, high = {"share": (0, 1), "ordered": (1, 5)}.get(kind, (0, np.inf))
    quantiles = model.predict_quantiles(NEW, [0.001, 0.05, 0.5, 0.95, 0.999])
    assert (np.diff(quantiles, axis=1) >= 0).all()
    mean, std = model.predict(NEW, return_std=True)
    for values in (quantiles, mean):
        assert values.min() >= low
        assert values.max() <= high
    assert (std > 0).all()
    assert mean.max() < 2 * y.max()
    if kind in ("count", "positive"):
        # Scores of positive predictions work.
        assert mean.min() > 0


def test_quantiles_of_counts_are_whole_numbers(fitted):
    quantiles = fitted["count"].predict_quantiles(X, DECILES)
    np.testing.assert_array_equal(quantiles, np.round(quantiles))


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
        assert 0.88 <= held[part].mean() <= 0.995


def test_targets_that_may_be_negative_are_modelled_as_ever():
    y = 170 + 8 * LOG_MEAN + np.random.default_rng(1).normal(0, 3, N)
    model = GroupedRegressor("group", combine="both").fit(X, y)
    real = GroupedRegressor("group", combine="both", target_kind="real").fit(X, y)
    assert model.target_kind_ == "real"
    np.testing.assert_allclose(model.predict(NEW), real.predict(NEW), **REFIT)
    assert "The target" not in model.summary_


def test_the_summary_says_what_the_target_is(fitted):
    assert (
        "The target: amounts from 0 on, modelled by their logarithm" in fitted["positive"].summary_
    )
    assert "The target: counts, modelled" in fitted["count"].summary_


def test_a_declared_kind_is_kept_and_checked():
    y = TARGETS["positive"]
    model = GroupedRegressor("group", combine="both", target_kind="real").fit(X, y)
    assert model.target_kind_ == "real"
    with pytest.raises(ValueError, match="target_kind='count' needs whole numbers from 0 on"):
        GroupedRegressor("group", target_kind="count").fit(X, y)
    with pytest.raises(ValueError, match="target_kind"):
        GroupedRegressor("group", target_kind="counts").fit(X, y)


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


def numbers(y):
    return np.column_stack([X["x"]]), y, np.ones(N), GROUP, scales_of(recognise_target(y), y)


def test_the_scale_follows_from_what_is_held_out():
    amounts = TARGETS["positive"]
    assert choose_scale(*numbers(amounts)).name == "logarithm"
    rng = np.random.default_rng(1)
    effects, noise = rng.normal(0, 1, 24)[GROUP], 4.5 * rng.exponential(size=N)
    additive = 8 + 2 * X["x"].to_numpy() + effects + noise
    target = recognise_target(np.abs(additive), "positive")
    scales = scales_of(target, np.abs(additive))
    x = X["x"].to_numpy()[:, None]
    assert choose_scale(x, np.abs(additive), np.ones(N), GROUP, scales).name != "logarithm"


def test_a_distribution_is_hardly_worse_than_the_known_targets_alone():
    rng = np.random.default_rng(2)
    y = np.exp(rng.standard_t(4.0, N)).round(3)
    noise = pd.DataFrame({"group": GROUP, "x": rng.normal(size=N)})
    model = GroupedRegressor("group").fit(noise, y)
    test = np.exp(rng.standard_t(4.0, 20 * N)).round(3)
    quantiles = np.tile(model.predict_quantiles(noise, DECILES), (20, 1))
    nothing = np.tile(np.quantile(y, DECILES), (len(test), 1))
    losses = [quantile_loss(test, each, DECILES).mean() for each in (quantiles, nothing)]
    assert losses[0] < 1.03 * losses[1]


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
    model = GroupedRegressor("group", population=trees, target_kind="real", n_folds=2)
    with pytest.raises(ValueError, match="set target_kind='count' or 'positive'"):
        model.fit(X, TARGETS["count"])


def test_exposure_as_weight_of_a_rate():
    rng = np.random.default_rng(3)
    exposure = rng.choice([0.2, 5.0], N)
    rate = np.exp(0.5 + LOG_MEAN)
    y = rng.poisson(rate * exposure) / exposure
    weighted = GroupedRegressor("group", n_folds=2).fit(X, y, sample_weight=exposure)
    plain = GroupedRegressor("group", n_folds=2).fit(X, y)
    assert weighted.target_kind_ == "positive"
    errors = [np.mean(np.log(model.predict(X) / rate) ** 2) for model in (weighted, plain)]
    assert errors[0] < 0.9 * errors[1]


def test_limits_are_wider_where_few_groups_tell_them():
    rng, nothing = np.random.default_rng(0), np.zeros(400)

    def limits(n_groups):
        group = np.arange(400) % n_groups
        y = np.sqrt(0.9) * rng.normal(size=n_groups)[group] + np.sqrt(0.1) * rng.normal(size=400)
        held_out = HeldOut(nothing, nothing + 1, y, nothing + 1, group, np.arange(400))
        return np.interp([0.05, 0.95], PROBABILITIES, held_out.quantiles())

    def holds(n_groups):
        low, high = np.array([limits(n_groups) for _ in range(300)]).T
        return np.mean(norm.cdf(high) - norm.cdf(low))

    # The quantiles of the residuals hold .75, .83 and .90.
    assert holds(5) > 0.8
    assert holds(10) > 0.86
    assert holds(200) == pytest.approx(0.9, abs=0.01)


def test_residuals_of_a_group_that_are_alike_count_once():
    rng, group = np.random.default_rng(0), np.repeat(np.arange(20), 30)
    own, of_group = rng.normal(size=600), rng.normal(size=20)[group]
    assert count_independent(own, group) == pytest.approx(600, rel=0.2)
    assert count_independent(of_group + 1e-3 * own, group) == pytest.approx(20, rel=0.01)
    # Kish (1965): 600 / (1 + 29 / 2).
    assert count_independent(of_group + own, group) == pytest.approx(38.7, rel=0.35)
