"""Counts and amounts of rows whose exposures differ, and one count per group: areas of a map."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from marks import slow
from sklearn.base import clone
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import mean_poisson_deviance

from skmeta import GroupedRegressor
from skmeta.exceptions import EpisodeError

TABLE = pd.read_csv(Path(__file__).parent / "data" / "exposure.csv.gz")
X = TABLE[["group", "x", "exposure"]]
KNOWN = (TABLE["known"] == 1).to_numpy()
NEW = (TABLE["group"] > 25).to_numpy()


@pytest.fixture(scope="module")
def fitted():
    return GroupedRegressor("group", exposure="exposure").fit(X[KNOWN], TABLE["y"][KNOWN])


@pytest.mark.slow
def test_predictions_are_near_those_of_glmer_with_an_offset(fitted):
    assert fitted.target_type_ == "count"
    predicted, rows = fitted.predict(X), ~KNOWN & ~NEW
    log_ratio = np.log(predicted / TABLE["glmer"])
    assert abs(log_ratio[rows].mean()) < 0.1
    assert log_ratio[rows].std() < 0.35  # without groups: .50
    assert np.corrcoef(np.log(predicted[NEW]), np.log(TABLE["glmer"][NEW]))[0, 1] > 0.99
    # glmer has the likelihood the table was drawn with: 1.28; without groups it is 6.29.
    x, rates = TABLE[["x"]], TABLE["y"] / TABLE["exposure"]
    pooled = PoissonRegressor(alpha=0).fit(x[KNOWN], rates[KNOWN], TABLE["exposure"][KNOWN])
    means = predicted, TABLE["glmer"], pooled.predict(x) * TABLE["exposure"]
    ours, theirs, without = (mean_poisson_deviance(TABLE["y"][rows], m[rows]) for m in means)
    assert ours - theirs < 0.1 * (without - theirs)


@pytest.mark.slow
def test_the_unit_of_the_exposure_has_no_effect(fitted):
    """Not even on the last bit, so that no choice depends on it."""
    days = X.assign(exposure=365.25 * X["exposure"])
    again = clone(fitted).fit(days[KNOWN], TABLE["y"][KNOWN])
    np.testing.assert_allclose(again.predict(days), fitted.predict(X), rtol=1e-9)
    quantiles = again.predict_quantiles(days)
    np.testing.assert_array_equal(quantiles, fitted.predict_quantiles(X))


def test_effects_of_counts_are_those_of_glmer(fitted):
    """Of a row with mean columns: .6863 (.1073), a slope of .6331, and a deviation of .5137."""
    shared, known = fitted.effects_.loc["shared"], X[KNOWN]
    assert shared["intercept"] == pytest.approx(0.6863, abs=0.02)
    assert shared["x"] == pytest.approx(0.6331, abs=0.01)
    assert shared["intercept std"] == pytest.approx(0.1073, abs=0.01)
    assert shared["intercept between"] == pytest.approx(0.5137, abs=0.02)
    # By the exposures as given.
    days = known.assign(exposure=365.25 * known["exposure"])
    again = clone(fitted).fit(days, TABLE["y"][KNOWN])
    np.testing.assert_allclose(again.effects_["x"], fitted.effects_["x"], rtol=1e-6)
    difference = fitted.effects_["intercept"] - again.effects_["intercept"]
    np.testing.assert_allclose(difference, np.log(365.25), rtol=1e-6)


def test_exposures_of_another_size_are_refused(fitted):
    huge = X.assign(exposure=1e300 * X["exposure"])
    clone(fitted).set_params(model="mixed").fit(huge[KNOWN], TABLE["y"][KNOWN])
    message = r"'exposure' has .*e\+300 in row 0, but the mean at fit is 3\.9733, and no exposure"
    with pytest.raises(ValueError, match=message):
        fitted.predict(huge)
    with pytest.raises(ValueError, match=r"may be more than 1e\+09 times as large or small"):
        clone(fitted).fit(X.assign(exposure=np.where(KNOWN, 1.0, 1e300)), TABLE["y"])


def test_intervals_hold_for_small_exposures_and_for_large_ones(fitted):
    rows = (~KNOWN & ~NEW).nonzero()[0]
    low, high = fitted.predict_quantiles(X, (0.05, 0.95))[rows].T
    y, exposure = TABLE["y"].to_numpy()[rows], TABLE["exposure"].to_numpy()[rows]
    inside = (low <= y) & (y <= high)
    for part in np.array_split(np.argsort(exposure), 2):
        assert inside[part].mean() >= 0.8
    # Counts are relatively less certain where the exposure is small.
    rate = (high - low) / exposure
    assert rate[exposure < 1].mean() > 2 * rate[exposure > 4].mean()


def test_means_are_proportional_to_the_exposure_and_quantiles_are_counts(fitted):
    twice = X.assign(exposure=2 * X["exposure"])
    np.testing.assert_allclose(fitted.predict(twice), 2 * fitted.predict(X))
    quantiles = fitted.predict_quantiles(twice)
    np.testing.assert_array_equal(quantiles, quantiles.round())
    assert quantiles.min() >= 0
    _, std = fitted.predict(X, return_std=True)
    assert (std > 0).all()
    assert "counts over their exposure" in fitted.summary_


@pytest.mark.parametrize("columns", [{"groups": "a", "order": "b"}, slow({"groups": ["a", "b"]})])
def test_amounts_in_time_or_of_several_columns_of_groups_are_proportional_too(columns):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": np.repeat(np.arange(12), 10), "b": np.tile(np.arange(10), 12)})
    rows = rows.assign(years=rng.choice([0.5, 4.0], 120))
    rate = np.exp(rng.normal(0, 0.5, 12)[rows["a"]] + rng.normal(0, 0.3, 10)[rows["b"]])
    y = rate * rows["years"] * rng.gamma(3, 1 / 3, 120)
    model = GroupedRegressor(**columns, exposure="years", n_folds=2).fit(rows, y)
    assert model.target_type_ == "positive"
    assert np.corrcoef(np.log(model.predict(rows) / rows["years"]), np.log(rate))[0, 1] > 0.7
    twice = rows.assign(years=2 * rows["years"])
    np.testing.assert_allclose(model.predict(twice), 2 * model.predict(rows))
    low, high = model.predict_quantiles(rows, (0.05, 0.95)).T / rows["years"].to_numpy()
    assert low.min() >= 0
    # The noise of gamma variables does not depend on the exposure, that of counts does.
    counts = np.random.default_rng(1).poisson(2 * rate * rows["years"])
    low, high = clone(model).fit(rows, counts).predict_quantiles(rows, (0.05, 0.95)).T
    width = (high - low) / rows["years"]
    assert width[rows["years"] < 1].mean() > 1.25 * width[rows["years"] > 1].mean()


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_exposures_are_positive_numbers(fitted, value):
    wrong = X.copy()
    wrong.loc[3, "exposure"] = value
    match = "Exposure column 'exposure' has .* in row 3, but exposures are positive, finite numbers"
    with pytest.raises(ValueError, match=match):
        GroupedRegressor("group", exposure="exposure").fit(wrong, TABLE["y"])
    with pytest.raises(ValueError, match=match):
        fitted.predict(wrong)


def test_what_has_no_rate_is_refused():
    model = GroupedRegressor("group", exposure="exposure")
    with pytest.raises(ValueError, match="needs counts or amounts from 0 on, but y is -1 in row 0"):
        model.fit(X, np.where(np.arange(len(X)) == 0, -1, TABLE["y"]))
    with pytest.raises(ValueError, match="needs counts or amounts, got target_type='share'"):
        clone(model).set_params(target_type="share").fit(X, TABLE["y"])
    with pytest.raises(ValueError, match="names a column that groups or order name, too"):
        clone(model).set_params(exposure="group").fit(X, TABLE["y"])
    with pytest.raises(ValueError, match="X has no column 'years', which exposure names"):
        clone(model).set_params(exposure="years").fit(X, TABLE["y"])
    with pytest.raises(ValueError, match="holds values that are no numbers"):
        model.fit(X.assign(exposure="long"), TABLE["y"])


AREAS = pd.read_csv(Path(__file__).parent / "data" / "lip_cancer.csv")
AREAS.insert(0, "district", [f"district {k}" for k in range(len(AREAS))])
OF_AREAS, COUNTS = AREAS[["district", "agriculture", "expected"]], AREAS["observed"]


@pytest.fixture(scope="module")
def map_of_areas():
    return GroupedRegressor("district", exposure="expected").fit(OF_AREAS, COUNTS)


def test_effects_are_those_of_glmmtmb(map_of_areas):
    """Its intercept is -.4900, its slope .06831 (.01397), and its deviation between areas .5868."""
    shared = map_of_areas.effects_.loc["shared"]
    assert shared["agriculture"] == pytest.approx(0.06831, abs=1e-4)
    assert shared["agriculture std"] == pytest.approx(0.01397, abs=2e-4)
    at_mean = -0.4900 + 0.06831 * OF_AREAS["agriculture"].mean()
    assert shared["intercept"] == pytest.approx(at_mean, abs=1e-3)
    assert shared["intercept between"] == pytest.approx(0.5868, abs=1e-3)
    assert shared["rows"] == len(OF_AREAS)
    assert (map_of_areas.effects_["rows"][1:] == 1).all()


def test_predictions_of_areas_are_near_those_of_glmmtmb(map_of_areas):
    log_ratio = np.log(map_of_areas.predict(OF_AREAS) / AREAS["glmmtmb"])
    # The counts themselves are .39 away, and what agriculture says without areas .49.
    assert log_ratio.std() < 0.1
    assert abs(log_ratio.mean()) < 0.1


def test_new_areas_are_predicted_and_learned_from_one_count(map_of_areas):
    new = OF_AREAS.assign(district=OF_AREAS["district"] + " of tomorrow")
    before = map_of_areas.predict(new) / OF_AREAS["expected"]
    assert np.ptp(before[OF_AREAS["agriculture"] == 16]) < 1e-9 * before.mean()
    model = pickle.loads(pickle.dumps(map_of_areas)).partial_fit(new, COUNTS)
    # They have the rows of districts that are known.
    log_ratio = np.log(model.predict(new) / map_of_areas.predict(OF_AREAS))
    assert log_ratio.std() < 0.15
    assert (model.effects_["rows"][1:] == 1).all()


def test_intervals_hold_for_later_counts_of_areas_and_for_new_areas():
    rng, n = np.random.default_rng(0), 60
    table = pd.DataFrame({"area": range(n), "x": rng.normal(size=n)})
    table["years"] = np.exp(rng.normal(1.5, 0.9, n))
    rate = np.exp(0.2 + 0.4 * table["x"] + 0.5 * rng.normal(size=n))
    model = GroupedRegressor("area", exposure="years")
    model.fit(table, rng.poisson(rate * table["years"]))
    later = rng.poisson((rate * table["years"]).to_numpy()[:, None], (n, 200))
    low, high = model.predict_quantiles(table, (0.05, 0.95)).T
    inside = (low[:, None] <= later) & (later <= high[:, None])
    # 90 % intervals of counts whose rates are known hold .946 of them, as counts have gaps.
    assert inside.mean() == pytest.approx(0.946, abs=0.015)
    # The error of the model that the counts were drawn from is .351; their own is .62.
    error = np.log(model.predict(table) / (rate * table["years"]))
    assert np.sqrt(np.mean(error**2)) < 0.42


def test_what_says_nothing_of_groups_is_refused():
    message = "Each of the 56 rows has a group of its own in column 'district'.*has exposure="
    with pytest.raises(EpisodeError, match=message):
        GroupedRegressor("district").fit(OF_AREAS, COUNTS)
    amounts = GroupedRegressor("district", exposure="expected", target_type="positive")
    with pytest.raises(EpisodeError, match=message):
        amounts.fit(OF_AREAS, COUNTS + 0.5)
    in_time = GroupedRegressor("district", exposure="expected", order="agriculture")
    with pytest.raises(EpisodeError, match=message):
        in_time.fit(OF_AREAS, COUNTS)
