"""order names the time: it stays a feature, and later rows are predicted from earlier ones."""

import copy
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta.exceptions import UnusedDataWarning

N_GROUPS, N_ROWS = 24, 12


def make_curves(seed=0):
    """Curves with intercepts and slopes of their own around a bend, of two kinds."""
    rng = np.random.default_rng(seed)
    group, week = np.repeat(np.arange(N_GROUPS), N_ROWS), np.tile(np.arange(N_ROWS), N_GROUPS)
    kind = group % 2
    own = rng.normal(size=(2, N_GROUPS))
    y = 10 + 3 * own[0][group] + (1 + 0.5 * own[1][group] + kind) * week - 0.05 * week**2
    X = pd.DataFrame({"animal": group, "week": week, "diet": np.where(kind == 1, "a", "b")})
    return X, y + 0.3 * rng.normal(size=len(y))


@pytest.fixture(scope="module")
def curves():
    return make_curves()


@pytest.fixture(scope="module")
def model(curves):
    """Fitted to the first seven weeks of all but six animals."""
    X, y = curves
    seen = (X["week"] < 7) & (X["animal"] < 18)
    return GroupedRegressor("animal", order="week").fit(X[seen], y[seen])


def test_known_groups_beyond_the_times_seen(curves, model):
    X, y = curves
    later = (X["week"] >= 7) & (X["animal"] < 18)
    low, high = model.predict_quantiles(X[later], (0.05, 0.95)).T
    assert r2_score(y[later], model.predict(X[later])) > 0.9
    # Wider, the further ahead.
    width = (high - low).reshape(18, -1).mean(0)
    assert (np.diff(width) > 0).all()


def test_new_groups_from_their_first_rows(curves):
    X, y = curves
    old, first = X["animal"] < 16, X["week"] < 4
    model = GroupedRegressor("animal", order="week").fit(X[old], y[old])
    at = ~old & ~first
    before = r2_score(y[at], model.predict(X[at]))
    model.partial_fit(X[~old & first], y[~old & first])
    assert r2_score(y[at], model.predict(X[at])) > max(0.9, before)
    low, high = model.predict_quantiles(X[at], (0.05, 0.95)).T
    width = (high - low).reshape(8, -1).mean(0)
    assert width[-1] > width[0]


@pytest.mark.slow
def test_intervals_of_families_of_curves():
    """Those of new groups hold what they say; those of known groups are wider than needed."""
    known, new, widths = [], [], []
    for seed in range(3):
        X, y = make_curves(seed)
        is_old, is_first = X["animal"] < 18, X["week"] < 7
        model = GroupedRegressor("animal", order="week").fit(
            X[is_old & is_first], y[is_old & is_first]
        )
        few = ~is_old & (X["week"] < 4)
        for shares, at in ((known, is_old & ~is_first), (new, ~is_old & (X["week"] >= 4))):
            if shares is new:
                model.partial_fit(X[few], y[few])
            low, high = model.predict_quantiles(X[at], (0.05, 0.95)).T
            shares.append(np.mean((y[at] >= low) & (y[at] <= high)))
            if shares is known:
                needed = 2 * np.quantile(np.abs(y[at] - model.predict(X[at])), 0.9)
                widths.append(np.mean(high - low) / needed)
    assert 0.85 < np.mean(new) < 0.95
    assert np.mean(known) > 0.9
    assert np.mean(widths) < 2


def test_rows_that_come_later_narrow_what_is_ahead(curves, model):
    X, y = curves
    at = (X["week"] >= 10) & (X["animal"] < 18)
    more = X["week"].isin([7, 8, 9]) & (X["animal"] < 18)
    later = copy.deepcopy(model).partial_fit(X[more], y[more])
    errors, widths = [], []
    for one in (model, later):
        low, high = one.predict_quantiles(X[at], (0.05, 0.95)).T
        errors.append(np.mean((one.predict(X[at]) - y[at]) ** 2))
        widths.append((high - low).mean())
    assert errors[1] < errors[0]
    assert widths[1] < widths[0]


def test_units_names_dates_and_the_order_of_rows_change_nothing(curves, model):
    X, y = curves
    seen = (X["week"] < 7) & (X["animal"] < 18)
    later = (X["week"] >= 7) & (X["animal"] < 18)
    other = X.assign(
        animal="a" + (99 - X["animal"]).astype(str),
        week=pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * X["week"], unit="D"),
    )
    rows = np.random.default_rng(1).permutation(np.flatnonzero(seen))
    again = GroupedRegressor("animal", order="week").fit(other.iloc[rows], 1.8 * y[rows])
    found = again.predict(other[later]) / 1.8
    np.testing.assert_allclose(found, model.predict(X[later]), atol=1e-4 * y.std())


