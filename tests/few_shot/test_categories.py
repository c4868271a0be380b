"""Columns of categories in data frames."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.exceptions import UnusedDataWarning
from skmeta.learners import FineTuning

ROWS = 40


def make_frame(seed=0):
    """A table whose label is in a category."""
    rng = np.random.default_rng(seed)
    colour = rng.choice(["blue", "green", "red"], ROWS)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=ROWS),
            "colour": colour,
            "smokes": rng.random(ROWS) < 0.5,
            "grade": pd.Categorical(rng.choice(["low", "mid", "top"], ROWS)),
        }
    )
    return frame, np.where(colour == "green", "yes", "no")


def test_categories_are_learned_from():
    X, y = make_frame()
    clf = MetaFewShotClassifier().fit(X[:30], y[:30])
    assert clf.score(X[30:], y[30:]) == 1
    assert list(clf.feature_names_in_) == ["size", "colour", "smokes", "grade"]
    again = pickle.loads(pickle.dumps(clf))
    # Copies of arrays may be aligned otherwise in memory, and sums then differ by rounding.
    np.testing.assert_allclose(again.predict_proba(X), clf.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("dtype", [object, "category", "string", "str"])
def test_two_views_are_those_of_codes_and_of_indicators(dtype):
    X, y = make_frame()
    frame = X.assign(colour=X["colour"].astype(dtype))
    frame.loc[3, "colour"] = None
    numbers = pd.DataFrame({"size": X["size"], "smokes": X["smokes"].astype(float)})
    codes = numbers.assign(
        colour=frame["colour"].map({"blue": 0.0, "green": 1.0, "red": 2.0}).astype(float),
        grade=X["grade"].cat.codes.astype(float),
    )
    labels = {"colour": ["blue", "green", "red"], "grade": ["low", "mid", "top"]}
    indicators = numbers.assign(
        **{
            f"{name}={label}": (frame[name] == label).fillna(False).astype(float)
            for name, some in labels.items()
            for label in some
        }
    )
    found = MetaFewShotClassifier().fit(frame, y).decision_function(frame[::-1])[::-1]
    views = [MetaFewShotClassifier().fit(v, y).decision_function(v) for v in (codes, indicators)]
    np.testing.assert_allclose(found, np.mean(views, axis=0), atol=1e-9)


def test_an_unknown_category_is_a_missing_value():
    X, y = make_frame()
    clf = MetaFewShotClassifier().fit(X, y)
    missing, unknown = X.copy(), X.copy()
    missing["colour"] = None
    unknown["colour"] = "mauve"
    expected = clf.predict_proba(missing)
    with pytest.warns(UnusedDataWarning, match="has not seen in 40 of 40 rows, such as 'mauve'"):
        np.testing.assert_allclose(clf.predict_proba(unknown), expected, atol=1e-9)
    rare = X.copy()
    rare.loc[3:5, "colour"] = "mauve"  # less than a tenth
    np.testing.assert_allclose(clf.predict_proba(rare)[3:6], expected[3:6], atol=1e-9)
    assert abs(clf.predict_proba(X) - expected).max() > 0.1


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["blue", "green", "red"])])
def test_polars(dtype):
    X, y = make_frame()
    expected = MetaFewShotClassifier().fit(X, y).predict_proba(X)
    frame = pl.DataFrame({name: X[name].to_list() for name in X})
    frame = frame.with_columns(pl.col("colour").cast(dtype))
    found = MetaFewShotClassifier().fit(frame, y).predict_proba(frame)
    np.testing.assert_allclose(found, expected)


def test_categories_keep_their_type_and_blanks_around_them_do_not_count():
    X, y = make_frame()
    X["code"] = pd.Categorical(np.arange(ROWS) % 3)
    clf = MetaFewShotClassifier().fit(X, y)
    message = r"'code' had numbers such as 0 at fit, but has strings \(row 0: '0'\) now"
    with pytest.raises(ValueError, match=message):
        clf.predict(X.assign(code=X["code"].astype(str).astype("category")))
    blank = X.assign(colour=X["colour"] + " ")
    np.testing.assert_array_equal(clf.predict_proba(blank), clf.predict_proba(X))
    again = MetaFewShotClassifier().fit(blank, y)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_columns_must_be_of_the_same_type_and_name():
    X, y = make_frame()
    clf = MetaFewShotClassifier().fit(X, y)
    with pytest.raises(ValueError, match=r"'colour' had categories at fit, but has numbers now: 1"):
        clf.predict(X.assign(colour=1))
    with pytest.raises(ValueError, match=r"'size' had numbers at fit, but has categories now: 'x'"):
        clf.predict(X.assign(size="x"))
    with pytest.raises(
        ValueError, match=r"X was a data frame of 4 columns at fit, with categories"
    ):
        clf.predict(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        clf.predict(X[["colour", "size", "smokes", "grade"]])
    with pytest.raises(ValueError, match=r"Feature names seen at fit time, yet now missing"):
        clf.predict(X[["size", "colour"]])
    with pytest.raises(ValueError, match=r"'colour' mixes strings \(row 0: 'a'\) and numbers"):
        clf.fit(X.assign(colour=["a", 1] * (ROWS // 2)), y)
    with pytest.raises(ValueError, match=r"'colour' holds values that are no categories: unhash"):
        clf.fit(X.assign(colour=[["blue"]] * ROWS), y)
    with pytest.raises(ValueError, match=r"X holds strings .* with OneHotEncoder"):
        MetaFewShotClassifier(FineTuning().initial_prior(np.ones((4, 4)))).fit(X, y)
    with pytest.raises(ValueError, match=r"X holds strings .* Pass a data frame"):
        MetaFewShotClassifier().fit(X.to_numpy(), y)
    with pytest.raises(ValueError, match=r"y holds strings .* use a classifier"):
        MetaFewShotRegressor().fit(X[["size"]], X["colour"].fillna("red"))


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "timedelta64[ns]", "period[D]", "polars"])
def test_columns_of_times_are_refused(dtype):
    X, y = make_frame()
    times = pd.Series(pd.to_datetime(np.arange(ROWS), unit="D"))
    if dtype == "timedelta64[ns]":
        times = times - times[0]
    elif dtype == "period[D]":
        times = times.dt.to_period("D")
    frame = X.assign(seen=times)
    if dtype == "polars":
        frame = pl.DataFrame({"size": X["size"].to_list(), "seen": times})
    with pytest.raises(ValueError, match=r"Column 'seen' holds times .* days since a date"):
        MetaFewShotClassifier().fit(frame, y)
