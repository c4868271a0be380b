"""Displays of learners, groups and contrasts, and what is said without matplotlib."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmeta import GroupedClassifier, GroupedRegressor, MetaFewShotRegressor
from skmeta._optional import import_optional
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, AutoLearner, HierarchicalLinear, ProtoNet, Validation
from skmeta.plotting import (
    AdaptationDisplay,
    ContrastDisplay,
    GroupEffectsDisplay,
    GroupTrajectoryDisplay,
    LearningCurveDisplay,
)

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
    with pytest.raises(ValueError, match=r"HierarchicalLinear has no learning curve\. It has no"):
        LearningCurveDisplay.from_estimator(clone(closed).fit(X, y, groups))
    auto = AutoLearner(candidates=[closed], random_state=0).fit(X, y, groups)
    with pytest.raises(ValueError, match=r"AutoLearner has no .* Its leaderboard_ compares lea"):
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


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    user, item = np.divmod(np.arange(144), 12)
    effect = rng.normal(size=12)
    X = np.column_stack([user, item, rng.normal(size=144)])
    return X, effect[user] + 0.1 * item + X[:, 2] + 0.1 * rng.normal(size=144), effect


def test_groups_are_sorted_by_effect_with_intervals_around_them(table):
    X, y, effect = table
    model = GroupedRegressor(0, model="mixed").fit(X[:, [0, 2]], y)
    with pytest.raises(ValueError, match="There is no effect 'intercpt'"):
        GroupEffectsDisplay.from_estimator(model, effect="intercpt")
    display = GroupEffectsDisplay.from_estimator(model)
    assert [display.names[k] for k in display.order_] == np.argsort(effect).tolist()
    assert len(display.names) == 12
    points = display.ax_.lines[0].get_xdata()
    np.testing.assert_array_equal(points, np.sort(display.estimate))
    half = 1.959964 * display.std[display.order_]
    ends = np.array([line[:, 0] for line in display.ax_.collections[0].get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([points - half, points + half]), rtol=1e-4)


def test_of_several_columns_one_is_drawn(table):
    X, y, effect = table
    model = GroupedRegressor([0, 1], model="mixed").fit(X, y)
    first, second = (GroupEffectsDisplay.from_estimator(model, column=c) for c in ("0", "1"))
    of_users = dict(zip(first.names, first.estimate, strict=True))
    assert np.corrcoef([of_users[k] for k in range(12)], effect)[0, 1] > 0.99
    of_items = dict(zip(second.names, second.estimate, strict=True))
    assert np.corrcoef([of_items[k] for k in range(12)], np.arange(12))[0, 1] > 0.99
    assert second.reference == 0.0
    with pytest.raises(ValueError, match=r"no column of groups 'user'.*'0', '1'"):
        GroupEffectsDisplay.from_estimator(model, column="user")


def test_a_frame_of_losses_has_a_line_for_each_part_of_the_mixture():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 15)
    X = np.column_stack([groups, rng.normal(size=180)])
    y = rng.normal(size=12)[groups] + X[:, 1] + 0.1 * rng.normal(size=180)
    model = GroupedRegressor(0).fit(X, y)
    ax = model.losses_.plot(marker="o")
    assert [line.get_label() for line in ax.lines] == list(model.losses_.columns)
    mixture = model.losses_["mixture"]
    assert list(mixture.index) == ["0", "1", "3", "most"]
    # An intercept per group explains half of the variance, once rows are known.
    assert mixture.iloc[0] > 0.3
    assert mixture.iloc[-1] < 0.1
    for loss in mixture:
        assert f"mixture {loss:.3f}" in model.summary_


@pytest.fixture(scope="module")
def animals():
    rng = np.random.default_rng(0)
    group, day = np.repeat(np.arange(12), 8), np.tile(np.arange(8), 12)
    X = pd.DataFrame({"animal": [f"a{g}" for g in group], "day": day})
    y = rng.normal(size=12)[group] + day * (1 + rng.normal(size=12)[group] / 4)
    return X, pd.Series(y + 0.1 * rng.normal(size=96), name="weight")


@pytest.fixture(scope="module")
def of_animals(animals):
    X, y = animals
    return GroupedRegressor("animal", order="day").fit(X[X["day"] < 5], y[X["day"] < 5])


def test_known_rows_and_what_is_predicted_are_drawn(animals, of_animals):
    X, y = animals
    seen = X["day"] < 5
    # Rows in any order.
    rows = np.random.default_rng(0).permutation(96)
    X, y, seen = X.iloc[rows], y.iloc[rows], seen.iloc[rows]
    display = GroupTrajectoryDisplay.from_estimator(
        of_animals, X[seen], y[seen], X[~seen], y[~seen], groups=["a3", "a7"]
    )
    assert len(display.axes_) == 2
    assert display.names == ("day", "weight")
    ax = display.axes_[1]
    assert ax.get_title() == "a7"
    known, mean, came = ax.lines
    of_group = X["animal"] == "a7"
    np.testing.assert_array_equal(known.get_xdata(), np.arange(5))
    at = X[of_group & ~seen].sort_values("day")
    np.testing.assert_allclose(mean.get_ydata(), of_animals.predict(at))
    np.testing.assert_allclose(came.get_ydata(), y[at.index])
    low, high = of_animals.predict_quantiles(at, (0.05, 0.95)).T
    np.testing.assert_allclose(display.trajectories["a7"].low, low)
    np.testing.assert_allclose(display.trajectories["a7"].high, high)
    plt.close("all")


def test_axes_may_be_given_and_groups_counted(animals, of_animals):
    X, y = animals
    seen = X["day"] < 5
    _, axes = plt.subplots(1, 3)
    display = GroupTrajectoryDisplay.from_estimator(
        of_animals, X[seen], y[seen], X[~seen], n_groups=3, level=0.5, axes=axes
    )
    assert [ax.get_title() for ax in display.axes_] == ["a0", "a1", "a2"]
    assert display.axes_[0].get_legend_handles_labels()[1] == ["50% interval", "known", "predicted"]
    plt.close("all")


def test_what_cannot_be_drawn_is_an_error(animals, of_animals):
    X, y = animals
    with pytest.raises(ValueError, match=r"need times and intervals\. Fit GroupedRegressor"):
        GroupTrajectoryDisplay.from_estimator(GroupedClassifier("animal", order="day"), X, y, X)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        GroupTrajectoryDisplay.from_estimator(of_animals, X, y, X, level=90)
    with pytest.raises(ValueError, match=r"Group 'a77' has no rows in X_ahead\. Did you mean 'a7'"):
        GroupTrajectoryDisplay.from_estimator(of_animals, X, y, X, groups=["a77"])
    with pytest.raises(ValueError, match="one column of groups, got groups=None"):
        GroupTrajectoryDisplay.from_estimator(GroupedRegressor(order="day"), X, y, X)


@pytest.fixture(scope="module")
def arms():
    rng = np.random.default_rng(0)
    clinic = np.repeat(np.arange(12), 20)
    X = pd.DataFrame({"clinic": clinic, "arm": rng.choice(["drug", "none", "sham"], 240)})
    y = (X["arm"] == "drug") * 2.0 + rng.normal(size=12)[clinic] + rng.normal(size=240)
    counts = rng.poisson(np.exp(0.5 + (X["arm"] == "drug")))
    model = GroupedRegressor("clinic", model="mixed")
    return model.fit(X, y), GroupedRegressor("clinic", model="mixed").fit(X, counts)


def test_contrasts_are_drawn_from_top_to_bottom(arms):
    model, _ = arms
    display = ContrastDisplay.from_estimator(model, "arm", ["drug", "sham"], "none")
    frame = model.contrast("arm", ["drug", "sham"], "none")
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list(frame.index)
    np.testing.assert_allclose(display.ax_.lines[1].get_xdata(), frame["estimate"])
    assert (np.diff(display.ax_.lines[1].get_ydata()) < 0).all()
    ends = np.array([line[:, 0] for line in display.ax_.collections[0].get_segments()])
    np.testing.assert_allclose(ends, frame[["lower", "upper"]])
    with pytest.raises(ValueError, match="no ratios"):
        ContrastDisplay.from_estimator(model, "arm", "drug", "none", ratio=True)


def test_groups_are_sorted_below_the_common_contrast(arms):
    _, counts = arms
    display = ContrastDisplay.from_estimator(
        counts, "arm", "drug", "none", group="clinic", ratio=True
    )
    assert display.names[0] == "all"
    assert len(display.names) == 13
    assert (np.diff(display.estimate[1:]) <= 0).all()
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "arm, drug - none: ratio, with 95% intervals"