def test_what_was_found_is_shown(model):
    losses = model.losses_
    assert list(losses.index) == ["0", "1", "2", "3", "6", "later"]
    assert losses["mixture"].notna().all()
    assert losses.loc["6", "mixture"] < losses.loc["0", "mixture"]
    assert "later rows of known groups: mixture" in model.summary_
    effects = model.effects_
    assert "week" in effects.columns
    slopes = effects["week"].drop("shared")
    assert np.corrcoef(slopes, slopes.index.to_numpy().astype(int) % 2)[0, 1] > 0.4


def test_time_stays_a_feature_of_every_model(curves):
    """With members of one's own choice and of classes, rows in time are still told apart."""
    X, y = curves
    settings = {"population": LinearRegression(), "model": "mixed", "n_folds": 2}
    by_hand = GroupedRegressor("animal", order="week", **settings)
    with pytest.warns(UnusedDataWarning, match="model='mixed' switches off what order='week'"):
        by_hand.fit(X, y)
    assert by_hand.score(X, y) > 0.95
    is_late = np.where(X["week"] > 6, "late", "early")
    classes = GroupedClassifier("animal", order="week", model="population", n_folds=2)
    with pytest.warns(UnusedDataWarning, match="model='population' switches off"):
        classes.fit(X, is_late)
    assert classes.score(X, is_late) > 0.95


class CountsColumns(LinearRegression):
    seen: ClassVar[set[int]] = set()

    def fit(self, X, y, sample_weight=None):
        self.seen.add(X.shape[1])
        return super().fit(X, y, sample_weight)


def test_a_population_of_ones_own_learns_what_groups_share_and_not_changes(curves):
    X, y = curves
    CountsColumns.seen.clear()
    GroupedRegressor("animal", order="week", population=CountsColumns(), n_folds=2).fit(X, y)
    # Trees on the last value have at least seven columns.
    assert CountsColumns.seen == {X.shape[1] - 1}


def test_without_order_a_column_that_rises_is_noticed(curves):
    X, y = curves
    quick = {"population": LinearRegression(), "model": "population", "n_folds": 2}
    with pytest.warns(UnusedDataWarning, match="Column 'week' rises .*with order="):
        GroupedRegressor("animal", **quick).fit(X, y)


def test_wrong_times_are_errors(curves, model):
    X, y = curves
    with pytest.raises(ValueError, match="'week', which order names, is missing in 1 row"):
        GroupedRegressor("animal", order="week").fit(X.assign(week=X["week"].where(X.index > 0)), y)
    with pytest.raises(ValueError, match="Give it numbers or dates"):
        GroupedRegressor("animal", order="diet").fit(X, y)
    with pytest.raises(ValueError, match="Give it numbers or dates"):
        model.predict(X.assign(week="later"))


@pytest.mark.slow
def test_one_group_and_weights(curves):
    X, y = curves
    one = X["animal"] == 3
    weeks = X.loc[one, ["week"]].to_numpy()
    model = GroupedRegressor(order=0).fit(weeks[:9], y[one][:9])
    assert np.isfinite(model.predict(weeks)).all()
    old = X["animal"] < 12
    weight = np.where(X["week"] == 11, 0.01, 1.3)
    far = np.where(X["week"] == 11, y + 50, y)
    fits = [
        GroupedRegressor("animal", order="week").fit(X[old], far[old], weights)
        for weights in (weight[old], None)
    ]
    at = old & (X["week"] == 11)
    errors = [abs(copy.copy(fit).predict(X[at]) - far[at]).mean() for fit in fits]
    assert errors[0] > errors[1]


@pytest.mark.slow
def test_new_groups_have_slopes_of_columns():
    """Of a column that varies in time, from six rows; the slope of all would leave all of b x."""
    rng = np.random.default_rng(1)
    n_groups, n_times = 30, 14
    b, x = rng.normal(size=n_groups), rng.normal(size=(n_groups, n_times))
    y = rng.normal(size=(n_groups, 1)) + b[:, None] * x + 0.3 * rng.normal(size=x.shape)
    group, week = np.indices(x.shape).reshape(2, -1)
    X = pd.DataFrame({"group": group, "week": week, "x": x.ravel()})
    known, few = (X["group"] < 24), (X["group"] >= 24) & (X["week"] < 6)
    model = GroupedRegressor("group", order="week").fit(X[known], y.ravel()[known])
    model.partial_fit(X[few], y.ravel()[few])
    asked = ~known & ~few
    error = np.mean((model.predict(X[asked]) - y.ravel()[asked]) ** 2)
    assert error < 0.4 * np.var((b[:, None] * x).ravel()[asked])
