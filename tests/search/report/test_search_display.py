from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from halving import HalvingGridSearchCV
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta.plotting import SearchDisplay
from skmeta.search.report._parameters import parameter_axes, round_ticks

X, y = load_iris(return_X_y=True)
FEW = np.array([0.5, np.nan, 0.9, 0.7, 0.9, np.nan])


@pytest.fixture(scope="module")
def multimetric():
    space = {"max_depth": [1, 2, 3], "criterion": ["gini", "entropy"]}
    search = GridSearchCV(
        DecisionTreeClassifier(random_state=0),
        space,
        scoring=["accuracy", "neg_log_loss"],
        refit="neg_log_loss",
        cv=3,
    )
    return search.fit(X, y)


def display_of(scores, **kwargs):
    params = [{"a": k} for k in range(len(scores))]
    return SearchDisplay(scores=scores, params=params, **kwargs)


def labels_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def line_of(display, label):
    return next(line for line in display.ax_.lines if label in str(line.get_label()))


def brute_force(scores):
    """Best of the first k of every order; orders in which nothing succeeded yet are left out."""
    orders = np.array([np.fmax.accumulate(order) for order in permutations(scores)])
    columns = [column[np.isfinite(column)] for column in orders.T]
    return (
        [column.mean() for column in columns],
        [np.quantile(column, 0.1, method="inverted_cdf") for column in columns],
        [np.quantile(column, 0.9, method="inverted_cdf") for column in columns],
    )


@pytest.mark.parametrize("scores", [FEW, FEW[[0, 2, 3]], np.array([0.2, 0.1, 0.4, 0.3, 0.35])])
def test_expected_is_what_all_orders_give(scores):
    for curve, wanted in zip(display_of(scores).expected, brute_force(scores), strict=True):
        np.testing.assert_allclose(curve, wanted, rtol=1e-12)


def test_expected_of_many_is_what_drawn_orders_give():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=300)
    drawn = np.maximum.accumulate(rng.permuted(np.tile(scores, (4000, 1)), axis=1), axis=1)
    error = 5 * drawn.std(0) / np.sqrt(4000)
    assert (abs(display_of(scores).expected.mean - drawn.mean(0)) <= error + 1e-9).all()


def test_incumbent_is_the_running_maximum():
    display = display_of(FEW)
    np.testing.assert_array_equal(display.incumbent, [0.5, 0.5, 0.9, 0.9, 0.9, 0.9])
    assert display.best_index == 2
    assert display.n_failed == 2
    drawn = line_of(display.plot(), "best so far")
    np.testing.assert_array_equal(drawn.get_ydata(), display.incumbent)
    np.testing.assert_array_equal(drawn.get_xdata(), np.arange(1, 7))
    assert "2 failed" in labels_of(display)


def test_the_end_is_the_search_s_best_score():
    space = {"C": loguniform(1e-3, 1e3)}
    search = RandomizedSearchCV(SVC(), space, n_iter=6, random_state=0, cv=3).fit(X, y)
    display = SearchDisplay.from_estimator(search)
    assert display.incumbent[-1] == display.expected.mean[-1] == search.best_score_
    assert display.best_index == search.best_index_
    assert display.ax_.get_ylabel() == "accuracy"
    assert any(label.startswith("RandomizedSearchCV") for label in labels_of(display))


def test_a_reference_is_what_the_curve_is_of():
    reference = np.array([0.1, 0.5, 0.3])
    display = display_of([0.6, 0.2], reference=reference).plot()
    np.testing.assert_allclose(display.expected.mean, display_of(reference).expected.mean)
    assert "random search, expected" in labels_of(display)
    assert "same candidates in random order, expected" in labels_of(display_of(FEW).plot())


def test_a_reference_may_be_a_search_or_scores(multimetric):
    results = multimetric.cv_results_
    for reference in (multimetric, results["mean_test_accuracy"]):
        display = SearchDisplay.from_estimator(multimetric, metric="accuracy", reference=reference)
        np.testing.assert_array_equal(display.reference, results["mean_test_accuracy"])


@pytest.mark.parametrize("given", [None, "accuracy", "neg_log_loss"])
def test_the_metric_can_be_chosen(multimetric, given):
    display = SearchDisplay.from_estimator(multimetric, metric=given)
    metric = given or "neg_log_loss"
    np.testing.assert_array_equal(display.scores, multimetric.cv_results_[f"mean_test_{metric}"])
    assert display.ax_.get_ylabel() == metric


def test_points_have_the_colour_and_mark_of_their_source():
    sources = ["initial design", "model", "prior", "as given", "other", "model"]
    display = display_of([0.6, 0.7, 0.65, 0.8, 0.3, 0.85], sources=sources).plot()
    points = {p.get_label(): p for p in display.ax_.collections if p.get_label() in sources}
    assert list(points) == sources[:-1]
    np.testing.assert_array_equal(points["model"].get_offsets(), [[2, 0.7], [6, 0.85]])
    assert len({tuple(p.get_facecolor()[0]) for p in points.values()}) == 5
    shapes = {tuple(p.get_paths()[0].vertices.ravel().round(3)) for p in points.values()}
    assert len(shapes) == 5


