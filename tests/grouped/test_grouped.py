"""GroupedRegressor and GroupedClassifier: known groups, new ones, and new ones with few rows."""

import copy

import numpy as np
import pandas as pd
import pytest
from grouped_tables import QUICK, make_table, rows_of
from marks import slow
from scipy.stats import norm
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from tolerances import REFIT

from skmeta import GroupedClassifier, GroupedRegressor
from skmeta.exceptions import EpisodeError, UnusedDataWarning
from skmeta.learners import MAML, ALPaCA
from skmeta.tasks import KnownRowsGroupKFold


def test_known_groups_are_predicted_with_their_effects(regressor, table):
    at = pd.concat([rows_of(f"g{k}") for k in range(len(table.effects))])
    assert np.corrcoef(regressor.predict(at), table.effects)[0, 1] > 0.98


def test_a_new_group_without_rows_has_the_deviation_between_groups(regressor, table):
    mean, std = regressor.predict(rows_of("nowhere"), return_std=True)
    of_known = regressor.predict(rows_of("g3"), return_std=True)[1]
    assert abs(mean[0] - table.effects.mean()) < 0.5
    # Those between 24 groups and of their mean, and of the noise; of ten rows and another one.
    between = table.effects.var(ddof=1) * (1 + 1 / len(table.effects))
    assert std[0] == pytest.approx(np.sqrt(between + 0.3**2), rel=0.1)
    assert of_known[0] == pytest.approx(0.3 * np.sqrt(1 + 1 / 10), rel=0.1)


def test_few_rows_of_a_new_group_are_enough(regressor):
    model = copy.deepcopy(regressor)
    before = regressor.predict(rows_of("new"))
    model.partial_fit(rows_of("new", 3), [3.0, 3.1, 2.9])
    assert abs(model.predict(rows_of("new"))[0] - 3.0) < 0.4
    assert "new" in model.groups_
    # Other groups hardly change, and the model that was copied does not at all.
    others = model.predict(rows_of("g3")), regressor.predict(rows_of("g3"))
    np.testing.assert_allclose(*others, atol=0.02)
    np.testing.assert_array_equal(regressor.predict(rows_of("new")), before)


def test_intervals_hold_what_they_say():
    # 200 new groups, whose effects are learned from 40 others
    table = make_table(n_groups=240, n_rows=6)
    is_new = table.X["school"].isin([f"g{k}" for k in range(200)]).to_numpy()
    model = GroupedRegressor("school").fit(table.X[~is_new], table.y[~is_new])
    low, median, high = model.predict_quantiles(table.X[is_new]).T
    assert 0.85 < np.mean((table.y[is_new] >= low) & (table.y[is_new] <= high)) < 0.95
    assert (low < median).all()
    assert (median < high).all()


def test_classes_have_probabilities_in_known_and_new_groups(classifier, table):
    proba = classifier.predict_proba(table.X)
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(table.X)), proba)
    np.testing.assert_allclose(proba.sum(1), 1.0)
    assert classifier.score(table.X, np.where(table.y > 0.5, "yes", "no")) > 0.85
    new = classifier.predict_proba(rows_of("nowhere"))
    assert new.shape == (1, 2)
    assert abs(new[0, 0] - norm.cdf((0.5 - table.effects) / 0.3).mean()) < 0.1


def test_few_rows_move_the_class_of_a_new_group(classifier):
    model = copy.deepcopy(classifier).partial_fit(rows_of("new", 4, x=-1.0), ["yes"] * 4)
    before, after = (m.predict_proba(rows_of("new"))[0, 1] for m in (classifier, model))
    assert after > before + 0.2
    with pytest.raises(ValueError, match="classes that fit has not seen: 'maybe'"):
        model.partial_fit(rows_of("new"), ["maybe"])


