"""Importance and slices of a search."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.plotting import SearchDisplay
from skmeta.search.report._importance import fit_scores, parameter_importance, score_slices

X, y = load_iris(return_X_y=True)
MODEL_KINDS = ("importance", "slice")


@pytest.fixture(scope="module")
def search():
    pipe = make_pipeline(StandardScaler(), SVC())
    space = {"svc__C": loguniform(1e-3, 1e3), "svc__gamma": [0.01, 0.1, 1.0, 10.0, "scale"]}
    return RandomizedSearchCV(pipe, space, n_iter=14, cv=3, random_state=0).fit(X, y)


def test_bars_are_the_importance(search):
    display = SearchDisplay.from_estimator(search, kind="importance")
    scores = search.cv_results_["mean_test_score"]
    expected = parameter_importance(fit_scores(search.cv_results_["params"], scores))
    bars = [patch.get_width() for patch in display.ax_.patches]
    np.testing.assert_array_equal(bars, expected.values)
    np.testing.assert_array_equal(display.importance.values, expected.values)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [name.removeprefix("svc__") for name in expected.names]


def test_slices_are_drawn_for_each_parameter(search):
    display = SearchDisplay.from_estimator(search, kind="slice")
    assert sorted(ax.get_xlabel() for ax in display.ax_) == ["C", "gamma"]
    scores = search.cv_results_["mean_test_score"]
    fitted = fit_scores(search.cv_results_["params"], scores)
    [panel] = [ax for ax in display.ax_ if ax.get_xlabel() == "C"]
    line = max(panel.lines, key=lambda line: len(line.get_xdata()))
    [expected] = score_slices(fitted, ["svc__C"])
    np.testing.assert_allclose(line.get_ydata(), expected.mean)
    # One mark per candidate.
    assert sum(len(marks.get_offsets()) for marks in panel.collections[1:]) == 14
    low, high = panel.get_ylim()
    assert low < scores.max() < high


def test_a_slice_on_given_axes(search):
    _, ax = plt.subplots()
    display = SearchDisplay.from_estimator(search, kind="slice", parameters=["gamma"], ax=ax)
    assert display.ax_ is ax
    texts = [label.get_text() for label in ax.get_xticklabels()]
    assert "scale" in texts
    with pytest.raises(ValueError, match="one Axes per parameter, 2, got 1"):
        display.plot("slice", ax)


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_too_few_candidates(kind):
    display = SearchDisplay(scores=[0.1, 0.2, 0.3, np.nan], params=[{"C": c} for c in range(4)])
    with pytest.raises(ValueError, match=r"at least 6 candidates with a score.*3 candidates have"):
        display.plot(kind)


def test_what_cannot_be_drawn(search):
    display = SearchDisplay.from_estimator(search)
    with pytest.raises(ValueError, match=r"svc__C.*got \['depth'\]"):
        display.plot("slice", parameters=["depth"])


def test_sources_have_marks_of_their_own():
    sources = ["initial design", "as given", "prior", "model", "other"]
    display = SearchDisplay(
        scores=[0.1, 0.2, 0.3, 0.4, 0.5], params=[{}] * 5, sources=sources
    ).plot()
    shapes = {
        tuple(c.get_paths()[0].vertices.ravel().round(3))
        for c in display.ax_.collections
        if c.get_label() in sources
    }
    assert len(shapes) == 5


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_pictures_can_be_saved(search, kind, tmp_path):
    display = SearchDisplay.from_estimator(search, kind=kind)
    display.figure_.savefig(tmp_path / "picture.png", dpi=40)
    assert (tmp_path / "picture.png").stat().st_size > 1000