def test_low_scores_are_marked_at_the_edge_and_counted():
    scores = np.r_[0.0, np.linspace(0.9, 1.0, 19), -50.0, 0.95]
    display = display_of(scores).plot()
    bottom, top = display.ax_.get_ylim()
    hidden = (scores < bottom).sum()
    assert hidden == 2
    assert f"{hidden} below" in labels_of(display)
    assert top > 1.0


def test_parts_can_be_left_out():
    display = display_of(FEW).plot(show_points=False, show_expected=False, color="tab:red")
    assert labels_of(display) == ["best so far"]
    assert line_of(display, "best so far").get_color() == "tab:red"


def test_searches_are_compared_on_the_same_axes():
    first = display_of([0.5, 0.9], name="one").plot()
    second = display_of([0.1, 0.2], name="two").plot(ax=first.ax_)
    assert second.ax_ is first.ax_
    assert second.figure_ is first.figure_
    bottom, top = second.ax_.get_ylim()
    assert bottom < 0.2
    assert top > 0.9
    lines = [line_of(second, name) for name in ("one", "two")]
    assert lines[0].get_color() != lines[1].get_color()


@pytest.mark.parametrize("kind", ["incumbent", "parallel", "slice"])
def test_draws_on_the_axes_given(kind):
    figure, ax = plt.subplots()
    display = display_of(FEW)
    assert display.plot(kind, ax) is display
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert display.plot(kind).ax_ is not ax


@pytest.mark.parametrize("kind", ["incumbent", "parallel", "slice"])
@pytest.mark.parametrize("scores", [[np.nan] * 3, [0.5] * 3, [0.5], [np.nan], [0.5, -np.inf]])
def test_hard_cases_are_drawn(kind, scores):
    display = display_of(scores).plot(kind)
    display.figure_.canvas.draw()
    assert display.n_failed == np.sum(~np.isfinite(scores))
    assert (display.best_index is None) == (display.n_failed == len(scores))
    assert np.isnan(display.incumbent).all() == (display.n_failed == len(scores))


# -- parallel coordinates ----------------------------------------------------------------------


def axes_of(*columns):
    names = [f"p{k}" for k in range(len(columns))]
    params = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return parameter_axes(params)


def test_values_over_decades_are_spaced_by_their_logarithm():
    log, linear = axes_of(np.logspace(-3, 3, 13), np.linspace(1, 10, 13))
    np.testing.assert_allclose(log.positions, np.linspace(0, 1, 13), atol=1e-12)
    np.testing.assert_allclose(linear.positions, np.linspace(0, 1, 13), atol=1e-12)
    assert (0.5, "$10^{0}$") in [(round(place, 9), text) for place, text in log.ticks]


def test_categories_are_ticks():
    (axis,) = axes_of(["b", "a", "b", "a", "b"])
    assert [text for _, text in axis.ticks] == ["a", "b"]
    place = {text: place for place, text in axis.ticks}
    np.testing.assert_array_equal(axis.positions, [place[text] for text in "babab"])


def test_numbers_and_categories_may_share_an_axis():
    (axis,) = axes_of(["scale", 0.001, "auto", 1.0, 0.1, None])
    assert [text for _, text in axis.ticks] == ["None", "auto", "scale", "0.001", "0.1", "1"]
    numbers = axis.positions[[1, 3, 4]]
    assert numbers.min() > axis.positions[[0, 2, 5]].max()


def test_conditional_spaces_show_what_is_not_set():
    params = [
        {"kernel": "rbf", "gamma": 0.1},
        {"kernel": "linear"},
        {"kernel": "rbf", "gamma": 10.0},
        {"kernel": "poly", "gamma": 1.0, "degree": 3},
    ]
    _, gamma, degree = parameter_axes(params)
    assert (gamma.ticks[0][1], degree.ticks[0][1]) == ("not set", "not set")
    assert gamma.positions[1] < gamma.positions[[0, 2, 3]].min()


def test_masked_parameters_of_a_fitted_search():
    space = [{"kernel": ["linear"]}, {"kernel": ["rbf"], "gamma": [0.01, 0.1, 1.0]}]
    search = GridSearchCV(SVC(), space, cv=3).fit(X, y)
    display = SearchDisplay.from_estimator(search, kind="parallel")
    texts = [text.get_text() for text in display.ax_.texts]
    assert "not set" in texts
    assert any("best" in text for text in texts)


def test_constant_parameters_are_left_out_unless_there_is_nothing_else():
    assert [axis.name for axis in axes_of([1, 2], ["x", "x"])] == ["p0"]
    assert [axis.name for axis in axes_of(["x", "x"])] == ["p0"]


def test_estimators_and_tuples_are_categories():
    (models, layers) = axes_of([SVC(C=2), SVC(), SVC(C=2)], [(10,), (10, 5), (10,)])
    assert [text for _, text in models.ticks] == ["SVC()", "SVC(C=2)"]
    assert [text for _, text in layers.ticks] == ["(10, 5)", "(10,)"]
    assert layers.positions[0] != layers.positions[1]


