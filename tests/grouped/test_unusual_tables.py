"""Grouped estimators on unusual tables: weights, times of other types, huge values, odd columns."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from dateutil.tz import gettz
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from marks import slow
from table_properties import failures
from tolerances import REFIT

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta.exceptions import EpisodeError, UnusedDataWarning

pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.UnusedDataWarning")

EXAMPLES = settings(
    max_examples=2,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)
GROUPS, ROWS = 15, 8


def make_times():
    rng = np.random.default_rng(0)
    group, day = np.repeat(np.arange(GROUPS), ROWS), np.tile(np.arange(ROWS) * 30, GROUPS)
    return group, day, rng.normal(size=GROUPS)[group] + 0.01 * day + 0.1 * rng.normal(size=len(day))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GroupedRegressor", "GroupedClassifier"])
@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_what_holds_on_any_table(name, seed):
    assert not {key: error for key, error in failures(name, seed).items() if error}


@pytest.mark.parametrize("dtype", ["pandas", "polars"])
def test_weights_repeat_rows_with_categories_too(dtype):
    """A category of ten rows or more has an indicator: here by weights, or only without them."""
    rng = np.random.default_rng(0)
    group, c = np.repeat(np.arange(16), 5), rng.permutation(np.repeat([*"abcd"], [43, 23, 7, 7]))
    frame = pd.DataFrame({"g": group, "x": rng.normal(size=80), "c": c})
    frame.loc[0, "c"] = "e"
    y = rng.normal(size=16)[group] + 2 * (c == "c") - 2 * (c == "d") + 0.3 * rng.normal(size=80)
    weight = np.where(np.isin(c, ["c", "d"]), 2, 1) * (np.arange(80) > 3)
    rows = np.repeat(np.arange(80), weight)
    tables = [frame, frame.iloc[rows]]
    if dtype == "polars":
        tables = [pl.from_pandas(table.reset_index(drop=True)) for table in tables]
    model = GroupedRegressor("g", model="mixed")
    found = model.fit(tables[0], y, sample_weight=weight).predict(tables[1])
    expected = model.fit(tables[1], y[rows]).predict(tables[1])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("label", [(1, 2), [1], {"a": 1}])
def test_labels_of_several_values_are_refused(label):
    labels = pd.Series([label] * 12, dtype=object)
    with pytest.raises(ValueError, match=r"Group column 'g' has several values in a row, such as"):
        GroupedRegressor("g").fit(pd.DataFrame({"g": labels, "x": range(12)}), range(12))
    frame = pd.DataFrame({"g": np.repeat(range(4), 3), "x": range(12)})
    with pytest.raises(ValueError, match="y has several values in a row, such as"):
        GroupedClassifier("g").fit(frame, labels)


def test_seasons_are_numbers_of_steps_that_the_times_cover():
    group, day, y = make_times()
    frame = pd.DataFrame({"shop": group, "t": day})
    for season in ([2.5], [0], [-3], ["a"], [4, 4], [True]):
        with pytest.raises(ValueError, match="season must be 'auto', None, or whole numbers"):
            GroupedRegressor("shop", order="t", season=season).fit(frame, y)
    with pytest.warns(UnusedDataWarning, match="cover 8 steps, so a season of 1000 cannot be seen"):
        model = GroupedRegressor("shop", order="t", season=[3, 1000]).fit(frame, y)
    assert model.seasons_ == ["3 steps"]


@pytest.mark.slow
def test_rows_without_a_weight_have_no_kind_and_no_group():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": np.repeat(np.arange(12), 5), "x": rng.normal(size=60), "e": 2.0})
    y, weight = rng.poisson(3.0, 60).astype(float), np.ones(60)
    y[7], weight[7] = 0.5, 0
    model = GroupedRegressor("g", exposure="e", model="mixed")
    assert model.fit(frame, y, weight).target_type_ == "count"
    model.set_params(exposure=None, target_type="count").fit(frame[["g", "x"]], y, weight)
    one_each = (np.arange(60) % 5 == 0).astype(float)
    with pytest.raises(EpisodeError, match="Each of the 12 rows has a group of its own"):
        model.fit(frame[["g", "x"]], y, one_each)


@pytest.mark.parametrize("has_dates", [True, slow(False)])
def test_times_of_another_type_than_those_of_fit_are_refused(has_dates):
    group, day, y = make_times()
    dates = pd.Timestamp("2020-01-01") + pd.to_timedelta(day, "D")
    frames = [pd.DataFrame({"shop": group, "t": t}) for t in (day, dates)]
    own, other = frames[::-1] if has_dates else frames
    model = GroupedRegressor("shop", order="t").fit(own, y)
    kinds = ["dates", "numbers"] if has_dates else ["numbers", "dates"]
    message = f"'t', which order names, had {kinds[0]} at fit, but has {kinds[1]} now"
    with pytest.raises(ValueError, match=message):
        model.predict(other)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(other[:3], y[:3])


@pytest.mark.slow
def test_hours_of_the_day_are_those_of_clocks():
    """The clocks of Berlin change on the last day."""
    when = pd.date_range("2021-03-21", periods=24 * 7 + 4, freq="h", tz="Europe/Berlin")
    later = pd.date_range(when[-1], periods=25, freq="h")[1:]

    def pattern(when):
        return np.where((when.hour >= 8) & (when.hour < 18), 5.0, 0.0)

    known = pd.DataFrame({"shop": np.repeat([0, 1], len(when)), "t": [*when, *when]})
    noise = 0.1 * np.random.default_rng(0).normal(size=len(known))
    model = GroupedRegressor("shop", order="t").fit(known, np.tile(pattern(when), 2) + noise)
    at = pd.DataFrame({"shop": 0, "t": later})
    assert abs(model.predict(at) - pattern(later)).max() < 0.5
    np.testing.assert_allclose(
        model.predict(at.assign(t=later.tz_convert("UTC"))), model.predict(at), rtol=1e-12
    )
    with pytest.raises(ValueError, match=r"had dates of the time zone Europe/Berlin at fit, but"):
        model.predict(at.assign(t=later.tz_localize(None)))


def test_dates_and_numbers_in_one_column_are_refused():
    group, day, y = make_times()
    mixed = pd.DataFrame({"shop": group, "t": day.astype(object)})
    mixed.loc[5, "t"] = pd.Timestamp("2020-01-01")
    with pytest.raises(ValueError, match="'t', which order names, mixes numbers and dates"):
        GroupedRegressor("shop", order="t").fit(mixed, y)


@pytest.mark.slow
def test_huge_and_tiny_targets_are_scaled_and_far_rows_are_refused():
    rng = np.random.default_rng(0)
    Z = np.column_stack([np.repeat(np.arange(12), 9), rng.normal(size=(108, 2))])
    y = Z[:, 1] + rng.normal(size=108)
    expected = GroupedRegressor(0).fit(Z, y)
    for unit in (1e200, 1e-200):
        model = GroupedRegressor(0).fit(Z, y * unit)
        np.testing.assert_allclose(model.predict(Z) / unit, expected.predict(Z), **REFIT)
        assert model.summary_
    far = Z * [1, 1e300, 1]
    with pytest.raises(ValueError, match="X has a value in row 0 that is more than"):
        expected.predict(far)
    found = GroupedRegressor(0).fit(far, y).predict(far)
    np.testing.assert_allclose(found, expected.predict(Z), **REFIT)
    with pytest.raises(ValueError, match="y has a value in row 0 that is more than"):
        expected.partial_fit(Z[:1], [1e250])


@pytest.mark.parametrize("kind", [GroupedRegressor, GroupedClassifier])
def test_complex_numbers_are_refused(kind):
    Z = np.column_stack([np.repeat(np.arange(12), 5), np.arange(60.0)])
    y = np.arange(60) % 7 % 2
    with pytest.raises(ValueError, match="Complex data not supported"):
        kind(0).fit(Z + 1j, y)
    with pytest.raises(ValueError, match="Column 'x' holds complex numbers"):
        kind("g").fit(pd.DataFrame({"g": Z[:, 0].astype(int), "x": Z[:, 1] + 1j}), y)


def test_too_many_classes_are_refused_before_work():
    Z = np.column_stack([np.arange(300) % 30, np.arange(300.0)])
    with pytest.raises(
        ValueError, match=r"y has 100 classes, but at most 50 are allowed: .* Merge"
    ):
        GroupedClassifier(0).fit(Z, np.arange(300) % 100)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.LazyFrame({"g": [1, 1, 2, 2], "x": [1, 2, 3, 4]}), r"Pass X\.collect\(\)"),
        (
            pd.DataFrame([[1, 2, 3]] * 4, columns=["g", "x", "x"]),
            "several columns of one name: 'x'",
        ),
        (
            pl.DataFrame({"g": [1, 1, 2, 2], "x": [[1], [2, 3], [4], [5]]}),
            r"'x' holds several values in each row \(List",
        ),
        (
            pl.DataFrame({"g": [1, 1, 2, 2], "x": [{"a": 1}] * 4}),
            r"'x' holds several values in each row \(Struct",
        ),
        (
            pd.DataFrame({"g": [1, 1, 2, 2], "x": pd.arrays.SparseArray([0.0, 0, 1, 0])}),
            r"'x' is sparse .* Convert it by X\['x'\]\.sparse\.to_dense",
        ),
    ],
)
def test_tables_that_cannot_be_read_are_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        GroupedRegressor("g").fit(frame, [1.0, 2, 3, 4])


def make_labels():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": np.arange(60) % 12, "x": rng.normal(size=60)})
    return frame, frame["x"] + rng.normal(size=12)[frame["g"]] + 0.1 * rng.normal(size=60)


def test_labels_of_another_type_are_not_other_groups():
    X, y = make_labels()
    model = GroupedRegressor("g", model="mixed").fit(X, y)
    words = X.assign(g=X["g"].astype(str))
    message = r"'g' had numbers such as 0 at fit, but has strings \(row 0: '0'\) now"
    for method in (model.predict, lambda Z: model.partial_fit(Z, y)):
        with pytest.raises(ValueError, match=message):
            method(words)
    mixed = X.astype({"g": object})
    mixed.loc[30:, "g"] = words["g"][30:]
    for method in (model.predict, lambda Z: model.fit(Z, y)):
        with pytest.raises(ValueError, match=r"mixes numbers \(row 0: 0\) and strings \(row 30"):
            method(mixed)
    again = GroupedRegressor("g", model="mixed").fit(words, y)
    np.testing.assert_allclose(again.predict(words.assign(g=words["g"] + " ")), model.predict(X))


@pytest.mark.parametrize(("dtype", "first"), [("float32", 2**24), ("float64", 2**53)])
def test_labels_that_floats_cannot_hold_are_refused(dtype, first):
    X, y = make_labels()
    large = X.assign(g=X["g"].astype(dtype) + first)
    for table, group in ((large, "g"), (large.to_numpy(dtype), 0)):
        with pytest.raises(ValueError, match=f"such as {first} in row 0, but from {first:,} on"):
            GroupedRegressor(group).fit(table, y)
    exact = GroupedRegressor("g", model="mixed").fit(X.assign(g=X["g"] + first), y)
    assert len(exact.groups_) == 12


def test_a_number_that_is_a_name_and_a_position_is_refused():
    X, y = make_labels()
    named = X.set_axis([1, 2], axis=1)
    with pytest.raises(ValueError, match=r"groups=1 may be a position or a name: .* is named 2"):
        GroupedRegressor(1).fit(named, y)
    GroupedRegressor(0, model="mixed").fit(X.set_axis([0, 1], axis=1), y)


def test_columns_that_are_named_anew_after_fit_are_refused():
    X, y = make_labels()
    X["h"] = X["g"] % 4
    model = GroupedRegressor("g", model="mixed").fit(X, y).set_params(groups="h")
    with pytest.raises(ValueError, match="groups was 'g' at fit, and is 'h' now"):
        model.predict(X)
    assert len(model.set_params(groups="g").predict(X)) == 60


def test_the_name_of_what_groups_share_is_no_group():
    X, y = make_labels()
    with pytest.raises(ValueError, match=r"'shared' is the row of effects_ .* Rename the column\."):
        GroupedRegressor("shared").fit(X.rename(columns={"g": "shared"}), y)
    X["g"] = X["g"].map(lambda k: "shared" if k == 3 else f"g{k}")
    with pytest.raises(ValueError, match=r"Rename the group of column 'g'\."):
        GroupedRegressor("g").fit(X, y)


def test_time_zones_of_dateutil():
    berlin = gettz("Europe/Berlin")
    start = pd.Timestamp("2024-03-25", tz="Europe/Berlin")
    day, group = np.arange(120) // 12, np.arange(120) % 12
    y = group + 0.1 * day + 0.1 * np.random.default_rng(0).normal(size=120)
    named = pd.DataFrame({"g": group, "t": start + pd.to_timedelta(day, unit="D")})
    model = GroupedRegressor("g", order="t").fit(named, y)
    zone = named.assign(t=named["t"].dt.tz_convert(berlin))
    np.testing.assert_allclose(model.predict(zone), model.predict(named))
    objects = named.assign(t=zone["t"].astype(object))
    np.testing.assert_allclose(model.predict(objects), model.predict(named))
