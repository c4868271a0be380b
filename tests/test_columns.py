"""Data frames of a family: encoded in the same way for each task, and kept by the prior."""

import datetime
from functools import partial

import dateutil.tz
import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder

from skmeta import MetaFewShotRegressor, MetaPrior
from skmeta._columns import FrameEncoder, Times, mix_bits, time_numbers, wall_time
from skmeta.exceptions import UnusedDataWarning
from skmeta.learners import MAML, HierarchicalLinear, InContextLearner

# Tasks of the meta-training are learned again on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

learn_codes = partial(FrameEncoder.learn, allow_nan=True, has_codes=True)


def family(n_tasks=40, n_rows=15, seed=0):
    """Targets that depend on a category; a column has missing values."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    colour = rng.choice(["blue", "green", "red"], len(groups))
    size = rng.normal(size=len(groups))
    effect = pd.Series({"blue": 0.0, "green": 2.0, "red": -3.0})[colour].to_numpy()
    y = effect + size + rng.normal(size=n_tasks)[groups] + 0.1 * rng.normal(size=len(groups))
    frame = pd.DataFrame({"size": size, "colour": colour})
    frame.loc[rng.random(len(frame)) < 0.1, "size"] = np.nan
    return frame, y, groups


def test_categories_are_encoded_like_one_hot():
    frame, _, _ = family()
    encoder = FrameEncoder.learn(frame[["colour"]], allow_nan=True)
    expected = OneHotEncoder(sparse_output=False).fit_transform(frame[["colour"]])
    np.testing.assert_array_equal(encoder.encode(frame[["colour"]]), expected)


def test_rare_new_and_missing_categories():
    labels = ["a"] * 20 + ["b"] * 20 + ["c"]
    encoder = FrameEncoder.learn(pd.DataFrame({"x": labels}), allow_nan=False)
    found = encoder.encode(pd.DataFrame({"x": ["a", "b", "c", "new", None]}))
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_array_equal(found, expected)


def test_categories_with_an_order_are_numbered():
    sizes = ["small", "medium", "large"]
    column = pd.Categorical(["large", "small", None, "medium"], sizes, ordered=True)
    frame = pd.DataFrame({"size": column})
    encoder = FrameEncoder.learn(frame, allow_nan=True)
    np.testing.assert_array_equal(encoder.encode(frame)[:, 0], [2, 0, np.nan, 1])
    assert encoder.names_out() == ["size"]
    filled = FrameEncoder.learn(frame, allow_nan=False)
    np.testing.assert_array_equal(filled.encode(frame), [[2, 0], [0, 0], [1, 1], [1, 0]])
    assert filled.names_out() == ["size", "size=missing"]
    unordered = pd.DataFrame({"size": column.as_unordered()}).iloc[np.tile(range(4), 10)]
    names = FrameEncoder.learn(unordered, allow_nan=True).names_out()
    assert names == ["size=large", "size=medium", "size=small"]


def test_numbers_in_labels_are_sorted_by_size():
    frame = pd.DataFrame({"week": ["week 9", "week 10", "week 1.5", "week"]})
    codes = learn_codes(frame)
    assert codes.encode(frame)[:, 0].tolist() == [2, 3, 1, 0]
    assert codes.nominal == (0,)
    ordered = pd.DataFrame({"week": pd.Categorical(["b", "a"], ["b", "a"], ordered=True)})
    assert learn_codes(ordered).nominal == ()


WEIGHTS = [f"{k / 4}" for k in range(40)]
NOTES = [f"the patient number {k} was seen" for k in range(40)]


@pytest.mark.parametrize("learn", [learn_codes, partial(FrameEncoder.learn, allow_nan=True)])
def test_numbers_in_disguise_and_texts_are_named_with_the_cure(learn):
    traces = pd.DataFrame({"rain": ["t", *WEIGHTS[1:]]})
    with pytest.warns(UnusedDataWarning, match=r"'rain' holds numbers but for 't', .* 40 categ.*"):
        learn(traces)
    with pytest.warns(UnusedDataWarning, match=r"as strings, .* pd.to_numeric\(X\['rain'\]"):
        learn(pd.DataFrame({"rain": WEIGHTS}))
    with pytest.warns(UnusedDataWarning, match=r"'note' holds 40 different texts in 40 rows, such"):
        learn(pd.DataFrame({"note": NOTES}))


@pytest.mark.parametrize(
    "labels",
    [["t", "1", "2", "3"] * 10, NOTES[:19], NOTES[:20] * 3, ["1", "2", *NOTES[:18]] * 3],
    ids=["few numbers", "few texts", "texts of several rows", "words"],
)
def test_usual_categories_are_no_warning(labels):
    learn_codes(pd.DataFrame({"x": labels}))
    learn_codes(pd.DataFrame({"x": pd.Categorical(WEIGHTS)}))


LEARNERS = {
    "linear": HierarchicalLinear(),
    "maml": MAML(n_shot=4, n_query=8, n_iterations=2, validation=0, random_state=0),
    "in context": InContextLearner(
        width=16, n_layers=1, n_shot=4, n_iterations=1, validation=0, random_state=0
    ),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_a_prior_keeps_the_encoder_of_its_family(name, tmp_path):
    frame, y, groups = family()
    learner = LEARNERS[name]
    prior = learner.fit(frame, y, groups=groups).prior_
    assert prior.n_features_in == 2
    assert prior.feature_names_in == ("size", "colour")
    prior.save(tmp_path / "prior.skmeta")
    found = []
    for each in (prior, MetaPrior.load(tmp_path / "prior.skmeta")):
        # The rows of the new task lack categories that the queries have.
        few = frame.index[(groups == 3) & (frame["colour"] == "red")][:4]
        reg = MetaFewShotRegressor(each).fit(frame.loc[few], y[few])
        found.append(reg.predict(frame[groups == 3]))
    np.testing.assert_allclose(*found)
    if name == "linear":
        rest = (groups == 3) & frame["size"].notna()
        assert np.mean((found[0][rest[groups == 3]] - y[rest]) ** 2) < 0.2 * y[rest].var()
    others = family(seed=1)
    assert np.isfinite(learner.score(*others[:2], groups=others[2] + 100))


def test_what_does_not_fit_the_family_is_an_error():
    frame, y, groups = family()
    prior = HierarchicalLinear().fit(frame, y, groups=groups).prior_
    reg = MetaFewShotRegressor(prior).fit(frame[:5], y[:5])
    with pytest.raises(ValueError, match="Pass a data frame with the same columns"):
        reg.predict(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="'colour' had categories in the prior's family, but ha"):
        reg.predict(frame[:2].assign(colour=[1.0, 2.0]))
    numbers = HierarchicalLinear().fit(frame[["size"]], y, groups=groups).prior_
    with pytest.raises(ValueError, match="X holds strings"):
        MetaFewShotRegressor(numbers).fit(frame[["colour"]].rename(columns={"colour": "size"}), y)


def missing_in(dtype, labels, learner):
    """Targets of a family with one column of a type of pandas, some of whose values are missing."""
    values = pd.Series(np.resize(labels, 120), dtype=dtype)
    values[::7] = pd.NA
    groups = np.repeat(np.arange(12), 10)
    y = np.random.default_rng(0).normal(size=120) + groups
    frame = pd.DataFrame({"x": values, "z": np.arange(120.0)})
    learner.fit(frame, y, groups=groups)
    reg = MetaFewShotRegressor(learner).fit(frame[:5], y[:5])
    return frame, reg


@pytest.mark.parametrize(
    ("dtype", "labels"),
    [("boolean", [True, False]), ("string", ["a", "b"]), ("Int64", [1, 2]), ("Float64", [0.5, 1])],
)
def test_missing_values_of_pandas_types(dtype, labels):
    frame, reg = missing_in(dtype, labels, HierarchicalLinear(effects="intercept"))
    plain = frame.astype({"x": object if dtype == "string" else float})
    groups = np.repeat(np.arange(12), 10)
    y = np.random.default_rng(0).normal(size=120) + groups
    same = HierarchicalLinear(effects="intercept").fit(plain, y, groups=groups)
    expected = MetaFewShotRegressor(same).fit(plain[:5], y[:5]).predict(plain)
    np.testing.assert_allclose(reg.predict(frame), expected, rtol=1e-10)
    missing_in(dtype, labels, MAML(n_iterations=2, n_shot=3, n_query=3))


@pytest.mark.parametrize("make", [MetaFewShotRegressor, HierarchicalLinear])
def test_dates_as_objects_are_an_error(make):
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(k) for k in range(40)]
    frame = pd.DataFrame({"day": pd.Series(days, dtype=object), "x": np.arange(40.0)})
    groups = {} if make is MetaFewShotRegressor else {"groups": np.repeat([0, 1, 2, 3], 10)}
    with pytest.raises(ValueError, match="Column 'day' holds times"):
        make().fit(frame, np.arange(40.0) / 7, **groups)


DATES = pd.to_datetime(["2024-01-01", "2024-01-02 12:00", "2023-12-31"], format="ISO8601")


@pytest.mark.parametrize(
    "values",
    [DATES, DATES.tz_localize("UTC"), [d.to_pydatetime() for d in DATES], DATES.to_numpy()],
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


class Nameless(datetime.tzinfo):
    """A zone that says neither its name nor a fixed offset."""

    def utcoffset(self, when):
        return when and datetime.timedelta(hours=1)


def wall_hours(values):
    """Return the hours that clocks show, of a column of times."""
    frame = pd.DataFrame({"when": values})
    days = wall_time(time_numbers(frame, "when"), Times.of_column(frame, "when").zone)
    return (days * 24 + 1e-3) % 24


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        "Asia/Kolkata",
        dateutil.tz.gettz("Europe/Berlin"),
        datetime.timezone(datetime.timedelta(hours=-3.5)),
        "UTC",
    ],
)
def test_clocks_of_a_zone_go_on_through_their_changes(zone):
    when = pd.date_range("2021-03-26", "2021-03-30", freq="h", tz=zone)
    np.testing.assert_array_equal(wall_hours(when).astype(int), when.hour)
    np.testing.assert_array_equal(wall_hours(when.to_pydatetime()).astype(int), when.hour)
    if isinstance(zone, str):
        arrow = pd.Series(when).astype(f"timestamp[us, tz={zone}][pyarrow]")
        np.testing.assert_array_equal(wall_hours(arrow).astype(int), when.hour)
    assert np.ptp(np.diff(time_numbers(pd.DataFrame({"when": when}), "when"))) < 1e-9


def test_zones_that_say_too_little():
    berlin = pd.date_range("2021-03-26", periods=4, tz="Europe/Berlin")
    mixed = [*berlin[:2].to_pydatetime(), *berlin[2:].tz_localize(None).to_pydatetime()]
    with pytest.raises(ValueError, match="mixes dates with a time zone and dates without one"):
        Times.of_column(pd.DataFrame({"when": pd.Series(mixed, dtype=object)}), "when")
    others = [*berlin[:2].to_pydatetime(), *berlin[2:].tz_convert("Asia/Tokyo").to_pydatetime()]
    with pytest.warns(UnusedDataWarning, match=r"has several time zones: .*those of UTC"):
        Times.of_column(pd.DataFrame({"when": pd.Series(others, dtype=object)}), "when")
    nameless = [day.to_pydatetime().replace(tzinfo=Nameless()) for day in berlin]
    with pytest.raises(ValueError, match="has a time zone without a name"):
        Times.of_column(pd.DataFrame({"when": pd.Series(nameless, dtype=object)}), "when")


def test_digests_are_those_of_files_written_before():
    # The first number of splitmix64 from the seed 0, as published.
    assert mix_bits(np.zeros(1, np.uint64)).tolist() == [0xE220A8397B1DCDAF]
