"""Rates of places: their units, and how often their intervals hold."""

import numpy as np
import pandas as pd
import pytest

from skmeta import GroupedRegressor
from skmeta._reporting._effect import TreatmentRows
from skmeta._reporting._rates import fit_rates


def test_intervals_of_rates_hold_their_level():
    held = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, exposure = rng.normal(size=56), np.exp(rng.normal(1.8, 1.0, 56))
        rate = np.exp(0.1 + 0.35 * x + 0.6 * rng.normal(size=56))
        y = rng.poisson(exposure * rate).astype(float)
        codes, none = np.arange(56)[:, None], np.empty((56, 0))
        known = TreatmentRows(none, x[:, None], y, np.ones(56), codes, np.log(exposure))
        _, _, lower, upper = fit_rates(known, known.others, codes, 0.9)
        held.append((lower <= rate) & (rate <= upper))
    # Of 1,120 intervals, with a standard error of 1 %.
    assert 0.87 < np.mean(held) < 0.93


@pytest.mark.parametrize("skewed", [True, False])
def test_intervals_hold_where_rates_are_skewed_or_of_two_kinds(skewed):
    held = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        exposure, codes, none = rng.uniform(1, 20, 30), np.arange(30)[:, None], np.empty((30, 0))
        rate = 0.3 * (rng.gamma(1.2, 1 / 1.2, 30) if skewed else rng.choice([0.5, 1.5], 30))
        y = rng.poisson(exposure * rate).astype(float)
        known = TreatmentRows(none, none, y, np.ones(30), codes, np.log(exposure))
        _, _, lower, upper = fit_rates(known, none, codes, 0.9)
        held.append((lower <= rate) & (rate <= upper))
    # Of 1,200 intervals. With normal effects of places on the logarithm, .83 and .85 held.
    assert 0.86 < np.mean(held) < 0.94


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    state, x = np.repeat(np.arange(20), 8), rng.normal(size=160)
    people = np.round(np.exp(rng.normal(8, 1, 20)))[state]
    rate = 0.01 * np.exp(0.3 * x + 0.5 * rng.normal(size=20)[state])
    X = pd.DataFrame({"state": [f"s{k}" for k in state], "x": x, "people": people})
    return X, rng.poisson(rate * people).astype(float), rate


def test_rates_are_per_unit_of_exposure_and_do_not_depend_on_that_of_the_row(table):
    X, y, rate = table
    model = GroupedRegressor("state", exposure="people", exposure_unit=1_000.0, model="mixed")
    found = model.fit(X, y).rates(X)
    assert found.index.equals(X.index)
    assert np.corrcoef(np.log(found["rate"]), np.log(1_000 * rate))[0, 1] > 0.97
    # 90 % of a lognormal variable with this mean and standard deviation.
    of_log = np.sqrt(np.log1p((found["std"] / found["rate"]) ** 2))
    np.testing.assert_allclose(np.log(found["upper"] / found["lower"]), 3.2897 * of_log, rtol=1e-4)
    np.testing.assert_allclose(
        found["upper"] * found["lower"] * np.exp(of_log**2), found["rate"] ** 2
    )
    pd.testing.assert_frame_equal(model.rates(X.assign(people=1.0)), found)
    # Nothing is known of a new state, so its interval is wider than any other.
    new = model.rates(X.assign(state="new"))
    assert (new["upper"] / new["lower"]).min() > (found["upper"] / found["lower"]).max()
    assert "per 1,000 of 'people'" in model.summary_
    # Rates are 10 per 1,000, and are modelled as they are or by their logarithm.
    per_person = GroupedRegressor("state", exposure="people", model="mixed").fit(X, y)
    one, other = (each.effects_.loc["shared", "intercept"] for each in (model, per_person))
    is_log = model.model_.target_units.on.name == "logarithm"
    assert (one - other if is_log else one / other) == pytest.approx(
        np.log(1_000) if is_log else 1_000, rel=1e-6
    )
    per_unit = [each.contrast("x", 1, 0).iloc[0] for each in (model, per_person)]
    names = ["estimate", "lower", "upper"]
    np.testing.assert_allclose(per_unit[0][names], 1_000 * per_unit[1][names], rtol=2e-3)
    names = ["ratio", "ratio_lower", "ratio_upper"]
    np.testing.assert_allclose(per_unit[0][names], per_unit[1][names], rtol=1e-3)


def test_too_few_events_are_an_error(table):
    X, y, _ = table
    model = GroupedRegressor("state", exposure="people", model="mixed")
    for events in (np.zeros(160), (np.arange(160) == 7) * 1.0):
        with pytest.raises(ValueError, match=r"y has [01] events?, which say too little"):
            model.fit(X, events).rates(X)
    far = X.assign(x=np.where(np.arange(160) == 3, 1e4, X["x"]))
    with pytest.raises(ValueError, match="1 row, such as row 3"):
        model.fit(X, y).rates(far)


def test_what_has_no_rates_is_an_error(table):
    X, y, _ = table
    plain = GroupedRegressor("state", model="mixed").fit(X, y)
    with pytest.raises(ValueError, match="needs exposure"):
        plain.rates(X)
    amounts = GroupedRegressor("state", exposure="people", model="mixed").fit(X, y + 0.5)
    with pytest.raises(ValueError, match="Rates are of counts"):
        amounts.rates(X)
    with pytest.raises(ValueError, match="exposure_unit"):
        GroupedRegressor("state", exposure="people", exposure_unit=0).fit(X, y)
    with pytest.raises(ValueError, match="is the unit of rates"):
        GroupedRegressor("state", exposure_unit=1_000.0).fit(X, y)