def test_failed_and_low_scores_are_named_in_parallel_coordinates():
    texts = [text.get_text() for text in display_of([*FEW, -9.0]).plot("parallel").ax_.texts]
    assert "2 failed" in texts
    assert any(text.startswith("≤ ") for text in texts)


def test_a_thousand_candidates_are_all_drawn():
    rng = np.random.default_rng(0)
    params = [{"C": 10.0**v, "k": "ab"[int(v > 0)]} for v in rng.normal(size=1000)]
    display = SearchDisplay(scores=rng.random(1000), params=params)
    incumbent = display.plot("incumbent").ax_
    assert max(len(line.get_xdata()) for line in incumbent.lines) == 1000
    parallel = display.plot("parallel").ax_
    assert max(len(one.get_paths()) for one in parallel.collections) == 1000
    for ax in (incumbent, parallel):
        ax.figure.canvas.draw()


def test_a_halving_search_shows_what_can_be_compared():
    search = HalvingGridSearchCV(SVC(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=3, random_state=0)
    search.fit(X, y)
    display = SearchDisplay.from_estimator(search)
    last = search.cv_results_["iter"] == search.n_iterations_ - 1
    np.testing.assert_array_equal(
        np.sort(display.scores), np.sort(search.cv_results_["mean_test_score"][last])
    )


def test_bad_arguments_are_refused(multimetric):
    with pytest.raises(ValueError, match=r"kind must be one of .* got 'bars'"):
        SearchDisplay.from_estimator(multimetric, kind="bars")
    with pytest.raises(ValueError, match=r"metric must be one of .*'accuracy'.* got 'f1'"):
        SearchDisplay.from_estimator(multimetric, metric="f1")
    with pytest.raises(NotFittedError, match="not fitted"):
        SearchDisplay.from_estimator(GridSearchCV(SVC(), {"C": [1.0]}))


def test_the_scoring_names_the_axis():
    def lift(estimator, X, y):
        return 1.0

    space = {"C": [0.1, 1.0]}
    for scoring, wanted in (("f1_macro", "f1_macro"), (lift, "lift")):
        search = GridSearchCV(SVC(), space, scoring=scoring, cv=3).fit(X, y)
        assert SearchDisplay.from_estimator(search).metric_name == wanted


# -- slices and importance -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def search():
    pipe = make_pipeline(StandardScaler(), SVC())
    space = {"svc__C": loguniform(1e-3, 1e3), "svc__gamma": [0.01, 0.1, 1.0, 10.0, "scale"]}
    return RandomizedSearchCV(pipe, space, n_iter=14, cv=3, random_state=0).fit(X, y)


def test_bars_are_the_importance(search):
    display = SearchDisplay.from_estimator(search, kind="importance")
    bars = [patch.get_width() for patch in display.ax_.patches]
    np.testing.assert_array_equal(bars, display.importance.values)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [name.removeprefix("svc__") for name in display.importance.names]


def test_slices_show_each_candidate_at_its_value(search):
    display = SearchDisplay.from_estimator(search, kind="slice")
    assert [ax.get_xlabel() for ax in display.ax_] == ["C", "gamma"]
    scores = search.cv_results_["mean_test_score"]
    C = np.log10([params["svc__C"] for params in search.cv_results_["params"]])
    points = np.concatenate([marks.get_offsets() for marks in display.ax_[0].collections])
    assert len(points) == 14
    at = dict(zip(points[:, 0].round(9), points[:, 1], strict=True))
    for place, score in zip((C - C.min()) / np.ptp(C), scores, strict=True):
        assert at[round(place, 9)] >= score  # low ones are raised to the edge
    [best] = display.ax_[0].lines
    assert best.get_ydata() == [scores.max()]
    assert "scale" in [label.get_text() for label in display.ax_[1].get_xticklabels()]


def test_a_slice_is_chosen_by_the_end_of_its_name(search):
    _, ax = plt.subplots()
    display = SearchDisplay.from_estimator(search, kind="slice", parameters=["gamma"], ax=ax)
    assert display.ax_ is ax
    assert ax.get_xlabel() == "gamma"
    with pytest.raises(ValueError, match="one Axes per parameter, 2, got 1"):
        display.plot("slice", ax)
    with pytest.raises(ValueError, match=r"svc__C.*got \['depth'\]"):
        display.plot("slice", parameters=["depth"])


@pytest.mark.parametrize(
    ("low", "high", "is_log", "expected"),
    [
        (0, 1, False, [0, 0.2, 1]),
        (0.94, 0.985, False, [0.94, 0.96, 0.98]),
        (-3, 3, False, [-2, 0, 2]),
        (0.001, 1000, True, [0.001, 1, 1000]),
        (0.02, 0.6, True, [0.2]),
        (3, 3, False, [3]),
    ],
)
def test_ticks_are_round(low, high, is_log, expected):
    places = [place for place, _ in round_ticks(low, high, is_log)]
    assert set(np.round(expected, 12)) <= set(np.round(places, 12))
    assert all(low - 1e-9 <= v <= high * (1 + 1e-9) for v in places)
    assert 1 <= len(places) <= 8