def test_many_classes_have_effects_of_groups_each():
    rng = np.random.default_rng(0)
    n_classes, group = 7, np.repeat(np.arange(20), 12)
    x = rng.normal(size=len(group))
    odds = np.outer(x, rng.normal(size=n_classes)) + rng.normal(size=(20, n_classes))[group]
    y = (2 * odds + rng.gumbel(size=odds.shape)).argmax(1)
    X, known = np.column_stack([group, x]), np.arange(len(group)) % 3 > 0
    clf = GroupedClassifier(0, model="mixed", population=LogisticRegression(), n_folds=2)
    proba = clf.fit(X[known], y[known]).predict_proba(X[~known])
    np.testing.assert_allclose(proba.sum(1), 1.0)
    shared = LogisticRegression().fit(X[known, 1:], y[known]).predict_proba(X[~known, 1:])
    losses = [-np.log(p[np.arange(len(p)), y[~known]]).mean() for p in (proba, shared)]
    assert losses[0] < losses[1] - 0.15
    new = np.array([[99.0, 0.0]])
    likely = int(clf.predict(new)[0])
    other = (likely + 1) % n_classes
    more = copy.deepcopy(clf).partial_fit(np.repeat(new, 8, axis=0), [other] * 8)
    assert more.predict(new)[0] == other
    assert f"intercept ({other})" in clf.effects_.columns


@pytest.mark.parametrize("learner", [MAML(), ALPaCA()])
def test_other_learners_are_refused(learner, table):
    with pytest.raises(ValueError, match="HierarchicalLinear"):
        GroupedRegressor("school", model=learner).fit(table.X, table.y)


def test_groups_none_is_the_population(table):
    X = table.X[["x"]].to_numpy()
    model = GroupedRegressor(population=LinearRegression()).fit(X, table.y)
    expected = LinearRegression().fit(X, table.y).predict(X)
    np.testing.assert_allclose(model.predict(X), expected, atol=0.05)
    assert not hasattr(model, "partial_fit")


def test_whole_weights_repeat_rows(table):
    weight = np.arange(len(table.y)) % 3
    repeated = np.repeat(np.arange(len(table.y)), weight)
    weighted = GroupedRegressor("school", **QUICK).fit(table.X, table.y, sample_weight=weight)
    expected = GroupedRegressor("school", **QUICK).fit(table.X.iloc[repeated], table.y[repeated])
    np.testing.assert_allclose(weighted.predict(table.X), expected.predict(table.X), **REFIT)


def test_rows_without_weight_are_not_known(regressor):
    some, all_rows = copy.deepcopy(regressor), copy.deepcopy(regressor)
    some.partial_fit(rows_of("new", 2), [3.0, 3.1])
    all_rows.partial_fit(
        rows_of("new", 9), [3.0, 3.1] + 7 * [50.0], sample_weight=[1] * 2 + [0] * 7
    )
    assert all_rows.effects_.loc["new", "rows"] == 2
    assert all_rows.predict(rows_of("new")) == some.predict(rows_of("new"))


@pytest.mark.slow
def test_groups_with_equal_targets_do_not_widen_the_others():
    # A learner takes a shop without a sale for one without noise.
    rng = np.random.default_rng(0)
    shop, x = np.repeat(np.arange(40), 10), rng.normal(size=400)
    y = rng.poisson(np.exp(0.5 * x - 1 + 1.2 * rng.normal(size=40)[shop])).astype(float)
    X = pd.DataFrame({"shop": shop, "x": x})
    assert (pd.Series(y).groupby(shop).max() == 0).any()
    mean, std = GroupedRegressor("shop").fit(X, y).predict(X, return_std=True)
    error = np.sqrt(np.mean((mean - y) ** 2))
    assert 0.8 < np.sqrt(np.mean(std**2)) / error < 1.4
    assert std.min() > 0.05 * error
    assert std.max() < 6 * y.std()


@pytest.mark.parametrize("kind", [GroupedRegressor, slow(GroupedClassifier)])
def test_one_group_with_rows_among_groups_of_one_row(kind):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"g": ["big"] * 60 + [f"s{k}" for k in range(60)], "x": rng.normal(size=120)})
    y = X["x"] + rng.normal(size=120)
    y = y if kind is GroupedRegressor else y > 0
    model = kind("g").fit(X, y)
    alone = kind("g", model="population").fit(X, y)
    np.testing.assert_allclose(model.predict(X), alone.predict(X), **REFIT)
    with pytest.raises(EpisodeError, match="Set model='population', got 'mixed'"):
        kind("g", model="mixed").fit(X, y)


