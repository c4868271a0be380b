"""GroupedRegressor and GroupedClassifier with several columns of groups, nested or crossed."""

import copy
import pickle
import re
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from marks import slow
from mixed_tables import load_pastes, load_penicillin
from scipy.stats import norm
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from tolerances import REFIT

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.learners import HierarchicalLinear

NAMES = ["user", "item"]
QUICK = {"population": LinearRegression(), "n_folds": 2}
# One member, where the test is not about the choice between them.
ONE = QUICK | {"model": "mixed"}


class Ratings(NamedTuple):
    """Rows of users and items, their targets, and the effects of both."""

    X: pd.DataFrame
    y: np.ndarray
    of_user: np.ndarray
    of_item: np.ndarray


def make_ratings(n=400, seed=0):
    rng = np.random.default_rng(seed)
    user, item = rng.integers(20, size=n), rng.integers(12, size=n)
    of_user, of_item = rng.normal(size=20), 0.5 * rng.normal(size=12)
    x = rng.normal(size=n)
    y = np.sin(2 * x) + of_user[user] + of_item[item] + 0.2 * rng.normal(size=n)
    names = np.array([f"u{k}" for k in range(20)])
    return Ratings(pd.DataFrame({"user": names[user], "item": item, "x": x}), y, of_user, of_item)


@pytest.fixture(scope="module")
def ratings():
    return make_ratings()


@pytest.fixture(scope="module")
def model(ratings):
    return GroupedRegressor(NAMES).fit(ratings.X, ratings.y)


def row(user, item, x=0.0):
    return pd.DataFrame({"user": [user], "item": [item], "x": [x]})


def deviations(model):
    return model.effects_["intercept between"].xs("shared", level="group").to_dict()


def frame(codes, names):
    return pd.DataFrame(codes, columns=names)


@pytest.mark.parametrize("kind", [slow("mixture"), "mixed"])
def test_pastes_are_those_of_lme4(kind):
    y, codes = load_pastes()
    X = frame(codes, ["batch", "cask"])
    model = GroupedRegressor(["batch", "cask"], model=kind).fit(X, y)
    found = deviations(model)
    np.testing.assert_allclose([found["cask"], found["batch"]], [2.9041, 1.2874], atol=1e-4)
    if kind == "mixed":
        np.testing.assert_allclose(model.predict(frame([[99, 99]], X.columns)), 60.0533, atol=1e-4)
    assert "of the rest: 0.8234" in model.summary_
    assert "between the 30 groups of cask, nested in batch: 2.904" in model.summary_


def test_penicillin_is_that_of_lme4():
    y, codes = load_penicillin()
    X = frame(codes, ["plate", "sample"])
    told = r"'sample' has fewer than 10 groups \(6\).* read in summary_ how well groups held out"
    with pytest.warns(UnusedDataWarning, match=told):
        model = GroupedRegressor(["plate", "sample"], model="mixed").fit(X, y)
    found = deviations(model)
    np.testing.assert_allclose([found["plate"], found["sample"]], [0.8467, 1.9316], atol=1e-4)
    of_sample = model.effects_["intercept"]["sample"].loc[list(range(6))]
    expected = [2.1871, -1.0105, 1.9379, -0.0969, -0.0138, -3.0037]
    np.testing.assert_allclose(of_sample, expected, atol=2e-3)
    np.testing.assert_allclose(model.predict(frame([[99, 99]], X.columns)), 22.9722, atol=1e-4)
    assert "of the rest: 0.5499" in model.summary_


def test_effects_of_both_factors_are_found(model, ratings):
    effects = model.effects_
    for name, labels, truth in (
        ("user", [f"u{k}" for k in range(20)], ratings.of_user),
        ("item", list(range(12)), ratings.of_item),
    ):
        own = effects.loc[name].loc[labels]
        assert np.corrcoef(own["intercept"], truth)[0, 1] > 0.97
        assert own["rows"].sum() == len(ratings.y)
    found = deviations(model)
    assert found["user"] == pytest.approx(ratings.of_user.std(ddof=1), rel=0.1)
    assert found["item"] == pytest.approx(ratings.of_item.std(ddof=1), rel=0.1)
    assert [len(groups) for groups in model.groups_] == [20, 12]


