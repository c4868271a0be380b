"""Displays of learners: learning curves and adaptation, and what is said without matplotlib."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmeta import MetaFewShotRegressor
from skmeta._optional import import_optional
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, AutoLearner, HierarchicalLinear, ProtoNet, Validation
from skmeta.plotting import AdaptationDisplay, GroupEffectsDisplay, LearningCurveDisplay

SHORT = {"n_iterations": 6, "validation": Validation(n_tasks=2, every=2), "random_state": 0}


@pytest.fixture(scope="module")
def regression():
    X, y, groups = make_sinusoid_tasks(n_tasks=20, random_state=0)
    return MAML(n_shot=5, n_query=5, **SHORT).fit(X, y, groups=groups)


@pytest.fixture(scope="module")
def classification():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), np.repeat(np.arange(12), 10)
    return ProtoNet(
        n_way=2, n_shot=1, n_query=3, **SHORT | {"validation": Validation(0.0, every=2)}
    ).fit(X, y)


def test_curves_are_those_of_the_history(regression):
    display = LearningCurveDisplay.from_estimator(regression)
    train, validation = display.lines_
    np.testing.assert_array_equal(train.get_xdata(), [2, 4, 6])
    np.testing.assert_array_equal(train.get_ydata(), regression.learning_curve_["train_loss"])
    np.testing.assert_array_equal(
        validation.get_ydata(), regression.learning_curve_["validation_loss"]
    )
    assert train.get_color() == validation.get_color()
    assert train.get_linestyle() != validation.get_linestyle()
    assert "MAML" in train.get_label()


def test_without_validation_there_is_one_curve_of_the_accuracy(classification):
    display = LearningCurveDisplay.from_estimator(classification)
    (line,) = display.lines_
    assert display.validation is None
    np.testing.assert_array_equal(line.get_ydata(), classification.learning_curve_["train_score"])
    assert display.ax_.get_ylabel() == "accuracy"
    assert display.ax_.get_xlabel() == "meta-iteration"


def test_plain_models_are_lines(regression):
    display = LearningCurveDisplay.from_estimator(regression)
    assert set(display.baselines) == {
        "ridge regression on each task",
        "ridge regression on all tasks",
    }
    heights = [line.get_ydata()[0] for line in display.baseline_lines_]
    scores = [
        regression.learning_curve_[f"{name}_score"][-1] for name in ("task_ridge", "pooled_ridge")
    ]
    np.testing.assert_allclose(heights, -np.array(scores))  # a loss is minus the score
    without = LearningCurveDisplay.from_estimator(regression, baselines=False)
    assert without.baseline_lines_ == []


def test_learners_without_an_outer_loop_have_no_curve():
    X, y, groups = make_sinusoid_tasks(n_tasks=30, random_state=0)
    closed = HierarchicalLinear(effects="intercept")
    with pytest.raises(
        ValueError, match=r"HierarchicalLinear has no learning curve\. It has no outer"
    ):
        LearningCurveDisplay.from_estimator(clone(closed).fit(X, y, groups))
    auto = AutoLearner(candidates=[closed], random_state=0).fit(X, y, groups)
    with pytest.raises(
        ValueError, match=r"AutoLearner has no .* Its leaderboard_ compares learners"
    ):
        LearningCurveDisplay.from_estimator(auto)


BRIEF = {"n_iterations": 2, "validation": 0, "random_state": 0}


@pytest.fixture(scope="module")
def sinusoids():
    X, y, groups = make_sinusoid_tasks(n_tasks=20, random_state=0)
    learner = MAML(n_shot=5, n_query=5, n_inner_steps=2, **BRIEF)
    old, new = groups < 12, groups >= 12
    return learner.fit(X[old], y[old], groups=groups[old]), X[new], y[new], groups[new]


@pytest.fixture(scope="module")
def classes():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 12)
    X = rng.normal(size=(144, 3)) + rng.normal(size=(12, 3))[y]
    learner = ProtoNet(n_way=2, n_shot=1, n_query=2, **BRIEF).fit(X[y < 6], y[y < 6])
    return learner, X[y >= 6], y[y >= 6]


def test_scores_are_those_of_the_learner_with_as_many_steps(sinusoids):
    learner, *data = sinusoids
    display = AdaptationDisplay.from_estimator(learner, *data, n_tasks=6)
    assert list(display.values) == [0, 1, 2, 3, 4]  # twice the learner's own
    np.testing.assert_array_equal(display.scores[2], -learner.score_tasks(*data, n_tasks=6))
    assert learner.n_inner_steps == 2
    # Without a step, all tasks have the prior's own prediction; more steps differ.
    assert np.abs(display.scores[0] - display.scores[1]).max() > 1e-6
    assert display.ax_.get_xlabel() == "gradient steps"
    assert display.ax_.get_ylabel() == "mean squared error"


def test_more_rows_help_a_learner_without_steps(classes):
    learner, X, y = classes
    figure, ax = plt.subplots()
    display = AdaptationDisplay.from_estimator(learner, X, y, n_shot=[1, 8], n_tasks=60, ax=ax)
    assert display.varied == "n_shot"
    assert display.figure_ is figure
    assert display.scores[1].mean() > display.scores[0].mean()
    default = AdaptationDisplay.from_estimator(learner, X, y, n_tasks=2)
    assert list(default.values) == [1, 2, 5, 10]


def test_what_is_refused(sinusoids, classes):
    learner, *data = sinusoids
    with pytest.raises(ValueError, match="Give n_inner_steps or n_shot"):
        AdaptationDisplay.from_estimator(learner, *data, n_inner_steps=[1], n_shot=[1])
    with pytest.raises(ValueError, match="ProtoNet adapts without gradient steps"):
        AdaptationDisplay.from_estimator(*classes, n_inner_steps=[1])
    with pytest.raises(NotFittedError, match="not fitted"):
        AdaptationDisplay.from_estimator(MAML(), *data)


def test_numbers_may_be_arrays_and_must_be_counts(sinusoids):
    learner, *data = sinusoids
    display = AdaptationDisplay.from_estimator(
        learner, *data, n_inner_steps=np.arange(2), n_tasks=2
    )
    assert list(display.values) == [0, 1]
    display = AdaptationDisplay.from_estimator(learner, *data, n_shot=np.array([1, 2]), n_tasks=2)
    assert list(display.values) == [1, 2]
    for params, match in (
        ({"n_inner_steps": [-1, 2]}, "n_inner_steps must be an integer of at least 0, got -1"),
        ({"n_inner_steps": [0.5]}, r"n_inner_steps must be an integer of at least 0, got 0\.5"),
        ({"n_inner_steps": []}, "n_inner_steps is empty"),
        ({"n_shot": [0, 2]}, "n_shot must be an integer of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=match):
            AdaptationDisplay.from_estimator(learner, *data, **params)


def test_estimators_that_are_no_learner(sinusoids):
    learner, X, y, groups = sinusoids
    for estimator in (MetaFewShotRegressor(learner).fit(X, y), AutoLearner()):
        with pytest.raises(TypeError, match=r"must be a fitted meta-learner.*pass best_learner_"):
            AdaptationDisplay.from_estimator(estimator, X, y, groups)


def test_drawing_without_matplotlib_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[plot\]'"):
        GroupEffectsDisplay._make(names=["a"], estimate=[1.0]).plot()


def test_an_error_inside_the_package_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="package_that_is_not_there"):
        import_optional("broken_package", "plot")