@pytest.mark.parametrize("rare", ["a", "z"])
def test_a_class_of_one_group_is_predicted_there(rare):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"g": np.repeat(np.arange(16), 10), "x": rng.normal(size=160)})
    y = np.where(X["g"] < 1, rare, np.where(X["x"] > 0, "m", "n"))
    model = GroupedClassifier("g", population=LogisticRegression(), model="mixed", n_folds=2).fit(
        X, y
    )
    proba = model.predict_proba(X)
    np.testing.assert_allclose(proba.sum(1), 1.0)
    assert (model.predict(X)[y != rare] == y[y != rare]).mean() > 0.95
    at = list(model.classes_).index(rare)
    assert proba[y == rare, at].mean() > 3 * proba[y != rare, at].mean()
    assert np.isfinite(model.effects_.to_numpy()).all()


@pytest.mark.parametrize(
    "cv", [KFold(2), GroupKFold(2), KnownRowsGroupKFold(2, 2, random_state=0)], ids=str
)
def test_cross_validation_needs_no_setting(cv, table):
    model = GroupedRegressor("school", **QUICK)
    groups = None if isinstance(cv, KFold) else table.X["school"]
    scores = cross_val_score(model, table.X, table.y, groups=groups, cv=cv, error_score="raise")
    assert np.isfinite(scores).all()


def test_polars_arrays_and_positions_agree(regressor, table):
    polars = pytest.importorskip("polars")
    model = GroupedRegressor("school", **QUICK).fit(table.X, table.y)
    of_polars = GroupedRegressor(0, **QUICK).fit(polars.from_pandas(table.X), table.y)
    found = of_polars.predict(polars.from_pandas(table.X))
    np.testing.assert_allclose(found, model.predict(table.X), **REFIT)
    numbers = table.X.assign(
        school=table.X["school"].str[1:].astype(int), colour=(table.X["colour"] == "red") * 1.0
    )
    of_array = GroupedRegressor(-3, **QUICK).fit(numbers.to_numpy(), table.y)
    np.testing.assert_allclose(
        of_array.predict(numbers.to_numpy()), model.predict(table.X), rtol=1e-7
    )


def test_missing_values_and_unknown_categories(table):
    X = table.X.copy()
    X.loc[::7, "x"] = np.nan
    X.loc[::11, "colour"] = None
    model = GroupedRegressor("school", **QUICK).fit(X, table.y)
    at = rows_of("g3").assign(colour="green", x=np.nan)
    with pytest.warns(UnusedDataWarning, match="categories that fit has not seen in 1 of 1 row"):
        assert np.isfinite(model.predict(at)).all()
    assert "x is missing" in model.effects_.columns