def test_deviations_of_effects_are_those_of_dense_matrices(ratings):
    """Given the deviations that were found, and the same slope in all groups."""
    model = GroupedRegressor(NAMES, model="mixed").fit(ratings.X, ratings.y)
    users, user = np.unique(ratings.X["user"], return_inverse=True)
    codes = user, ratings.X["item"].to_numpy(), user * 12 + ratings.X["item"].to_numpy()
    U, W, P = (np.equal.outer(column, np.unique(column)) * 1.0 for column in codes)
    pair, noise = (
        float(re.search(rf"{name}: ([\d.]+)", model.summary_)[1])
        for name in ("between pairs of user and item", "of the rest")
    )
    of_user, of_item = (deviations(model)[name] ** 2 for name in NAMES)
    V = of_user * U @ U.T + of_item * W @ W.T + pair**2 * P @ P.T + noise**2 * np.eye(len(U))
    X = np.column_stack([np.ones(len(U)), ratings.X["x"]])
    inverse = np.linalg.inv(V)
    left = inverse @ X
    projected = inverse - left @ np.linalg.solve(X.T @ left, left.T)
    variance = of_user - of_user**2 * np.diag(U.T @ projected @ U)
    own = model.effects_.loc["user"].loc[users.tolist()]
    np.testing.assert_allclose(own["intercept std"], np.sqrt(variance), rtol=0.03)
    effects = of_user * U.T @ projected @ ratings.y
    np.testing.assert_allclose(own["intercept"], effects, atol=0.08)


def test_a_new_level_keeps_the_effect_of_the_other_factor(model, ratings):
    best = f"u{ratings.of_user.argmax()}"
    worst = f"u{ratings.of_user.argmin()}"
    mean, std = model.predict(pd.concat([row(best, 99), row(worst, 99)]), return_std=True)
    assert mean[0] - mean[1] > 0.7 * np.ptp(ratings.of_user)
    of_known = model.predict(row(best, 3), return_std=True)[1][0]
    of_new = model.predict(row("nobody", 99), return_std=True)[1][0]
    assert of_known < std[0] < of_new
    variance = sum(d**2 for d in deviations(model).values())
    # And the error of the mean of 20 users and 12 items.
    assert 1 < of_new**2 / (variance + of_known**2) < 1.2


def test_intervals_hold_what_they_say():
    X, y, *_ = make_ratings(700)
    is_train = np.arange(700) < 250
    model = GroupedRegressor(NAMES, **QUICK).fit(X[is_train], y[is_train])
    low, median, high = model.predict_quantiles(X[~is_train]).T
    assert 0.86 < np.mean((y[~is_train] >= low) & (y[~is_train] <= high)) < 0.94
    assert (low < median).all()
    assert (median < high).all()


def test_schools_in_districts():
    rng = np.random.default_rng(0)
    school = np.repeat(np.arange(36), 6)
    district = school // 3
    of_district, of_school = 2 * rng.normal(size=12), rng.normal(size=36)
    X = pd.DataFrame({"district": district, "school": school, "x": rng.normal(size=216)})
    y = (X["x"] + of_district[district] + of_school[school] + 0.3 * rng.normal(size=216)).to_numpy()
    model = GroupedRegressor(["district", "school"], **ONE).fit(X, y)

    def predict(district, school):
        at = pd.DataFrame({"district": [district], "school": [school], "x": [0.0]})
        return np.ravel(model.predict(at, return_std=True))

    best, worst = of_district.argmax(), of_district.argmin()
    # A new school in a known district has the effect of the district.
    assert predict(best, 99)[0] > predict(99, 99)[0] + 1 > predict(worst, 99)[0] + 2
    assert predict(best, 3 * best)[1] < predict(best, 99)[1] < predict(99, 99)[1]
    # The label of a school counts within its district.
    np.testing.assert_array_equal(predict(worst, 3 * best), predict(worst, 99))
    np.testing.assert_array_equal(predict(99, 3 * best), predict(99, 99))


