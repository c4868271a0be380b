"""Times may be numbers, dates, periods or durations, and nothing else."""

import datetime

import numpy as np
import pandas as pd
import pytest

from skmeta._columns import time_numbers
from skmeta.grouped.longitudinal import rising_columns

DATES = pd.to_datetime(["2024-01-01", "2024-01-02 12:00", "2023-12-31"], format="ISO8601")


@pytest.mark.parametrize(
    "values",
    [
        DATES,
        DATES.tz_localize("UTC"),
        [d.to_pydatetime() for d in DATES],
        DATES.to_numpy(),
    ],
    ids=["timestamps", "zone", "datetimes", "numpy"],
)
def test_dates_are_days(values):
    found = time_numbers(pd.DataFrame({"when": values}), "when")
    np.testing.assert_allclose(found - found[0], [0, 1.5, -1])


def test_other_times():
    days = [datetime.date(2024, 1, 1), datetime.date(2024, 3, 1)]
    assert np.diff(time_numbers(pd.DataFrame({"t": days}), "t")) == 60
    periods = pd.PeriodIndex(["2024-01", "2024-03"], freq="M")
    assert np.diff(time_numbers(pd.DataFrame({"t": periods}), "t")) == 60
    spans = pd.to_timedelta([12, 36], unit="h")
    np.testing.assert_allclose(time_numbers(pd.DataFrame({"t": spans}), "t"), [0.5, 1.5])
    np.testing.assert_array_equal(time_numbers(np.array([[1.0, 5], [2, 3]]), 1), [5, 3])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2024-01", "2024-02"], "holds '2024-01'. Give it numbers or dates"),
        ([1.0, np.nan], "is missing in 1 row"),
        ([1.0, np.inf], "holds infinity"),
    ],
)
def test_what_is_no_time_is_an_error(values, message):
    with pytest.raises(ValueError, match=message):
        time_numbers(pd.DataFrame({"when": values}), "when")


def test_columns_that_rise_within_groups_are_noticed():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(20), 6)
    day = np.tile(np.arange(6), 20)
    numbers = np.column_stack([rng.normal(size=120), day, rng.normal(size=120)])
    numbers[0, 2] = np.nan
    assert list(rising_columns(numbers, codes)) == [1]
    shuffled = rng.permutation(120)
    assert not len(rising_columns(numbers[shuffled], codes[shuffled]))
    assert not len(rising_columns(numbers[:18], codes[:18]))
