"""Pictures of a search, and the importance of its parameters."""

from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skmeta.plotting import SearchDisplay

X, y = load_iris(return_X_y=True)
FEW = np.array([0.5, np.nan, 0.9, 0.7, 0.9, np.nan])


@pytest.fixture(scope="module")
def multimetric():
    space = {"max_depth": [1, 2, 3], "criterion": ["gini", "entropy"]}
    settings = {"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss", "cv": 3}
    return GridSearchCV(DecisionTreeClassifier(random_state=0), space, **settings).fit(X, y)


def display_of(scores, **kwargs):
    params = [{"a": k} for k in range(len(scores))]
    return SearchDisplay._make(scores=scores, params=params, **kwargs)


def labels_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


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


def test_incumbent_is_the_running_maximum():
    display = display_of(FEW)
    np.testing.assert_array_equal(display.incumbent, [0.5, 0.5, 0.9, 0.9, 0.9, 0.9])
    assert display.best_index == 2
    lines = display.plot().ax_.lines
    drawn = next(line for line in lines if "best so far" in str(line.get_label()))
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


@pytest.mark.parametrize("kind", ["incumbent", "slice"])
@pytest.mark.parametrize("scores", [[np.nan] * 3, [0.5] * 3, [0.5], [np.nan], [0.5, -np.inf]])
def test_hard_cases_are_drawn(kind, scores):
    display = display_of(scores).plot(kind)
    display.figure_.canvas.draw()
    all_failed = not np.isfinite(scores).any()
    assert (display.best_index is None) == np.isnan(display.incumbent).all() == all_failed


def test_bad_arguments_are_refused(multimetric):
    with pytest.raises(ValueError, match=r"kind must be one of .* got 'bars'"):
        SearchDisplay.from_estimator(multimetric, kind="bars")
    with pytest.raises(ValueError, match=r"are \['accuracy'.*got metric='f1'"):
        SearchDisplay.from_estimator(multimetric, metric="f1")
    with pytest.raises(NotFittedError, match="not fitted"):
        SearchDisplay.from_estimator(GridSearchCV(SVC(), {"C": [1.0]}))


@pytest.fixture(scope="module")
def search():
    pipe = make_pipeline(StandardScaler(), SVC())
    space = {"svc__C": loguniform(1e-3, 1e3), "svc__gamma": [0.01, 0.1, 1.0, 10.0, "scale"]}
    return RandomizedSearchCV(pipe, space, n_iter=14, cv=3, random_state=0).fit(X, y)


def test_a_slice_is_chosen_by_the_end_of_its_name(search):
    _, ax = plt.subplots()
    display = SearchDisplay.from_estimator(search, kind="slice", parameters=["gamma"], ax=ax)
    assert display.ax_ is ax
    assert ax.get_xlabel() == "gamma"
    with pytest.raises(ValueError, match="one Axes per parameter, 2, got 1"):
        display.plot("slice", ax)
    with pytest.raises(ValueError, match=r"svc__C.*got \['depth'\]"):
        display.plot("slice", parameters=["depth"])


def test_slices_show_each_candidate_at_its_value(search):
    display = SearchDisplay.from_estimator(search, kind="slice")
    assert [ax.get_xlabel() for ax in display.ax_] == ["C", "gamma"]
    scores = search.cv_results_["mean_test_score"]
    C = [params["svc__C"] for params in search.cv_results_["params"]]
    points = np.concatenate([marks.get_offsets() for marks in display.ax_[0].collections])
    assert len(points) == 14
    at = dict(zip(points[:, 0].round(9), points[:, 1], strict=True))
    assert display.ax_[0].get_xscale() == "log"
    for value, score in zip(C, scores, strict=True):
        assert at[round(value, 9)] >= score  # low ones are raised to the edge
    [best] = display.ax_[0].lines
    assert best.get_ydata() == [scores.max()]
    assert "scale" in [label.get_text() for label in display.ax_[1].get_xticklabels()]


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "C": float(10 ** rng.uniform(-3, 3)),
            "x": float(rng.uniform(0, 1)),
            "kind": str(rng.choice(["u", "v"])),
            "idle": float(rng.uniform(0, 1)),
        }
        for _ in range(n)
    ]


def effects_of(params, scores):
    importance = SearchDisplay._make(params=params, scores=scores).importance
    return dict(zip(importance.names, importance.values.tolist(), strict=True))


def test_importance_of_an_additive_function():
    params = draw(80)
    scores = [0.2 * np.log10(c["C"]) + 1.5 * c["x"] + 0.5 * (c["kind"] == "u") for c in params]
    effects = effects_of(params, scores)
    # Variances of uniform and of two-valued variables. Scores below the median are raised only if
    # they are very low, which here none is.
    parts = {"C": 0.04 * 36 / 12, "x": 1.5**2 / 12, "kind": 0.25 / 4, "idle": 0.0}
    for name, value in effects.items():
        assert value == pytest.approx(parts[name] / sum(parts.values()), abs=0.03)
    assert list(effects.values()) == sorted(effects.values(), reverse=True)
    assert list(effects)[-1] == "idle"


def test_interacting_parameters_count_with_each_other():
    rng = np.random.default_rng(1)
    params = [{"a": float(a), "b": float(b)} for a, b in rng.uniform(-1, 1, (80, 2))]
    effects = effects_of(params, [c["a"] * c["b"] for c in params])
    # All of the variance of a product of centred variables is an interaction.
    assert min(effects["a"], effects["b"]) > 0.8


@pytest.mark.parametrize(
    ("params", "scores"),
    [
        ([{"a": k} for k in range(5)], [0.1, 0.2, 0.3, 0.4, 0.5]),
        ([{"a": k} for k in range(9)], [0.5] * 9),
        ([{"a": 1} for k in range(9)], np.linspace(0, 1, 9)),
        ([{"a": k} for k in range(9)], [np.nan] * 4 + [0.1, 0.2, 0.3, 0.4, 0.5]),
        ([], []),
    ],
)
def test_too_little_to_tell(params, scores):
    n = np.isfinite(scores).sum()
    with pytest.raises(ValueError, match=rf"at least 6 candidates.*; {n} candidates have a score"):
        SearchDisplay._make(params=params, scores=scores).plot("importance")