@pytest.mark.parametrize("limits", [pytest.param([0.0], id="two"), slow([-0.5, 0.7], id="three")])
def test_classes_of_held_out_rows(ratings, limits):
    y, known = np.digitize(ratings.y, limits), np.arange(len(ratings.y)) % 4 > 0
    clf = GroupedClassifier(NAMES, population=LogisticRegression(), n_folds=2)
    clf.fit(ratings.X[known], y[known])
    pooled = LogisticRegression().fit(ratings.X.loc[known, ["x"]], y[known])
    gain = clf.score(ratings.X[~known], y[~known]) - pooled.score(
        ratings.X.loc[~known, ["x"]], y[~known]
    )
    assert gain > 0.1
    proba = clf.predict_proba(pd.concat([ratings.X[~known], row("nobody", 99)]))
    np.testing.assert_allclose(proba.sum(1), 1.0)
    level = ratings.of_user[:, None] + ratings.of_item
    assert abs(proba[-1, 0] - norm.cdf((limits[0] - level) / 0.2).mean()) < 0.1
    if len(limits) == 1:
        assert "Deviations of the log odds" in clf.summary_
    else:
        assert {"intercept (0)", "intercept (2) std"} <= {*clf.effects_.columns}
        assert "groups of item (1)" in clf.summary_


@pytest.mark.slow
@pytest.mark.parametrize("kind", [GroupedRegressor, GroupedClassifier])
def test_order_names_and_units_change_nothing(kind):
    X, y, *_ = make_ratings(100, seed=3)
    y = y if kind is GroupedRegressor else (y > 0).astype(int)
    rng = np.random.default_rng(1)
    rows, names = rng.permutation(100), rng.permutation(20)

    def changed(X):
        users = X["user"].map(lambda u: int(names[int(u[1:])]))
        return X.assign(user=users, x=X["x"] * 2.54 + 32)

    population = LinearRegression() if kind is GroupedRegressor else LogisticRegression()
    options = {"population": population, "n_folds": 2}
    first = kind(NAMES, **options).fit(X, y)
    unit = 1.8 if kind is GroupedRegressor else 1
    second = kind(NAMES, **options).fit(changed(X).iloc[rows], unit * y[rows])
    if kind is GroupedClassifier:
        found = [first.predict_proba(X), second.predict_proba(changed(X))]
    else:
        found = [first.predict(X), second.predict(changed(X)) / unit]
    np.testing.assert_allclose(*found, **REFIT)


@pytest.mark.slow
def test_polars_arrays_pickles_and_clones_agree(ratings):
    polars = pytest.importorskip("polars")
    frame, y = ratings.X[:150], ratings.y[:150]
    expected = GroupedRegressor(NAMES, **ONE).fit(frame, y).predict(frame)
    X = polars.from_pandas(frame)
    model = clone(GroupedRegressor((0, 1), **ONE)).fit(X, y)
    found = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(found.predict(X), expected, **REFIT)
    numbers = frame.assign(user=frame["user"].str[1:].astype(int)).to_numpy()
    of_array = GroupedRegressor([0, 1], **ONE).fit(numbers, y)
    np.testing.assert_allclose(of_array.predict(numbers), expected, **REFIT)
    assert set(of_array.effects_.index.get_level_values("column")) == {"0", "1"}


