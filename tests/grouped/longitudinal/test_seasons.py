"""Seasons come from the calendar, or from whole numbers that show one clearly."""

import numpy as np
import pandas as pd
import pytest

from skmeta import GroupedRegressor
from skmeta._columns._doubts import warn_of_doubts
from skmeta.exceptions import UnusedDataWarning
from skmeta.grouped.longitudinal import learn_calendar

MONTHS = pd.date_range("2015-01-01", periods=60, freq="MS")


def days(dates):
    return np.asarray(dates, "datetime64[us]").astype(np.int64) / 86.4e9


def calendar_of(dates, season="auto", n_groups=3):
    times = np.tile(days(dates), n_groups)
    codes = np.repeat(np.arange(n_groups), len(dates))
    units = times.mean(), times.std()
    return learn_calendar(times, np.zeros(len(times)), codes, season, True, *units), times, units


@pytest.mark.parametrize(
    ("freq", "n", "names"),
    [
        ("h", 24 * 20, ["hour of the day", "hour of the week"]),
        ("D", 30, ["day of the week"]),
        ("D", 800, ["day of the week", "month"]),
        ("W-MON", 60, ["week of the year"]),
        ("MS", 30, ["month"]),
        ("ME", 30, ["month"]),
        ("QS", 12, ["quarter"]),
        ("YS", 12, []),
        ("MS", 4, []),
    ],
)
def test_seasons_of_the_calendar(freq, n, names):
    calendar = calendar_of(pd.date_range("2019-03-01", periods=n, freq=freq))[0]
    assert [season.name for season in calendar.seasons] == names


@pytest.mark.parametrize(
    ("freq", "phases"),
    [
        ("h", lambda d: np.column_stack([d.hour, (d.day_of_week + 4) % 7 * 24 + d.hour])),
        ("D", lambda d: np.column_stack([(d.day_of_week - 3) % 7, d.month - 1])),
        ("MS", lambda d: np.column_stack([d.month - 1])),
        ("ME", lambda d: np.column_stack([d.month - 1])),
        ("QS", lambda d: np.column_stack([d.quarter - 1])),
    ],
)
def test_phases_are_those_of_pandas(freq, phases):
    """Standard units are rounded; 2020 and 2024 are leap years, and 1970 began on a Thursday."""
    dates = pd.date_range("2019-11-01", "2025-03-31", freq=freq)
    calendar, times, (centre, scale) = calendar_of(dates)
    at = calendar.phases(np.round((times[: len(dates)] - centre) / scale, 10))
    if freq == "h":
        np.testing.assert_array_equal(at[:, 0], phases(dates)[:, 0])
        assert (pd.Series(at[:, 1]).groupby([dates.day_of_week, dates.hour]).nunique() == 1).all()
        assert len(np.unique(at[:, 1])) == 168
    else:
        np.testing.assert_array_equal(at, phases(dates))


def make_numbers(amplitude, seed, n=48, n_groups=8, length=12):
    rng = np.random.default_rng(seed)
    times, codes = np.tile(np.arange(n), n_groups), np.repeat(np.arange(n_groups), n)
    wander = rng.normal(size=(n_groups, n)).cumsum(1).ravel()
    return times.astype(float), wander + amplitude * np.sin(2 * np.pi * times / length), codes


@pytest.mark.parametrize("length", [4, 7, 12])
def test_whole_numbers_that_show_a_season(length):
    times, y, codes = make_numbers(4.0, 0, length=length)
    calendar = learn_calendar(times, y, codes, "auto", False, times.mean(), times.std())
    assert [season.n_phases for season in calendar.seasons] == [length]


def test_wandering_numbers_show_none():
    """At most one of 100 tables without a season has one."""
    n_wrong = 0
    for seed in range(100):
        times, y, codes = make_numbers(0.0, seed)
        n_wrong += bool(learn_calendar(times, y, codes, "auto", False, 0.0, 1.0).seasons)
    assert n_wrong <= 1