def test_n_jobs_changes_nothing(table):
    one, two = (
        GroupedRegressor("school", n_jobs=n_jobs, **QUICK).fit(table.X, table.y).predict(table.X)
        for n_jobs in (None, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_progress_is_shown_on_request(table, capsys):
    GroupedRegressor("school", verbose=1, **QUICK).fit(table.X, table.y)
    assert "Grouped table" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [GroupedRegressor, slow(GroupedClassifier)])
def test_order_names_and_units_change_nothing(kind):
    table = make_table(n_groups=14, n_rows=8, seed=2)  # more rows than the table prior takes
    rng = np.random.default_rng(1)
    y = table.y if kind is GroupedRegressor else (table.y > 0.5).astype(int)
    rows = rng.permutation(len(y))
    names = dict(zip(table.X["school"].unique(), rng.permutation(14), strict=True))

    def changed(X):
        return X.assign(school=X["school"].map(names), x=X["x"] * 2.54 + 32)

    first = kind("school").fit(table.X, y)
    if kind is GroupedClassifier:
        second = kind("school").fit(changed(table.X).iloc[rows], y[rows])
        found = [first.predict_proba(table.X), second.predict_proba(changed(table.X))]
    else:
        second = kind("school").fit(changed(table.X).iloc[rows], 1.8 * y[rows] + 32)
        found = [first.predict(table.X), (second.predict(changed(table.X)) - 32) / 1.8]
    assert abs(found[0] - found[1]).max() < 1e-8 * np.std(found[0])


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="one column"),
        slow({"order": "day"}, id="in time"),
        slow({"groups": ["school", "block"], "model": "mixed"}, id="several columns"),
    ],
)
def test_the_order_of_columns_changes_nothing(settings):
    table = make_table(n_groups=14, n_rows=8, seed=2)
    rng = np.random.default_rng(1)
    day = np.concatenate([rng.permutation(8) for _ in range(14)])
    X = table.X.assign(day=day, z=rng.normal(size=112), block=rng.integers(10, size=112))
    X.loc[::7, "z"] = np.nan
    X, more = X.iloc[:-8], X.iloc[-8:]
    found = []
    for columns in (list(X), ["z", "day", "block", "colour", "school", "x"]):
        model = GroupedRegressor(**{"groups": "school"} | settings).fit(X[columns], table.y[:-8])
        model.partial_fit(more[columns][:4], table.y[-8:-4])
        found.append(model.predict(more[columns], return_std=True))
        if settings == {}:
            names = [name for name in columns if name not in ("school", "colour")]
            slopes = [name for name in model.effects_ if f"{name} std" in model.effects_]
            levels = [name for name in slopes if name.startswith("colour (")]
            assert [name for name in slopes if name not in levels] == [
                "intercept",
                *names,
                "z is missing",
            ]
            assert len(levels) == X["colour"].nunique() - 1
            assert abs(model.effects_.loc["shared", "x"] - 1) < 0.2
    np.testing.assert_allclose(found[0], found[1], **REFIT)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("shcool", "no column 'shcool', which groups names. Did you mean 'school'"),
        (7, "groups=7 is no position of a column: X has 3 columns"),
        ([1.5], "groups must be names or positions"),
        ("x", "holds numbers with fractions, such as"),
    ],
)
def test_the_column_of_groups_must_be_there(groups, message, table):
    with pytest.raises(ValueError, match=message):
        GroupedRegressor(groups, **QUICK).fit(table.X, table.y)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X, y: (X[["x"]].to_numpy(), y), ValueError, "which has no names of columns"),
        (
            lambda X, y: (X.assign(school=X["school"].mask(X.index.isin([4, 9]))), y),
            ValueError,
            "'school' is missing in 2 rows: 4, 9",
        ),
        (
            lambda X, y: (X.assign(school=np.arange(len(X))), y),
            EpisodeError,
            "Each of the 240 rows has a group of its own",
        ),
        (
            lambda X, y: (X, X["school"].str[1:].astype(float)),
            EpisodeError,
            "'school' is a copy of the target",
        ),
        (lambda X, y: (X.assign(x=X["x"].mask(X.index == 5, np.inf)), y), ValueError, "row 5"),
        (lambda X, y: (X["school"], y), ValueError, "a data frame or an array.*got Series"),
        (lambda X, y: (X.iloc[:0], y[:0]), ValueError, "0 sample.* is required by GroupedRegr"),
    ],
    ids=["array", "no group", "own groups", "copy", "infinity", "series", "empty"],
)
def test_tables_that_cannot_be_learned_from(change, error, message, table):
    with pytest.raises(error, match=message):
        GroupedRegressor("school").fit(*change(table.X, table.y))


def test_unknown_groups_can_be_refused(table):
    model = GroupedRegressor("school", unknown_groups="error", **QUICK).fit(table.X, table.y)
    with pytest.raises(ValueError, match="1 group without known rows: 'g33'"):
        model.predict(rows_of("g33"))
    assert np.isfinite(model.partial_fit(rows_of("g33"), [1.0]).predict(rows_of("g33")))


def test_columns_of_another_type_are_refused_at_predict(regressor, table):
    plain = GroupedRegressor("school", **QUICK).fit(table.X[["school", "x"]], table.y)
    with pytest.raises(ValueError, match="'x' holds times"):
        plain.predict(table.X[["school", "x"]].assign(x=pd.Timestamp("2020-01-01")))
    with pytest.raises(ValueError, match="had categories at fit, but has numbers"):
        regressor.predict(table.X.assign(colour=1.0))
    with pytest.raises(ValueError, match="had strings such as 'g0' at fit, but has numbers"):
        plain.predict(table.X[["school", "x"]].assign(school=3))
    with pytest.raises(ValueError, match="0 sample"):
        regressor.predict(table.X.iloc[:0])