@pytest.mark.parametrize("kind", [slow("mixture"), "mixed"])
def test_columns_of_groups_may_be_named_in_any_order(kind, ratings):
    X, y = ratings.X[:100], ratings.y[:100]
    one, other = (GroupedRegressor(names, model=kind).fit(X, y) for names in (NAMES, NAMES[::-1]))
    np.testing.assert_allclose(one.predict(X), other.predict(X), **REFIT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["user", "itme"]}, "no column 'itme', which groups names. Did you mean 'item'"),
        ({"groups": ["user", "user"]}, "names a column twice"),
        ({"groups": ["user", "x"]}, "'x' holds numbers with fractions, such as"),
        ({"groups": []}, "names no column"),
        ({"order": "user"}, "names a column that groups="),
    ],
)
def test_settings_that_do_not_fit(options, message, ratings):
    with pytest.raises(ValueError, match=message):
        GroupedRegressor(**({"groups": NAMES} | QUICK | options)).fit(ratings.X, ratings.y)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (lambda X: np.arange(len(X)), "Each of the 400 rows has a group of its own"),
        (lambda X: X["user"].str.upper(), "'user' and 'item' divide the rows into the same groups"),
    ],
)
def test_each_column_must_group(column, message, ratings):
    X = ratings.X.assign(item=column(ratings.X))
    with pytest.raises(EpisodeError, match=message):
        GroupedRegressor(NAMES, **ONE).fit(X, ratings.y)


def test_few_rows_of_a_new_level(ratings):
    model = GroupedRegressor(NAMES, **ONE).fit(ratings.X, ratings.y)
    before = model.predict(row("new", 3))[0]
    found = copy.deepcopy(model).partial_fit(pd.concat([row("new", 3)] * 5), [before + 2.0] * 5)
    assert before + 1 < found.predict(row("new", 3))[0] < before + 2.1
    assert "new" in found.groups_[0]
    np.testing.assert_array_equal(model.predict(row("new", 3))[0], before)


def test_rows_added_in_parts_or_at_once_are_the_same(ratings):
    """The effects follow from all known rows, whatever the order in which they came."""
    first, rest = slice(0, 300), slice(300, 400)
    model = GroupedRegressor(NAMES, model="mixed", **QUICK)
    model.fit(ratings.X[first], ratings.y[first])
    at_once = copy.deepcopy(model).partial_fit(ratings.X[rest], ratings.y[rest])
    for part in (slice(350, 400), slice(300, 350)):
        model.partial_fit(ratings.X[part], ratings.y[part])
    np.testing.assert_allclose(model.predict(ratings.X), at_once.predict(ratings.X), atol=1e-8)


def test_losses_and_summary_name_the_columns(model):
    losses = model.losses_
    assert list(losses.index[:2]) == ["user, no known row", "user, 1 known row"]
    assert losses.index[-1] == "known groups"
    assert {"mixed model on population", "Gaussian process", "mixture"} <= set(losses)
    assert "several new groups, no known row" in losses.index
    # Known rows of a user tell of its effect.
    of_user = losses[losses.index.str.startswith("user")]["mixture"]
    assert of_user.iloc[-1] < 0.5 * of_user.iloc[0]
    alone = losses.drop(columns="mixture").min(axis=1)
    assert (losses["mixture"] < 1.1 * alone).all()
    assert "user, 1 known row: population" in model.summary_


@pytest.mark.slow
def test_slopes_of_both_columns_are_found():
    rng = np.random.default_rng(0)
    user, item = rng.integers(20, size=500), rng.integers(15, size=500)
    x, of_user, of_item = rng.normal(size=500), rng.normal(size=20), 0.7 * rng.normal(size=15)
    y = x * (of_user[user] + of_item[item]) + 0.3 * rng.normal(size=500)
    X = pd.DataFrame({"user": user, "item": item, "x": x})
    is_train = np.arange(500) < 400
    errors = []
    for effects in ("correlated", "intercept"):
        mixed = HierarchicalLinear(effects=effects)
        model = GroupedRegressor(NAMES, model=mixed).fit(X[is_train], y[is_train])
        errors.append(np.mean((model.predict(X[~is_train]) - y[~is_train]) ** 2))
    assert errors[0] < 0.2 < 0.5 * errors[1]


def test_effects_of_pairs_are_found():
    rng = np.random.default_rng(0)
    user, item = rng.integers(20, size=1200), rng.integers(10, size=1200)
    of_pair = rng.normal(size=(20, 10))
    y = rng.normal(size=20)[user] + of_pair[user, item] + 0.3 * rng.normal(size=1200)
    X = pd.DataFrame({"user": user, "item": item})
    model = GroupedRegressor(NAMES, model="mixed").fit(X[:900], y[:900])
    assert np.mean((model.predict(X[900:]) - y[900:]) ** 2) < 0.2
    line = next(line for line in model.summary_.splitlines() if "between pairs" in line)
    assert abs(float(line.split(":")[1]) - 1) < 0.2