def make_panel(n_series=12, n_years=4, seed=0):
    """Monthly sales: levels and seasons of shops, multiplied."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2018-01-01", periods=12 * n_years, freq="MS")
    season = np.sin(2 * np.pi * np.arange(12) / 12) + 0.8 * (np.arange(12) == 11)
    own = season + 0.15 * rng.normal(size=(n_series, 12))
    level = rng.normal(size=n_series)[:, None]
    walk = 0.03 * rng.normal(size=(n_series, len(dates))).cumsum(1)
    noise = 0.03 * rng.normal(size=walk.shape)
    y = 100 * np.exp(level + 0.4 * np.tile(own, n_years) + walk + noise)
    shop = np.repeat([f"shop {k}" for k in range(n_series)], len(dates))
    return pd.DataFrame({"shop": shop, "date": np.tile(dates, n_series)}), y.ravel()


@pytest.fixture(scope="module")
def panel():
    return make_panel()


def test_a_season_goes_on(panel):
    """The next year of known shops, and of one that opened four months ago."""
    X, y = panel
    later, is_new = X["date"] >= "2021-01-01", X["shop"] == "shop 3"
    known = ~later & (~is_new | (X["date"] >= "2020-09-01"))
    model = GroupedRegressor("shop", order="date").fit(X[known], y[known])
    assert model.seasons_ == ["month"]
    assert "Seasons: month." in model.summary_
    a_year_ago = y[later.to_numpy().nonzero()[0] - 12]
    error, naive = np.abs(y[later] - model.predict(X[later])), np.abs(y[later] - a_year_ago)
    old = ~is_new[later].to_numpy()
    assert error[old].mean() < 0.9 * naive[old].mean()
    assert error[~old].mean() < 1.5 * naive[~old].mean()
    low, high = model.predict_quantiles(X[later], (0.05, 0.95)).T
    assert 0.8 < np.mean((y[later] >= low) & (y[later] <= high)) <= 1


@pytest.mark.slow
def test_offers_that_are_known_ahead(panel):
    """Offers in the year to come have the effect of those before."""
    X, y = panel[0][:480], panel[1][:480]
    offer = np.random.default_rng(2).random(len(X)) < 0.3
    y, later = y * np.exp(0.5 * offer), (X["date"] >= "2021-01-01").to_numpy()
    table = X.assign(offer=offer.astype(float))
    model = GroupedRegressor("shop", order="date").fit(table[~later], y[~later])
    with_offer, without = (model.predict(table[later].assign(offer=k)) for k in (1.0, 0.0))
    assert 0.35 < np.median(np.log(with_offer / without)) < 0.65


def test_dates_that_are_no_order():
    X, y = make_panel(n_series=10, n_years=2)
    with pytest.raises(ValueError, match="Set order='date' if rows come in its order"):
        GroupedRegressor("shop").fit(X, y)
    text = X.assign(date=X["date"].astype(str))
    with pytest.warns(UnusedDataWarning, match="dates as strings, such as '2018-01-01'.*order="):
        GroupedRegressor("shop", model="mixed").fit(text, y)


@pytest.mark.parametrize(
    "form", ["%Y %b", "%B %Y", "%d.%m.%Y", "%m/%d/%Y", "%Y-%m", "%Y W%W", "%d %b %Y"]
)
def test_strings_that_read_as_dates(form):
    column = pd.Series(MONTHS.strftime(form), name="t")
    with pytest.warns(UnusedDataWarning, match="'t' holds dates as strings"):
        warn_of_doubts(column)


def test_strings_that_are_no_dates():
    labels = [f"room {k}" for k in range(12)] + ["may", "2020-99", "12-34"]
    warn_of_doubts(pd.Series(np.repeat(labels, 3), name="t"))


def cycle_of(length, n_steps=60, n_groups=6):
    rng = np.random.default_rng(1)
    steps = np.tile(np.arange(n_steps), n_groups)
    y = rng.normal(size=length)[steps % length] + 0.3 * rng.normal(size=len(steps))
    return steps, y, np.repeat(np.arange(n_groups), n_steps)


@pytest.mark.parametrize("is_date", [False, True])
def test_a_cycle_that_is_left(is_date):
    steps, y, codes = cycle_of(9)
    times = days(MONTHS)[steps] if is_date else steps.astype(float)
    with pytest.warns(UnusedDataWarning, match="y repeats every 9 rows.*set season=9"):
        found = learn_calendar(times, y, codes, "auto", is_date, 0.0, 1.0).seasons
    assert [season.name for season in found] == (["month"] if is_date else [])
    # Whoever says so has it, or has none.
    named = learn_calendar(times, y, codes, 9, is_date, 0.0, 1.0).seasons
    assert [season.n_phases for season in named] == [9]
    learn_calendar(times, y, codes, None, is_date, 0.0, 1.0)


def test_rows_of_the_same_date(panel):
    X, y = panel
    few = X["date"] < "2019-01-01"
    doubled = pd.concat([X[few], X[few][:1]], ignore_index=True)
    with pytest.warns(UnusedDataWarning, match="1 row has the group and the date.*rows 0 and 144"):
        model = GroupedRegressor("shop", order="date").fit(doubled, np.append(y[few], y[0]))
    with pytest.warns(UnusedDataWarning, match="2 rows have.*row 0 and one that was known"):
        model.partial_fit(X[few][2:4], y[few][2:4])
    new = X[few][:2].assign(shop="new")
    model.partial_fit(new, y[:2])