@pytest.mark.parametrize(
    ("settings", "y", "message"),
    [
        ({"population": Ridge()}, np.arange(240) % 2, "must be a classifier, got Ridge"),
        ({}, np.zeros(240), "needs rows of at least 2 classes"),
    ],
)
def test_a_classifier_needs_a_classifier_and_classes(settings, y, message, table):
    with pytest.raises(ValueError, match=message):
        GroupedClassifier("school", **settings).fit(table.X, y)


def test_constant_targets_and_useless_groups_are_put_in_words(table):
    constant = GroupedRegressor("school", **QUICK | {"model": "mixture"}).fit(table.X, np.ones(240))
    assert "nan" not in constant.summary_
    chance = np.random.default_rng(0).normal(size=240)
    summary = GroupedRegressor("school", n_folds=2).fit(table.X, chance).summary_
    assert "-" not in summary.split("\n")[0]
    model = copy.deepcopy(constant).partial_fit(rows_of("new"), [1.0])
    assert model.summary_.startswith("241 rows of 25 groups")


@pytest.mark.slow
def test_a_column_without_values_changes_nothing():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(18), 6)
    X = np.column_stack([groups, rng.normal(size=108)])
    y = rng.normal(size=18)[groups] + X[:, 1]
    # In a fold, the column of one group's values has none.
    values = np.where(groups == 3, rng.normal(size=108), np.nan)
    expected = GroupedRegressor(0, model="mixed").fit(X, y).predict(X)
    empty = np.column_stack([X, np.full(108, np.nan)])
    found = GroupedRegressor(0, model="mixed").fit(empty, y).predict(empty)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    of_one = np.column_stack([X, values])
    assert GroupedRegressor(0, model="mixed").fit(of_one, y).score(of_one, y) > 0.9


def test_groups_beside_the_table_are_answered_with_their_column(table):
    with pytest.raises(ValueError, match=r"X has them as a column: set GroupedRegressor\(groups='"):
        GroupedRegressor().fit(table.X, table.y, groups=table.X["school"])
    with pytest.raises(ValueError, match=r"Add one, for example X.assign\(group=groups\)"):
        GroupedClassifier("school").fit(table.X, table.y > 0, groups=np.arange(240) % 7)
    X = np.column_stack([np.arange(240) % 20, table.X["x"]])
    with pytest.raises(ValueError, match=r"X has them as a column: set GroupedRegressor\(groups=0"):
        GroupedRegressor().fit(X, table.y, groups=X[:, 0])
    with pytest.raises(ValueError, match=r"np.column_stack\(\[groups, X\]\), and set"):
        GroupedRegressor().fit(X, table.y, groups=table.X["school"])


def test_a_data_frame_without_groups_is_warned_of(table):
    with pytest.warns(UnusedDataWarning, match="If one of the columns 'x' holds groups, name it"):
        GroupedRegressor(population=Ridge()).fit(table.X[["x"]], table.y)


def test_groups_keep_the_order_of_the_rows_and_their_type(table):
    X = table.X.assign(school=table.X["school"].str[1:].astype(int)).iloc[::-1]
    model = GroupedRegressor("school", **QUICK).fit(X, table.y[::-1])
    expected = list(range(23, -1, -1))
    assert model.groups_ == expected
    assert all(type(group) is int for group in model.groups_)
    assert list(model.effects_.index) == ["shared", *expected]
    means = pd.Series(table.y).groupby(table.X["school"].str[1:].astype(int)).mean()
    assert np.corrcoef(model.effects_.loc[expected, "intercept"], means[expected])[0, 1] > 0.9


def test_two_classes_may_have_any_names():
    table = make_table(n_groups=12, n_rows=8)
    y = table.y > np.median(table.y)
    one, other = (
        GroupedClassifier("school", model="mixed").fit(table.X, labels).predict_proba(table.X)
        for labels in (y, ~y)
    )
    np.testing.assert_allclose(one, other[:, ::-1], **REFIT)