FEW = pytest.mark.filterwarnings("ignore:.*has fewer than 10 groups")


def make_sales(n_stores=6, n_products=4, n_times=12, seed=0):
    """Series of stores and products: random walks around effects of both."""
    rng = np.random.default_rng(seed)
    shape = n_stores, n_products, n_times
    store, product, week = (part.ravel() for part in np.indices(shape))
    level = rng.normal(size=(n_stores, 1)) + rng.normal(size=n_products)
    walk = rng.normal(scale=0.5, size=shape).cumsum(2)
    y = (level[..., None] + walk).ravel() + 10.0
    names = np.array(["north", "south", "east", "west", "old", "new"])
    return pd.DataFrame({"store": names[store], "product": product, "week": week}), y


@pytest.fixture(scope="module")
def sales():
    X, y = make_sales()
    known = (X["week"] < 8) & (X["store"] != "new") & ~((X["store"] == "old") & (X["product"] == 3))
    model = GroupedRegressor(["store", "product"], order="week", **QUICK)
    return X, y, model.fit(X[known], y[known])


@FEW
@pytest.mark.slow
def test_later_rows_follow_their_series(sales):
    X, y, model = sales
    at = (X["week"] == 8) & (X["store"] != "new") & (X["store"] != "old")
    first = X["week"] < 8
    plain = GroupedRegressor(["store", "product"], **QUICK).fit(X[first], y[first])
    error, of_plain = (np.mean((one.predict(X[at]) - y[at]) ** 2) for one in (model, plain))
    assert error < 0.7 * of_plain
    low, high = model.predict_quantiles(X[at], (0.05, 0.95)).T
    assert np.mean((low <= y[at]) & (y[at] <= high)) > 0.7
    assert "later rows of known groups: mixture" in model.summary_
    assert "1 known rows: mixture" in model.summary_


@FEW
def test_rows_of_a_new_series_of_known_groups_are_added(sales):
    X, y, model = sales
    at = (X["store"] == "old") & (X["product"] == 3)
    given = at & (X["week"] < 8)
    before = model.predict(X[at])
    found = copy.deepcopy(model).partial_fit(X[given], y[given] + 5.0)
    # Half of the distance to a level that no other series has.
    assert (found.predict(X[at & (X["week"] == 8)]) > y[at & (X["week"] == 7)] + 2.5).all()
    np.testing.assert_array_equal(model.predict(X[at]), before)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(found)).predict(X[at]), found.predict(X[at])
    )


@FEW
def test_a_prediction_in_time_does_not_depend_on_the_rows_beside_it(sales):
    X, _, model = sales
    one_by_one = [model.predict(X.iloc[[k]])[0] for k in (3, 40, 80, 280)]
    np.testing.assert_allclose(one_by_one, model.predict(X)[[3, 40, 80, 280]], rtol=1e-10)


@pytest.mark.slow
def test_pairs_that_follow_a_pattern_are_predicted():
    # What a group of one column has of a pattern of the other one's groups is a product.
    rng = np.random.default_rng(0)
    a, b = np.meshgrid(np.arange(40), np.arange(12), indexing="ij")
    y = (rng.normal(size=40)[a] * rng.normal(size=12)[b]).ravel() + 0.05 * rng.normal(size=480)
    X = pd.DataFrame({"a": [f"a{k}" for k in a.ravel()], "b": [f"b{k}" for k in b.ravel()]})
    is_test = rng.random(480) < 0.2
    model = GroupedRegressor(["a", "b"]).fit(X[~is_test], y[~is_test])
    error = np.mean((model.predict(X[is_test]) - y[is_test]) ** 2)
    # Effects of both columns that are added know nothing of a product.
    assert error < 0.3 * y.var()
